"""Polls base paths for versions."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from fastserve.config.models import ModelConfig
from fastserve.sources.versions import (
    Fingerprint,
    FoundVersions,
    fingerprint,
    is_complete,
    list_versions,
    select_versions,
)

_LOGGER = logging.getLogger(__name__)

AspiredVersions: TypeAlias = Mapping[int, str]
"""Version number -> path, of every version of one model that should be loaded."""

Emit: TypeAlias = Callable[[str, AspiredVersions], None]
"""Takes a model's name and the whole set of its aspired versions."""

SETTLE_WAIT_S = 1.0
"""Longest wait for the second look at a version that is being written."""


@dataclass(slots=True)
class _Watched:
    """What is remembered of one model between two polls."""

    config: ModelConfig
    aspired: AspiredVersions = field(default_factory=dict)
    """As last emitted."""
    whole: set[int] = field(default_factory=set)
    """Versions that need not be looked into any more."""
    unsettled: dict[int, Fingerprint] = field(default_factory=dict)
    """The other versions, as the last poll found them."""
    polled: bool = False
    told: tuple[object, ...] = ()
    """What was logged about the last poll: it is not said again until it changes."""


class FileSystemSource:
    """Emits, for each model and poll, the set of versions that its policy wants.

    A version is not taken up before it is whole: its directory has a model's main file, and nothing
    in it changes from one poll to the next (the first poll takes what it finds). While all that the
    policy could choose from is being written, the versions of before stay aspired. A base path that
    is missing, or cannot be read, changes nothing for its model.
    """

    def __init__(
        self,
        models: Sequence[ModelConfig],
        emit: Emit,
        *,
        poll_wait_s: float,
        wait: Callable[[float], bool] | None = None,
    ) -> None:
        """`wait` sleeps for some seconds and returns True when it is time to stop.

        `poll_wait_s`: 0 polls once, a negative number never.
        """
        self._models = [_Watched(config) for config in models]
        self._emit = emit
        self._poll_wait_s = poll_wait_s
        self._stopped = threading.Event()
        self._wait = wait or self._stopped.wait
        self._thread = threading.Thread(target=self.run, name="fastserve-source", daemon=True)

    def start(self) -> None:
        """Begins to poll, on a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """Ends polling; nothing is emitted afterwards."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()

    def run(self) -> None:
        """Polls until stop()."""
        if self._poll_wait_s < 0:
            _LOGGER.warning("--file_system_poll_wait_seconds is negative: no version is looked for")
            return
        while not self._stopped.is_set():
            unsettled = self.poll()
            if self._poll_wait_s == 0:
                return
            pause = min(self._poll_wait_s, SETTLE_WAIT_S) if unsettled else self._poll_wait_s
            if self._wait(pause):
                return

    def poll(self) -> bool:
        """Looks at every base path once. True when a version there is still being written."""
        unsettled = [self._poll_model(model) for model in self._models]
        return any(unsettled)

    def _poll_model(self, model: _Watched) -> bool:
        try:
            found = list_versions(model.config.base_path)
        except OSError as error:
            self._tell_missing(model, error)
            return False
        self._settle(model, found.paths)
        chosen = select_versions(model.config.version_policy, model.whole)
        if chosen or not model.unsettled:
            model.aspired = {version: found.paths[version] for version in chosen}
        self._tell(model, found)
        if not self._stopped.is_set():
            self._emit(model.config.name, model.aspired)
        return bool(model.unsettled)

    def _settle(self, model: _Watched, paths: Mapping[int, str]) -> None:
        """Sorts the versions found into those that are whole and those that are not yet."""
        before, model.unsettled = model.unsettled, {}
        model.whole &= paths.keys()
        for version in paths.keys() - model.whole:
            try:
                now = fingerprint(paths[version])
            except OSError:  # It is being renamed or removed right now.
                now = ()
            unchanged = before.get(version) == now or not model.polled
            if unchanged and is_complete(paths[version]):
                model.whole.add(version)
            else:
                model.unsettled[version] = now
        model.polled = True

    def _tell_missing(self, model: _Watched, error: OSError) -> None:
        config = model.config
        reason = f"{error.strerror}"
        if model.told != (reason,):
            model.told = (reason,)
            code = "NOT_FOUND" if isinstance(error, FileNotFoundError) else "FAILED_PRECONDITION"
            _LOGGER.error(
                "FileSystemStoragePathSource encountered a filesystem access error: Could not find "
                "base path %s for servable %s with error %s: %s; %s",
                *(config.base_path, config.name, code, config.base_path, reason),
            )

    def _tell(self, model: _Watched, found: FoundVersions) -> None:
        config = model.config
        told = (bool(found.paths), found.duplicates, tuple(sorted(model.unsettled)))
        if model.told == told:
            return
        model.told = told
        if not found.paths:
            _LOGGER.warning(
                "No versions of servable %s found under base path %s. Did you forget to name your "
                "leaf directory as a number (eg. '/1/')?",
                *(config.name, config.base_path),
            )
        for warning in found.duplicates:
            _LOGGER.warning("%s", warning)
        for version in sorted(model.unsettled):
            _LOGGER.info(
                "Version %d of servable %s is not whole yet (no saved_model.pb, or still being "
                "written); it is left alone until it is",
                *(version, config.name),
            )
