"""What the servicers ask of the model manager."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

from fastserve.errors import ServingError


class VersionState(IntEnum):
    """Where a version is in its life; numbers of tensorflow.serving.ModelVersionStatus.State."""

    START = 10
    LOADING = 20
    AVAILABLE = 30
    UNLOADING = 40
    END = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionStatus:
    """The last known state of one version of a model."""

    version: int
    state: VersionState
    error_code: int = 0
    """Number of a gRPC status code; not 0 only for a version that ended by a failure."""
    error_message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServableInfo:
    """An available version of a model."""

    name: str
    version: int
    signature_def_map: bytes
    """All signatures, as a serialized tensorflow.serving.SignatureDefMap."""
    path: str
    """The directory that it was loaded from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """A model that is configured, or has versions that have not ended yet."""

    name: str
    labels: Mapping[str, int]
    """Label -> version, available or not."""
    versions: Sequence[VersionStatus]
    error: ServingError | None
    """What keeps versions of it from being found."""


class ModelBackend(Protocol):
    """The model manager, as far as the servicers know it. Any thread; no method blocks."""

    def models(self) -> Sequence[ModelInfo]:
        """Returns all models, in the order of their names."""
        ...

    def model_version_states(self, name: str) -> Sequence[VersionStatus]:
        """Returns every version of a model that was ever tracked; empty for an unknown model."""
        ...

    def find_servable(self, name: str, version: int | None, label: str | None) -> ServableInfo:
        """Returns the version that a request with this model spec is answered by.

        Not both `version` and `label` are given; neither means the highest available version.
        Raises ServingError: INVALID_ARGUMENT for an unknown label, NOT_FOUND for a version (or
        model) that is not available, with the texts that Predict answers.
        """
        ...
