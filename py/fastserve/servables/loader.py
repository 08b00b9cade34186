"""Loads SavedModels through TensorFlow's C library."""

import importlib.util
import os
from pathlib import Path
from typing import Protocol

from fastserve import _native
from fastserve.errors import ConfigError, ServingError


class Servable(Protocol):
    """A loaded version, as the manager handles it; `_native.Servable` is one."""

    @property
    def signature_def_map(self) -> bytes:
        """All signatures, as a serialized tensorflow.serving.SignatureDefMap."""

    def release(self) -> None:
        """Gives up the manager's reference."""

    def wait_unloaded(self, timeout_s: float) -> bool:
        """Waits until its memory is free; False when that took longer."""


def tensorflow_directory() -> str:
    """Returns where the `tensorflow` package is installed, without importing it.

    Raises ConfigError when it is not.
    """
    spec = importlib.util.find_spec("tensorflow")
    if spec is None or not spec.submodule_search_locations:
        raise ConfigError("the tensorflow package is not installed; pip install tensorflow")
    return spec.submodule_search_locations[0]


class Loader:
    """Loads versions into one TensorFlow library. Any thread."""

    def __init__(self, tags: tuple[str, ...], config_proto: bytes) -> None:
        """Opens TensorFlow's library, which takes some tenths of a second. Raises ConfigError."""
        # TensorFlow logs to stderr when it likes; errors are told by the manager.
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        self._tags = tags
        self._config_proto = config_proto
        try:
            self._runtime = _native.Runtime.load(tensorflow_directory())
        except _native.NativeError as error:
            raise ConfigError(error.message) from None

    @property
    def tensorflow_version(self) -> str:
        """As "2.21.0"."""
        return self._runtime.version

    def load(self, name: str, version: int, path: Path) -> _native.Servable:
        """Loads a version directory; blocks until it can run. Raises ServingError."""
        try:
            return _native.Servable.load(
                self._runtime,
                name=name,
                version=version,
                path=str(path),
                tags=self._tags,
                config_proto=self._config_proto,
            )
        except _native.NativeError as error:
            raise ServingError(error.code, error.message) from None
