"""Which version directories there are, which of them are wanted, and whether they are whole."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from fastserve.config.models import AllPolicy, SpecificPolicy, VersionPolicy

_VERSION = re.compile(rb"[ \t\n\v\f\r]*([+-]?[0-9]+)[ \t\n\v\f\r]*")
_MODEL_FILES = ("saved_model.pb", "saved_model.pbtxt")

Fingerprint: TypeAlias = tuple[tuple[str, int, int], ...]
"""(relative path, size, modification time in ns) of everything below a directory."""


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


def list_versions(base_path: str) -> FoundVersions:
    """Returns the versions under `base_path`, files among them. Raises OSError.

    Of two names with the same number the one that sorts last is taken.
    """
    paths: dict[int, str] = {}
    duplicates: list[str] = []
    for name in sorted(os.listdir(os.fsencode(base_path))):
        version = parse_version(name)
        if version is None:
            continue
        path = os.path.join(base_path, os.fsdecode(name))
        if version in paths:
            duplicates.append(
                "Duplicate version directories detected. "
                f"Version {version} will be loaded from {path}, {paths[version]} will be ignored."
            )
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
    """Whether there is something to load: a model's main file. A plain file is left to fail."""
    if not os.path.isdir(path):
        return os.path.exists(path)
    return any(os.path.isfile(os.path.join(path, name)) for name in _MODEL_FILES)


def fingerprint(path: str) -> Fingerprint:
    """Returns what changes while a version is being written. Raises OSError when it vanishes."""
    entries: list[tuple[str, int, int]] = []
    folders = [path] if os.path.isdir(path) else []
    for folder in folders:
        for entry in os.scandir(folder):
            status = entry.stat()
            name = os.path.relpath(entry.path, path)
            entries.append((name, status.st_size, status.st_mtime_ns))
            if entry.is_dir():
                folders.append(entry.path)
    return tuple(sorted(entries))
