"""A run's report: its figures as data, and the files that show them."""

from __future__ import annotations

import json
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .circumstances import Circumstances
from .subjects import Measurement

FORMAT = 1
"""Of the JSON file."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """All rounds of one subject under one load."""

    load: str
    closed: bool
    in_flight: int
    """Calls at a time: of a closed load all the time, of an open one at most."""
    subject: str
    rounds: tuple[Measurement, ...]

    def median(self, figure: str) -> float:
        """The median of one figure over the rounds."""
        return float(statistics.median(getattr(round_, figure) for round_ in self.rounds))

    @property
    def sustained(self) -> bool:
        """Whether answers kept pace with what an open load offered; always, of a closed one."""
        offered = self.median("offered_per_s")
        return self.total("unsent") == 0 and self.median("per_s") >= 0.95 * offered

    def total(self, figure: str) -> int:
        """The sum of one figure over the rounds."""
        return sum(getattr(round_, figure) for round_ in self.rounds)

    @property
    def buckets(self) -> list[tuple[float, int]]:
        """The histogram of latencies of all rounds: upper end in us, count."""
        counts: Counter[float] = Counter()
        for round_ in self.rounds:
            counts.update(dict(round_.buckets))
        return sorted(counts.items())

    @property
    def batches(self) -> dict[int, int]:
        """Batches of all rounds by their rows: upper end of a bucket -> count."""
        counts: Counter[int] = Counter()
        for round_ in self.rounds:
            counts.update(round_.batches)
        return dict(sorted(counts.items()))


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """One target and what was reached."""

    target: str
    reached: str
    met: bool


@dataclass(frozen=True, kw_only=True)
class ScenarioReport:
    """What a run found in one scenario."""

    name: str
    description: str
    settings: dict[str, str]
    """How each subject was started."""
    missing: dict[str, str]
    """Why others were not measured."""
    cells: tuple[Cell, ...]
    verdicts: tuple[Verdict, ...]

    def subjects(self) -> list[str]:
        """In the order of tables and pictures."""
        return list(self.settings)

    def of_load(self, load: str) -> list[Cell]:
        """The cells under one load."""
        return [cell for cell in self.cells if cell.load == load]

    def heaviest(self) -> str:
        """The closed load with the most calls in flight; "" where there is none."""
        closed = [cell for cell in self.cells if cell.closed]
        return max(closed, key=lambda cell: cell.in_flight).load if closed else ""


@dataclass(frozen=True, kw_only=True)
class RunReport:
    """A whole run."""

    name: str
    date: str
    circumstances: Circumstances
    rounds: int
    seconds: float
    warm_up: float
    scenarios: tuple[ScenarioReport, ...]

    @property
    def errors(self) -> int:
        """Wrong answers and failed requests of the whole run."""
        return sum(cell.total("errors") for s in self.scenarios for cell in s.cells)

    def dump(self) -> str:
        """As JSON, with medians for those who read the file by eye."""
        data = {"format": FORMAT, **asdict(self)}
        for scenario, plain in zip(self.scenarios, data["scenarios"], strict=True):
            for cell, row in zip(scenario.cells, plain["cells"], strict=True):
                row["median"] = {f: cell.median(f) for f in ("per_s", "cpu_us", "p50", "p99")}
        return json.dumps(data) + "\n"

    @classmethod
    def parse(cls, text: str) -> RunReport:
        """The inverse of dump(). Raises ValueError for another format."""
        data = json.loads(text)
        if data.pop("format", None) != FORMAT:
            raise ValueError(f"no report of format {FORMAT}")
        data["circumstances"] = Circumstances(**data["circumstances"])
        data["scenarios"] = tuple(map(_scenario, data["scenarios"]))
        return cls(**data)


def _scenario(data: dict[str, Any]) -> ScenarioReport:
    cells = tuple(map(_cell, data.pop("cells")))
    verdicts = tuple(Verdict(**verdict) for verdict in data.pop("verdicts"))
    return ScenarioReport(**data, cells=cells, verdicts=verdicts)


def _cell(data: dict[str, Any]) -> Cell:
    del data["median"]
    rounds = []
    for plain in data.pop("rounds"):
        batches = {int(rows): count for rows, count in plain.pop("batches").items()}
        buckets = [(upper, count) for upper, count in plain.pop("buckets")]
        rounds.append(Measurement(**plain, batches=batches, buckets=buckets))
    return Cell(**data, rounds=tuple(rounds))


HEADINGS = (
    *("load", "server", "answers/s", "p50 us", "p90 us", "p99 us", "p99.9 us"),
    *("server CPU us/answer", "client CPU us/answer", "errors"),
)


def row(cell: Cell) -> list[str]:
    """A cell under HEADINGS."""
    times = [f"{cell.median(name):,.1f}" for name in ("p50", "p90", "p99", "p999")]
    cpu = [f"{cell.median(name):,.2f}" for name in ("cpu_us", "client_cpu_us")]
    rate = f"{cell.median('per_s'):,.0f}"
    return [cell.load, cell.subject, rate, *times, *cpu, f"{cell.total('errors'):,}"]


OPEN_HEADINGS = ("load", "server", "offered/s", "lag p99 us", "late", "unsent")


def open_row(cell: Cell) -> list[str]:
    """A cell of an open load under OPEN_HEADINGS: how well the generator kept to its schedule."""
    figures = [f"{cell.median('offered_per_s'):,.0f}", f"{cell.median('lag_p99'):,.1f}"]
    return [cell.load, cell.subject, *figures, *(f"{cell.total(k):,}" for k in ("late", "unsent"))]


def taken_away(around: Circumstances) -> str:
    """Whether tails can be the server's at all."""
    if around.paused_share is None:
        return "not measured"
    return f"{around.paused_share:.2%} of the time, by pauses of 0.5 ms or more"


def about(report: RunReport) -> dict[str, str]:
    """The run's circumstances, for people."""
    around = report.circumstances
    changed = " with uncommitted changes" if around.uncommitted_changes else ""
    machine = (
        f"{around.cpu}, {around.cores} cores, {around.memory_gib:g} GiB, Linux {around.kernel}"
    )
    return {
        "date": report.date,
        "commit": around.commit + changed,
        "machine": ", ".join([machine, *around.gpus]),
        "load average at the start": f"{around.load_average_at_start:.1f}",
        "cores taken away at the start": taken_away(around),
        "versions": ", ".join(f"{name} {version}" for name, version in around.versions.items()),
        "command": around.command,
        "figures": f"medians of {report.rounds} rounds of {report.seconds:g} s",
    }


def markdown(report: RunReport) -> str:
    """The report as Markdown."""
    lines = [f"# Benchmark run {report.name}", ""]
    lines += _table(("", ""), [[key, value] for key, value in about(report).items()])
    for scenario in report.scenarios:
        lines += ["", f"## {scenario.name}", "", scenario.description, ""]
        if scenario.verdicts:
            verdicts = [[v.target, v.reached, "yes" if v.met else "NO"] for v in scenario.verdicts]
            lines += [*_table(("target", "reached", "met"), verdicts), ""]
        lines += _table(HEADINGS, [row(cell) for cell in scenario.cells])
        if opened := [open_row(cell) for cell in scenario.cells if not cell.closed]:
            lines += ["", *_table(OPEN_HEADINGS, opened)]
        if batches := [_batch_row(cell) for cell in scenario.cells if cell.batches]:
            lines += ["", *_table(("load", "server", "batches by rows (at most)"), batches)]
        settings = [[name, text] for name, text in scenario.settings.items()]
        settings += [[name, f"not measured: {why}"] for name, why in scenario.missing.items()]
        lines += ["", *_table(("server", "settings"), settings)]
    return "\n".join(lines) + "\n"


def _batch_row(cell: Cell) -> list[str]:
    sizes = ", ".join(f"{rows}: {count:,}" for rows, count in cell.batches.items())
    return [cell.load, cell.subject, sizes]


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    numbers = {"load", "server", "settings", "target", "reached", "met", ""}
    rules = ["---" if h in numbers or "rows" in h else "--:" for h in headings]
    lines = [headings, rules, *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return ["| " + " | ".join(line) + " |" for line in lines]


def save(report: RunReport, folder: Path, page: str) -> list[Path]:
    """Writes NAME.json, NAME.md and NAME.html (`page`), NAME with the date before; the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"{report.date[:10]}-{report.name}"
    texts = {"json": report.dump(), "md": markdown(report), "html": page}
    paths = [folder / f"{stem}.{ending}" for ending in texts]
    for path, text in zip(paths, texts.values(), strict=True):
        path.write_text(text)
    return paths
