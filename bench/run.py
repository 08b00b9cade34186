"""Measures fastserve beside its ceilings and its alternative, in one run, by turns.

    python bench/run.py --models DIR [--name NAME] [--rounds 5] [--seconds 3] [--quick]

Subjects: `echo`, a bare nghttp2 server (the transport's ceiling); `fastserve`; `uvicorn`, our
native REST predict behind an ASGI app; `python`, json, numpy and TensorFlow in Python behind an
ASGI app; `grpcio`, TensorFlow in Python behind grpcio; `session`, a loop of TF_SessionRun (the
model's ceiling). In every round each load is put on each subject in
turn, so that whatever disturbs the machine disturbs all of them; a figure is the median of its
rounds. bench/README.md says how to read the result.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import subjects as bench
from harness import ROOT, BenchError, Load
from subjects import SCENARIOS, Measurement, Scenario, Subject

ALL_SUBJECTS = ("echo", "fastserve", "uvicorn", "python", "grpcio", "session")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One run of the driver, as the command line asked for it."""

    models: Path | None
    name: str
    scenarios: tuple[Scenario, ...]
    subjects: tuple[str, ...]
    rounds: int
    seconds: float
    warm_up: float
    python: str
    io_threads: int
    fastserve_flags: tuple[str, ...]
    results: Path


@dataclass(frozen=True, kw_only=True)
class Cell:
    """All rounds of one subject under one load."""

    scenario: str
    load: str
    subject: str
    rounds: tuple[Measurement, ...]

    def median(self, figure: str) -> float:
        """The median of one figure over the rounds."""
        return float(statistics.median(getattr(round_, figure) for round_ in self.rounds))

    @property
    def errors(self) -> int:
        """Wrong answers and failed requests of all rounds."""
        return sum(round_.errors for round_ in self.rounds)


@contextlib.contextmanager
def started(
    scenario: Scenario, settings: Settings, models: Path, work: Path
) -> Iterator[list[Subject]]:
    """The subjects of a scenario, their servers running."""
    files = bench.make_files(scenario, models, work)
    base_path = models / scenario.model
    exchange = files.exchange(scenario)
    chosen: list[Subject] = []
    with contextlib.ExitStack() as servers:
        if "echo" in settings.subjects and not scenario.rest:
            echo = servers.enter_context(bench.echo_server(work, settings.io_threads))
            chosen.append(bench.ServerSubject("echo", echo, files.echo_exchange()))
        if "fastserve" in settings.subjects:
            server = bench.fastserve_server(
                settings.python, scenario.model, base_path, work, settings.fastserve_flags
            )
            chosen.append(bench.ServerSubject("fastserve", servers.enter_context(server), exchange))
        for name, asked in (
            ("uvicorn", exchange),
            ("python", files.python_exchange(scenario)),
        ):
            if name in settings.subjects and scenario.rest:
                server = bench.asgi_gateway(name, settings.python, scenario.model, base_path, work)
                chosen.append(bench.ServerSubject(name, servers.enter_context(server), asked))
        if "grpcio" in settings.subjects and not scenario.rest:
            server = bench.grpcio_server(settings.python, scenario.model, base_path, work)
            chosen.append(bench.ServerSubject("grpcio", servers.enter_context(server), exchange))
        if "session" in settings.subjects and not scenario.rest:
            command = bench.session_loop(settings.python, base_path, files, scenario.tolerance)
            chosen.append(bench.SessionSubject(command))
        yield chosen


def measure(scenario: Scenario, settings: Settings, models: Path, work: Path) -> list[Cell]:
    """All cells of one scenario, subject after subject within each load of each round."""
    taken: dict[tuple[Load, str], list[Measurement]] = {}
    with started(scenario, settings, models, work) as chosen:
        for round_ in range(settings.rounds):
            for load in scenario.loads:
                # Each round starts with another subject: none always runs after the same one.
                turn = round_ % len(chosen)
                for subject in chosen[turn:] + chosen[:turn]:
                    measurement = subject.measure(load, settings.seconds, settings.warm_up)
                    taken.setdefault((load, subject.name), []).append(measurement)
                    tell(scenario, load, subject.name, measurement)
    return [
        Cell(scenario=scenario.name, load=str(load), subject=name, rounds=tuple(rounds))
        for (load, name), rounds in sorted(
            taken.items(),
            key=lambda item: (scenario.loads.index(item[0][0]), ALL_SUBJECTS.index(item[0][1])),
        )
    ]


def tell(scenario: Scenario, load: Load, subject: str, measured: Measurement) -> None:
    """One line of progress on stderr."""
    print(
        f"{scenario.name} {load} {subject}: {measured.per_s:.0f}/s, {measured.cpu_us:.2f} us CPU,"
        f" p50 {measured.p50:.1f} us {measured.error_kinds}",
        file=sys.stderr,
        flush=True,
    )


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """One target and what was reached."""

    target: str
    reached: str
    met: bool


class Judge:
    """Compares cells with the project's targets; a target whose cells were not run is left out."""

    def __init__(self, cells: list[Cell]) -> None:
        self._cells = {(cell.scenario, cell.load, cell.subject): cell for cell in cells}

    def verdicts(self) -> list[Verdict]:
        """Every target that this run can speak on."""
        judged = [
            self._at_most("half_plus_two", "8x32", "cpu_us", 15, "us of server CPU an answer"),
            self._rate_of_half_plus_two(),
            self._against("half_plus_two", "1x1", "p50", "echo", 1.3, at_most=True),
            *(
                self._against("mnist_mlp", load, "cpu_us", "session", 1.25, at_most=True)
                for load in ("1x1", "8x1", "8x32")
            ),
            *(
                self._at_most("image_identity", load, "cpu_us", 400, "us of server CPU an answer")
                for load in ("8x1", "8x4")
            ),
            *(
                self._against("image_identity", load, "per_s", "echo", 0.9, at_most=False)
                for load in ("8x1", "8x4")
            ),
            self._rest_rate(),
        ]
        return [verdict for verdict in judged if verdict is not None]

    def _value(self, scenario: str, load: str, subject: str, figure: str) -> float | None:
        cell = self._cells.get((scenario, load, subject))
        return cell.median(figure) if cell else None

    def _at_most(
        self, scenario: str, load: str, figure: str, limit: float, unit: str
    ) -> Verdict | None:
        value = self._value(scenario, load, "fastserve", figure)
        if value is None:
            return None
        return Verdict(
            target=f"{scenario} {load}: at most {limit:g} {unit}",
            reached=f"{value:.2f}",
            met=value <= limit,
        )

    def _against(
        self, scenario: str, load: str, figure: str, other: str, factor: float, *, at_most: bool
    ) -> Verdict | None:
        value = self._value(scenario, load, "fastserve", figure)
        base = self._value(scenario, load, other, figure)
        if value is None or not base:
            return None
        names = {"p50": "p50", "cpu_us": "CPU an answer", "per_s": "rate"}
        bound = "at most" if at_most else "at least"
        ratio = value / base
        return Verdict(
            target=f"{scenario} {load}: {names[figure]} {bound} {factor:g} x that of {other}",
            reached=f"{ratio:.2f} x ({value:.2f} against {base:.2f})",
            met=ratio <= factor if at_most else ratio >= factor,
        )

    def _rate_of_half_plus_two(self) -> Verdict | None:
        value = self._value("half_plus_two", "8x32", "fastserve", "per_s")
        if value is None:
            return None
        echo = self._value("half_plus_two", "8x32", "echo", "per_s")
        share = value / echo if echo else 0.0
        return Verdict(
            target="half_plus_two 8x32: at least 80,000 answers/s, or 35 % of the bare echo",
            reached=f"{value:,.0f}/s, {share:.0%} of the echo",
            met=value >= 80_000 or share >= 0.35,
        )

    def _rest_rate(self) -> Verdict | None:
        value = self._value("half_plus_two_rest", "8x1", "fastserve", "per_s")
        if value is None:
            return None
        return Verdict(
            target="half_plus_two over REST, 8 connections: at least 10,000 answers/s",
            reached=f"{value:,.0f}/s",
            met=value >= 10_000,
        )


def markdown(cells: list[Cell], verdicts: list[Verdict]) -> str:
    """The table of all cells, and the targets."""
    lines = [
        "| scenario | load | server | OK answers/s | p50 us | p90 us | p99 us | p99.9 us "
        "| server CPU us/answer | client CPU us/answer | errors |",
        "|---|---|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for cell in cells:
        times = " | ".join(f"{cell.median(name):,.1f}" for name in ("p50", "p90", "p99", "p999"))
        lines.append(
            f"| {cell.scenario} | {cell.load} | {cell.subject} | {cell.median('per_s'):,.0f} "
            f"| {times} | {cell.median('cpu_us'):,.2f} | {cell.median('client_cpu_us'):,.2f} "
            f"| {cell.errors} |"
        )
    lines += ["", "| target | reached | met |", "|---|---|---|"]
    lines += [f"| {v.target} | {v.reached} | {'yes' if v.met else 'NO'} |" for v in verdicts]
    return "\n".join(lines) + "\n"


def output_of(*command: str) -> str:
    """What a program prints, or "unknown" where it is missing or fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.strip()


def circumstances(settings: Settings) -> dict[str, object]:
    """What a reader needs to judge the figures: commit, machine and versions."""
    cpu = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line]
    packages = ("tensorflow", "tensorflow-cpu", "grpcio", "numpy", "protobuf")
    versions = {"python": platform.python_version()}
    for package in packages:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    versions["nghttp2"] = output_of("pkg-config", "--modversion", "libnghttp2")
    return {
        "command": " ".join(sys.argv),
        "commit": output_of("git", "rev-parse", "HEAD"),
        "uncommitted_changes": output_of("git", "status", "--porcelain") != "",
        "machine": {
            "cpu": cpu[0].split(":", 1)[1].strip() if cpu else platform.processor(),
            "cores": len(os.sched_getaffinity(0)),
            "kernel": platform.release(),
            "load_average_at_start": os.getloadavg(),
        },
        "versions": versions,
        "rounds": settings.rounds,
        "seconds": settings.seconds,
        "warm_up": settings.warm_up,
        "echo_threads": settings.io_threads,
        "fastserve_flags": settings.fastserve_flags,
    }


def save(
    settings: Settings, context: dict[str, object], cells: list[Cell], verdicts: list[Verdict]
) -> Path:
    """Writes the run's JSON file; the path."""
    figures = [f.name for f in fields(Measurement) if f.name != "error_kinds"]
    report = {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "name": settings.name,
        **context,
        "cells": [
            {
                **asdict(cell),
                "median": {figure: cell.median(figure) for figure in figures},
            }
            for cell in cells
        ],
        "targets": [asdict(verdict) for verdict in verdicts],
    }
    settings.results.mkdir(parents=True, exist_ok=True)
    path = settings.results / f"{datetime.date.today().isoformat()}-{settings.name}.json"
    path.write_text(json.dumps(report, indent=1) + "\n")
    return path


def parse(arguments: list[str] | None = None) -> Settings:
    """The settings of a command line."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").split("\n", 1)[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    names = [scenario.name for scenario in SCENARIOS]
    parser.add_argument(
        "--models", type=Path, help="folder with a base path per model; the tests' own are exported"
    )
    parser.add_argument("--name", default="run", help="of the result file")
    parser.add_argument("--scenarios", nargs="+", choices=names, default=names)
    parser.add_argument("--subjects", nargs="+", choices=ALL_SUBJECTS, default=ALL_SUBJECTS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="measured, per cell and round")
    parser.add_argument("--warm_up", type=float, default=1.0, help="seconds before each of them")
    parser.add_argument("--quick", action="store_true", help="one round of one second")
    parser.add_argument(
        "--io_threads", type=int, default=2, help="of the echo server; give it fastserve's number"
    )
    bench.add_fastserve_options(parser)
    parser.add_argument("--results", type=Path, default=ROOT / "bench" / "results")
    options = parser.parse_args(arguments)
    return Settings(
        models=options.models.resolve() if options.models else None,
        name=options.name,
        scenarios=tuple(s for s in SCENARIOS if s.name in options.scenarios),
        subjects=tuple(options.subjects),
        rounds=1 if options.quick else options.rounds,
        seconds=1.0 if options.quick else options.seconds,
        warm_up=options.warm_up,
        python=options.python,
        io_threads=options.io_threads,
        fastserve_flags=tuple(options.fastserve_flag),
        results=options.results,
    )


def main() -> int:
    """0 when every answer was right, 1 when not, 2 when the run could not be carried out."""
    settings = parse()
    context = circumstances(settings)
    cells: list[Cell] = []
    try:
        with tempfile.TemporaryDirectory(prefix="fastserve-bench-") as scratch:
            work = Path(scratch)
            models = settings.models or bench.export_models(work / "models")
            for scenario in settings.scenarios:
                cells += measure(scenario, settings, models, work)
    except BenchError as error:
        print(error, file=sys.stderr)
        return 2
    verdicts = Judge(cells).verdicts()
    print(markdown(cells, verdicts))
    print(f"saved as {save(settings, context, cells, verdicts)}")
    return 1 if any(cell.errors for cell in cells) else 0


if __name__ == "__main__":
    sys.exit(main())
