"""Version directories: which names count, and when a version is taken up."""

import logging
import os
import shutil
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest

from fastserve.config.models import LatestPolicy, ModelConfig
from fastserve.sources.file_system import SETTLE_WAIT_S, FileSystemSource
from fastserve.sources.versions import list_versions, parse_version, select_versions

WAIT_S = 20


class Emitted:
    """What a source emitted, poll by poll."""

    def __init__(self) -> None:
        self.sets: list[tuple[str, Mapping[int, str]]] = []

    def __call__(self, name: str, versions: Mapping[int, str]) -> None:
        self.sets.append((name, dict(versions)))

    @property
    def last(self) -> list[int]:
        return sorted(self.sets[-1][1])


@pytest.fixture
def emitted() -> Emitted:
    return Emitted()


@pytest.fixture
def base(tmp_path: Path) -> Path:
    path = tmp_path / "m"
    path.mkdir()
    return path


def add(base: Path, name: str, *, whole: bool = True) -> Path:
    version = base / name
    version.mkdir()
    (version / "variables").mkdir()
    if whole:
        (version / "saved_model.pb").write_bytes(b"graph")
    return version


def source(base: Path, emitted: Emitted, num_versions: int = 1) -> FileSystemSource:
    policy = LatestPolicy(num_versions=num_versions)
    config = ModelConfig(name="m", base_path=str(base), version_policy=policy)
    return FileSystemSource([config], emitted, poll_wait_s=1)


@pytest.mark.parametrize(
    ("name", "version"),
    [
        *((b"1", 1), (b"42", 42), (b"20170111173521", 20170111173521)),
        *((b"00000123", 123), (b"01", 1), (b"0", 0)),
        *((b"-5", -5), (b"+7", 7), (b" 7", 7), (b"7 ", 7), (b"\t7\n", 7)),
        (b"9223372036854775807", 2**63 - 1),
        (b"-9223372036854775808", -(2**63)),
    ],
)
def test_names_that_are_versions(name: bytes, version: int) -> None:
    assert parse_version(name) == version


@pytest.mark.parametrize(
    "name",
    [
        *(b"v1", b"1.tmp", b"1_0", b"0x1", b"latest", b"tmp-1", b"2.denied", b"", b"-", b"+-1"),
        *(b"1 2", b"9223372036854775808", b"-9223372036854775809", "\u0663".encode(), b"\xff1"),
    ],
)
def test_names_that_are_none(name: bytes) -> None:
    assert parse_version(name) is None


def test_listing_takes_files_too_and_skips_other_names(base: Path) -> None:
    add(base, "007")
    (base / "5").touch()
    (base / "latest").symlink_to("007")
    os.mkdir(os.fsencode(base) + b"/\xff")
    found = list_versions(str(base))
    assert found.paths == {7: f"{base}/007", 5: f"{base}/5"}
    assert found.duplicates == ()


def test_of_two_names_for_a_version_the_last_in_byte_order_is_taken(base: Path) -> None:
    add(base, "1")
    add(base, "001")
    found = list_versions(str(base))
    assert found.paths == {1: f"{base}/1"}
    assert found.duplicates == (
        "Duplicate version directories detected. "
        f"Version 1 will be loaded from {base}/1, {base}/001 will be ignored.",
    )


@pytest.mark.parametrize(("count", "chosen"), [(1, {10}), (2, {10, 9}), (9, {10, 9, -1})])
def test_latest_policy_wants_the_highest_numbers(count: int, chosen: set[int]) -> None:
    assert select_versions(LatestPolicy(num_versions=count), [9, -1, 10]) == chosen
    assert select_versions(LatestPolicy(num_versions=count), []) == set()


def test_first_look_takes_what_has_a_model_file(base: Path, emitted: Emitted) -> None:
    add(base, "1")
    add(base, "2", whole=False)
    assert source(base, emitted).poll()
    assert emitted.sets == [("m", {1: f"{base}/1"})]


@pytest.mark.parametrize("file", ["saved_model.pb", "saved_model.pbtxt"])
def test_version_found_later_is_taken_at_the_second_equal_look(
    base: Path, emitted: Emitted, file: str
) -> None:
    add(base, "1")
    watched = source(base, emitted)
    assert not watched.poll()
    (add(base, "2", whole=False) / file).write_bytes(b"graph")
    assert watched.poll()
    assert emitted.last == [1]
    assert not watched.poll()
    assert emitted.last == [2]


def test_version_that_is_still_copied_is_left_alone_until_it_rests(
    base: Path, emitted: Emitted
) -> None:
    add(base, "1")
    watched = source(base, emitted)
    watched.poll()
    data = add(base, "2") / "variables" / "variables.data"
    for size in range(1, 5):  # The file grows between any two looks.
        data.write_bytes(b"x" * size)
        assert watched.poll()
        assert emitted.last == [1]
    assert not watched.poll()
    assert emitted.last == [2]


def test_copy_without_its_model_file_never_pushes_the_old_version_out(
    base: Path, emitted: Emitted
) -> None:
    add(base, "1")
    watched = source(base, emitted)
    watched.poll()
    half = add(base, "2", whole=False)
    shutil.rmtree(base / "1")
    for _ in range(3):
        assert watched.poll()
        assert emitted.last == [1]
    (half / "saved_model.pb").write_bytes(b"graph")
    watched.poll()
    watched.poll()
    assert emitted.last == [2]


def test_plain_file_is_taken_as_a_version(base: Path, emitted: Emitted) -> None:
    (base / "5").touch()
    assert not source(base, emitted).poll()
    assert emitted.sets == [("m", {5: f"{base}/5"})]


def test_removed_version_is_dropped_and_looked_at_anew_when_it_returns(
    base: Path, emitted: Emitted
) -> None:
    add(base, "1")
    add(base, "2")
    watched = source(base, emitted, num_versions=2)
    watched.poll()
    shutil.rmtree(base / "2")
    watched.poll()
    assert emitted.last == [1]
    add(base, "2")
    watched.poll()
    assert emitted.last == [1]
    watched.poll()
    assert emitted.last == [1, 2]


def test_empty_base_path_wants_nothing_and_is_told_once(
    base: Path, emitted: Emitted, caplog: pytest.LogCaptureFixture
) -> None:
    add(base, "1")
    watched = source(base, emitted)
    watched.poll()
    shutil.rmtree(base / "1")
    watched.poll()
    watched.poll()
    assert emitted.last == []
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage().startswith(f"No versions of servable m found under base path {base}")


def test_missing_base_path_changes_nothing_and_is_told_once(
    base: Path, emitted: Emitted, caplog: pytest.LogCaptureFixture
) -> None:
    add(base, "1")
    watched = source(base, emitted)
    watched.poll()
    base.rename(base.with_name("away"))
    for _ in range(3):
        assert not watched.poll()
    assert len(emitted.sets) == 1
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.getMessage().endswith(
        f"Could not find base path {base} for servable m with error NOT_FOUND: {base}; "
        "No such file or directory"
    )
    base.with_name("away").rename(base)
    watched.poll()
    assert emitted.sets[1] == emitted.sets[0]


def test_missing_base_path_does_not_keep_other_models_from_updates(
    base: Path, emitted: Emitted
) -> None:
    add(base, "1")
    configs = [
        ModelConfig(name="gone", base_path=f"{base}/gone"),
        ModelConfig(name="m", base_path=str(base)),
    ]
    FileSystemSource(configs, emitted, poll_wait_s=1).poll()
    assert emitted.sets == [("m", {1: f"{base}/1"})]


@pytest.mark.parametrize(("poll_wait_s", "polls"), [(-1, 0), (0, 1), (60, 4)])
def test_number_of_polls_follows_the_period(
    base: Path, emitted: Emitted, poll_wait_s: float, polls: int
) -> None:
    add(base, "1")
    config = ModelConfig(name="m", base_path=str(base))
    pauses: list[float] = []

    def wait(seconds: float) -> bool:
        pauses.append(seconds)
        return len(pauses) == 4

    FileSystemSource([config], emitted, poll_wait_s=poll_wait_s, wait=wait).run()
    assert len(emitted.sets) == polls
    assert pauses == ([60] * 4 if poll_wait_s == 60 else [])


@pytest.mark.parametrize(("poll_wait_s", "pause"), [(60, SETTLE_WAIT_S), (0.25, 0.25)])
def test_second_look_at_a_growing_version_comes_soon(
    base: Path, emitted: Emitted, poll_wait_s: float, pause: float
) -> None:
    add(base, "1", whole=False)
    pauses: list[float] = []

    def wait(seconds: float) -> bool:
        pauses.append(seconds)
        return True

    config = ModelConfig(name="m", base_path=str(base))
    FileSystemSource([config], emitted, poll_wait_s=poll_wait_s, wait=wait).run()
    assert pauses == [pause]


def test_stop_ends_the_thread_and_its_wait(base: Path) -> None:
    add(base, "1")
    seen = threading.Event()
    config = ModelConfig(name="m", base_path=str(base))
    watched = FileSystemSource([config], lambda *_: seen.set(), poll_wait_s=3600)
    watched.start()
    assert seen.wait(WAIT_S)
    watched.stop()
    assert "fastserve-source" not in [thread.name for thread in threading.enumerate()]


def test_nothing_is_emitted_after_stop(base: Path, emitted: Emitted) -> None:
    add(base, "1")
    watched = source(base, emitted)
    watched.stop()
    watched.poll()
    assert emitted.sets == []
