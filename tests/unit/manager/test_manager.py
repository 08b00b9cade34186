"""The version lifecycle, with tasks that run when the test says so."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence

import pytest

from fastserve.config.models import TENSORFLOW_PLATFORM, TransitionPolicy
from fastserve.config.server import LoadConfig
from fastserve.errors import (
    CANCELLED,
    FAILED_PRECONDITION,
    INTERNAL,
    INVALID_ARGUMENT,
    NOT_FOUND,
    UNAVAILABLE,
    ServingError,
)
from fastserve.manager.manager import ModelManager
from fastserve.manager.model import NotAvailable
from fastserve.manager.scheduling import ThreadScheduler
from fastserve.routing.table import RoutingTable
from fastserve.services.backend import ServableInfo, VersionState, VersionStatus
from unit.manager.lifecycle import (
    AVAILABLE,
    BROKEN,
    END,
    LOADING,
    START,
    UNLOADING,
    WAIT_S,
    FakeLoader,
    FakeServable,
    Lifecycle,
    ended,
    model,
)


@pytest.fixture
def m() -> Lifecycle:
    return Lifecycle()


def test_wanted_version_is_loaded_from_its_path_and_served(m: Lifecycle) -> None:
    m.want(3)
    assert (m.states, m.served) == ({3: LOADING}, [])
    m.scheduler.run("load-m-3")
    assert (m.states, m.served, m.loader.paths) == ({3: AVAILABLE}, [3], ["/m/3"])
    assert not m.scheduler.tasks


def test_same_wish_again_does_nothing(m: Lifecycle) -> None:
    m.serve(1)
    m.want(1)
    assert (m.published, m.loader.paths) == ([[1]], ["/m/1"])


def test_new_version_is_published_before_the_old_one_leaves(m: Lifecycle) -> None:
    m.serve(1)
    m.want(2)
    assert m.states == {1: AVAILABLE, 2: LOADING}
    m.scheduler.run("load-m-2")
    assert m.published == [[1], [1, 2], [2]]
    assert m.states == {1: UNLOADING, 2: AVAILABLE}
    m.scheduler.run("unload-m-1")
    assert m.statuses[1] == ended(1)


def test_old_version_is_released_only_once_no_table_holds_it(m: Lifecycle) -> None:
    m.serve(1)
    m.want(2)
    m.scheduler.run("load-m-2")
    assert not m.loader.loaded[0].released
    assert m.published[-1] == [2]
    m.scheduler.run("unload-m-1")
    assert m.loader.loaded[0].released


def test_failed_load_keeps_the_old_version_and_reports_the_error(m: Lifecycle) -> None:
    m.serve(1)
    m.loader.failures[2] = BROKEN
    m.want(2)
    m.scheduler.run_all()
    assert m.statuses[2] == ended(2, BROKEN)
    assert (m.states[1], m.published) == (AVAILABLE, [[1]])


def test_failed_version_is_tried_again_only_after_it_was_away(m: Lifecycle) -> None:
    m.loader.failures[2] = BROKEN
    m.want(2)
    m.scheduler.run_all()
    m.want(2, 1)
    m.scheduler.run_all()
    assert m.states == {1: AVAILABLE, 2: END}
    m.want(1)
    del m.loader.failures[2]
    m.want(1, 2)
    m.scheduler.run_all()
    assert (m.states, m.served) == ({1: AVAILABLE, 2: AVAILABLE}, [1, 2])


def test_fault_of_the_loader_ends_the_version_as_internal(
    m: Lifecycle, caplog: pytest.LogCaptureLifecycle
) -> None:
    m.loader.failures[1] = RuntimeError("boom")
    m.want(1)
    m.scheduler.run_all()
    assert m.statuses[1] == ended(1, ServingError(INTERNAL, "RuntimeError: boom"))
    assert any(record.exc_info for record in caplog.records)


def test_load_is_retried_after_the_interval_until_it_succeeds() -> None:
    m = Lifecycle(max_retries=2)
    m.loader.failures[1] = BROKEN
    m.want(1)
    m.scheduler.run_all()
    assert m.statuses[1] == VersionStatus(version=1, state=LOADING)
    assert m.scheduler.fire() == 7.5
    m.scheduler.run_all()
    del m.loader.failures[1]
    m.scheduler.fire()
    m.scheduler.run_all()
    assert (m.statuses[1], m.scheduler.timers) == (VersionStatus(version=1, state=AVAILABLE), [])
    assert len(m.loader.paths) == 3


def test_last_error_is_reported_once_the_retries_are_used_up(
    caplog: pytest.LogCaptureLifecycle,
) -> None:
    m = Lifecycle(max_retries=1)
    caplog.set_level(logging.INFO)
    m.loader.failures[1] = BROKEN
    m.want(1)
    m.scheduler.run_all()
    m.loader.failures[1] = last = ServingError(NOT_FOUND, "gone")
    m.scheduler.fire()
    m.scheduler.run_all()
    assert (m.statuses[1], m.scheduler.timers) == (ended(1, last), [])
    assert [
        text for text in caplog.messages if not text.startswith("Loading servable version")
    ] == [
        "Loading servable: {name: m version: 1} failed: FAILED_PRECONDITION: no graph",
        "Retrying of Loading servable: {name: m version: 1} retry: 1",
        "Loading servable: {name: m version: 1} failed: NOT_FOUND: gone",
        "Loading servable: {name: m version: 1} exhausted max_num_retries: 1",
    ]


def test_version_unwanted_between_two_attempts_ends_with_its_error() -> None:
    m = Lifecycle(max_retries=5)
    m.loader.failures[1] = BROKEN
    m.want(1)
    m.scheduler.run_all()
    m.want()
    assert (m.statuses[1], m.scheduler.timers) == (ended(1, BROKEN), [])


def test_version_unwanted_while_an_attempt_fails_is_not_retried() -> None:
    m = Lifecycle(max_retries=5)
    m.loader.failures[1] = BROKEN
    m.want(1)
    m.want()
    m.scheduler.run_all()
    assert (m.statuses[1], m.scheduler.timers) == (ended(1, BROKEN), [])


def test_version_unwanted_during_its_load_is_undone_as_cancelled(m: Lifecycle) -> None:
    m.want(1)
    m.want()
    m.scheduler.run("load-m-1")
    assert (m.states, m.published) == ({1: LOADING}, [])
    m.scheduler.run("unload-m-1")
    cancelled = ServingError(CANCELLED, "Loading of servable cancelled")
    assert m.statuses[1] == ended(1, cancelled)
    assert m.loader.loaded[0].released


def test_version_wanted_again_before_its_load_ends_serves(m: Lifecycle) -> None:
    m.want(1)
    m.want()
    m.want(1)
    m.scheduler.run_all()
    assert (m.states, m.served, len(m.loader.loaded)) == ({1: AVAILABLE}, [1], 1)


def test_version_wanted_again_while_its_load_is_undone_loads_anew(m: Lifecycle) -> None:
    m.want(1)
    m.want()
    m.scheduler.run("load-m-1")
    m.want(1)
    m.scheduler.run("unload-m-1")
    m.scheduler.run_all()
    assert (m.states, m.served, len(m.loader.loaded)) == ({1: AVAILABLE}, [1], 2)


def test_unloading_lasts_until_the_requests_in_flight_are_done(m: Lifecycle) -> None:
    m.serve(1)
    seen: list[Mapping[int, VersionState]] = []
    servable = m.loader.loaded[0]
    servable.busy = 2
    servable.while_waiting = lambda: seen.append(m.states)
    m.want()
    assert (m.states, m.served) == ({1: UNLOADING}, [])
    m.scheduler.run_all()
    assert seen == [{1: UNLOADING}] * 3
    assert m.statuses == {1: ended(1)}


def test_version_wanted_again_while_it_unloads_waits_for_the_end_and_loads(m: Lifecycle) -> None:
    m.serve(1)
    m.want()
    m.want(1)
    assert (m.states, list(m.scheduler.tasks)) == ({1: UNLOADING}, ["unload-m-1"])
    m.scheduler.run("unload-m-1")
    assert m.states == {1: LOADING}
    m.scheduler.run_all()
    assert (m.states, m.served, len(m.loader.loaded)) == ({1: AVAILABLE}, [1], 2)


def test_version_wanted_again_after_its_end_loads_anew(m: Lifecycle) -> None:
    m.serve(1)
    m.serve()
    m.serve(1)
    assert (m.states, m.published) == ({1: AVAILABLE}, [[1], [], [1]])


def test_version_wanted_again_while_it_still_serves_stays(m: Lifecycle) -> None:
    m.serve(1)
    m.want(2)
    m.want(1, 2)
    m.scheduler.run_all()
    assert (m.published, len(m.loader.loaded)) == ([[1], [1, 2]], 2)


def test_models_do_not_touch_each_other(m: Lifecycle) -> None:
    m.serve(1)
    m.manager.set_aspired("other", {5: "/other/5"})
    m.scheduler.run_all()
    m.serve(2)
    table = m.tables[-1].servables
    assert {name: list(versions) for name, versions in table.items()} == {"m": [2], "other": [5]}
    assert m.manager.model_version_states("unknown") == []


def test_models_are_listed_with_what_is_known_of_them(m: Lifecycle) -> None:
    m.configure(model("m", labels={"hot": 2}), model("none"), model("unseen"), model("gone"))
    m.serve(1, 2)
    m.manager.set_source_error("none", None)
    m.manager.set_source_error("gone", BROKEN)
    gone, served, none, unseen = m.manager.models()
    assert (gone.name, gone.versions, gone.error) == ("gone", [], BROKEN)
    assert (served.name, served.labels, served.error) == ("m", {"hot": 2}, None)
    assert [(each.version, each.state) for each in served.versions] == [
        (1, AVAILABLE),
        (2, AVAILABLE),
    ]
    assert (none.name, none.versions) == ("none", [])
    assert str(none.error) == "NOT_FOUND: No versions of servable none found under base path"
    assert (unseen.name, unseen.versions, unseen.error) == ("unseen", [], None)


def test_model_that_left_the_configuration_is_listed_until_its_versions_have_ended(
    m: Lifecycle,
) -> None:
    m.serve(1)
    m.configure()
    m.want()
    assert [(info.name, info.versions[0].state) for info in m.manager.models()] == [
        ("m", UNLOADING)
    ]
    m.scheduler.run_all()
    assert m.manager.models() == []
    assert m.states == {1: END}


def test_request_without_a_version_finds_the_highest_available(m: Lifecycle) -> None:
    m.loader.failures[12] = BROKEN
    m.want(9, 10, 12)
    m.scheduler.run_all()
    highest = ServableInfo(name="m", version=10, signature_def_map=b"signatures", path="/m/10")
    assert m.manager.find_servable("m", None, None) == highest
    assert m.manager.find_servable("m", 9, None).version == 9


@pytest.mark.parametrize(
    ("request_for", "error"),
    [
        (("m", 7, None), (NOT_FOUND, "Servable not found for request: Specific(m, 7)")),
        (("x", 1, None), (NOT_FOUND, "Servable not found for request: Specific(x, 1)")),
        (("x", None, None), (NOT_FOUND, "Servable not found for request: Latest(x)")),
        (("m", None, "hot"), (INVALID_ARGUMENT, "Unrecognized servable version label: hot")),
    ],
)
def test_request_for_what_is_not_served_is_refused_with_upstreams_text(
    m: Lifecycle, request_for: tuple[str, int | None, str | None], error: tuple[int, str]
) -> None:
    m.serve(1)
    with pytest.raises(ServingError) as caught:
        m.manager.find_servable(*request_for)
    assert (caught.value.code, caught.value.message) == error


def test_version_that_unloads_is_not_found_any_more(m: Lifecycle) -> None:
    m.serve(1)
    m.want()
    with pytest.raises(ServingError, match=r"Latest\(m\)"):
        m.manager.find_servable("m", None, None)


def test_nothing_starts_after_stop() -> None:
    m = Lifecycle(max_retries=5)
    m.loader.failures[1] = BROKEN
    m.want(1)
    m.scheduler.run_all()
    m.manager.stop()
    m.want(2)
    assert (m.scheduler.timers, m.scheduler.tasks, list(m.states)) == ([], {}, [1])


def test_load_that_ends_after_stop_is_not_published(m: Lifecycle) -> None:
    m.want(1)
    m.manager.stop()
    m.scheduler.run_all()
    assert (m.published, m.loader.loaded[0].released, m.states) == ([], True, {1: END})


def test_models_are_settled_when_each_serves_or_has_failed(m: Lifecycle) -> None:
    m.configure(model("m"), model("broken"))
    m.loader.failures[4] = BROKEN
    m.manager.set_aspired("broken", {4: "/broken/4"})
    m.manager.set_source_error("broken", None)
    m.want(1)
    m.scheduler.run_all()
    (failure,) = m.manager.wait_until_settled(["m", "broken"]) or ()
    assert m.manager.wait_until_settled(["m"]) == []
    assert str(failure) == (
        "{{name: broken version: 4} due to error: FAILED_PRECONDITION: no graph}, "
    )


def test_model_without_versions_is_settled_once_the_source_has_looked(m: Lifecycle) -> None:
    gone = ServingError(NOT_FOUND, "Could not find base path /m")
    m.manager.set_source_error("m", gone)
    assert m.manager.wait_until_settled(["m"]) == [NotAvailable("m", None, gone)]
    m.manager.set_source_error("m", None)
    m.want()
    (failure,) = m.manager.wait_until_settled(["m"]) or ()
    assert str(failure) == (
        "{{name: m} due to error: NOT_FOUND: No versions of servable m found under base path}, "
    )


def test_model_that_comes_back_is_not_settled_by_its_former_life(m: Lifecycle) -> None:
    m.serve(1)
    assert m.configure() == []
    m.serve()
    assert m.configure(model("m")) == ["m"]
    m.manager.set_aspired("m", {})  # Of its removal, and late.
    waiter = Waiter(m.manager)
    m.serve(1)
    assert waiter.result() == []


class Waiter:
    """A thread in wait_until_settled()."""

    def __init__(self, manager: ModelManager) -> None:
        self.outcome: list[Sequence[NotAvailable] | None] = []
        wait = lambda: self.outcome.append(manager.wait_until_settled(["m"]))  # noqa: E731
        self.thread = threading.Thread(target=wait, daemon=True)
        self.thread.start()

    def result(self) -> Sequence[NotAvailable] | None:
        self.thread.join(WAIT_S)
        (outcome,) = self.outcome
        return outcome


def test_wait_for_the_start_ends_with_the_first_version(m: Lifecycle) -> None:
    waiter = Waiter(m.manager)
    m.serve(1)
    assert waiter.result() == []


def test_stop_ends_the_wait_for_the_start(m: Lifecycle) -> None:
    waiter = Waiter(m.manager)
    m.manager.stop()
    assert waiter.result() is None


def test_slow_load_does_not_hold_up_another_one() -> None:
    may_end, second_serves = threading.Event(), threading.Event()

    class SlowFirst(FakeLoader):
        def load(self, name: str, version: int, path: str) -> FakeServable:
            assert version != 2 or may_end.wait(WAIT_S)
            return super().load(name, version, path)

    def publish(table: RoutingTable) -> None:
        if 1 in table.servables.get("m", {}):
            second_serves.set()

    config = LoadConfig(max_retries=0)
    scheduler = ThreadScheduler(load_threads=2)
    manager = ModelManager(
        {TENSORFLOW_PLATFORM: SlowFirst()}, publish, config=config, scheduler=scheduler
    )
    manager.configure([model("m")])
    manager.set_aspired("m", {1: "/m/1", 2: "/m/2"})
    manager.set_source_error("m", None)
    try:
        assert second_serves.wait(WAIT_S)
        assert manager.wait_until_settled(["m"]) == []
    finally:
        may_end.set()
        manager.stop()


# Transition, labels, retries, and what is on its way.


def test_preserving_resources_unloads_before_it_loads() -> None:
    m = Lifecycle(transition=TransitionPolicy.RESOURCE_PRESERVING)
    m.serve(1)
    m.want(2)
    assert (m.states, m.served) == ({1: UNLOADING, 2: START}, [])
    m.scheduler.run("unload-m-1")
    assert m.states == {1: END, 2: LOADING}
    m.scheduler.run("load-m-2")
    assert m.published == [[1], [], [2]]


def test_model_that_leaves_the_configuration_stays_known_and_its_labels_go(m: Lifecycle) -> None:
    m.configure(model("m", labels={"hot": 1}))
    m.serve(1)
    assert m.manager.find_servable("m", None, "hot").version == 1
    assert m.configure(model("other")) == ["other"]
    m.serve()
    assert (m.states, m.tables[-1].labels) == ({1: END}, {})


@pytest.mark.parametrize(
    ("present", "wanted", "allow_unavailable", "allowed"),
    [
        ({}, {"a": 1}, False, True),
        ({}, {"a": 2}, False, False),
        ({}, {"a": 2}, True, True),
        ({"a": 1}, {"a": 2}, True, False),
        ({"a": 2}, {"a": 2}, True, True),
        ({"a": 2}, {"a": 2}, False, False),
        ({"a": 2}, {"a": 1}, False, True),
        ({"a": 2}, {}, False, True),
    ],
)
def test_label_moves_only_to_an_available_version(
    m: Lifecycle,
    present: Mapping[str, int],
    wanted: Mapping[str, int],
    allow_unavailable: bool,
    allowed: bool,
) -> None:
    m.configure(model("m", labels=present))
    m.serve(1)
    asked = [model("m", labels=wanted)]
    if allowed:
        m.manager.check_labels(asked, allow_unavailable=allow_unavailable)
        return
    with pytest.raises(ServingError) as caught:
        m.manager.check_labels(asked, allow_unavailable=allow_unavailable)
    assert (caught.value.code, caught.value.message) == (
        FAILED_PRECONDITION,
        "Request to assign label to version 2 of model m, which is not currently available for "
        "inference",
    )


def test_request_for_what_is_on_its_way_is_told_to_come_again(m: Lifecycle) -> None:
    def refusal(version: int | None = None) -> tuple[int, str]:
        with pytest.raises(ServingError) as caught:
            m.manager.find_servable("m", version, None)
        return caught.value.code, caught.value.message

    latest, second = (f"Servable not found for request: {w}(m" for w in ("Latest", "Specific"))
    not_ready = ". Model m is not ready yet: "
    assert refusal() == (UNAVAILABLE, f"{latest}){not_ready}looking for versions")
    m.want(1, 2)
    assert refusal() == (
        UNAVAILABLE,
        f"{latest}){not_ready}version 1 is LOADING, version 2 is LOADING",
    )
    assert refusal(2) == (UNAVAILABLE, f"{second}, 2){not_ready}version 2 is LOADING")
    assert refusal(3) == (NOT_FOUND, f"{second}, 3)")
    m.loader.failures[2] = BROKEN
    m.scheduler.run_all()
    assert refusal(2) == (NOT_FOUND, f"{second}, 2)")


def test_failed_version_is_loaded_anew_when_its_files_change() -> None:
    m = Lifecycle(max_retries=1)
    m.loader.failures[1] = BROKEN
    m.want(1)
    assert m.manager.failed_versions("m") == []
    m.scheduler.run_all()
    assert (m.manager.failed_versions("m"), len(m.scheduler.timers)) == ([1], 1)
    del m.loader.failures[1]
    m.manager.retry("m", 1)
    assert (m.scheduler.timers, m.states) == ([], {1: LOADING})
    m.scheduler.run_all()
    assert (m.served, m.manager.failed_versions("m")) == ([1], [])
    m.manager.retry("m", 1)
    m.manager.retry("m", 7)
    m.manager.retry("unknown", 1)
    assert (m.states, m.scheduler.tasks) == ({1: AVAILABLE}, {})


def test_only_the_last_hundred_ended_versions_are_remembered(m: Lifecycle) -> None:
    for version in range(1, 121):
        m.serve(version)
    assert sorted(m.states) == list(range(20, 121))
    m.loader.failures[5] = BROKEN
    m.want(120, 5)
    m.scheduler.run_all()
    assert m.states[5] is END
