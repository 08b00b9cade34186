"""The table of loaded versions: looked up here for rare RPCs, published to the native side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from fastserve.errors import INVALID_ARGUMENT, NOT_FOUND, UNAVAILABLE, ServingError
from fastserve.servables.loader import LoadedServable


@dataclass(frozen=True, slots=True)
class RoutingTable:
    """What requests can reach. Immutable, so any thread may read it."""

    servables: Mapping[str, Mapping[int, LoadedServable]] = field(default_factory=dict)
    """Model name -> version -> the loaded version; no model without one."""
    labels: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Model name -> label -> version, loaded or not."""
    pending: Mapping[str, Mapping[int, str]] = field(default_factory=dict)
    """Model name -> version -> state, of what is on its way. A model without versions here is one
    whose versions are still being looked for."""

    configured: frozenset[str] = frozenset()
    """All models that the configuration names, served or not."""

    def readiness(self) -> Mapping[str, bool]:
        """Returns, for every configured model, whether it has a version that serves."""
        return {name: name in self.servables for name in sorted(self.configured)}

    def all_servables(self) -> Sequence[LoadedServable]:
        """Returns every loaded version."""
        return [servable for versions in self.servables.values() for servable in versions.values()]

    def find(self, name: str, version: int | None, label: str | None) -> LoadedServable:
        """Returns the version that a request is answered by; the highest without version and label.

        The texts are those that the native side (csrc/serving/routing.cc) answers Predict with.
        Raises ServingError.
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
        if version is not None and version in versions:
            return versions[version]
        raise self._not_found(name, version)

    def _not_found(self, name: str, version: int | None) -> ServingError:
        wanted = f"Latest({name})" if version is None else f"Specific({name}, {version})"
        text = f"Servable not found for request: {wanted}"
        pending = self.pending.get(name)
        if pending is None or (pending and version is not None and version not in pending):
            return ServingError(NOT_FOUND, text)
        states = ", ".join(
            f"version {number} is {state}"
            for number, state in sorted(pending.items())
            if version in (None, number)
        )
        return ServingError(
            UNAVAILABLE,
            f"{text}. Model {name} is not ready yet: {states or 'looking for versions'}",
        )
