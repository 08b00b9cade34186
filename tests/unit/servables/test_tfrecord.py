"""TFRecord files, beside TensorFlow's own reader and writer."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
import tensorflow as tf

from fastserve.servables.tfrecord import read_records, write_records
from support.tfrecords import read, read_by_tensorflow

RECORDS = (b"first", b"", bytes(range(256)) * 5000, b"last")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "records"


def assert_error(path: Path, records: list[bytes], text: str) -> None:
    """After these records comes this error, for TensorFlow too."""
    text = text and f"DATA_LOSS: {text}"
    assert read(path) == (records, text)
    assert read_by_tensorflow(path) == (records, text)


def test_what_tensorflow_writes_is_read(path: Path) -> None:
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in RECORDS:
            writer.write(record)
    assert tuple(read_records(path)) == RECORDS


def test_what_is_written_tensorflow_reads(path: Path) -> None:
    assert write_records(path, RECORDS) == len(RECORDS)
    assert tuple(tf.compat.v1.io.tf_record_iterator(str(path))) == RECORDS


def test_an_empty_file_has_no_records(path: Path) -> None:
    path.touch()
    assert list(read_records(path)) == []


def test_another_files_bytes_are_told_at_its_start(path: Path) -> None:
    path.write_bytes(b"this is some text and no records")
    assert_error(path, [], "corrupted record at 0 (Is this even a TFRecord file?)")


def test_a_changed_byte_is_told_with_its_place(path: Path) -> None:
    write_records(path, [b"first", b"second"])
    content = bytearray(path.read_bytes())
    content[-6] ^= 1
    path.write_bytes(content)
    assert_error(path, [b"first"], f"corrupted record at {12 + 5 + 4 + 12}")


@pytest.mark.parametrize("missing", [1, 4, 9, 10])
def test_a_record_cut_off_after_its_header_is_truncated(path: Path, missing: int) -> None:
    write_records(path, [b"first", b"second"])
    path.write_bytes(path.read_bytes()[:-missing])
    text = f"truncated record at {12 + 5 + 4}' failed with Read less bytes than requested"
    assert_error(path, [b"first"], text)


@pytest.mark.parametrize("missing", [11, 14, 21])
def test_less_than_a_header_at_the_end_is_no_record(path: Path, missing: int) -> None:
    write_records(path, [b"first", b"second"])
    path.write_bytes(path.read_bytes()[:-missing])
    assert_error(path, [b"first"], "")


def test_a_length_beyond_the_file_takes_no_memory(path: Path) -> None:
    write_records(path, [struct.pack("<Q", 1 << 60)])
    path.write_bytes(path.read_bytes()[12:] + b"more")  # Record and checksum make a header.
    text = "DATA_LOSS: truncated record at 0' failed with Read less bytes than requested"
    assert read(path) == ([], text)
