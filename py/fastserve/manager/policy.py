"""What to do next with the versions of a model: pure functions of their states."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from fastserve.services.backend import VersionState, VersionStatus


class Action(Enum):
    """What is done to a version."""

    LOAD = "load"
    UNLOAD = "unload"


@dataclass(frozen=True, slots=True)
class VersionView:
    """A version as the policy sees it."""

    version: int
    state: VersionState
    aspired: bool


def next_action(versions: Iterable[VersionView]) -> tuple[Action, int] | None:
    """Returns the next action and its version: TensorFlow Serving's availability preserving policy.

    A version that is not wanted any more is unloaded once a wanted one is available, or none is
    wanted, or another unwanted one is there to serve. Wanted versions are loaded from high to low.
    """
    versions = list(versions)
    ready = [v for v in versions if v.state is VersionState.AVAILABLE]
    unwanted = [v.version for v in ready if not v.aspired]
    wanted_ready = len(ready) > len(unwanted)
    none_wanted = not any(v.aspired for v in versions)
    if unwanted and (none_wanted or wanted_ready or len(unwanted) >= 2):
        return Action.UNLOAD, min(unwanted)
    new = [v.version for v in versions if v.aspired and v.state is VersionState.START]
    return (Action.LOAD, max(new)) if new else None


def start_outcome(versions: Sequence[VersionStatus]) -> VersionStatus | None:
    """Returns the version that ends the wait for a model at start; None: wait on.

    That is any available one, or else the highest, if it has ended by a failure.
    """
    for status in versions:
        if status.state is VersionState.AVAILABLE:
            return status
    decided = (VersionState.AVAILABLE, VersionState.END)
    ended = [status for status in versions if status.state in decided]
    return max(ended, key=lambda status: status.version, default=None)
