"""Version directories: which names count, which are wanted, and what tells that one changes."""

import os
from pathlib import Path

import pytest

from fastserve.config.models import AllPolicy, LatestPolicy, SpecificPolicy, VersionPolicy
from fastserve.sources.versions import (
    FoundVersions,
    find_versions,
    fingerprint,
    is_complete,
    list_names,
    parse_version,
    select_versions,
)

LATEST = LatestPolicy()


def found(base: Path, policy: VersionPolicy = LATEST) -> FoundVersions:
    return find_versions(str(base), list_names(str(base)), policy)


@pytest.fixture
def version(tmp_path: Path) -> Path:
    """A small SavedModel."""
    path = tmp_path / "1"
    (path / "variables").mkdir(parents=True)
    (path / "saved_model.pb").write_bytes(b"graph")
    return path


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


def test_listing_takes_files_too_and_skips_other_names(tmp_path: Path) -> None:
    (tmp_path / "007").mkdir()
    (tmp_path / "5").touch()
    (tmp_path / "latest").symlink_to("007")
    os.mkdir(os.fsencode(tmp_path) + b"/\xff")
    assert found(tmp_path) == FoundVersions({7: f"{tmp_path}/007", 5: f"{tmp_path}/5"})


def test_base_path_that_is_not_utf8_is_listed(tmp_path: Path) -> None:
    base = os.fsencode(tmp_path) + b"/\xff"
    os.makedirs(base + b"/1")
    assert found(Path(os.fsdecode(base))).paths == {1: os.fsdecode(base + b"/1")}


@pytest.mark.parametrize(
    ("policy", "taken", "ignored"),
    [
        (LATEST, "1", "001"),
        (SpecificPolicy(frozenset([1])), "1", "001"),
        (AllPolicy(), "001", "1"),
    ],
)
def test_of_two_names_for_a_version_the_last_in_byte_order_is_taken_or_the_first_of_all(
    tmp_path: Path, policy: VersionPolicy, taken: str, ignored: str
) -> None:
    (tmp_path / "1").mkdir()
    (tmp_path / "001").mkdir()
    assert found(tmp_path, policy) == FoundVersions(
        {1: f"{tmp_path}/{taken}"},
        (
            f"Duplicate version directories detected. Version 1 will be loaded from "
            f"{tmp_path}/{taken}, {tmp_path}/{ignored} will be ignored.",
        ),
    )


@pytest.mark.parametrize(
    ("policy", "chosen"),
    [
        (LatestPolicy(num_versions=1), {10}),
        (LatestPolicy(num_versions=2), {10, 9}),
        (LatestPolicy(num_versions=9), {10, 9, -1}),
        (AllPolicy(), {10, 9, -1}),
        (SpecificPolicy(frozenset([9, 8])), {9}),
        (SpecificPolicy(frozenset()), set()),
    ],
)
def test_policies_want(policy: VersionPolicy, chosen: set[int]) -> None:
    assert select_versions(policy, [9, -1, 10]) == chosen
    assert select_versions(policy, []) == set()


@pytest.mark.parametrize(
    "name", ["saved_model.pb", "saved_model.pbtxt", "saved_model.cpb", "model.tflite"]
)
def test_directory_with_a_main_file_is_complete(tmp_path: Path, name: str) -> None:
    (tmp_path / "variables").mkdir()
    (tmp_path / f"{name}.part").touch()
    assert not is_complete(str(tmp_path))
    (tmp_path / name).touch()
    assert is_complete(str(tmp_path))


def test_what_is_no_directory_is_complete_and_what_is_gone_is_not(tmp_path: Path) -> None:
    (tmp_path / "5").touch()
    (tmp_path / "6").symlink_to("nowhere")
    assert is_complete(f"{tmp_path}/5")
    assert not is_complete(f"{tmp_path}/6")
    assert not is_complete(f"{tmp_path}/7")


def test_fingerprint_of_what_cannot_be_loaded_is_none(version: Path) -> None:
    (version / "saved_model.pb").unlink()
    assert fingerprint(str(version)) is None
    assert fingerprint(str(version / "gone")) is None


def test_fingerprint_of_files_at_rest_stays(version: Path) -> None:
    assert fingerprint(str(version)) == fingerprint(str(version)) is not None


def test_fingerprint_tells_of_growth_of_new_files_and_of_mended_permissions(version: Path) -> None:
    seen = [fingerprint(str(version))]
    data = version / "variables" / "variables.data"
    data.write_bytes(b"")
    seen.append(fingerprint(str(version)))
    data.write_bytes(b"x")
    seen.append(fingerprint(str(version)))
    before = data.stat()
    data.chmod(0o400 if before.st_mode & 0o077 else 0o644)
    while data.stat().st_ctime_ns == before.st_ctime_ns:  # The clock of the kernel is coarse.
        data.chmod(0o444)
    seen.append(fingerprint(str(version)))
    assert len(set(seen)) == 4


def test_fingerprint_follows_links_but_not_for_ever(version: Path) -> None:
    (version / "loop").symlink_to(".")
    (version / "self").symlink_to("self")
    (version / "dangling").symlink_to("nowhere")
    (version.parent / "elsewhere").mkdir()
    (version / "assets").symlink_to("../elsewhere")
    before = fingerprint(str(version))
    assert before is not None
    (version.parent / "elsewhere" / "vocabulary").write_text("words")
    after = fingerprint(str(version))
    assert after is not None
    assert {entry[0] for entry in after} - {entry[0] for entry in before} == {"/assets/vocabulary"}
