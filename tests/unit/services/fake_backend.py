"""A model manager with a fixed set of models."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from fastserve.errors import ServingError
from fastserve.services.backend import ModelInfo, ServableInfo, VersionStatus

NOT_FOUND = 5


@dataclass
class FixedBackend:
    """Answers from what it was given, and notes the lookups."""

    states: dict[str, list[VersionStatus]] = field(default_factory=dict)
    servables: dict[tuple[str, int | None, str | None], ServableInfo] = field(default_factory=dict)
    lookups: list[tuple[str, int | None, str | None]] = field(default_factory=list)

    def models(self) -> Sequence[ModelInfo]:
        return [
            ModelInfo(name=name, labels={}, versions=states, error=None)
            for name, states in sorted(self.states.items())
        ]

    def model_version_states(self, name: str) -> Sequence[VersionStatus]:
        return self.states.get(name, [])

    def find_servable(self, name: str, version: int | None, label: str | None) -> ServableInfo:
        self.lookups.append((name, version, label))
        try:
            return self.servables[name, version, label]
        except KeyError:
            raise ServingError(NOT_FOUND, f"no {name}") from None
