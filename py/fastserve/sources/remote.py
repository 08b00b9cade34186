"""Models in object stores and archives: staged in a local folder, and watched there."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from fastserve.config.models import ModelConfig, VersionPolicy
from fastserve.errors import NOT_FOUND, PERMISSION_DENIED, UNAVAILABLE, ServingError
from fastserve.sources.archive import Archive
from fastserve.sources.file_system import FileSystemSource, SourceListener
from fastserve.sources.object_store import ObjectStore

_LOGGER = logging.getLogger(__name__)


class Store(Protocol):
    """Where the versions of one model are."""

    def stage(self, folder: Path, policy: VersionPolicy) -> None:
        """Makes `folder` hold the versions that the policy wants, each whole from the first moment.

        Raises whatever its driver raises when the store cannot be read.
        """
        ...


def open_store(uri: str) -> Store:
    """Returns the store of a base path that is a URI. Raises ServingError without its driver."""
    return Archive(uri) if urlsplit(uri).scheme in ("http", "https") else ObjectStore(uri)


class RemoteSource:
    """Has a FileSystemSource watch all models: those with a URI where this stages their versions.

    A model is handed over once its store was looked at. If that fails at first, what an earlier
    server staged is served; with nothing staged, the failure is the model's error. Later failures
    change nothing but the log.
    """

    def __init__(
        self,
        local: FileSystemSource,
        listener: SourceListener,
        *,
        directory: Path,
        poll_wait_s: float,
        open_store: Callable[[str], Store] = open_store,
    ) -> None:
        """Stages nothing yet. `directory` is made when it is needed, and kept."""
        self._local = local
        self._listener = listener
        self._directory = directory
        self._poll_wait_s = poll_wait_s
        self._open_store = open_store
        self._wake = threading.Event()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="fastserve-remote", daemon=True)
        self._lock = threading.Lock()
        # Guarded by the lock.
        self._models: Sequence[ModelConfig] = ()
        self._handed: dict[str, ModelConfig] = {}
        self._staged: set[str] = set()
        # Of the staging thread.
        self._stores: dict[str, Store] = {}

    def set_models(self, models: Sequence[ModelConfig]) -> None:
        """Replaces the set of watched models. Any thread, before or after start()."""
        with self._lock:
            self._models = models
            self._hand_over()
        self._wake.set()

    def start(self) -> None:
        """Begins to stage and to watch."""
        self._local.start()
        self._thread.start()

    def stop(self) -> None:
        """Ends both. A download that is under way is left to end with the process."""
        self._stopped = True
        self._wake.set()
        self._local.stop()

    def folder(self, uri: str) -> Path:
        """Returns where the versions of a base path are staged."""
        return self._directory / sha256(uri.encode()).hexdigest()[:24]

    def _hand_over(self) -> None:
        """Tells the local source of every model that can be watched. The lock is held.

        A model that moves to a URI stays where it was until that one is staged.
        """
        watched: dict[str, ModelConfig] = {}
        for model in self._models:
            if not model.is_remote:
                watched[model.name] = model
            elif model.base_path in self._staged:
                path = str(self.folder(model.base_path))
                watched[model.name] = replace(model, base_path=path)
            elif model.name in self._handed:
                watched[model.name] = self._handed[model.name]
        self._handed = watched
        self._local.set_models(list(watched.values()))

    def _run(self) -> None:
        while not self._stopped:
            self._wake.clear()
            with self._lock:
                models = [model for model in self._models if model.is_remote]
            for model in models:
                if not self._stopped:
                    self._stage(model)
            self._wake.wait(self._poll_wait_s if models and self._poll_wait_s > 0 else None)

    def _stage(self, model: ModelConfig) -> None:
        uri = model.base_path
        folder = self.folder(uri)
        try:
            if uri not in self._stores:
                self._stores[uri] = self._open_store(uri)
            folder.mkdir(parents=True, exist_ok=True)
            self._stores[uri].stage(folder, model.version_policy)
        except Exception as error:  # Drivers raise what they like.
            failure = _failure(model, error)
            _LOGGER.warning("%s", failure)
            if uri not in self._staged and not _holds_versions(folder):
                self._listener.set_source_error(model.name, failure)
                return
        with self._lock:
            if uri not in self._staged:
                self._staged.add(uri)
                self._hand_over()


def _holds_versions(folder: Path) -> bool:
    return folder.is_dir() and any(not name.startswith(".") for name in os.listdir(folder))


def _failure(model: ModelConfig, error: Exception) -> ServingError:
    if isinstance(error, ServingError):
        return error
    code = UNAVAILABLE
    if isinstance(error, FileNotFoundError):
        code = NOT_FOUND
    elif isinstance(error, PermissionError):
        code = PERMISSION_DENIED
    return ServingError(
        code,
        f"Could not find base path {model.base_path} for servable {model.name} with error "
        f"{type(error).__name__}: {error}",
    )


def default_directory() -> Path:
    """Returns where versions are staged unless a flag says otherwise."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(cache, "fastserve", "models")
