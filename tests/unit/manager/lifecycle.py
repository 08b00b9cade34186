"""A manager whose loads and timers run when the test says so."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fastserve.config.models import TENSORFLOW_PLATFORM, ModelConfig, TransitionPolicy
from fastserve.config.server import LoadConfig
from fastserve.errors import FAILED_PRECONDITION, ServingError
from fastserve.manager.manager import ModelManager
from fastserve.routing.table import RoutingTable
from fastserve.services.backend import VersionState, VersionStatus

START, LOADING, AVAILABLE = VersionState.START, VersionState.LOADING, VersionState.AVAILABLE
UNLOADING, END = VersionState.UNLOADING, VersionState.END
BROKEN = ServingError(FAILED_PRECONDITION, "no graph")
WAIT_S = 20


def model(
    name: str,
    *,
    labels: Mapping[str, int] | None = None,
    transition: TransitionPolicy = TransitionPolicy.AVAILABILITY_PRESERVING,
) -> ModelConfig:
    return ModelConfig(
        name=name, base_path=f"/{name}", version_labels=labels or {}, transition=transition
    )


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

    def load(self, task: Callable[[], None]) -> None:
        self._add("load", task)

    def unload(self, task: Callable[[], None]) -> None:
        self._add("unload", task)

    def _add(self, kind: str, task: Any) -> None:
        (version,) = task.args
        name = f"{kind}-{version.model}-{version.version}"
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


class Lifecycle:
    """A manager of model `m`, its fakes, and every table it published."""

    def __init__(
        self,
        *,
        max_retries: int = 0,
        transition: TransitionPolicy = TransitionPolicy.AVAILABILITY_PRESERVING,
    ) -> None:
        self.loader = FakeLoader()
        self.scheduler = StepScheduler()
        self.tables: list[RoutingTable] = []
        self.manager = ModelManager(
            {TENSORFLOW_PLATFORM: self.loader},
            self.tables.append,
            config=LoadConfig(max_retries=max_retries, retry_interval_s=7.5),
            scheduler=self.scheduler,
        )
        self.configure(model("m", transition=transition))

    def configure(self, *models: ModelConfig) -> Sequence[str]:
        return self.manager.configure(models)

    def want(self, *versions: int) -> None:
        self.manager.set_aspired("m", {version: f"/m/{version}" for version in versions})
        self.manager.set_source_error("m", None)

    def serve(self, *versions: int) -> None:
        self.want(*versions)
        self.scheduler.run_all()
        assert self.served == sorted(versions)

    @property
    def served(self) -> list[int]:
        return sorted(self.tables[-1].servables.get("m", {})) if self.tables else []

    @property
    def published(self) -> list[list[int]]:
        """What was served of `m`, table by table, where it changed; from nothing on."""
        served: list[list[int]] = [[]]
        for table in self.tables:
            versions = sorted(table.servables.get("m", {}))
            if versions != served[-1]:
                served.append(versions)
        return served[1:]

    @property
    def states(self) -> Mapping[int, VersionState]:
        return {status.version: status.state for status in self.statuses.values()}

    @property
    def statuses(self) -> Mapping[int, VersionStatus]:
        return {status.version: status for status in self.manager.model_version_states("m")}


def ended(version: int, error: ServingError | None = None) -> VersionStatus:
    code, message = (error.code, error.message) if error else (0, "")
    return VersionStatus(version=version, state=END, error_code=code, error_message=message)
