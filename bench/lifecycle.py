"""What loading and unloading costs: memory, the latency of what serves meanwhile, many models.

    python -m bench lifecycle cycles [--count 100]   resident memory over load/unload cycles
    python -m bench lifecycle calm [--seconds 20]    a model's latency while another comes and goes
    python -m bench lifecycle many [--models 200]    start-up, memory and idle CPU of many models
    python -m bench lifecycle first [--turns 5]      the first request, with and without warm-up

`cycles` loads and unloads a model of 100 MiB by reloads of the configuration. `calm` measures the
latency of half_plus_two under a steady load, two calls at a time, by turns alone and while a
model of 100 MiB and 300 operations is loaded and unloaded in a loop. `many` starts a server on one
configuration of many models with two versions each. `first` measures the first request to a model
of 100 MiB and 300 operations, with and without --synthetic_warmup.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import text_format
from tensorflow_serving.apis import (  # type: ignore[import-untyped]
    get_model_status_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from .command import command_parser, conclude
from .harness import (
    PREDICT_PATH,
    ROOT,
    BenchError,
    Exchange,
    Load,
    LoadResult,
    Server,
    resident_kib,
    run_load,
    run_script,
)
from .servers import entry, fastserve_command, model_config

CALM_LOAD = Load(connections=2, streams=1)
WAIT_S = 60.0


class Admin:
    """The model service of a running server."""

    def __init__(self, port: int) -> None:
        self._stub = model_service_pb2_grpc.ModelServiceStub(
            grpc.insecure_channel(f"127.0.0.1:{port}")
        )

    def reload(self, text: str) -> None:
        """Applies a configuration and waits for its new models."""
        request = model_management_pb2.ReloadConfigRequest()
        text_format.Parse(text, request.config)
        self._stub.HandleReloadConfigRequest(request, timeout=WAIT_S)

    def await_state(self, model: str, state: str) -> None:
        """Waits until the newest version of a model is in a state."""
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = model
        names = get_model_status_pb2.ModelVersionStatus.State
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            status = self._stub.GetModelStatus(request, timeout=WAIT_S)
            if status.model_version_status[0].state == names.Value(state):
                return
            time.sleep(0.005)
        raise BenchError(f"{model} is not {state} within {WAIT_S} s")


@contextmanager
def serving(text: str, options: argparse.Namespace, work: Path) -> Iterator[Server]:
    """fastserve on a configuration."""
    file, port_file = work / "models.config", work / "fastserve.port"
    file.write_text(text)
    flags = [f"--model_config_file={file}", *options.fastserve_flag]
    command = fastserve_command(options.python, port_file, flags)
    with Server("fastserve", command, work / "fastserve.log", port_file) as server:
        yield server


def heavy_model(work: Path) -> Path:
    """The base path of the model of 100 MiB."""
    base_path = work / "heavy"
    run_script(ROOT / "bench" / "load" / "heavy_model.py", "--out", str(base_path / "1"))
    return base_path


def light_model(work: Path) -> tuple[Path, Exchange]:
    """The base path of half_plus_two, a request to it and its answer."""
    made = work / "light"
    script = ROOT / "bench" / "load" / "version_models.py"
    run_script(script, "--count", "1", "--out", str(made))
    exchange = Exchange(
        path=PREDICT_PATH, body=made / "request.pb", expected=(made / "responses" / "1.pb",)
    )
    return made / "models", exchange


def cycles(options: argparse.Namespace, work: Path) -> dict[str, Any]:
    """Resident memory after each unload of a model of 100 MiB."""
    heavy = model_config(entry("heavy", heavy_model(work)))
    sizes: list[int] = []
    with serving(model_config(), options, work) as server:
        admin = Admin(server.port)
        for _ in range(options.count):
            admin.reload(heavy)
            admin.reload(model_config())
            admin.await_state("heavy", "END")
            sizes.append(resident_kib(server.pid))
    third, last = sizes[min(2, len(sizes) - 1)], sizes[-1]
    return {
        "rss_mib": [round(size / 1024, 1) for size in sizes],
        "after_third_mib": round(third / 1024, 1),
        "after_last_mib": round(last / 1024, 1),
        "passed": last <= third * 1.1,
    }


class Churn:
    """Loads and unloads a model in a loop, on a thread of its own, until the block ends."""

    def __init__(self, admin: Admin, without: str, having: str) -> None:
        self._admin = admin
        self._without = without
        self._having = having
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.rounds = 0

    def __enter__(self) -> Churn:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._admin.reload(self._having)
            self._admin.reload(self._without)
            self._admin.await_state("heavy", "END")
            self.rounds += 1


def calm(options: argparse.Namespace, work: Path) -> dict[str, Any]:
    """Latency of one model alone, and while another one comes and goes; by turns."""
    base_path, exchange = light_model(work)
    light = entry("half_plus_two", base_path)
    alone, together = model_config(light), model_config(light, entry("heavy", heavy_model(work)))
    taken: dict[str, list[LoadResult]] = {"alone": [], "beside": []}
    rounds = 0
    with serving(alone, options, work) as server:
        admin = Admin(server.port)

        def measure(kind: str) -> None:
            seconds = options.seconds / options.turns
            taken[kind].append(
                run_load(exchange, CALM_LOAD, port=server.port, seconds=seconds, pids=server.pids)
            )

        for _ in range(options.turns):
            measure("alone")
            with Churn(admin, alone, together) as churn:
                measure("beside")
            rounds += churn.rounds
    ratio = _median(taken["beside"], "p99") / _median(taken["alone"], "p99")
    return {
        **{kind: _figures(results) for kind, results in taken.items()},
        "loads_and_unloads": rounds,
        "p99_ratio": round(ratio, 2),
        "passed": ratio <= 2 and not any(r.error_count for rs in taken.values() for r in rs),
    }


def _median(results: Sequence[LoadResult], figure: str) -> float:
    return float(statistics.median(result.latency_us[figure] for result in results))


def _figures(results: Sequence[LoadResult]) -> dict[str, Any]:
    return {
        "answers_per_s": round(statistics.median(result.ok_per_s for result in results)),
        "errors": sum(result.error_count for result in results),
        **{
            f"{name}_us": round(_median(results, name), 1)
            for name in ("p50", "p90", "p99", "p99.9", "max")
        },
    }


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def many(options: argparse.Namespace, work: Path) -> dict[str, Any]:
    """Start-up time, memory and idle CPU with many models of two versions each."""
    base_path, _ = light_model(work)
    shutil.copytree(base_path / "1", base_path / "2")
    policy = "model_version_policy { all {} }"
    text = model_config(*(entry(f"model{i}", base_path, policy) for i in range(options.models)))
    began = time.monotonic()
    with serving(text, options, work) as server:
        admin = Admin(server.port)
        for i in range(options.models):
            admin.await_state(f"model{i}", "AVAILABLE")
        ready_s = time.monotonic() - began
        time.sleep(3)  # versions of the lower numbers, and whatever a start leaves behind
        before = cpu_seconds(server.pid)
        time.sleep(options.idle_seconds)
        idle = (cpu_seconds(server.pid) - before) / options.idle_seconds
        size = resident_kib(server.pid)
    return {
        "servables": 2 * options.models,
        "ready_s": round(ready_s, 2),
        "rss_mib": round(size / 1024, 1),
        "idle_cpu_percent_of_a_core": round(100 * idle, 2),
        "passed": idle < 0.01,
    }


def first(options: argparse.Namespace, work: Path) -> dict[str, Any]:
    """Time of the first request after a start, and of the start, by turns."""
    base_path = heavy_model(work)
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "heavy"
    request.inputs["x"].dtype = 1
    for size in (1, 512):
        request.inputs["x"].tensor_shape.dim.add(size=size)
    taken: dict[str, dict[str, list[float]]] = {}
    for flag in ("--synthetic_warmup=false", "--synthetic_warmup") * options.turns:
        flags = argparse.Namespace(python=options.python, fastserve_flag=[flag])
        began = time.monotonic()
        with serving(model_config(entry("heavy", base_path)), flags, work) as server:
            started = time.monotonic()
            channel = grpc.insecure_channel(f"127.0.0.1:{server.port}")
            grpc.channel_ready_future(channel).result(WAIT_S)
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            sent = time.monotonic()
            stub.Predict(request, timeout=WAIT_S)
            answered = time.monotonic()
        figures = taken.setdefault(flag, {"start_s": [], "first_request_ms": []})
        figures["start_s"].append(started - began)
        figures["first_request_ms"].append(1000 * (answered - sent))
    medians = {
        flag: {name: round(statistics.median(values), 2) for name, values in figures.items()}
        for flag, figures in taken.items()
    }
    return {**medians, "passed": True}


MODES = {"cycles": cycles, "calm": calm, "many": many, "first": first}


def measure(options: argparse.Namespace, work: Path) -> bool:
    """Prints the report as JSON. Whether it passed."""
    try:
        report = MODES[options.mode](options, work)
    except grpc.RpcError as error:
        raise BenchError(str(error)) from error
    print(json.dumps(report, indent=1))
    return bool(report["passed"])


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = command_parser("lifecycle", __doc__)
    parser.add_argument("mode", choices=MODES)
    parser.add_argument("--count", type=int, default=100, help="cycles of the cycles mode")
    parser.add_argument(
        "--seconds", type=float, default=20.0, help="of load, either way, when calm"
    )
    parser.add_argument("--turns", type=int, default=5, help="of the calm and first modes")
    parser.add_argument("--models", type=int, default=200, help="of the many mode")
    parser.add_argument("--idle_seconds", type=float, default=20.0, help="of the many mode")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> int:
    """0 when the mode's report passed, 1 when not, 2 when it could not run."""
    return conclude(measure, parse(arguments))
