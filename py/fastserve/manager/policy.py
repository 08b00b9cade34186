"""What to do next with the versions of a model: pure functions of their states."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from fastserve.config.models import TransitionPolicy
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


def next_action(
    versions: Sequence[VersionView], transition: TransitionPolicy
) -> tuple[Action, int] | None:
    """Returns the next action and its version; None: there is nothing to do for now.

    Wanted versions are loaded from high to low; unwanted ones leave from low to high.
    """
    unwanted = [v.version for v in versions if _is_ready(v) and not v.aspired]
    if unwanted and _may_unload(versions, unwanted, transition):
        return Action.UNLOAD, min(unwanted)
    if transition is TransitionPolicy.RESOURCE_PRESERVING and _some_leave(versions):
        return None
    new = [v.version for v in versions if v.aspired and v.state is VersionState.START]
    return (Action.LOAD, max(new)) if new else None


def start_outcome(versions: Sequence[VersionStatus]) -> VersionStatus | None:
    """Returns the version that ends the wait for a model at start; None: wait on.

    That is any available one, or else the highest, if it has ended by a failure.
    """
    for status in versions:
        if status.state is VersionState.AVAILABLE:
            return status
    return max(
        (status for status in versions if status.state is VersionState.END),
        key=lambda status: status.version,
        default=None,
    )


def _is_ready(version: VersionView) -> bool:
    return version.state is VersionState.AVAILABLE


def _may_unload(
    versions: Sequence[VersionView], unwanted: Sequence[int], transition: TransitionPolicy
) -> bool:
    """As upstream's core/{availability,resource}_preserving_policy.cc.

    Preserving availability, one unwanted version serves on until a wanted one does.
    """
    if transition is TransitionPolicy.RESOURCE_PRESERVING:
        return True
    none_wanted = not any(v.aspired for v in versions)
    return none_wanted or len(unwanted) >= 2 or any(_is_ready(v) and v.aspired for v in versions)


def _some_leave(versions: Sequence[VersionView]) -> bool:
    return any(not v.aspired and v.state is not VersionState.END for v in versions)
