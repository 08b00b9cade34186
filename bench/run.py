"""Measures fastserve beside its ceilings and other servers, in one run, by turns.

    python -m bench [--scenarios NAME|PATTERN|FILE.toml ...] [--name NAME] [--quick]

In every round each load is put on each subject in turn, so that whatever disturbs the machine
disturbs all of them; a figure is the median of its rounds. bench/README.md says how to read the
result.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from . import page, report, targets
from .circumstances import look_around, require_gpu
from .harness import ROOT, BenchError, run_script
from .report import Cell, RunReport, ScenarioReport
from .scenarios import SERVERS, LoadSpec, Scenario, choose
from .servers import Candidate, Stage, add_fastserve_options, candidates
from .subjects import Measurement, ServerSubject, Subject, make_files

SUBJECTS = (*SERVERS, "session")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """A run, as the command line asked for it."""

    scenarios: tuple[Scenario, ...]
    subjects: tuple[str, ...]
    rounds: int
    seconds: float
    warm_up: float
    models: Path | None
    python: str
    pythons: dict[str, str]
    fastserve_flags: tuple[str, ...]
    io_threads: int
    tensorflow_model_server: Path | None
    name: str
    results: Path


class Progress:
    """A line on stderr for each measurement, with what is left of the run."""

    def __init__(self, scenarios: int) -> None:
        self._scenarios = scenarios
        self._scenario = ""
        self._total = 0
        self._done = 0
        self._began = 0.0
        self._number = 0

    def say(self, text: str) -> None:
        """A line of another kind."""
        print(text, file=sys.stderr, flush=True)

    def begin(self, scenario: Scenario, measurements: int) -> None:
        """A scenario's measurements begin."""
        self._number += 1
        self._scenario = f"{self._number}/{self._scenarios} {scenario.name}"
        self._total = measurements
        self._done = 0
        self._began = time.monotonic()

    def tell(self, load: str, subject: str, measured: Measurement) -> None:
        """One more measurement is there."""
        self._done += 1
        left = (time.monotonic() - self._began) / self._done * (self._total - self._done)
        trouble = f", {measured.unsent} unsent" if measured.unsent else ""
        trouble += f", ERRORS {measured.error_kinds}" if measured.errors else ""
        self.say(
            f"[{self._scenario} {self._done}/{self._total}, {left / 60:.1f} min left] "
            f"{load} {subject}: {measured.per_s:,.0f}/s, {measured.cpu_us:,.2f} us CPU, "
            f"p50 {measured.p50:,.0f} us, p99 {measured.p99:,.0f} us{trouble}"
        )


@contextlib.contextmanager
def started(chosen: Sequence[Candidate], missing: dict[str, str]) -> Iterator[list[Candidate]]:
    """Those whose servers run. One of another project that does not start joins the missing."""
    running: list[Candidate] = []
    with contextlib.ExitStack() as servers:
        for candidate in chosen:
            if isinstance(candidate.subject, ServerSubject):
                try:
                    servers.enter_context(candidate.subject.server)
                    candidate.subject.prime()
                except BenchError as error:
                    if not is_optional(candidate.subject):
                        raise
                    missing[candidate.subject.name] = first_line(error)
                    print(error, file=sys.stderr)
                    continue
            running.append(candidate)
        yield running


def first_line(error: BenchError) -> str:
    """For the report; the rest, such as a server's last words, is for those who watch."""
    return str(error).split("\n", 1)[0]


def is_optional(subject: Subject) -> bool:
    """Whether a run goes on without it."""
    return subject.name.split()[0] in ("tensorflow_model_server", "pytriton", "ray")


class ScenarioRun:
    """The measurements of one scenario."""

    def __init__(self, scenario: Scenario, settings: Settings, progress: Progress) -> None:
        self._scenario = scenario
        self._settings = settings
        self._progress = progress
        self._taken: dict[tuple[LoadSpec, str], list[Measurement]] = {}
        self.failed: dict[str, str] = {}
        """Optional subjects that could not be measured to the end, and why."""

    def carry_out(self, subjects: Sequence[Subject]) -> list[Cell]:
        """All rounds, subject after subject within each load of each round."""
        # Closed loads first: open ones may be shares of the capacity that those show.
        loads = sorted(self._scenario.loads, key=lambda load: not load.closed)
        turns = [(load, s) for load in loads for s in subjects if _carries(s, load)]
        self._progress.begin(self._scenario, self._settings.rounds * len(turns))
        for round_ in range(self._settings.rounds):
            for load in loads:
                carriers = [s for s in subjects if _carries(s, load) and s.name not in self.failed]
                # Each round starts with another subject: none always runs after the same one.
                turn = round_ % max(1, len(carriers))
                for subject in carriers[turn:] + carriers[:turn]:
                    self._measure(load, subject)
        return [
            Cell(
                load=load.label,
                closed=load.closed,
                in_flight=load.connections * load.in_flight,
                subject=subject.name,
                rounds=tuple(self._taken[load, subject.name]),
            )
            for load, subject in turns
            if subject.name not in self.failed and (load, subject.name) in self._taken
        ]

    def _measure(self, load: LoadSpec, subject: Subject) -> None:
        capacity = None if load.closed else self._capacity(subject)
        settings = self._settings
        if load.capacity is not None and not capacity:
            self._progress.say(f"{subject.name}: left out of {load.label}, it gave no answer yet")
            return
        try:
            measured = subject.measure(load, capacity, settings.seconds, settings.warm_up)
        except BenchError as error:
            if not is_optional(subject):
                raise
            self.failed[subject.name] = first_line(error)
            self._progress.say(f"{subject.name}: {error}")
            return
        self._taken.setdefault((load, subject.name), []).append(measured)
        self._progress.tell(load.label, subject.name, measured)

    def _capacity(self, subject: Subject) -> float | None:
        """The most answers a second that it gave in the first round, so that rounds are alike."""
        rates = [
            measurements[0].per_s
            for (load, name), measurements in self._taken.items()
            if name == subject.name and load.closed and not load.beside
        ]
        return max(rates, default=None)


def _carries(subject: Subject, load: LoadSpec) -> bool:
    return load.closed or isinstance(subject, ServerSubject)


def measure(
    scenario: Scenario, settings: Settings, models: Path, work: Path, progress: Progress
) -> ScenarioReport:
    """One scenario from the start of its servers to their end."""
    progress.say(f"{scenario.name}: preparing")
    stage = Stage(
        scenario=scenario,
        files=make_files(scenario, models, work),
        beside_files=make_files(scenario.beside, models, work) if scenario.beside else None,
        models=models,
        work=work,
        python=settings.python,
        pythons=settings.pythons,
        fastserve_flags=settings.fastserve_flags,
        io_threads=settings.io_threads,
        tensorflow_model_server=settings.tensorflow_model_server,
    )
    chosen, missing = candidates(stage, settings.subjects)
    run = ScenarioRun(scenario, settings, progress)
    with started(chosen, missing) as running:
        cells = run.carry_out([candidate.subject for candidate in running])
    measured = [c for c in running if c.subject.name not in run.failed]
    return ScenarioReport(
        name=scenario.name,
        description=scenario.description,
        settings={candidate.subject.name: candidate.settings for candidate in measured},
        missing=missing | run.failed,
        cells=tuple(cells),
        verdicts=targets.judge(scenario.targets, cells),
    )


def export_models(names: set[str], folder: Path) -> Path:
    """Has models exported into `folder`, a base path each."""
    if "resnet50" in names:
        script = ROOT / "bench" / "load" / "resnet50_model.py"
        run_script(script, "--out", str(folder / "resnet50" / "1"))
    if others := sorted(names - {"resnet50"}):
        run_script(ROOT / "tests" / "models" / "export_models.py", str(folder), *others)
    return folder


def parse(arguments: Sequence[str]) -> Settings:
    """The settings of a command line. Raises BenchError for scenarios that are not right."""
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description=(__doc__ or "").split("\n", 1)[0],
    )
    parser.add_argument("--scenarios", nargs="+", default=[], help="names, patterns or files")
    parser.add_argument("--subjects", nargs="+", choices=SUBJECTS, default=SUBJECTS)
    parser.add_argument("--rounds", type=int, help="5; 1 when quick")
    parser.add_argument("--seconds", type=float, help="measured, per load and round: 3; 1")
    parser.add_argument("--warm_up", type=float, help="seconds before each of them: 1; 0.5")
    parser.add_argument("--quick", action="store_true", help="to see that all works; no figures")
    parser.add_argument("--models", type=Path, help="a base path per model; else they are exported")
    add_fastserve_options(parser)
    parser.add_argument(
        "--python_of",
        action="append",
        default=[],
        metavar="SERVER=PYTHON",
        help="an interpreter for pytriton, ray, ... where it is not that of --python",
    )
    parser.add_argument("--tensorflow_model_server", type=Path, help="its binary")
    parser.add_argument(
        "--io_threads", type=int, default=2, help="of the echo server; give it fastserve's number"
    )
    parser.add_argument("--name", default="run", help="of the report")
    parser.add_argument(
        "--results", type=Path, default=ROOT / "bench" / "results", help="folder of the report"
    )
    options = parser.parse_args(arguments)
    binary = options.tensorflow_model_server
    pace = (1, 1.0, 0.5) if options.quick else (5, 3.0, 1.0)
    return Settings(
        scenarios=choose(options.scenarios),
        subjects=tuple(options.subjects),
        rounds=pace[0] if options.rounds is None else options.rounds,
        seconds=pace[1] if options.seconds is None else options.seconds,
        warm_up=pace[2] if options.warm_up is None else options.warm_up,
        models=options.models.resolve() if options.models else None,
        python=options.python,
        pythons=dict(word.split("=", 1) for word in options.python_of),
        fastserve_flags=tuple(options.fastserve_flag),
        io_threads=options.io_threads,
        tensorflow_model_server=binary.resolve() if binary else None,
        name=options.name,
        results=options.results,
    )


def carry_out(settings: Settings) -> RunReport:
    """The whole run."""
    if any(scenario.gpu for scenario in settings.scenarios):
        require_gpu(settings.python)
    around = look_around()
    began = datetime.datetime.now(datetime.timezone.utc)
    progress = Progress(len(settings.scenarios))
    with tempfile.TemporaryDirectory(prefix="fastserve-bench-") as scratch:
        work = Path(scratch)
        names = {s.model for s in settings.scenarios}
        names |= {s.beside.model for s in settings.scenarios if s.beside}
        if settings.models is None:
            progress.say(f"exporting {', '.join(sorted(names))}")
        models = settings.models or export_models(names, work / "models")
        scenarios = [measure(s, settings, models, work, progress) for s in settings.scenarios]
    return RunReport(
        name=settings.name,
        date=began.isoformat(timespec="seconds"),
        circumstances=around,
        rounds=settings.rounds,
        seconds=settings.seconds,
        warm_up=settings.warm_up,
        scenarios=tuple(scenarios),
    )


def main(arguments: Sequence[str]) -> int:
    """0 when every answer was right, 1 when not, 2 when the run could not be carried out."""
    try:
        settings = parse(arguments)
        run = carry_out(settings)
    except BenchError as error:
        print(error, file=sys.stderr)
        return 2
    print(report.markdown(run))
    for path in report.save(run, settings.results, page.html(run)):
        print(f"saved as {path}")
    return 1 if run.errors else 0
