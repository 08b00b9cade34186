"""A run's report as one HTML file: no script, nothing from the network, pictures first."""

from __future__ import annotations

import html as escape_html
from collections.abc import Sequence
from itertools import accumulate

from . import charts
from .charts import Bar, Series
from .report import HEADINGS, OPEN_HEADINGS, Cell, RunReport, ScenarioReport, about, open_row, row

STYLE = """
:root { --page: #fff; --ink: #1a1d21; --faint: #667; --rule: #dde1e6; --good: #16793d;
  --bad: #b3261e; --fastserve: #0067c0; --tensorflow_model_server: #e08a00; --grpcio: #c2452d;
  --pytriton: #3f8f29; --ray: #9a4fb5; --uvicorn: #00908a; --echo: #7a828c; --session: #4b5159; }
@media (prefers-color-scheme: dark) { :root { --page: #16191d; --ink: #e6e8ea; --faint: #9aa3ad;
  --rule: #333a42; --good: #5fd38a; --bad: #ff8a80; --fastserve: #4da3ff;
  --tensorflow_model_server: #ffb545; --grpcio: #ff8a70; --pytriton: #86d36b; --ray: #cf93e6;
  --uvicorn: #4fd6ce; --echo: #8b949e; --session: #b8c0c8; } }
body { margin: 0 auto; padding: 24px; max-width: 1240px; background: var(--page);
  color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 26px; margin: 0 0 4px; } h2 { margin: 44px 0 4px; font-size: 21px;
  border-top: 1px solid var(--rule); padding-top: 20px; }
p { margin: 4px 0 14px; color: var(--faint); }
.tiles { display: grid; grid-template-columns: repeat(auto-fill, minmax(260px, 1fr)); gap: 14px; }
.tile { border: 1px solid var(--rule); border-radius: 8px; padding: 12px 16px; }
.tile b { display: block; font-size: 24px; } .tile span { color: var(--faint); display: block; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(420px, 1fr)); gap: 20px; }
figure { margin: 0; } figcaption { font-weight: 600; margin-bottom: 4px; }
svg { width: 100%; height: auto; } svg text { fill: var(--ink); font-size: 12px; }
svg .axis { fill: var(--faint); } .end { text-anchor: end; } .middle { text-anchor: middle; }
.value { font-weight: 600; } .grid { stroke: var(--rule); }
polyline { fill: none; stroke-width: 2; }
.legend { font-size: 12px; color: var(--faint); display: flex; flex-wrap: wrap; gap: 2px 14px; }
.legend i { display: inline-block; width: 22px; margin-right: 5px; vertical-align: middle; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; margin: 10px 0; font-size: 13px; }
th, td { border-bottom: 1px solid var(--rule); padding: 3px 10px; text-align: left; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
.yes { color: var(--good); font-weight: 600; } .no { color: var(--bad); font-weight: 600; }
summary { cursor: pointer; margin: 10px 0; }
"""

_CEILINGS = ("echo", "session")
_TEXT_COLUMNS = frozenset({"load", "server", "settings", "target", "reached", "met", ""})


def html(report: RunReport) -> str:
    """The whole page."""
    title = f"Benchmark run {escape(report.name)}"
    parts = [
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<style>{STYLE}</style></head><body><h1>{title}</h1>",
        _errors(report),
        f'<div class="tiles">{"".join(map(_tile, report.scenarios))}</div>',
        *map(_scenario, report.scenarios),
        "<h2>The run</h2>",
        _table(("", ""), [[key, value] for key, value in about(report).items()]),
        "</body></html>",
    ]
    return "\n".join(parts) + "\n"


def escape(text: str) -> str:
    """For HTML text and attributes."""
    return escape_html.escape(text)


def _errors(report: RunReport) -> str:
    verdicts = [v for s in report.scenarios for v in s.verdicts]
    met = sum(v.met for v in verdicts)
    answers = sum(cell.total("answers") for s in report.scenarios for cell in s.cells)
    wrong = f'<span class="no">{report.errors:,} errors</span>' if report.errors else "no error"
    return f"<p>{answers:,} right answers, {wrong}; {met} of {len(verdicts)} targets met.</p>"


def _tile(scenario: ScenarioReport) -> str:
    """A scenario in one number: fastserve's answers a second, beside the best other server's."""
    load = scenario.heaviest()
    cells = scenario.of_load(load)
    ours = [cell for cell in cells if _family(cell) == "fastserve"]
    others = [cell for cell in cells if _family(cell) not in ("fastserve", *_CEILINGS)]
    if not ours:
        return ""
    best = max(ours, key=lambda cell: cell.median("per_s"))
    lines = [f"{best.subject} at {load}, {best.median('cpu_us'):,.1f} us CPU an answer"]
    if others:
        rival = max(others, key=lambda cell: cell.median("per_s"))
        if rate := rival.median("per_s"):
            lines.append(f"{best.median('per_s') / rate:.1f} times {rival.subject}")
    said = "".join(f"<span>{escape(line)}</span>" for line in lines)
    return (
        f'<div class="tile"><a href="#{escape(scenario.name)}">{escape(scenario.name)}</a>'
        f"<b>{best.median('per_s'):,.0f} answers/s</b>{said}</div>"
    )


def _family(cell: Cell) -> str:
    return cell.subject.split()[0]


def _scenario(scenario: ScenarioReport) -> str:
    name = escape(scenario.name)
    parts = [f'<h2 id="{name}">{name}</h2><p>{escape(scenario.description)}</p>']
    if scenario.verdicts:
        verdicts = [[v.target, v.reached, "yes" if v.met else "NO"] for v in scenario.verdicts]
        parts.append(_table(("target", "reached", "met"), verdicts))
    parts.append(f'<div class="figures">{"".join(figures(scenario))}</div>')
    table = _table(HEADINGS, [row(cell) for cell in scenario.cells])
    if opened := [open_row(cell) for cell in scenario.cells if not cell.closed]:
        table += _table(OPEN_HEADINGS, opened)
    parts.append(f"<details><summary>All figures</summary>{table}</details>")
    settings = [[subject, text] for subject, text in scenario.settings.items()]
    settings += [[subject, f"not measured: {why}"] for subject, why in scenario.missing.items()]
    settings_table = _table(("server", "settings"), settings)
    parts.append(f"<details><summary>Settings of the servers</summary>{settings_table}</details>")
    return "".join(parts)


def figures(scenario: ScenarioReport) -> list[str]:
    """The pictures that a scenario's loads give rise to."""
    drawn = []
    if load := scenario.heaviest():
        cells = scenario.of_load(load)
        drawn.append(_bars(f"Answers a second, {load}", cells, "per_s"))
        drawn.append(_bars(f"Server CPU an answer, {load}, us (less is better)", cells, "cpu_us"))
    drawn += [_throughput(scenario), _latency_by_rate(scenario), _distribution(scenario)]
    drawn += _batch_sizes(scenario)
    return [figure for figure in drawn if figure]


def _bars(title: str, cells: Sequence[Cell], figure: str) -> str:
    return charts.bars(title, [Bar(subject=c.subject, value=c.median(figure)) for c in cells])


def _servers(scenario: ScenarioReport) -> list[str]:
    return [name for name in scenario.subjects() if not name.startswith("session")]


def _throughput(scenario: ScenarioReport) -> str:
    """Answers a second against calls in flight."""
    series = []
    for subject in _servers(scenario):
        cells = [c for c in scenario.cells if c.closed and c.subject == subject]
        points = sorted((float(c.in_flight), c.median("per_s")) for c in cells)
        points = [(x, y) for x, y in points if y > 0]
        series.append(Series(subject=subject, points=points))
    if len({x for one in series for x, _ in one.points}) < 2:
        return ""
    x = charts.logarithmic("calls in flight", [x for s in series for x, _ in s.points])
    y = charts.logarithmic("answers a second", [y for s in series for _, y in s.points])
    return charts.lines("Throughput against concurrency", x, y, series)


def _latency_by_rate(scenario: ScenarioReport) -> str:
    """Median and 99th percentile against the offered load."""
    series = []
    for subject in _servers(scenario):
        cells = [c for c in scenario.cells if not c.closed and c.subject == subject]
        # Beside another load it is another curve; with requests unsent there is no latency.
        cells = [c for c in cells if not c.load.endswith(" beside") and not c.total("unsent")]
        for figure, dashed in (("p50", False), ("p99", True)):
            points = sorted((c.median("offered_per_s"), c.median(figure)) for c in cells)
            points = [(x, y) for x, y in points if y > 0]
            label = f"{subject} {figure}"
            series.append(Series(subject=subject, points=points, label=label, dashed=dashed))
    series = [one for one in series if one.points]
    if len({x for one in series for x, _ in one.points}) < 2:
        return ""
    x = charts.logarithmic("requests offered a second", [x for s in series for x, _ in s.points])
    latencies = [y for one in series for _, y in one.points]
    y = charts.logarithmic("latency", latencies, charts.duration)
    return charts.lines("Latency against offered load (open loop)", x, y, series)


def _distribution(scenario: ScenarioReport) -> str:
    """The share of answers within a latency, in the open loop nearest to half of capacity."""
    opened = [c.load for c in scenario.cells if not c.closed and not c.load.endswith(" beside")]
    middle = "50% open" if "50% open" in opened else opened[len(opened) // 2] if opened else ""
    load = middle or scenario.heaviest()
    series = []
    for cell in scenario.of_load(load):
        counts = cell.buckets
        total = sum(count for _, count in counts)
        shares = accumulate(count / total for _, count in counts)
        points = [(upper, share) for (upper, _), share in zip(counts, shares, strict=True)]
        if points:
            series.append(Series(subject=cell.subject, points=points, steps=True))
    if not series:
        return ""
    latencies = [x for one in series for x, _ in one.points]
    x = charts.logarithmic("latency", latencies, charts.duration)
    y = charts.nines("share of answers within")
    return charts.lines(f"Latency distribution, {load}", x, y, series)


def _batch_sizes(scenario: ScenarioReport) -> list[str]:
    """How many rows batches had, for each subject at the heaviest load that shows batches."""
    drawn = []
    for subject in _servers(scenario):
        cells = [c for c in scenario.cells if c.subject == subject and c.closed and c.batches]
        if not cells:
            continue
        cell = max(cells, key=lambda cell: cell.in_flight)
        total = sum(cell.batches.values())
        items = [
            Bar(
                subject=subject,
                value=100 * count / total,
                label=f"up to {rows} rows",
                hint=f"{count:,} of {total:,} batches",
            )
            for rows, count in cell.batches.items()
        ]
        drawn.append(charts.bars(f"Batches of {subject}, {cell.load}, % of batches", items))
    return drawn


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    kinds = ["" if h in _TEXT_COLUMNS else ' class="n"' for h in headings]
    head = "".join(f"<th{k}>{escape(h)}</th>" for h, k in zip(headings, kinds, strict=True))
    body = "".join(
        "<tr>" + "".join(_cell(value, kind) for value, kind in zip(r, kinds, strict=True)) + "</tr>"
        for r in rows
    )
    return f'<div class="scroll"><table><tr>{head}</tr>{body}</table></div>'


def _cell(value: str, kind: str) -> str:
    if value in ("yes", "NO"):
        kind = f' class="{value.lower()}"'
    return f"<td{kind}>{escape(value)}</td>"
