"""Watches a model's base path and tells which version is wanted."""

import logging
import re
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

_log = logging.getLogger(__name__)

# TensorFlow's number parser: a sign and white space around are taken, anything else is not a version.
_VERSION = re.compile(r"\s*([+-]?[0-9]+)\s*", re.ASCII)
_INT64_MAX = 2**63 - 1
_MODEL_FILES = ("saved_model.pb", "saved_model.pbtxt", "saved_model.cpb")

Aspire = Callable[[str, Mapping[int, Path]], None]
Fingerprint = tuple[tuple[str, int, int], ...]


def find_versions(base_path: Path) -> dict[int, Path]:
    """Returns version -> path for every entry of `base_path` that names a version.

    Of several names for one version the one that sorts last counts, as in upstream's `latest` policy
    (file_system_storage_path_source.cc). Raises OSError when the directory cannot be read.
    """
    versions: dict[int, Path] = {}
    for name in sorted(entry.name for entry in base_path.iterdir()):
        match = _VERSION.fullmatch(name)
        if match is None or abs(int(match[1])) > _INT64_MAX:
            continue
        version = int(match[1])
        if version in versions:
            _log.warning(
                "Duplicate version directories detected. Version %d will be loaded from %s,"
                " %s will be ignored.",
                version,
                base_path / name,
                versions[version],
            )
        versions[version] = base_path / name
    return versions


def fingerprint(path: Path) -> Fingerprint | None:
    """Returns what changes while a version is being copied; None while it has no SavedModel."""
    try:
        if path.is_dir() and not any((path / name).is_file() for name in _MODEL_FILES):
            return None
        files = [path, *sorted(path.rglob("*"))]
        stats = [(str(file), file.stat()) for file in files]
    except OSError:
        return None  # it is being moved; the next look tells
    return tuple((name, stat.st_size, stat.st_mtime_ns) for name, stat in stats)


class FileSystemSource:
    """Polls one base path and emits the whole set of aspired versions: the highest one.

    A version that appears while the server runs is taken up when two looks in a row saw the same files;
    at the first look, whatever holds a SavedModel is. Threads: `poll` on one at a time.
    """

    def __init__(self, model: str, base_path: Path, aspire: Aspire) -> None:
        """`aspire(model, {version: path})` is called after each look that could read the directory."""
        self._model = model
        self._base_path = base_path
        self._aspire = aspire
        self._seen: dict[Path, Fingerprint] = {}
        self._whole: set[Path] = set()
        self._first = True
        self._unreadable = False
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def poll(self) -> None:
        """Looks once. A directory that cannot be read is logged once and changes nothing."""
        try:
            versions = find_versions(self._base_path)
        except OSError as error:
            if not self._unreadable:
                _log.error(
                    "Could not find base path %s for servable %s with error %s",
                    self._base_path,
                    self._model,
                    error.strerror,
                )
            self._unreadable = True
            return
        self._unreadable = False
        whole = {version: path for version, path in versions.items() if self._is_whole(path)}
        self._forget(set(versions.values()))
        self._first = False
        self._aspire(self._model, {max(whole): whole[max(whole)]} if whole else {})

    def _is_whole(self, path: Path) -> bool:
        if path in self._whole:
            return True
        now = fingerprint(path)
        if now is None:
            self._seen.pop(path, None)
            return False
        if self._first or self._seen.get(path) == now:
            self._whole.add(path)
            return True
        self._seen[path] = now
        return False

    def _forget(self, present: set[Path]) -> None:
        self._whole &= present
        self._seen = {path: seen for path, seen in self._seen.items() if path in present}

    def start(self, interval_s: float) -> None:
        """Looks at once and then every `interval_s` on a thread; 0 = once, negative = never."""
        if interval_s < 0:
            return
        self.poll()
        if interval_s > 0:
            self._thread = threading.Thread(
                target=self._run, args=(interval_s,), name="version-source", daemon=True
            )
            self._thread.start()

    def _run(self, interval_s: float) -> None:
        while not self._stopping.wait(interval_s):
            self.poll()

    def stop(self) -> None:
        """Ends the polling; waits for a look that is under way."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
