"""The table of loaded versions: looked up here for rare RPCs, published to the native side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from fastserve.errors import INVALID_ARGUMENT, NOT_FOUND, ServingError
from fastserve.servables.loader import LoadedServable


@dataclass(frozen=True, slots=True)
class RoutingTable:
    """What requests can reach. Immutable, so any thread may read it."""

    servables: Mapping[str, Mapping[int, LoadedServable]] = field(default_factory=dict)
    """Model name -> version -> the loaded version; no model without one."""
    labels: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Model name -> label -> version, loaded or not."""

    def all_servables(self) -> Sequence[LoadedServable]:
        """Returns every loaded version."""
        return [servable for versions in self.servables.values() for servable in versions.values()]

    def find(self, name: str, version: int | None, label: str | None) -> LoadedServable:
        """Returns the version that a request is answered by; the highest without version and label.

        The texts are those that the native side answers Predict with. Raises ServingError.
        """
        if label is not None:
            version = self.labels.get(name, {}).get(label)
            if version is None:
                raise ServingError(
                    INVALID_ARGUMENT, f"Unrecognized servable version label: {label}"
                )
        versions = self.servables.get(name, {})
        if version is None and versions:
            return versions[max(versions)]
        if version is None:
            wanted = f"Latest({name})"
        elif version in versions:
            return versions[version]
        else:
            wanted = f"Specific({name}, {version})"
        raise ServingError(NOT_FOUND, f"Servable not found for request: {wanted}")
