"""Carries out the version lifecycle of all models."""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from fastserve.config.server import LoadConfig
from fastserve.errors import CANCELLED, INTERNAL, ServingError
from fastserve.manager.policy import Action, VersionView, next_action, start_outcome
from fastserve.manager.scheduling import Scheduler, trim_memory
from fastserve.routing.table import RoutingTable
from fastserve.servables.loader import LoadedServable, Loader
from fastserve.services.backend import ServableInfo, VersionState, VersionStatus

_LOGGER = logging.getLogger(__name__)

_UNLOAD_REPORT_S = 30.0


@dataclass(slots=True)
class _Version:
    """One instance of a version: forwards from START to END. Guarded by the manager's lock."""

    model: str
    version: int
    path: str
    state: VersionState = VersionState.START
    aspired: bool = True
    attempts: int = 0
    servable: LoadedServable | None = None
    error: ServingError | None = None
    """Of the last attempt; shown once the version has ended."""
    cancel_retry: Callable[[], None] | None = None
    """Set while it waits for its next attempt."""
    leaving: bool = False
    """Its servable is being given up: only a new instance can be wanted again."""

    def __str__(self) -> str:
        return f"{{name: {self.model} version: {self.version}}}"

    def status(self) -> VersionStatus:
        error = self.error if self.state is VersionState.END else None
        return VersionStatus(
            version=self.version,
            state=self.state,
            error_code=error.code if error else 0,
            error_message=error.message if error else "",
        )


@dataclass(slots=True)
class _Model:
    """One model. Guarded by the manager's lock."""

    aspired: Mapping[int, str] = field(default_factory=dict)
    """Version -> path, as last wanted."""
    versions: dict[int, _Version] = field(default_factory=dict)
    """The last instance of every version ever seen."""


class ModelManager:
    """Loads and unloads versions so that what is aspired gets served.

    A new version serves before an old one leaves, and a failed one does not push the old one out.
    Loads and unloads each run on a thread of their own, so none waits for another. A version that
    is wanted again while it still serves stays; TensorFlow Serving would unload it first.

    Any thread. Nothing but wait_until_started() blocks.
    """

    def __init__(
        self,
        loader: Loader,
        publish: Callable[[RoutingTable], None],
        *,
        config: LoadConfig,
        scheduler: Scheduler,
    ) -> None:
        """`publish` makes a table the one in force; it is called with the manager's lock held."""
        self._loader = loader
        self._publish = publish
        self._config = config
        self._scheduler = scheduler
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._models: dict[str, _Model] = {}
        self._table = RoutingTable()
        self._stopped = False

    # What is wanted.

    def set_aspired(self, name: str, versions: Mapping[int, str]) -> None:
        """Replaces the set of versions (number -> path) that should be served of a model."""
        with self._lock:
            if self._stopped:
                return
            model = self._models.setdefault(name, _Model())
            if model.aspired == versions:
                return
            model.aspired = dict(versions)
            self._reconcile(name, model)

    def stop(self) -> None:
        """Starts no more loads and unloads, and ends every wait."""
        with self._lock:
            self._stopped = True
            for model in self._models.values():
                for version in model.versions.values():
                    self._stop_retrying(version)
            self._changed.notify_all()

    # What there is: the ModelBackend.

    def model_version_states(self, name: str) -> Sequence[VersionStatus]:
        """Returns every version of a model that was ever tracked; empty for an unknown model."""
        with self._lock:
            model = self._models.get(name)
            return [version.status() for version in model.versions.values()] if model else []

    def find_servable(self, name: str, version: int | None, label: str | None) -> ServableInfo:
        """Returns the version that a request is answered by. Raises ServingError."""
        with self._lock:
            found = self._table.find(name, version, label)
            return ServableInfo(
                name=found.name,
                version=found.version,
                signature_def_map=found.signature_def_map,
            )

    def wait_until_started(self, names: Sequence[str]) -> Mapping[str, VersionStatus] | None:
        """Waits until each model has a version that serves, or its highest one has failed.

        Returns the failed versions by model; None when stop() came first.
        """
        with self._lock:
            while not self._stopped:
                outcomes = {name: start_outcome(self.model_version_states(name)) for name in names}
                if all(outcomes.values()):
                    return {
                        name: status
                        for name, status in outcomes.items()
                        if status is not None and status.state is VersionState.END
                    }
                self._changed.wait()
            return None

    # The lifecycle. Every method below holds the lock, or takes it where a thread begins.

    def _reconcile(self, name: str, model: _Model) -> None:
        """Marks what is aspired, begins what is new, and acts until nothing is left to do."""
        for version in model.versions.values():
            if version.aspired and version.version not in model.aspired:
                version.aspired = False
                self._drop_waiting(version)
        for number, path in model.aspired.items():
            existing = model.versions.get(number)
            if existing is None or (existing.state is VersionState.END and not existing.aspired):
                model.versions[number] = _Version(name, number, path)
            elif not existing.leaving:
                existing.aspired = True
        while not self._stopped and (action := self._next_action(model)) is not None:
            what, number = action
            (self._load if what is Action.LOAD else self._unload)(model.versions[number])
        self._changed.notify_all()

    @staticmethod
    def _next_action(model: _Model) -> tuple[Action, int] | None:
        return next_action(
            VersionView(v.version, v.state, v.aspired) for v in model.versions.values()
        )

    def _drop_waiting(self, version: _Version) -> None:
        """Ends a version that is not wanted any more and that no thread is busy with."""
        if version.state is VersionState.START:
            self._end(version, ServingError(CANCELLED, "Loading of servable cancelled"))
        elif self._stop_retrying(version):
            self._end(version, version.error)

    @staticmethod
    def _stop_retrying(version: _Version) -> bool:
        if version.cancel_retry is None:
            return False
        version.cancel_retry()
        version.cancel_retry = None
        return True

    def _load(self, version: _Version) -> None:
        _LOGGER.info("Loading servable version %s", version)
        version.state = VersionState.LOADING
        self._attempt(version)

    def _attempt(self, version: _Version) -> None:
        version.attempts += 1
        task = functools.partial(self._run_load, version)
        self._scheduler.spawn(f"load-{version.model}-{version.version}", task)

    def _run_load(self, version: _Version) -> None:
        """The body of a loading thread."""
        try:
            servable = self._loader.load(version.model, version.version, version.path)
        except ServingError as error:
            failure = error
        except Exception as error:  # A fault of ours must not leave the version LOADING for ever.
            _LOGGER.exception("Loading servable: %s", version)
            failure = ServingError(INTERNAL, f"{type(error).__name__}: {error}")
        else:
            with self._lock:
                self._loaded(version, servable)
            return
        with self._lock:
            self._load_failed(version, failure)

    def _loaded(self, version: _Version, servable: LoadedServable) -> None:
        version.servable = servable
        version.error = None
        if not version.aspired or self._stopped:
            version.error = ServingError(CANCELLED, "Loading of servable cancelled")
            _LOGGER.info("Unloading just-loaded servable version %s", version)
            self._release(version)
            return
        self._publish_with(version)
        version.state = VersionState.AVAILABLE
        _LOGGER.info("Successfully loaded servable version %s", version)
        self._reconcile_model_of(version)

    def _load_failed(self, version: _Version, error: ServingError) -> None:
        version.error = error
        _LOGGER.error("Loading servable: %s failed: %s", version, error)
        if not version.aspired or self._stopped:
            self._end(version, error)
        elif version.attempts <= self._config.max_retries:
            retry = functools.partial(self._retry, version)
            delay = max(0.0, self._config.retry_interval_s)
            version.cancel_retry = self._scheduler.call_later(delay, retry)
        else:
            if self._config.max_retries > 0:
                _LOGGER.error(
                    "Loading servable: %s exhausted max_num_retries: %d",
                    *(version, self._config.max_retries),
                )
            self._end(version, error)
        self._reconcile_model_of(version)

    def _retry(self, version: _Version) -> None:
        with self._lock:
            if version.cancel_retry is None:  # Cancelled while the timer fired.
                return
            version.cancel_retry = None
            _LOGGER.info("Retrying of Loading servable: %s retry: %d", version, version.attempts)
            self._attempt(version)

    def _unload(self, version: _Version) -> None:
        _LOGGER.info("Quiescing servable version %s", version)
        version.state = VersionState.UNLOADING
        self._publish_with(None)
        self._release(version)

    def _release(self, version: _Version) -> None:
        version.leaving = True
        task = functools.partial(self._run_unload, version)
        self._scheduler.spawn(f"unload-{version.model}-{version.version}", task)

    def _run_unload(self, version: _Version) -> None:
        """The body of an unloading thread: waits for the requests in flight."""
        servable = version.servable
        assert servable is not None
        servable.release()
        while not servable.wait_unloaded(_UNLOAD_REPORT_S):
            _LOGGER.info("Servable version %s still answers requests", version)
        version.servable = servable = None
        trim_memory()
        with self._lock:
            _LOGGER.info("Done unloading servable version %s", version)
            self._end(version, version.error)
            self._reconcile_model_of(version)

    def _end(self, version: _Version, error: ServingError | None) -> None:
        version.state = VersionState.END
        version.error = error

    def _reconcile_model_of(self, version: _Version) -> None:
        self._reconcile(version.model, self._models[version.model])

    def _publish_with(self, loaded: _Version | None) -> None:
        """Publishes the table of all available versions, and of one that is about to be."""
        table: dict[str, dict[int, LoadedServable]] = {}
        for name, model in self._models.items():
            for number, version in model.versions.items():
                serves = version.state is VersionState.AVAILABLE or version is loaded
                if serves and version.servable is not None:
                    table.setdefault(name, {})[number] = version.servable
        self._table = RoutingTable(table)
        self._publish(self._table)
