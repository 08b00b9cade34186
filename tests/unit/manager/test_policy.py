"""The transition policies and the wait at start, as truth tables."""

import pytest

from fastserve.config.models import TransitionPolicy
from fastserve.manager.policy import Action, VersionView, next_action, start_outcome
from fastserve.services.backend import VersionState, VersionStatus

STATES = {
    "start": VersionState.START,
    "loading": VersionState.LOADING,
    "ready": VersionState.AVAILABLE,
    "unloading": VersionState.UNLOADING,
    "end": VersionState.END,
}


def views(text: str) -> list[VersionView]:
    """Reads `1:ready 2:start+`; the plus marks an aspired version."""
    found = []
    for word in text.split():
        number, state = word.split(":")
        found.append(VersionView(int(number), STATES[state.rstrip("+")], state.endswith("+")))
    return found


@pytest.mark.parametrize(
    ("versions", "action"),
    [
        ("", None),
        # Wanted versions are loaded from high to low, whatever else is being loaded.
        ("1:start+", (Action.LOAD, 1)),
        ("1:start+ 3:start+ 2:start+", (Action.LOAD, 3)),
        ("1:start+ 2:loading+", (Action.LOAD, 1)),
        ("1:start", None),
        ("1:loading+ 2:ready+ 3:end+", None),
        # The last unwanted one stays until a wanted one is ready.
        ("1:ready 2:start+", (Action.LOAD, 2)),
        ("1:ready 2:loading+", None),
        ("1:ready 2:end+", None),
        ("1:ready 2:unloading+", None),
        ("1:ready 2:ready+", (Action.UNLOAD, 1)),
        # Of several unwanted ones all but the last leave at once, the lowest first.
        ("5:ready 4:ready 6:loading+", (Action.UNLOAD, 4)),
        ("5:ready 4:unloading 6:loading+", None),
        # Nothing is wanted: everything leaves, the lowest first.
        ("1:ready", (Action.UNLOAD, 1)),
        ("3:ready 2:ready 4:end", (Action.UNLOAD, 2)),
        # Unloads come before loads.
        ("1:ready 2:ready+ 3:start+", (Action.UNLOAD, 1)),
        ("1:ready 2:ready 3:start+", (Action.UNLOAD, 1)),
        # What is not ready cannot be unloaded.
        ("1:loading", None),
        ("1:end 2:unloading", None),
        # A version may be wanted while a higher one leaves.
        ("1:start+ 2:ready", (Action.LOAD, 1)),
        ("1:ready+ 2:ready", (Action.UNLOAD, 2)),
        ("-5:ready 0:ready+", (Action.UNLOAD, -5)),
    ],
)
def test_next_action_keeps_the_model_available(
    versions: str, action: tuple[Action, int] | None
) -> None:
    for order in (views(versions), views(versions)[::-1]):
        assert next_action(order, TransitionPolicy.AVAILABILITY_PRESERVING) == action


@pytest.mark.parametrize(
    ("versions", "action"),
    [
        ("", None),
        ("1:start+ 3:start+", (Action.LOAD, 3)),
        ("1:ready 2:start+", (Action.UNLOAD, 1)),
        ("2:ready 1:ready 3:ready+", (Action.UNLOAD, 1)),
        # Nothing new before all that is not wanted is gone.
        ("1:unloading 2:start+", None),
        ("1:loading 2:start+", None),
        ("1:end 2:start+", (Action.LOAD, 2)),
        ("1:ready+ 2:start+", (Action.LOAD, 2)),
        ("1:loading+ 2:start+", (Action.LOAD, 2)),
    ],
)
def test_next_action_keeps_memory_low(versions: str, action: tuple[Action, int] | None) -> None:
    for order in (views(versions), views(versions)[::-1]):
        assert next_action(order, TransitionPolicy.RESOURCE_PRESERVING) == action


@pytest.mark.parametrize(
    ("versions", "decides"),
    [
        ("", None),
        ("1:start", None),
        ("1:loading 2:unloading", None),
        ("1:ready", 1),
        ("1:ready 2:loading", 1),
        ("1:ready 2:end", 1),
        ("1:end", 1),
        ("1:end 2:end", 2),
        ("1:loading 2:end", 2),
        ("1:end 2:loading", 1),
    ],
)
def test_start_is_decided_by_an_available_version_or_the_highest_ended_one(
    versions: str, decides: int | None
) -> None:
    statuses = [VersionStatus(version=v.version, state=v.state) for v in views(versions)]
    for order in (statuses, statuses[::-1]):
        outcome = start_outcome(order)
        assert (outcome.version if outcome else None) == decides
