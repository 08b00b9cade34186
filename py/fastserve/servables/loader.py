"""Loads versions; what the manager knows of a loader and of what it returns."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from fastserve import _native
from fastserve.config.server import PlatformConfig
from fastserve.errors import ServingError
from fastserve.servables import lite
from fastserve.servables.batching import Batcher, Batching
from fastserve.servables.runtime import load_runtime
from fastserve.servables.warmup import warm_up


class LoadedServable(Protocol):
    """A version that can run. Any thread."""

    @property
    def name(self) -> str:
        """The model's name."""
        ...

    @property
    def version(self) -> int:
        """The version's number."""
        ...

    @property
    def signature_def_map(self) -> bytes:
        """All signatures, as a serialized tensorflow.serving.SignatureDefMap."""
        ...

    def release(self) -> None:
        """Gives it up; its memory is freed when the requests in flight are done too."""
        ...

    def wait_unloaded(self, timeout_s: float) -> bool:
        """Waits, after release(), until memory is freed; False when that took longer."""
        ...


class Loader(Protocol):
    """Makes a version run. Any thread; blocks as long as it takes."""

    def load(self, name: str, version: int, path: str) -> LoadedServable:
        """Loads the version that lies in `path`. Raises ServingError."""
        ...


class VersionLoader:
    """Loads a platform's SavedModels and, where those are preferred, TensorFlow Lite models."""

    def __init__(self, config: PlatformConfig, batcher: Batcher | None = None) -> None:
        """`batcher`: what its `batching` stands for."""
        self._config = config
        self._batcher = batcher

    def load(self, name: str, version: int, path: str) -> _native.Servable:
        """Loads one and warms it up; TensorFlow's library before the first. Raises ServingError."""
        runtime = load_runtime()
        batching = self._batcher.for_version(path) if self._batcher else None
        if self._config.lite.preferred and Path(path, lite.FILE_NAME).exists():
            servable = lite.load_lite(
                runtime,
                name=name,
                version=version,
                path=path,
                config=self._config.lite,
                batching=batching,
            )
        else:
            servable = self._load_saved_model(runtime, name, version, path, batching)
        try:
            warm_up(servable, path, self._config.warmup)
        except BaseException:
            servable.release()
            raise
        return servable

    def _load_saved_model(
        self,
        runtime: _native.Runtime,
        name: str,
        version: int,
        path: str,
        batching: Batching | None,
    ) -> _native.Servable:
        config_proto, twin = self._config.session_config()
        try:
            return _native.Servable.load(
                runtime,
                name=name,
                version=version,
                path=path,
                tags=self._config.tags,
                config_proto=config_proto,
                devices=self._config.devices,
                twin=twin,
                batching=batching,
            )
        except _native.NativeError as error:
            raise ServingError(error.code, error.message) from error
