"""The benchmark's own parts: scenario files, targets, reports, and one small run of all."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bench import charts, page, report, targets
from bench.circumstances import look_around
from bench.harness import ROOT, BenchError
from bench.report import Cell, RunReport, ScenarioReport
from bench.run import main
from bench.scenarios import FOLDER, Base, Target, choose, read
from bench.subjects import Measurement

SCENARIO = """
description = "one float"
model = "half_plus_two"
servers = ["echo", "fastserve"]
sessions = [{ batch = 4, callers = 2 }]
loads = [
  { connections = 1, in_flight = 2 },
  { connections = 2, in_flight = 64, capacity = [0.1, 0.2] },
]

[[variants]]
name = "batched"
flags = ["--enable_batching"]
batching_parameters = "max_batch_size { value: 8 }"

[[targets]]
subject = "fastserve batched"
load = "1x2"
figure = "per_s"
at_least = 1
"""


def scenario_file(folder: Path, text: str = SCENARIO) -> Path:
    path = folder / "small.toml"
    path.write_text(text)
    return path


def test_list_of_capacities_is_a_load_each(tmp_path: Path) -> None:
    scenario = read(scenario_file(tmp_path))
    assert scenario.name == "small"
    assert [load.label for load in scenario.loads] == ["1x2", "10% open", "20% open"]
    load = scenario.loads[1].load(5000)
    assert (load.connections, load.streams, load.rate) == (2, 64, 500)


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        ('model = "half_plus_two"', "", "small.toml: model is missing"),
        ("in_flight = 2", "in_flght = 2", "small.toml.loads[0]: unknown in_flght"),
        ("in_flight = 2", 'in_flight = "2"', "small.toml.loads[0].in_flight: int is needed"),
        ('"fastserve"]', '"faststart"]', "unknown servers ['faststart']"),
        ('load = "1x2"', 'load = "1x3"', "a target is on '1x3', but the loads are"),
        ("at_least = 1", "", "a target has either at_most or at_least"),
        ("in_flight = 2 }", "in_flight = 2, beside = true }", "there is no [beside]"),
        ("in_flight = 2 }", "rate = 5 }", "a share of capacity needs a closed load"),
        ("capacity = [0.1, 0.2]", "capacity = [0.1, 0.1]", "loads must differ"),
        ("loads = [", "loads = [[", "small.toml: "),
    ],
)
def test_scenario_file_that_is_wrong_is_refused_with_the_place(
    tmp_path: Path, old: str, new: str, error: str
) -> None:
    assert SCENARIO.count(old) == 1
    with pytest.raises(BenchError, match=re.escape(error)):
        read(scenario_file(tmp_path, SCENARIO.replace(old, new)))


def test_every_scenario_of_the_folder_is_right_and_those_for_gpus_are_run_by_name_only() -> None:
    every = {path.stem for path in FOLDER.glob("*.toml")}
    default = {scenario.name for scenario in choose([])}
    assert {scenario.name for scenario in choose(["*"])} == every
    assert every - default == {scenario.name for scenario in choose(["gpu_*"])}
    with pytest.raises(BenchError, match="no scenario nothing; there are "):
        choose(["nothing"])


def test_scenario_for_gpus_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    command = ["--scenarios", "gpu_resnet50", "--python", "/no/such/python"]
    assert main(command) == 2
    assert "this machine has no GPU: nvidia-smi is missing" in capsys.readouterr().err
    driver = tmp_path / "nvidia-smi"
    driver.write_text("#!/bin/sh\necho Some GPU, 1.2\n")
    driver.chmod(0o755)
    assert main(command) == 2
    error = "the TensorFlow of /no/such/python finds no GPU, though nvidia-smi shows Some GPU, 1.2."
    assert error in capsys.readouterr().err


def cell(load: str, subject: str, *rounds: Measurement, in_flight: int = 8) -> Cell:
    closed = not load.endswith("open")
    return Cell(load=load, closed=closed, in_flight=in_flight, subject=subject, rounds=rounds)


def measured(**figures: float) -> Measurement:
    return replace(Measurement(answers=100, per_s=1000.0, cpu_us=10.0), **figures)  # type: ignore


def test_target_compares_medians_with_a_bound_or_with_another_cell() -> None:
    cells = [
        cell("8x1", "fastserve", measured(p50=1.0), measured(p50=9.0), measured(p50=3.0)),
        cell("8x1", "echo", measured(p50=2.0)),
    ]
    bound = Target(load="8x1", figure="p50", at_most=2.9)
    ratio = Target(load="8x1", figure="p50", at_most=1.5, of=Base(subject="echo"))
    absent = Target(load="8x1", figure="p50", at_most=1, of=Base(subject="grpcio"))
    first, second = targets.judge([bound, ratio, absent], cells)
    assert (first.met, first.reached) == (False, "3.00")
    assert (second.met, second.reached) == (True, "1.50 x (3.00 against 2.00)")


@pytest.mark.parametrize(
    ("figures", "why"),
    [
        ({"errors": 1}, "with 1 errors"),
        ({"answers": 0}, "nothing was answered"),
        ({"offered_per_s": 1000.0, "unsent": 1}, "fell behind"),
        ({"offered_per_s": 1100.0}, "fell behind"),
    ],
)
def test_target_is_not_met_where_answers_are_missing(figures: dict[str, float], why: str) -> None:
    target = Target(load="50% open", figure="p50", at_most=100)
    good = targets.judge([target], [cell("50% open", "fastserve", measured(offered_per_s=1000.0))])
    bad = targets.judge([target], [cell("50% open", "fastserve", measured(**figures))])
    assert [verdict.met for verdict in good + bad] == [True, False]
    assert why in bad[0].reached


def small_report() -> RunReport:
    buckets = [(100.0, 90), (1000.0, 9), (5000.0, 1)]
    rich = measured(p50=100.0, p99=1000.0)
    rich = replace(rich, buckets=buckets, batches={1: 3, 8: 1})
    rates = {"20% open": 400.0, "50% open": 1000.0}
    subjects = ("fastserve", "fastserve batched", "grpcio", "session")
    loads = [("8x1", 8), ("8x8", 64), ("20% open", 64), ("50% open", 64)]
    cells = []
    for load, in_flight in loads:
        one = replace(rich, offered_per_s=rates.get(load, 0.0))
        cells += [cell(load, subject, one, one, in_flight=in_flight) for subject in subjects]
    scenario = ScenarioReport(
        name="small",
        description="a <b>small</b> one",
        settings=dict.fromkeys(subjects, "defaults"),
        missing={"ray": "it is not installed | at all"},
        cells=tuple(cells),
        verdicts=targets.judge([Target(load="8x8", figure="p50", at_most=1)], cells),
    )
    return RunReport(
        name="test",
        date="2026-01-02T03:04:05+00:00",
        circumstances=look_around(),
        rounds=2,
        seconds=1.0,
        warm_up=1.0,
        scenarios=(scenario,),
    )


def test_report_tells_how_much_the_cores_were_taken_away() -> None:
    run = small_report()
    share = run.circumstances.paused_share
    assert share is not None
    assert 0 <= share <= 1
    assert f"{share:.2%} of the time" in report.markdown(run)


def test_report_reads_back_what_it_wrote() -> None:
    run = small_report()
    assert RunReport.parse(run.dump()) == run
    with pytest.raises(ValueError, match="no report of format"):
        RunReport.parse("{}")


def test_rounds_are_put_together() -> None:
    one = small_report().scenarios[0].cells[0]
    assert one.buckets == [(100.0, 180), (1000.0, 18), (5000.0, 2)]
    assert one.batches == {1: 6, 8: 2}
    assert one.total("answers") == 200


def test_page_holds_every_picture_and_nothing_from_elsewhere() -> None:
    text = page.html(small_report())
    titles = re.findall("<figcaption>(.*?)</figcaption>", text)
    assert titles == [
        "Answers a second, 8x8",
        "Server CPU an answer, 8x8, us (less is better)",
        "Throughput against concurrency",
        "Latency against offered load (open loop)",
        "Latency distribution, 50% open",
        *(
            f"Batches of {name}, 8x8, % of batches"
            for name in ("fastserve", "fastserve batched", "grpcio")
        ),
    ]
    for drawing in re.findall("<svg.*?</svg>", text, re.S):
        ElementTree.fromstring(drawing)
    assert not re.search(r"https?://|<script|src=|@import", text)
    assert "a &lt;b&gt;small&lt;/b&gt; one" in text
    assert '<td class="no">NO</td>' in text


def test_markdown_tells_figures_settings_and_what_was_not_measured() -> None:
    text = report.markdown(small_report())
    assert "| 8x8 | grpcio | 1,000 | 100.0 | 0.0 | 1,000.0 | 0.0 | 10.00 | 0.00 | 0 |" in text
    assert "| 50% open | grpcio | 1,000 | 0.0 | 0 | 0 |" in text
    assert "| 8x8 | fastserve | 1: 6, 8: 2 |" in text
    assert "| fastserve 8x8: at most 1 us p50 | 100.00 | NO |" in text
    assert "| ray | not measured: it is not installed \\| at all |" in text


def test_scales_place_values_between_round_ticks() -> None:
    scale = charts.logarithmic("latency", [15.0, 700.0], charts.duration)
    assert [text for _, text in scale.ticks][:2] == ["10 us", "20 us"]
    assert scale.ticks[-1][1] == "1 ms"
    assert (scale.place(10), scale.place(1000)) == (0, 1)
    assert charts.nines("share").place(0.9) == pytest.approx(0.25)
    assert charts.nines("share").place(1.0) == 1
    assert [text for _, text in charts.linear("rate", [37_000.0]).ticks][-1] == "40k"


def test_small_run_writes_its_reports(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bench", "--quick", "--seconds", "0.3", "--name", "small"]
    command += ["--scenarios", str(scenario_file(tmp_path)), "--results", str(tmp_path / "out")]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "7/7, 0.0 min left] 20% open " in done.stderr
    (stem,) = {path.with_suffix("") for path in (tmp_path / "out").iterdir()}
    run = RunReport.parse(stem.with_suffix(".json").read_text())
    (scenario,) = run.scenarios
    assert scenario.subjects() == ["echo", "fastserve batched", "session batch 4 2 callers"]
    assert all(one.median("per_s") > 0 for one in scenario.cells)
    assert all(one.median("cpu_us") > 0 for one in scenario.cells if one.closed)
    assert [verdict.met for verdict in scenario.verdicts] == [True]
    page_before = stem.with_suffix(".html").read_text()
    stem.with_suffix(".html").unlink()
    command = [sys.executable, "-m", "bench", "render", str(stem.with_suffix(".json"))]
    subprocess.run(command, cwd=ROOT, timeout=60, check=True)
    assert stem.with_suffix(".html").read_text() == page_before
