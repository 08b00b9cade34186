"""Loads versions; what the manager knows of a loader and of what it returns."""

from __future__ import annotations

from typing import Protocol

from fastserve import _native
from fastserve.config.server import SessionConfig
from fastserve.errors import ServingError
from fastserve.servables.runtime import load_runtime


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


class SavedModelLoader:
    """Loads SavedModels into TensorFlow."""

    def __init__(self, *, tags: tuple[str, ...], session: SessionConfig) -> None:
        self._tags = tags
        self._config_proto = _config_proto(session)

    def load(self, name: str, version: int, path: str) -> _native.Servable:
        """Loads one, and TensorFlow's library before the first. Raises ServingError."""
        runtime = load_runtime()
        try:
            return _native.Servable.load(
                runtime,
                name=name,
                version=version,
                path=path,
                tags=self._tags,
                config_proto=self._config_proto,
            )
        except _native.NativeError as error:
            raise ServingError(error.code, error.message) from error


def _config_proto(session: SessionConfig) -> bytes:
    if session.threads == (0, 0):
        return b""
    from fastserve import protos

    intra_op, inter_op = session.threads
    message = protos.ConfigProto(
        intra_op_parallelism_threads=intra_op, inter_op_parallelism_threads=inter_op
    )
    return bytes(message.SerializeToString())
