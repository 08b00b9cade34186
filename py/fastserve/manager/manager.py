"""Carries out the version lifecycle of all models."""

from __future__ import annotations

import functools
import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from fastserve.config.models import ModelConfig
from fastserve.config.server import LoadConfig
from fastserve.errors import CANCELLED, FAILED_PRECONDITION, INTERNAL, ServingError, code_name
from fastserve.manager.model import Model, NotAvailable, Version
from fastserve.manager.policy import Action
from fastserve.manager.scheduling import Scheduler
from fastserve.observe import instruments
from fastserve.routing.table import RoutingTable
from fastserve.servables.loader import LoadedServable, Loader
from fastserve.services.backend import ModelInfo, ServableInfo, VersionState, VersionStatus

_LOGGER = logging.getLogger(__name__)

_UNLOAD_REPORT_S = 30.0

_MAX_GONE_MODELS = 1000
"""Models that no configuration names any more and whose last states are still told."""


class ModelManager:
    """Loads and unloads versions so that what is aspired gets served.

    Each model follows its transition policy; models do not wait for each other, but for threads. A
    version that is wanted again while it still serves stays; TensorFlow Serving would unload it
    first.

    Any thread. Nothing but wait_until_settled() blocks.
    """

    def __init__(
        self,
        loaders: Mapping[str, Loader],
        publish: Callable[[RoutingTable], None],
        *,
        config: LoadConfig,
        scheduler: Scheduler,
    ) -> None:
        """`loaders`: by the platform of the models that they load.

        `publish` makes a table the one in force; it is called with the manager's lock held.
        """
        self._loaders = loaders
        self._publish = publish
        self._config = config
        self._scheduler = scheduler
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._models: dict[str, Model] = {}
        self._labels: Mapping[str, Mapping[str, int]] = {}
        self._table = RoutingTable()
        self._stopped = False

    # What is configured.

    def check_labels(self, models: Iterable[ModelConfig], *, allow_unavailable: bool) -> None:
        """Checks that labels may be moved to what they name in a new configuration.

        That is where their version is available. With `allow_unavailable` a label may also be new,
        or stay where it is. Raises ServingError (core/server_core.cc, UpdateModelVersionLabelMap).
        """
        with self._lock:
            for config in models:
                serving = self._model(config.name).serving()
                present = self._labels.get(config.name, {})
                for label, version in config.version_labels.items():
                    waived = allow_unavailable and present.get(label, version) == version
                    if version not in serving and not waived:
                        raise ServingError(
                            FAILED_PRECONDITION,
                            f"Request to assign label to version {version} of model {config.name},"
                            " which is not currently available for inference",
                        )

    def platforms(self) -> Mapping[str, str]:
        """Returns the platform of each model that the configuration in force names."""
        with self._lock:
            return {name: m.platform for name, m in self._models.items() if m.configured}

    def configure(self, models: Iterable[ModelConfig]) -> Sequence[str]:
        """Takes in a whole new configuration; returns the models that were not in the last one.

        Labels move at once. Versions come and go as the source tells of them.
        """
        with self._lock:
            configs = {config.name: config for config in models}
            added = [name for name in configs if not self._model(name).configured]
            for name, config in configs.items():
                model = self._models.setdefault(name, Model(name))
                model.unseen = model.unseen or not model.configured
                model.configured = True
                model.transition = config.transition
                model.platform = config.platform
            for name in self._models.keys() - configs.keys():
                self._models[name].configured = self._models[name].unseen = False
            self._labels = {
                name: dict(config.version_labels)
                for name, config in configs.items()
                if config.version_labels
            }
            self._forget_gone_models()
            self._update_table()
            self._changed.notify_all()
            return added

    def stop(self) -> None:
        """Starts no more loads and unloads, and ends every wait."""
        with self._lock:
            self._stopped = True
            for model in self._models.values():
                for version in model.versions.values():
                    self._stop_retrying(version)
            self._changed.notify_all()

    # What the source tells: its SourceListener.

    def set_aspired(self, name: str, versions: Mapping[int, str]) -> None:
        """Replaces the set of versions (number -> path) that should be served of a model."""
        with self._lock:
            model = self._models.setdefault(name, Model(name))
            if self._stopped or model.aspired == versions:
                return
            model.aspired = dict(versions)
            self._reconcile(model)

    def set_source_error(self, name: str, error: ServingError | None) -> None:
        """Takes note of what keeps versions of a model from being found; None: nothing does.

        The source has looked at the model then, and has told of its versions if there are any.
        """
        with self._lock:
            model = self._models.setdefault(name, Model(name))
            model.source_error = error
            model.unseen = False
            self._update_table()
            self._changed.notify_all()

    def failed_versions(self, name: str) -> Collection[int]:
        """Returns the wanted versions that could not be loaded."""
        with self._lock:
            return [number for number, v in self._model(name).versions.items() if v.failed]

    def retry(self, name: str, version: int) -> None:
        """Loads a failed version anew, since its files are other ones now."""
        with self._lock:
            model = self._model(name)
            failed = model.versions.get(version)
            if self._stopped or failed is None or not failed.failed:
                return
            _LOGGER.info("The files of servable version %s have changed", failed)
            self._stop_retrying(failed)
            del model.versions[version]
            model.versions[version] = Version(name, version, model.aspired[version])
            self._reconcile(model)

    # What there is: the ModelBackend.

    def models(self) -> Sequence[ModelInfo]:
        """Returns all models but those that are gone."""
        with self._lock:
            return [
                model.info(self._labels.get(name, {}))
                for name, model in sorted(self._models.items())
                if not model.gone
            ]

    def model_version_states(self, name: str) -> Sequence[VersionStatus]:
        """Returns the versions of a model that are known; empty for an unknown model."""
        with self._lock:
            return [version.status() for version in self._model(name).versions.values()]

    def find_servable(self, name: str, version: int | None, label: str | None) -> ServableInfo:
        """Returns the version that a request is answered by. Raises ServingError."""
        with self._lock:
            found = self._table.find(name, version, label)
            return ServableInfo(
                name=found.name,
                version=found.version,
                signature_def_map=found.signature_def_map,
                path=self._models[name].versions[found.version].path,
            )

    def readiness(self) -> Mapping[str, bool]:
        """Returns, for every configured model, whether it has a version that serves."""
        return self._table.readiness()

    def wait_until_settled(self, names: Iterable[str]) -> Sequence[NotAvailable] | None:
        """Waits until each model has a version that serves, or its highest one has failed.

        Returns why models do not serve; None when stop() came first. A model that leaves the
        configuration meanwhile is not waited for.
        """
        waiting = list(names)
        failures: list[NotAvailable] = []
        with self._lock:
            while not self._stopped:
                outcomes = [self._model(name).outcome() for name in waiting]
                failures += [each for each in outcomes if isinstance(each, NotAvailable)]
                waiting = [n for n, each in zip(waiting, outcomes, strict=True) if each is None]
                if not waiting:
                    return failures
                self._changed.wait()
            return None

    # The lifecycle. Every method below holds the lock, or takes it where a thread begins.

    def _model(self, name: str) -> Model:
        """Returns a model; one without versions for a name that is not known."""
        return self._models.get(name) or Model(name)

    def _forget_gone_models(self) -> None:
        gone = [name for name, model in self._models.items() if model.gone]
        for name in gone[:-_MAX_GONE_MODELS]:
            del self._models[name]

    def _reconcile(self, model: Model) -> None:
        """Marks what is aspired, begins what is new, and acts until nothing is left to do."""
        for version in model.versions.values():
            if version.aspired and version.version not in model.aspired:
                version.aspired = False
                self._drop_waiting(version)
        for number, path in model.aspired.items():
            existing = model.versions.get(number)
            if existing is None or (existing.ended and not existing.aspired):
                model.versions.pop(number, None)
                model.versions[number] = Version(model.name, number, path)
            elif not existing.leaving:
                existing.aspired = True
        while not self._stopped and (action := model.next_action()) is not None:
            what, number = action
            (self._load if what is Action.LOAD else self._unload)(model.versions[number])
        model.forget_ended()
        self._update_table()
        self._changed.notify_all()

    def _drop_waiting(self, version: Version) -> None:
        """Ends a version that is not wanted any more and that no thread is busy with."""
        if version.state is VersionState.START:
            self._end(version, ServingError(CANCELLED, "Loading of servable cancelled"))
        elif self._stop_retrying(version):
            self._end(version, version.error)

    @staticmethod
    def _stop_retrying(version: Version) -> bool:
        if version.cancel_retry is None:
            return False
        version.cancel_retry()
        version.cancel_retry = None
        return True

    def _load(self, version: Version) -> None:
        _LOGGER.info("Loading servable version %s", version)
        version.state = VersionState.LOADING
        self._attempt(version)

    def _attempt(self, version: Version) -> None:
        version.attempts += 1
        self._scheduler.load(functools.partial(self._run_load, version))

    def _run_load(self, version: Version) -> None:
        """The body of a loading thread."""
        begun = time.monotonic()
        try:
            loader = self._loaders[self._models[version.model].platform]
            servable = loader.load(version.model, version.version, version.path)
        except ServingError as error:
            failure = error
        except Exception as error:  # A fault of ours must not leave the version LOADING for ever.
            _LOGGER.exception("Loading servable: %s", version)
            failure = ServingError(INTERNAL, f"{type(error).__name__}: {error}")
        else:
            instruments.model_loads.add(version.model, "OK")
            instruments.load_seconds.record(time.monotonic() - begun, version.model)
            with self._lock:
                self._loaded(version, servable)
            return
        instruments.model_loads.add(version.model, code_name(failure.code))
        with self._lock:
            self._load_failed(version, failure)

    def _loaded(self, version: Version, servable: LoadedServable) -> None:
        version.servable = servable
        version.error = None
        if not version.aspired or self._stopped:
            version.error = ServingError(CANCELLED, "Loading of servable cancelled")
            _LOGGER.info("Unloading just-loaded servable version %s", version)
            self._release(version)
            return
        version.state = VersionState.AVAILABLE
        self._update_table()
        _LOGGER.info("Successfully loaded servable version %s", version)
        self._reconcile_model_of(version)

    def _load_failed(self, version: Version, error: ServingError) -> None:
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

    def _retry(self, version: Version) -> None:
        with self._lock:
            if version.cancel_retry is None:  # Cancelled while the timer fired.
                return
            version.cancel_retry = None
            _LOGGER.info("Retrying of Loading servable: %s retry: %d", version, version.attempts)
            self._attempt(version)

    def _unload(self, version: Version) -> None:
        _LOGGER.info("Quiescing servable version %s", version)
        version.state = VersionState.UNLOADING
        self._update_table()
        self._release(version)

    def _release(self, version: Version) -> None:
        version.leaving = True
        self._scheduler.unload(functools.partial(self._run_unload, version))

    def _run_unload(self, version: Version) -> None:
        """The body of an unloading thread: waits for the requests in flight."""
        servable = version.servable
        assert servable is not None
        begun = time.monotonic()
        servable.release()
        while not servable.wait_unloaded(_UNLOAD_REPORT_S):
            _LOGGER.info("Servable version %s still answers requests", version)
        version.servable = servable = None
        instruments.unload_seconds.record(time.monotonic() - begun, version.model)
        with self._lock:
            _LOGGER.info("Done unloading servable version %s", version)
            self._end(version, version.error)
            self._reconcile_model_of(version)

    def _end(self, version: Version, error: ServingError | None) -> None:
        version.state = VersionState.END
        version.error = error

    def _reconcile_model_of(self, version: Version) -> None:
        self._reconcile(self._models[version.model])

    def _update_table(self) -> None:
        """Publishes who can be looked up, unless that is in force already."""
        serving = {name: model.serving() for name, model in self._models.items()}
        pending = {name: model.pending() for name, model in self._models.items()}
        table = RoutingTable(
            servables={name: versions for name, versions in serving.items() if versions},
            labels=self._labels,
            pending={name: states for name, states in pending.items() if states is not None},
            configured=frozenset(n for n, model in self._models.items() if model.configured),
        )
        if table != self._table:
            self._table = table
            self._publish(table)
