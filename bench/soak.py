"""Swaps a model's versions under fastserve and looks for what breaks.

    python -m bench soak swap [--seconds 30]    full load, a new version each second
    python -m bench soak memory [--swaps 100]   resident memory over many swaps
    python -m bench soak unruly [--seconds 600] batches, swaps, cancels, deadlines and nonsense

`swap`: every second a new version appears in the model's folder (by rename) and the fifth before it
is removed, while 8 x 32 calls are in flight. Every answer must be the value of the version
that it names, with no failed request at all. `memory`: after each swap has been served, resident
memory is read; it must not grow from the first swaps to the last. `unruly`: as `swap`, with
batching, beside clients that cancel, have no time or ask for nonsense (load/unruly_clients.py): the
well-behaved load sees no failed request, no answer is wrong, and memory does not grow.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from .command import command_parser, conclude
from .harness import (
    PREDICT_PATH,
    ROOT,
    BenchError,
    Exchange,
    Load,
    LoadResult,
    Server,
    loadgen_command,
    read_result,
    resident_kib,
    run_load,
    run_script,
)
from .servers import fastserve_command

MODEL = "half_plus_two"
FULL_LOAD = Load(connections=8, streams=32)
WARM_UP_S = 1.0


class VersionedModel:
    """A model's base path whose versions come and go; version v answers y = x * 0.5 + v."""

    def __init__(self, count: int, work: Path) -> None:
        """Exports versions 1 to `count` in a process of its own and publishes version 1."""
        made = work / "made"
        script = ROOT / "bench" / "load" / "version_models.py"
        run_script(script, "--count", str(count), "--out", str(made))
        self._staged = made / "models"
        self._responses = made / "responses"
        self._request = made / "request.pb"
        self.base_path = work / "base"
        self.base_path.mkdir()
        self.newest = 0
        self.publish_next()

    def publish_next(self) -> None:
        """Lets the next version appear, whole at once."""
        self.newest += 1
        (self._staged / str(self.newest)).rename(self.base_path / str(self.newest))

    def remove(self, version: int) -> None:
        """Removes a version's folder, if there is one."""
        shutil.rmtree(self.base_path / str(version), ignore_errors=True)

    def exchange(self, *versions: int) -> Exchange:
        """A Predict that any of these versions may answer, each with its own value."""
        expected = tuple(self._responses / f"{version}.pb" for version in versions)
        return Exchange(path=PREDICT_PATH, body=self._request, expected=expected)


@dataclass(frozen=True, kw_only=True)
class SwapReport:
    """What the load saw while versions were swapped."""

    seconds: float
    published: int
    """Versions that appeared, the first included."""
    versions_answered: int
    """Of those, how many answered at least one request."""
    right_answers: int
    errors: int
    error_kinds: dict[str, object]
    answers_per_s: float
    p50_us: float
    p999_us: float
    max_us: float

    @property
    def passed(self) -> bool:
        """No request failed, and the swaps took place.

        Loads give way to requests: on a busy machine a version may be overtaken by the next.
        """
        return self.errors == 0 and self.versions_answered >= self.published / 2


@contextmanager
def serving(model: VersionedModel, options: argparse.Namespace, work: Path) -> Iterator[Server]:
    """fastserve on the model, looking for versions once a second."""
    flags = ["--file_system_poll_wait_seconds=1", *options.fastserve_flag]
    flags += [f"--model_name={MODEL}", f"--model_base_path={model.base_path}"]
    port_file = work / "fastserve.port"
    command = fastserve_command(options.python, port_file, flags)
    with Server("fastserve", command, work / "fastserve.log", port_file) as running:
        yield running


def soak_swaps(options: argparse.Namespace, work: Path) -> SwapReport:
    """Full load for `options.seconds` with a swap each second."""
    model = VersionedModel(swaps_in(options.seconds) + 1, work)
    with serving(model, options, work) as server:
        return swap_under_load(model, server, options.seconds)


def swaps_in(seconds: float) -> int:
    """One a second from the load's start to just before its end."""
    return int(seconds + WARM_UP_S) - 1


def swap_under_load(
    model: VersionedModel,
    server: Server,
    seconds: float,
    on_second: Callable[[], object] = lambda: None,
) -> SwapReport:
    """Loads the server for `seconds` while all of the model's versions come and go."""
    swaps = swaps_in(seconds)
    command = loadgen_command(
        model.exchange(*range(1, swaps + 2)),
        FULL_LOAD,
        port=server.port,
        seconds=seconds,
        warm_up=WARM_UP_S,
        pids=server.pids,
    )
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as loadgen:
        for _ in swap_each_second(model, swaps):
            on_second()
        output, _ = loadgen.communicate(timeout=seconds + 60)
    if loadgen.returncode not in (0, 1):
        raise BenchError("loadgen failed")
    return swap_report(seconds, swaps + 1, read_result(output))


@dataclass(frozen=True, kw_only=True)
class UnrulyReport:
    """What became of well-behaved and unruly clients, and of the server's memory."""

    swaps: SwapReport
    unruly_right: int
    unruly_wrong: list[str]
    unruly_codes: dict[str, int]
    """How their calls ended that got no answer."""
    early_kib: float
    """Median of resident memory over the second tenth of the time."""
    late_kib: float
    """Median over the last tenth."""

    @property
    def passed(self) -> bool:
        """Nothing was wrong, nothing failed but what had to, and memory is what it was."""
        expected = {"CANCELLED", "DEADLINE_EXCEEDED", "FAILED_PRECONDITION", "INVALID_ARGUMENT"}
        return (
            self.swaps.passed
            and not self.unruly_wrong
            and self.unruly_right > 0
            and expected <= self.unruly_codes.keys() <= expected | {"RESOURCE_EXHAUSTED"}
            and self.late_kib <= self.early_kib * 1.05
        )


def soak_unruly(options: argparse.Namespace, work: Path) -> UnrulyReport:
    """Full load with batching, a swap each second and unruly clients for `options.seconds`."""
    parameters = work / "batching.config"
    parameters.write_text("max_batch_size { value: 64 } max_enqueued_batches { value: 1000 }")
    options.fastserve_flag += ["--enable_batching", f"--batching_parameters_file={parameters}"]
    command = [options.python, str(ROOT / "bench" / "load" / "unruly_clients.py"), "--seed", "1"]
    command += ["--seconds", str(options.seconds)]
    model = VersionedModel(swaps_in(options.seconds) + 1, work)
    sizes: list[int] = []
    with serving(model, options, work) as server:
        command += ["--port", str(server.port)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as clients:
            swaps = swap_under_load(
                model, server, options.seconds, lambda: sizes.append(resident_kib(server.pid))
            )
            output, _ = clients.communicate(timeout=120)
    if clients.returncode != 0:
        raise BenchError("the unruly clients broke off")
    unruly = json.loads(output)
    tenth = max(1, len(sizes) // 10)
    return UnrulyReport(
        swaps=swaps,
        unruly_right=unruly["right"],
        unruly_wrong=unruly["wrong"],
        unruly_codes=unruly["codes"],
        early_kib=statistics.median(sizes[tenth : 2 * tenth] or sizes),
        late_kib=statistics.median(sizes[-tenth:]),
    )


def swap_each_second(model: VersionedModel, swaps: int) -> Iterator[None]:
    """Publishes `swaps` versions on the second, keeping the newest few on disk.

    They are more than what is served, so that those which still wait to be loaded are there.
    """
    begin = time.monotonic()
    for swap in range(1, swaps + 1):
        time.sleep(max(0.0, begin + swap - time.monotonic()))
        model.publish_next()
        model.remove(model.newest - 5)
        yield


def swap_report(seconds: float, published: int, result: LoadResult) -> SwapReport:
    """The report on one finished load."""
    return SwapReport(
        seconds=seconds,
        published=published,
        versions_answered=sum(count > 0 for count in result.right_by_expected),
        right_answers=sum(result.right_by_expected),
        errors=result.error_count,
        error_kinds=result.errors,
        answers_per_s=result.ok_per_s,
        p50_us=result.latency_us["p50"],
        p999_us=result.latency_us["p99.9"],
        max_us=result.latency_us["max"],
    )


@dataclass(frozen=True, kw_only=True)
class MemoryReport:
    """Resident memory of the server over version swaps."""

    swaps: int
    rss_kib: list[int]
    """After each swap, the first at its place."""
    early_kib: float
    """Median over the second tenth of the swaps: caches and the allocator have settled."""
    late_kib: float
    """Median over the last tenth."""
    allowed_growth_kib: float

    @property
    def passed(self) -> bool:
        """Late memory is early memory, but for noise."""
        return self.late_kib - self.early_kib <= self.allowed_growth_kib


def await_version(model: VersionedModel, port: int) -> None:
    """Waits until the newest version, and no other, answers."""
    deadline = time.monotonic() + 30
    exchange = model.exchange(model.newest)
    while time.monotonic() < deadline:
        probe = run_load(
            exchange, Load(connections=2, streams=8), port=port, seconds=0.1, warm_up=0
        )
        if probe.error_count == 0:
            return
        unexpected = set(probe.errors) - {"value"}
        if unexpected:
            raise BenchError(f"version {model.newest}: {probe.errors}")
    raise BenchError(f"version {model.newest} was not served within 30 s")


def soak_memory(options: argparse.Namespace, work: Path) -> MemoryReport:
    """`options.swaps` swaps, each served before the next."""
    model = VersionedModel(options.swaps + 1, work)
    sizes: list[int] = []
    with serving(model, options, work) as server:
        await_version(model, server.port)
        for swap in range(1, options.swaps + 1):
            model.publish_next()
            model.remove(model.newest - 1)
            await_version(model, server.port)
            sizes.append(resident_kib(server.pid))
            if swap % 10 == 0:
                print(f"after {swap} swaps: {sizes[-1] / 1024:.1f} MiB", file=sys.stderr)
    tenth = max(1, len(sizes) // 10)
    early = statistics.median(sizes[tenth : 2 * tenth] or sizes)
    return MemoryReport(
        swaps=options.swaps,
        rss_kib=sizes,
        early_kib=early,
        late_kib=statistics.median(sizes[-tenth:]),
        allowed_growth_kib=early * 0.02,
    )


MODES: dict[str, Callable[[argparse.Namespace, Path], SwapReport | MemoryReport | UnrulyReport]] = {
    "swap": soak_swaps,
    "memory": soak_memory,
    "unruly": soak_unruly,
}


def measure(options: argparse.Namespace, work: Path) -> bool:
    """Prints the report as JSON. Whether it passed."""
    report = MODES[options.mode](options, work)
    print(json.dumps({**asdict(report), "passed": report.passed}, indent=1))
    return report.passed


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = command_parser("soak", __doc__)
    parser.add_argument("mode", choices=list(MODES))
    parser.add_argument("--seconds", type=float, default=30.0, help="of swap and unruly")
    parser.add_argument("--swaps", type=int, default=100, help="of the memory mode")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> int:
    """0 when the mode's report passed, 1 when not, 2 when it could not run."""
    return conclude(measure, parse(arguments))
