"""TFRecord files: each record is a length, the length's checksum, the bytes and their checksum."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import google_crc32c

from fastserve.errors import DATA_LOSS, ServingError

_LENGTH = struct.Struct("<Q")
_CHECKSUM = struct.Struct("<I")
_HEADER_BYTES = _LENGTH.size + _CHECKSUM.size


def read_records(path: Path) -> Iterator[bytes]:
    """Yields the records of a file, in order.

    As TensorFlow's reader, whose words the errors are: fewer bytes than a header at the end are no
    record. Raises ServingError (DATA_LOSS) at the first record that is not whole or not what was
    written, and OSError.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        offset = 0
        while offset + _HEADER_BYTES <= size:
            (length,) = _LENGTH.unpack(_read_checksummed(file, offset, _LENGTH.size))
            begin = offset + _HEADER_BYTES
            end = begin + length + _CHECKSUM.size
            if end > size:
                raise ServingError(
                    DATA_LOSS,
                    f"truncated record at {offset}' failed with Read less bytes than requested",
                )
            yield _read_checksummed(file, begin, length)
            offset = end


def write_records(path: Path, records: Iterable[bytes]) -> int:
    """Writes a file of these records; returns how many there were. Raises OSError."""
    count = 0
    with path.open("wb") as file:
        for record in records:
            append_record(file, record)
            count += 1
    return count


def append_record(file: BinaryIO, record: bytes) -> int:
    """Writes one record at the end of a file; returns how many bytes it took. Raises OSError."""
    for part in (_LENGTH.pack(len(record)), record):
        file.write(part)
        file.write(_CHECKSUM.pack(_masked_crc(part)))
    return _HEADER_BYTES + len(record) + _CHECKSUM.size


def _masked_crc(data: bytes) -> int:
    """Returns the CRC-32C as it is stored: one of data that hold CRCs would be a weak one."""
    crc = int(google_crc32c.value(data))
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _read_checksummed(file: BinaryIO, offset: int, length: int) -> bytes:
    """Reads the `length` bytes at `offset`, where `file` stands, and their checksum."""
    data = file.read(length)
    (checksum,) = _CHECKSUM.unpack(file.read(_CHECKSUM.size))
    if checksum != _masked_crc(data):
        hint = " (Is this even a TFRecord file?)" if offset == 0 else ""
        raise ServingError(DATA_LOSS, f"corrupted record at {offset}{hint}")
    return data
