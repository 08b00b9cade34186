"""Puts configurations into force: at start, from a file, from an RPC."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Protocol

from fastserve.config.models import ModelConfig
from fastserve.errors import UNKNOWN, ServingError
from fastserve.manager.manager import ModelManager
from fastserve.manager.model import NotAvailable
from fastserve.observe.logs import Complaint

_LOGGER = logging.getLogger(__name__)


class Follower(Protocol):
    """Who is told which models there are: the version source, the log of requests."""

    def set_models(self, models: Sequence[ModelConfig]) -> None:
        """Replaces the set of models."""


class ConfigReloader:
    """Applies whole configurations, one after the other. Any thread.

    A configuration that is refused changes nothing. One that is in force may still have models that
    do not become available: waiting for them keeps no later one from being applied.
    """

    def __init__(
        self, manager: ModelManager, *followers: Follower, allow_unavailable_labels: bool
    ) -> None:
        """`followers` hear of a configuration in this order, after the manager."""
        self._manager = manager
        self._followers = followers
        self._allow_unavailable_labels = allow_unavailable_labels
        self._lock = threading.Lock()

    def start(self, models: Sequence[ModelConfig]) -> None:
        """Applies the first configuration. A label may wait for its version."""
        with self._lock:
            self._apply(models)

    def apply(self, models: Sequence[ModelConfig]) -> Sequence[str]:
        """Applies a further configuration; returns the models that are new in it.

        Raises ServingError, FAILED_PRECONDITION, for a label that may not move; nothing is applied.
        """
        with self._lock:
            self._manager.check_labels(models, allow_unavailable=self._allow_unavailable_labels)
            return self._apply(models)

    def reload(self, models: Sequence[ModelConfig]) -> None:
        """As apply(), and waits for the new models.

        Raises ServingError, UNKNOWN, when new models did not become available; all is applied.
        """
        failures = self._manager.wait_until_settled(self.apply(models))
        if failures:
            raise not_available(failures, "model(s)")

    def _apply(self, models: Sequence[ModelConfig]) -> Sequence[str]:
        _LOGGER.info("Adding/updating models.")
        added = self._manager.configure(models)
        for name in added:
            _LOGGER.info(" (Re-)adding model: %s", name)
        for follower in self._followers:
            follower.set_models(models)
        _LOGGER.info("Finished adding/updating models")
        return added


def not_available(failures: Sequence[NotAvailable], what: str) -> ServingError:
    """Returns the error that names every model without a version that serves.

    In the words of core/load_servables_fast.cc.
    """
    each = "".join(str(failure) for failure in failures)
    return ServingError(UNKNOWN, f"{len(failures)} {what} did not become available: {{{each}}}")


class ConfigFileWatcher:
    """Reloads the model config file: every so often, and when told to."""

    def __init__(
        self,
        read: Callable[[], Sequence[ModelConfig]],
        reloader: ConfigReloader,
        *,
        poll_wait_s: float,
    ) -> None:
        """`read` returns what the file says now, or raises ServingError.

        `poll_wait_s`: 0 or less reloads only when told to.
        """
        self._read = read
        self._reloader = reloader
        self._poll_wait_s = poll_wait_s
        self._stopped = False
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name="fastserve-config", daemon=True)
        self._applied: Sequence[ModelConfig] = ()
        self._complaint = Complaint(_LOGGER)

    def start(self, applied: Sequence[ModelConfig]) -> None:
        """Begins to watch the file, of which `applied` is in force."""
        self._applied = applied
        self._thread.start()

    def stop(self) -> None:
        """Ends watching."""
        self._stopped = True
        self._wake.set()

    def reload_now(self) -> None:
        """Has the file read soon, whether or not it has changed. Does not wait."""
        self._wake.set()

    def _run(self) -> None:
        while not self._stopped:
            told = self._wake.wait(self._poll_wait_s if self._poll_wait_s > 0 else None)
            self._wake.clear()
            if not self._stopped:
                self.poll(even_unchanged=told)

    def poll(self, *, even_unchanged: bool = False) -> None:
        """Reads the file and applies what is new in it; says so once if that is not possible.

        What is in force stays so; the next poll tries again.
        """
        try:
            models = self._read()
        except ServingError as error:
            self._complaint.tell(f"Failed to read ModelServerConfig file: {error}")
            return
        if tuple(models) == tuple(self._applied) and not even_unchanged:
            self._complaint.withdraw()
            return
        try:
            self._reloader.apply(models)
        except ServingError as error:
            self._complaint.tell(f"PollFilesystemAndReloadConfig failed to ReloadConfig: {error}")
            return
        self._applied = models
        self._complaint.withdraw()
