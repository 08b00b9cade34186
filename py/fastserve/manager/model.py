"""What the manager knows of the models and their versions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from fastserve.config.models import TENSORFLOW_PLATFORM, TransitionPolicy
from fastserve.errors import NOT_FOUND, ServingError
from fastserve.manager.policy import Action, VersionView, next_action, start_outcome
from fastserve.servables.loader import LoadedServable
from fastserve.services.backend import ModelInfo, VersionState, VersionStatus

_MAX_ENDED_VERSIONS = 100
"""Of one model; those that ended first are forgotten first. Upstream keeps them all."""

_ON_ITS_WAY = (VersionState.START, VersionState.LOADING)


@dataclass(frozen=True, slots=True)
class NotAvailable:
    """Why a model has no version that serves."""

    model: str
    version: int | None
    """None: there is no version at all."""
    error: ServingError

    def __str__(self) -> str:
        version = "" if self.version is None else f" version: {self.version}"
        return f"{{{{name: {self.model}{version}}} due to error: {self.error}}}, "


@dataclass(slots=True)
class Version:
    """One instance of a version: forwards from START to END. Guarded by the manager's lock."""

    model: str
    version: int
    path: str
    state: VersionState = VersionState.START
    aspired: bool = True
    attempts: int = 0
    servable: LoadedServable | None = None
    error: ServingError | None = None
    """Of the last attempt; shown once the version has ended."""
    cancel_retry: Callable[[], None] | None = None
    """Set while it waits for its next attempt."""
    leaving: bool = False
    """Its servable is being given up: only a new instance can be wanted again."""

    def __str__(self) -> str:
        return f"{{name: {self.model} version: {self.version}}}"

    @property
    def ended(self) -> bool:
        """Whether this instance's life is over."""
        return self.state is VersionState.END

    @property
    def failed(self) -> bool:
        """Whether it was not to be loaded, and is still wanted."""
        return self.aspired and self.error is not None and (self.ended or self.is_waiting)

    @property
    def is_waiting(self) -> bool:
        """Whether it waits for its next attempt."""
        return self.cancel_retry is not None

    def status(self) -> VersionStatus:
        """Returns what is told of it."""
        error = self.error if self.state is VersionState.END else None
        return VersionStatus(
            version=self.version,
            state=self.state,
            error_code=error.code if error else 0,
            error_message=error.message if error else "",
        )


@dataclass(slots=True)
class Model:
    """One model. Guarded by the manager's lock."""

    name: str
    configured: bool = False
    """Named by the configuration in force."""
    unseen: bool = False
    """Named by the configuration, but the source has not told yet what there is."""
    transition: TransitionPolicy = TransitionPolicy.AVAILABILITY_PRESERVING
    platform: str = TENSORFLOW_PLATFORM
    aspired: Mapping[int, str] = field(default_factory=dict)
    """Version -> path, as last wanted."""
    source_error: ServingError | None = None
    versions: dict[int, Version] = field(default_factory=dict)
    """The last instance of every version seen, the last one to come at the end."""

    def serving(self) -> dict[int, LoadedServable]:
        """Returns the versions that can be looked up."""
        return {
            number: version.servable
            for number, version in self.versions.items()
            if version.state is VersionState.AVAILABLE and version.servable is not None
        }

    @property
    def gone(self) -> bool:
        """Whether it is not configured any more and nothing of it is left but history."""
        return not self.configured and all(version.ended for version in self.versions.values())

    def lack_of_versions(self) -> ServingError:
        """Returns the error of a model that has no version."""
        return self.source_error or ServingError(
            NOT_FOUND, f"No versions of servable {self.name} found under base path"
        )

    def info(self, labels: Mapping[str, int]) -> ModelInfo:
        """Returns what is told of it."""
        lacking = self.configured and not self.unseen and not self.versions
        return ModelInfo(
            name=self.name,
            labels=labels,
            versions=[version.status() for version in self.versions.values()],
            error=self.lack_of_versions() if lacking else self.source_error,
        )

    def pending(self) -> dict[int, str] | None:
        """Returns the versions on their way; None where there is nothing to wait for."""
        states = {
            number: version.state.name
            for number, version in self.versions.items()
            if version.state in _ON_ITS_WAY and version.aspired
        }
        return states if states or self.unseen else None

    def next_action(self) -> tuple[Action, int] | None:
        """Returns what its policy does next, and to which version; None: nothing for now."""
        views = [VersionView(v.version, v.state, v.aspired) for v in self.versions.values()]
        return next_action(views, self.transition)

    def outcome(self) -> NotAvailable | bool | None:
        """Returns True for a model that serves (or is not wanted); None: it is not settled yet."""
        if not self.configured:
            return True
        if self.unseen:
            return None
        versions = [v for v in self.versions.values() if v.aspired or v.servable is not None]
        decided = start_outcome([version.status() for version in versions])
        if decided is None and versions:
            return None
        if decided is None:
            return NotAvailable(self.name, None, self.lack_of_versions())
        if decided.state is VersionState.AVAILABLE:
            return True
        error = ServingError(decided.error_code, decided.error_message)
        return NotAvailable(self.name, decided.version, error)

    def forget_ended(self) -> None:
        """Bounds the history."""
        ended = [n for n, v in self.versions.items() if v.ended and n not in self.aspired]
        for number in ended[:-_MAX_ENDED_VERSIONS]:
            del self.versions[number]
