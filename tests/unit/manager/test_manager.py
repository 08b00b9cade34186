"""The version lifecycle, with tasks that run when the test says so."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping

import pytest

from fastserve.config.server import LoadConfig
from fastserve.errors import (
    CANCELLED,
    FAILED_PRECONDITION,
    INTERNAL,
    INVALID_ARGUMENT,
    NOT_FOUND,
    ServingError,
)
from fastserve.manager.manager import ModelManager
from fastserve.manager.scheduling import ThreadScheduler
from fastserve.routing.table import RoutingTable
from fastserve.services.backend import ServableInfo, VersionState, VersionStatus

START, LOADING, AVAILABLE = VersionState.START, VersionState.LOADING, VersionState.AVAILABLE
UNLOADING, END = VersionState.UNLOADING, VersionState.END
BROKEN = ServingError(FAILED_PRECONDITION, "no graph")
WAIT_S = 20


class FakeServable:
    """A loaded version; `busy` counts the waits that end before its requests do."""

    signature_def_map = b"signatures"

    def __init__(self, name: str, version: int) -> None:
        self.name = name
        self.version = version
        self.busy = 0
        self.released = False
        self.while_waiting: Callable[[], None] = lambda: None

    def release(self) -> None:
        self.released = True

    def wait_unloaded(self, timeout_s: float) -> bool:
        assert self.released
        self.while_waiting()
        self.busy -= 1
        return self.busy < 0


class FakeLoader:
    """Loads anything but the versions in `failures`."""

    def __init__(self) -> None:
        self.failures: dict[int, Exception] = {}
        self.loaded: list[FakeServable] = []
        self.paths: list[str] = []

    def load(self, name: str, version: int, path: str) -> FakeServable:
        self.paths.append(path)
        if version in self.failures:
            raise self.failures[version]
        self.loaded.append(FakeServable(name, version))
        return self.loaded[-1]


class StepScheduler:
    """Keeps tasks and timers until the test runs them."""

    def __init__(self) -> None:
        self.tasks: dict[str, Callable[[], None]] = {}
        self.timers: list[tuple[float, Callable[[], None]]] = []

    def spawn(self, name: str, task: Callable[[], None]) -> None:
        assert name not in self.tasks
        self.tasks[name] = task

    def call_later(self, delay_s: float, task: Callable[[], None]) -> Callable[[], None]:
        timer = (delay_s, task)
        self.timers.append(timer)
        return lambda: self.timers.remove(timer)

    def run(self, name: str) -> None:
        self.tasks.pop(name)()

    def run_all(self) -> None:
        while self.tasks:
            self.run(next(iter(self.tasks)))

    def fire(self) -> float:
        delay, task = self.timers.pop(0)
        task()
        return delay


class Fixture:
    """A manager of model `m`, its fakes, and every table it published."""

    def __init__(self, *, max_retries: int = 0) -> None:
        self.loader = FakeLoader()
        self.scheduler = StepScheduler()
        self.tables: list[RoutingTable] = []
        self.manager = ModelManager(
            self.loader,
            self.tables.append,
            config=LoadConfig(max_retries=max_retries, retry_interval_s=7.5),
            scheduler=self.scheduler,
        )

    def want(self, *versions: int) -> None:
        self.manager.set_aspired("m", {version: f"/m/{version}" for version in versions})

    def serve(self, *versions: int) -> None:
        self.want(*versions)
        self.scheduler.run_all()
        assert self.served == sorted(versions)

    @property
    def served(self) -> list[int]:
        return sorted(self.tables[-1].servables.get("m", {})) if self.tables else []

    @property
    def published(self) -> list[list[int]]:
        return [sorted(table.servables.get("m", {})) for table in self.tables]

    @property
    def states(self) -> Mapping[int, VersionState]:
        return {status.version: status.state for status in self.statuses.values()}

    @property
    def statuses(self) -> Mapping[int, VersionStatus]:
        return {status.version: status for status in self.manager.model_version_states("m")}


@pytest.fixture
def m() -> Fixture:
    return Fixture()


def ended(version: int, error: ServingError | None = None) -> VersionStatus:
    code, message = (error.code, error.message) if error else (0, "")
    return VersionStatus(version=version, state=END, error_code=code, error_message=message)


def test_wanted_version_is_loaded_from_its_path_and_served(m: Fixture) -> None:
    m.want(3)
    assert (m.states, m.served) == ({3: LOADING}, [])
    m.scheduler.run("load-m-3")
    assert (m.states, m.served, m.loader.paths) == ({3: AVAILABLE}, [3], ["/m/3"])
    assert not m.scheduler.tasks


def test_same_wish_again_does_nothing(m: Fixture) -> None:
    m.serve(1)
    m.want(1)
    assert (m.published, m.loader.paths) == ([[1]], ["/m/1"])


def test_new_version_is_published_before_the_old_one_leaves(m: Fixture) -> None:
    m.serve(1)
    m.want(2)
    assert m.states == {1: AVAILABLE, 2: LOADING}
    m.scheduler.run("load-m-2")
    assert m.published == [[1], [1, 2], [2]]
    assert m.states == {1: UNLOADING, 2: AVAILABLE}
    m.scheduler.run("unload-m-1")
    assert m.statuses[1] == ended(1)


def test_old_version_is_released_only_once_no_table_holds_it(m: Fixture) -> None:
    m.serve(1)
    m.want(2)
    m.scheduler.run("load-m-2")
    assert not m.loader.loaded[0].released
    assert m.published[-1] == [2]
    m.scheduler.run("unload-m-1")
    assert m.loader.loaded[0].released


def test_failed_load_keeps_the_old_version_and_reports_the_error(m: Fixture) -> None:
    m.serve(1)
    m.loader.failures[2] = BROKEN
    m.want(2)
    m.scheduler.run_all()
    assert m.statuses[2] == ended(2, BROKEN)
    assert (m.states[1], m.published) == (AVAILABLE, [[1]])


def test_failed_version_is_tried_again_only_after_it_was_away(m: Fixture) -> None:
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
    m: Fixture, caplog: pytest.LogCaptureFixture
) -> None:
    m.loader.failures[1] = RuntimeError("boom")
    m.want(1)
    m.scheduler.run_all()
    assert m.statuses[1] == ended(1, ServingError(INTERNAL, "RuntimeError: boom"))
    assert any(record.exc_info for record in caplog.records)


def test_load_is_retried_after_the_interval_until_it_succeeds() -> None:
    m = Fixture(max_retries=2)
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
    caplog: pytest.LogCaptureFixture,
) -> None:
    m = Fixture(max_retries=1)
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
    m = Fixture(max_retries=5)
    m.loader.failures[1] = BROKEN
    m.want(1)
    m.scheduler.run_all()
    m.want()
    assert (m.statuses[1], m.scheduler.timers) == (ended(1, BROKEN), [])


def test_version_unwanted_while_an_attempt_fails_is_not_retried() -> None:
    m = Fixture(max_retries=5)
    m.loader.failures[1] = BROKEN
    m.want(1)
    m.want()
    m.scheduler.run_all()
    assert (m.statuses[1], m.scheduler.timers) == (ended(1, BROKEN), [])


def test_version_unwanted_during_its_load_is_undone_as_cancelled(m: Fixture) -> None:
    m.want(1)
    m.want()
    m.scheduler.run("load-m-1")
    assert (m.states, m.tables) == ({1: LOADING}, [])
    m.scheduler.run("unload-m-1")
    cancelled = ServingError(CANCELLED, "Loading of servable cancelled")
    assert m.statuses[1] == ended(1, cancelled)
    assert m.loader.loaded[0].released


def test_version_wanted_again_before_its_load_ends_serves(m: Fixture) -> None:
    m.want(1)
    m.want()
    m.want(1)
    m.scheduler.run_all()
    assert (m.states, m.served, len(m.loader.loaded)) == ({1: AVAILABLE}, [1], 1)


def test_version_wanted_again_while_its_load_is_undone_loads_anew(m: Fixture) -> None:
    m.want(1)
    m.want()
    m.scheduler.run("load-m-1")
    m.want(1)
    m.scheduler.run("unload-m-1")
    m.scheduler.run_all()
    assert (m.states, m.served, len(m.loader.loaded)) == ({1: AVAILABLE}, [1], 2)


def test_unloading_lasts_until_the_requests_in_flight_are_done(m: Fixture) -> None:
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


def test_version_wanted_again_while_it_unloads_waits_for_the_end_and_loads(m: Fixture) -> None:
    m.serve(1)
    m.want()
    m.want(1)
    assert (m.states, list(m.scheduler.tasks)) == ({1: UNLOADING}, ["unload-m-1"])
    m.scheduler.run("unload-m-1")
    assert m.states == {1: LOADING}
    m.scheduler.run_all()
    assert (m.states, m.served, len(m.loader.loaded)) == ({1: AVAILABLE}, [1], 2)


def test_version_wanted_again_after_its_end_loads_anew(m: Fixture) -> None:
    m.serve(1)
    m.serve()
    m.serve(1)
    assert (m.states, m.published) == ({1: AVAILABLE}, [[1], [], [1]])


def test_version_wanted_again_while_it_still_serves_stays(m: Fixture) -> None:
    m.serve(1)
    m.want(2)
    m.want(1, 2)
    m.scheduler.run_all()
    assert (m.published, len(m.loader.loaded)) == ([[1], [1, 2]], 2)


def test_models_do_not_touch_each_other(m: Fixture) -> None:
    m.serve(1)
    m.manager.set_aspired("other", {5: "/other/5"})
    m.scheduler.run_all()
    m.serve(2)
    table = m.tables[-1].servables
    assert {name: list(versions) for name, versions in table.items()} == {"m": [2], "other": [5]}
    assert m.manager.model_version_states("unknown") == []


def test_request_without_a_version_finds_the_highest_available(m: Fixture) -> None:
    m.loader.failures[12] = BROKEN
    m.want(9, 10, 12)
    m.scheduler.run_all()
    highest = ServableInfo(name="m", version=10, signature_def_map=b"signatures")
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
    m: Fixture, request_for: tuple[str, int | None, str | None], error: tuple[int, str]
) -> None:
    m.serve(1)
    with pytest.raises(ServingError) as caught:
        m.manager.find_servable(*request_for)
    assert (caught.value.code, caught.value.message) == error


def test_version_that_unloads_is_not_found_any_more(m: Fixture) -> None:
    m.serve(1)
    m.want()
    with pytest.raises(ServingError, match=r"Latest\(m\)"):
        m.manager.find_servable("m", None, None)


def test_nothing_starts_after_stop() -> None:
    m = Fixture(max_retries=5)
    m.loader.failures[1] = BROKEN
    m.want(1)
    m.scheduler.run_all()
    m.manager.stop()
    m.want(2)
    assert (m.scheduler.timers, m.scheduler.tasks, list(m.states)) == ([], {}, [1])


def test_load_that_ends_after_stop_is_not_published(m: Fixture) -> None:
    m.want(1)
    m.manager.stop()
    m.scheduler.run_all()
    assert (m.tables, m.loader.loaded[0].released, m.states) == ([], True, {1: END})


def test_start_is_over_when_every_model_serves_or_has_failed(m: Fixture) -> None:
    m.loader.failures[4] = BROKEN
    m.manager.set_aspired("broken", {4: "/broken/4"})
    m.want(1)
    m.scheduler.run_all()
    failed = {"broken": ended(4, BROKEN)}
    assert m.manager.wait_until_started(["m", "broken"]) == failed
    assert m.manager.wait_until_started(["m"]) == {}


class Waiter:
    """A thread in wait_until_started()."""

    def __init__(self, manager: ModelManager) -> None:
        self.outcome: list[Mapping[str, VersionStatus] | None] = []
        wait = lambda: self.outcome.append(manager.wait_until_started(["m"]))  # noqa: E731
        self.thread = threading.Thread(target=wait, daemon=True)
        self.thread.start()

    def result(self) -> Mapping[str, VersionStatus] | None:
        self.thread.join(WAIT_S)
        (outcome,) = self.outcome
        return outcome


def test_wait_for_the_start_ends_with_the_first_version(m: Fixture) -> None:
    waiter = Waiter(m.manager)
    m.serve(1)
    assert waiter.result() == {}


def test_stop_ends_the_wait_for_the_start(m: Fixture) -> None:
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
    manager = ModelManager(SlowFirst(), publish, config=config, scheduler=ThreadScheduler())
    manager.set_aspired("m", {1: "/m/1", 2: "/m/2"})
    try:
        assert second_serves.wait(WAIT_S)
        assert manager.wait_until_started(["m"]) == {}
    finally:
        may_end.set()
        manager.stop()
