"""Which version to load or unload next: a pure function of the states."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from fastserve.services.backend import VersionState


class ActionKind(Enum):
    """What can be done with a version."""

    LOAD = "load"
    UNLOAD = "unload"


@dataclass(frozen=True, slots=True)
class Action:
    """The next step for one model."""

    kind: ActionKind
    version: int


@dataclass(frozen=True, slots=True)
class VersionView:
    """What the policy knows of a version."""

    state: VersionState
    aspired: bool


def availability_preserving(versions: Mapping[int, VersionView]) -> Action | None:
    """Returns the next action for a model, or None while there is nothing to do.

    A new version is loaded beside the old one, which goes only when an aspired version is ready: the
    rules of upstream's core/availability_preserving_policy.cc.
    """
    ready = {v for v, view in versions.items() if view.state is VersionState.AVAILABLE}
    aspired = {v for v, view in versions.items() if view.aspired}
    leaving = ready - aspired
    if leaving and (not aspired or ready & aspired or len(leaving) >= 2):
        return Action(ActionKind.UNLOAD, min(leaving))
    new = {v for v in aspired if versions[v].state is VersionState.START}
    return Action(ActionKind.LOAD, max(new)) if new else None
