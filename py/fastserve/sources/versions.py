"""Which version directories there are, which of them are wanted, and whether they are whole."""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from fastserve.config.models import AllPolicy, SpecificPolicy, VersionPolicy

_VERSION = re.compile(rb"[ \t\n\v\f\r]*([+-]?[0-9]+)[ \t\n\v\f\r]*")
MAIN_FILES = frozenset(
    ("saved_model.pb", "saved_model.pbtxt", "saved_model.cpb", "model.tflite"),
)
"""One of these is in every version's directory."""

Fingerprint: TypeAlias = tuple[tuple[str, int, int, int], ...]
"""(path below the version's, size, times of modification and of change in ns) of every file.

The time of change tells of mended permissions, and cannot be set back by whoever copies.
"""


@dataclass(frozen=True, slots=True)
class FoundVersions:
    """What one look at a base path found."""

    paths: Mapping[int, str]
    """Version number -> its path."""
    duplicates: tuple[str, ...] = ()
    """A warning for every entry that another one of the same number hides."""


def parse_version(name: bytes) -> int | None:
    """Returns the number that an entry's name stands for; None if it is no version.

    TensorFlow Serving's grammar: a decimal int64, with leading zeros, a sign or white space.
    """
    match = _VERSION.fullmatch(name)
    if match is None:
        return None
    version = int(match[1])
    return version if -(2**63) <= version < 2**63 else None


def list_names(base_path: str) -> Sequence[bytes]:
    """Returns the names of all entries of a directory, in byte order. Raises OSError."""
    return sorted(os.listdir(os.fsencode(base_path)))


def find_versions(base_path: str, names: Iterable[bytes], policy: VersionPolicy) -> FoundVersions:
    """Returns the versions among the sorted `names` under `base_path`, files among them.

    Of two names with the same number the one that sorts last is taken; the first by AllPolicy.
    """
    paths: dict[int, str] = {}
    duplicates: list[str] = []
    for name in names:
        version = parse_version(name)
        if version is None:
            continue
        path = os.path.join(base_path, os.fsdecode(name))
        if version in paths:
            taken, ignored = path, paths[version]
            if isinstance(policy, AllPolicy):
                taken, ignored = ignored, taken
            duplicates.append(
                "Duplicate version directories detected. "
                f"Version {version} will be loaded from {taken}, {ignored} will be ignored."
            )
            path = taken
        paths[version] = path
    return FoundVersions(paths, tuple(duplicates))


def select_versions(policy: VersionPolicy, versions: Iterable[int]) -> set[int]:
    """Returns those of `versions` that the policy wants."""
    if isinstance(policy, AllPolicy):
        return set(versions)
    if isinstance(policy, SpecificPolicy):
        return set(policy.versions) & set(versions)
    return set(sorted(versions)[-policy.num_versions :])


def is_complete(path: str) -> bool:
    """Whether there is something to load: a model's main file.

    A plain file, or what may not be read, is left to fail with an error that says why.
    """
    try:
        with os.scandir(path) as entries:
            return any(entry.name in MAIN_FILES and entry.is_file() for entry in entries)
    except (NotADirectoryError, PermissionError):
        return True
    except OSError:  # It is being removed or renamed right now.
        return False


def fingerprint(path: str) -> Fingerprint | None:
    """Returns what changes while a version is being written; None while it cannot be loaded."""
    if not is_complete(path):
        return None
    files: list[tuple[str, int, int, int]] = []
    folders: set[tuple[int, int]] = set()
    pending = [path]
    try:
        while pending:
            current = pending.pop()
            status = _status(current)
            files.append(
                (current[len(path) :], status.st_size, status.st_mtime_ns, status.st_ctime_ns)
            )
            folder = (status.st_dev, status.st_ino)  # Links may lead back to one.
            if stat.S_ISDIR(status.st_mode) and folder not in folders:
                folders.add(folder)
                with contextlib.suppress(PermissionError):
                    pending.extend(os.path.join(current, name) for name in os.listdir(current))
    except OSError:  # Something in it is being removed or renamed right now.
        return None
    return tuple(sorted(files))


def _status(path: str) -> os.stat_result:
    """Returns a file's status; the link's own where it leads nowhere. Raises OSError."""
    try:
        return os.stat(path)
    except OSError:
        return os.lstat(path)
