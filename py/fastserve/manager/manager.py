"""Loads and unloads versions as they are aspired to, and publishes what can serve."""

import contextlib
import ctypes
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

import grpc

from fastserve.errors import ServingError
from fastserve.manager.policy import ActionKind, VersionView, availability_preserving
from fastserve.servables import Servable
from fastserve.services.backend import ServableInfo, VersionState, VersionStatus

_log = logging.getLogger(__name__)

_CANCELLED = grpc.StatusCode.CANCELLED.value[0]
_NOT_FOUND = grpc.StatusCode.NOT_FOUND.value[0]
_INVALID_ARGUMENT = grpc.StatusCode.INVALID_ARGUMENT.value[0]

S = TypeVar("S", bound=Servable)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadRetries:
    """How often a failed load is tried again, and after which pause."""

    count: int = 5
    interval_s: float = 60.0


@dataclass(slots=True)
class _Version(Generic[S]):
    """One version of one model, from the moment it was aspired to."""

    model: str
    number: int
    path: Path
    state: VersionState = VersionState.START
    aspired: bool = True
    error: ServingError | None = None
    servable: S | None = None
    attempted: threading.Event = field(default_factory=threading.Event)
    unaspired: threading.Event = field(default_factory=threading.Event)

    def __str__(self) -> str:
        return f"{{name: {self.model} version: {self.number}}}"


class ModelManager(Generic[S]):
    """Keeps every model at its aspired versions.

    `load(model, version, path)` loads a version and may block; `publish(servables)` replaces the routing
    table. Loads and unloads have threads of their own, so none waits for another kind. Any thread.
    """

    def __init__(
        self,
        load: Callable[[str, int, Path], S],
        publish: Callable[[Sequence[S]], None],
        *,
        retries: LoadRetries,
        load_threads: int = 2,
    ) -> None:
        self._load = load
        self._publish = publish
        self._retries = retries
        self._lock = threading.RLock()
        self._models: dict[str, dict[int, _Version[S]]] = {}
        self._loaders = ThreadPoolExecutor(load_threads, "load")
        self._unloaders = ThreadPoolExecutor(1, "unload")

    # What the services and the gateway ask.

    def model_version_states(self, name: str) -> Sequence[VersionStatus]:
        """Returns the last state of every version ever aspired to."""
        with self._lock:
            return [_status(version) for version in self._models.get(name, {}).values()]

    def find_servable(self, name: str, version: int | None, label: str | None) -> ServableInfo:
        """Returns the version that answers such a request. Raises ServingError."""
        if label is not None:
            raise ServingError(_INVALID_ARGUMENT, f"Unrecognized servable version label: {label}")
        with self._lock:
            versions = self._models.get(name, {}).values()
            ready = {v.number: v for v in versions if v.state is VersionState.AVAILABLE}
            found = ready.get(max(ready, default=-1) if version is None else version)
            if found is None or found.servable is None:
                what = f"Latest({name})" if version is None else f"Specific({name}, {version})"
                raise ServingError(_NOT_FOUND, f"Servable not found for request: {what}")
            signatures = found.servable.signature_def_map
        return ServableInfo(name=name, version=found.number, signature_def_map=signatures)

    # What the source says.

    def aspire(self, model: str, versions: Mapping[int, Path]) -> None:
        """Takes in the whole set of wanted versions of a model; those left out are unloaded."""
        with self._lock:
            tracked = self._models.setdefault(model, {})
            for number, version in tracked.items():
                if number not in versions:
                    self._unaspire(version)
            for number, path in versions.items():
                known = tracked.get(number)
                if known is None or (not known.aspired and known.state is VersionState.END):
                    tracked[number] = _Version(model, number, path)
                elif not known.aspired and known.state is VersionState.AVAILABLE:
                    known.aspired = True
                    known.unaspired.clear()
                # One that is loading or unloading ends first; the next look aspires to it again.
            self._reconcile(model)

    def wait_attempted(self, model: str, is_stopping: Callable[[], bool]) -> None:
        """Waits until each aspired version has been loaded or has failed once."""
        with self._lock:
            versions = list(self._models.get(model, {}).values())
        for version in versions:
            while not version.attempted.wait(0.1):
                if is_stopping():
                    return

    def stop(self) -> None:
        """Gives up loads that wait for a retry; what is loaded stays."""
        with self._lock:
            for versions in self._models.values():
                for version in versions.values():
                    version.unaspired.set()
        self._loaders.shutdown(wait=False, cancel_futures=True)
        self._unloaders.shutdown(wait=False, cancel_futures=True)

    # Carrying it out; under the lock unless said otherwise.

    def _unaspire(self, version: _Version[S]) -> None:
        version.aspired = False
        version.unaspired.set()
        if version.state is VersionState.START:
            version.state = VersionState.END

    def _reconcile(self, model: str) -> None:
        tracked = self._models[model]
        while True:
            views = {n: VersionView(v.state, v.aspired) for n, v in tracked.items()}
            action = availability_preserving(views)
            if action is None:
                return
            version = tracked[action.version]
            if action.kind is ActionKind.LOAD:
                version.state = VersionState.LOADING
                self._loaders.submit(self._run_load, version)
            else:
                version.state = VersionState.UNLOADING
                self._publish_available()
                self._unloaders.submit(self._run_unload, version)

    def _publish_available(self, extra: S | None = None) -> None:
        servables = [
            version.servable
            for versions in self._models.values()
            for version in versions.values()
            if version.state is VersionState.AVAILABLE and version.servable is not None
        ]
        self._publish(servables if extra is None else [*servables, extra])

    def _run_load(self, version: _Version[S]) -> None:
        """On a loader thread, without the lock."""
        try:
            servable = self._load_with_retries(version)
        except ServingError as error:
            self._end(version, error)
            return
        with self._lock:
            if version.aspired:
                version.servable = servable
                # Available only once it can be looked up.
                self._publish_available(extra=servable)
                version.state = VersionState.AVAILABLE
                version.attempted.set()
                _log.info("Successfully loaded servable version %s", version)
                self._reconcile(version.model)
                return
        servable.release()
        self._end(version, ServingError(_CANCELLED, "Loading of servable cancelled"))

    def _load_with_retries(self, version: _Version[S]) -> S:
        """On a loader thread, without the lock. Raises the last ServingError."""
        for attempt in range(self._retries.count + 1):
            try:
                return self._load(version.model, version.number, version.path)
            except ServingError as error:
                _log.error("Loading servable: %s failed: %s", version, error.message)
                version.attempted.set()
                version.error = error
                if attempt == self._retries.count or version.unaspired.wait(
                    self._retries.interval_s
                ):
                    raise
                _log.info("Retrying of Loading servable: %s retry: %d", version, attempt + 1)
        raise AssertionError("unreachable")

    def _run_unload(self, version: _Version[S]) -> None:
        """On the unloader thread, without the lock."""
        if version.servable is not None:
            version.servable.release()
            while not version.servable.wait_unloaded(3600.0):
                _log.warning("requests still hold %s an hour after it was unloaded", version)
            version.servable = None
        _return_freed_memory()
        _log.info("Done unloading servable version %s", version)
        self._end(version, None)

    def _end(self, version: _Version[S], error: ServingError | None) -> None:
        with self._lock:
            version.error = error
            version.state = VersionState.END
            version.attempted.set()
            self._reconcile(version.model)


def _status(version: _Version[S]) -> VersionStatus:
    failure = version.error if version.state is VersionState.END else None
    return VersionStatus(
        version=version.number,
        state=version.state,
        error_code=failure.code if failure else 0,
        error_message=failure.message if failure else "",
    )


def _return_freed_memory() -> None:
    """Gives what a freed session left in the C library's heap back to the system."""
    with contextlib.suppress(AttributeError):  # only glibc has it
        ctypes.CDLL(None).malloc_trim(0)
