"""The folder in which the versions of one remote model are staged."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any


@contextlib.contextmanager
def scratch(folder: Path) -> Iterator[Path]:
    """Yields a new folder in `folder`, which no version has the name of, and removes it."""
    path = Path(tempfile.mkdtemp(prefix=".staging-", dir=folder))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def put(folder: Path, name: str, source: Path) -> None:
    """Moves a whole version to its place in one step, or two where another one is there."""
    target = folder / name
    if target.exists():
        remove(folder, name)
    source.rename(target)


def remove(folder: Path, name: str) -> None:
    """Takes a version away in one step."""
    with scratch(folder) as hidden:
        (folder / name).rename(hidden / name)


def staged(folder: Path) -> set[str]:
    """Returns the names of the versions in `folder`."""
    return {path.name for path in folder.iterdir() if not path.name.startswith(".")}


def read_note(folder: Path, name: str) -> Any:
    """Returns what write_note() was given, None where there is nothing that can be read."""
    try:
        return json.loads((folder / f".{name}.json").read_text())
    except (OSError, ValueError):
        return None


def write_note(folder: Path, name: str, value: Any) -> None:
    """Keeps a value that JSON can express, across restarts."""
    (folder / f".{name}.json").write_text(json.dumps(value))
