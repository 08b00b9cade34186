"""What run.py measures: models, the loads on each, and the servers and loops that carry them."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness import PREDICT_PATH, ROOT, BenchError, Exchange, Load, Server, program, run_load

SIGNATURE = "serving_default"


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One model and how hard it is driven."""

    name: str
    model: str
    loads: tuple[Load, ...]
    tolerance: float = 0.0
    """For float answers; 0 where the model's arithmetic is exact."""
    rest: bool = False


def _loads(*pairs: tuple[int, int]) -> tuple[Load, ...]:
    return tuple(Load(connections=c, streams=s) for c, s in pairs)


SCENARIOS = (
    Scenario(name="half_plus_two", model="half_plus_two", loads=_loads((1, 1), (8, 1), (8, 32))),
    Scenario(
        name="mnist_mlp",
        model="mnist_mlp",
        loads=_loads((1, 1), (8, 1), (8, 32)),
        tolerance=1e-5,
    ),
    Scenario(name="image_identity", model="image_identity", loads=_loads((1, 1), (8, 1), (8, 4))),
    Scenario(name="half_plus_two_rest", model="half_plus_two", loads=_loads((8, 1)), rest=True),
    Scenario(name="mnist_mlp_rest", model="mnist_mlp", loads=_loads((8, 1)), rest=True),
    Scenario(name="image_identity_rest", model="image_identity", loads=_loads((8, 1)), rest=True),
)


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One subject under one load for one window. Times are in microseconds."""

    answers: int
    per_s: float
    cpu_us: float
    """Of the server process (of the loop's own process for the session loop), per right answer."""
    p50: float = 0.0
    p90: float = 0.0
    p99: float = 0.0
    p999: float = 0.0
    client_cpu_us: float = 0.0
    errors: int = 0
    error_kinds: str = ""


@dataclass(frozen=True)
class ScenarioFiles:
    """The files that scenario_files.py made for one model."""

    folder: Path

    @property
    def request(self) -> Path:
        """A serialized PredictRequest."""
        return self.folder / "request.pb"

    def exchange(self, scenario: Scenario) -> Exchange:
        """What is sent to a model server, and what it must answer."""
        if scenario.rest:
            return Exchange(
                path=f"/v1/models/{scenario.model}:predict",
                body=self.folder / "request.json",
                expected=(self.folder / "response.json",),
                compare_bytes=True,
                rest=True,
            )
        return Exchange(
            path=PREDICT_PATH,
            body=self.request,
            expected=(self.folder / "response.pb",),
            tolerance=scenario.tolerance,
        )

    def python_exchange(self, scenario: Scenario) -> Exchange:
        """The same where the answer is Python's own JSON."""
        expected = (self.folder / "response_python.json",)
        return replace(self.exchange(scenario), expected=expected)

    def echo_exchange(self) -> Exchange:
        """The same request where the answer is the request."""
        return Exchange(
            path=PREDICT_PATH, body=self.request, expected=(self.request,), compare_bytes=True
        )


def export_models(folder: Path) -> Path:
    """Has the models of the tests exported into `folder`."""
    run_script(ROOT / "tests" / "models" / "export_models.py", str(folder))
    return folder


def run_script(script: Path, *arguments: str) -> None:
    """Runs a Python program that prepares something; raises with its last words when it fails."""
    command = [sys.executable, str(script), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BenchError(f"{script.name} failed:\n{done.stderr[-2000:]}")


def make_files(scenario: Scenario, models: Path, work: Path) -> ScenarioFiles:
    """Has the request and the expected answer of a scenario's model written."""
    folder = work / scenario.model
    base_path = models / scenario.model
    script = ROOT / "bench" / "load" / "scenario_files.py"
    run_script(
        script, "--model", scenario.model, "--base_path", str(base_path), "--out", str(folder)
    )
    return ScenarioFiles(folder)


@dataclass(frozen=True)
class ServerSubject:
    """A server under load."""

    name: str
    server: Server
    exchange: Exchange

    def measure(self, load: Load, seconds: float, warm_up: float) -> Measurement:
        """Drives the server and reads its CPU time over the same window."""
        port = self.server.ports[-1 if self.exchange.rest else 0]
        result = run_load(
            self.exchange, load, port=port, seconds=seconds, warm_up=warm_up, pid=self.server.pid
        )
        return Measurement(
            answers=result.ok,
            per_s=result.ok_per_s,
            cpu_us=result.server_cpu_us_per_ok,
            p50=result.latency_us["p50"],
            p90=result.latency_us["p90"],
            p99=result.latency_us["p99"],
            p999=result.latency_us["p99.9"],
            client_cpu_us=result.client_cpu_us_per_ok,
            errors=result.error_count,
            error_kinds=json.dumps(result.errors) if result.errors else "",
        )


@dataclass(frozen=True)
class SessionSubject:
    """The loop of TF_SessionRun: one caller, no server."""

    command: Sequence[str]
    name: str = "session"

    def measure(self, load: Load, seconds: float, warm_up: float) -> Measurement:
        """Runs the loop; `load` does not apply to it."""
        command = [*self.command, "--duration", repr(seconds), "--warm_up", repr(warm_up)]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=seconds + 120, check=False
        )
        if done.returncode != 0:
            raise BenchError(f"session_loop failed: {done.stderr[-2000:]}")
        report = json.loads(done.stdout)
        return Measurement(
            answers=report["runs"],
            per_s=report["runs_per_s"],
            cpu_us=report["cpu_us_per_run"],
            p50=report["wall_us"]["p50"],
            p90=report["wall_us"]["p90"],
            p99=report["wall_us"]["p99"],
            p999=report["wall_us"]["p99.9"],
        )


Subject = ServerSubject | SessionSubject

_QUIET = {"TF_CPP_MIN_LOG_LEVEL": os.environ.get("TF_CPP_MIN_LOG_LEVEL", "2")}


def version_folder(base_path: Path) -> Path:
    """The highest version under a model's base path."""
    versions = [path for path in base_path.iterdir() if path.name.isdigit()]
    if not versions:
        raise BenchError(f"no version folder under {base_path}")
    return max(versions, key=lambda path: int(path.name))


def tensorflow_folder(python: str) -> str:
    """The `tensorflow` package's folder, found without importing it."""
    code = (
        "import importlib.util as u; print(u.find_spec('tensorflow').submodule_search_locations[0])"
    )
    return subprocess.run(
        [python, "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()


def echo_server(work: Path, threads: int) -> Server:
    """The bare transport."""
    port_file = work / "echo.port"
    command = [str(program("echo_server")), "--threads", str(threads)]
    return Server("echo", [*command, "--port_file", str(port_file)], port_file, work / "echo.log")


def add_fastserve_options(parser: argparse.ArgumentParser) -> None:
    """The options of every program that starts fastserve: `python` and `fastserve_flag`."""
    parser.add_argument("--python", default=sys.executable, help="has fastserve and tensorflow")
    parser.add_argument(
        "--fastserve_flag", action="append", default=[], help="one more flag for fastserve"
    )


def fastserve_server(
    python: str, model: str, base_path: Path, work: Path, flags: Sequence[str]
) -> Server:
    """fastserve as a user starts it, on free ports; `flags` are appended."""
    port_file = work / "fastserve.port"
    command = [python, "-m", "fastserve", "--port=0", "--rest_port=auto", f"--model_name={model}"]
    command += [f"--model_base_path={base_path}", f"--port_file={port_file}", *flags]
    return Server("fastserve", command, port_file, work / "fastserve.log")


def grpcio_server(python: str, model: str, base_path: Path, work: Path) -> Server:
    """The model behind grpcio and TensorFlow in Python."""
    port_file = work / "grpcio.port"
    command = [python, str(ROOT / "bench" / "load" / "grpcio_server.py"), "--model", model]
    command += ["--base_path", str(base_path), "--port_file", str(port_file)]
    return Server("grpcio", command, port_file, work / "grpcio.log", _QUIET)


def asgi_gateway(name: str, python: str, model: str, base_path: Path, work: Path) -> Server:
    """An ASGI app on uvicorn: `uvicorn`, our native REST predict, or `python`, without it."""
    port_file = work / f"{name}.port"
    command = [python, str(ROOT / "bench" / "load" / f"{name}_gateway.py"), "--model", model]
    command += ["--base_path", str(base_path), "--port_file", str(port_file)]
    return Server(name, command, port_file, work / f"{name}.log", _QUIET)


def session_loop(python: str, base_path: Path, files: ScenarioFiles, tolerance: float) -> list[str]:
    """The command of the loop of TF_SessionRun on the scenario's request."""
    command = [str(program("session_loop")), "--tensorflow", tensorflow_folder(python)]
    command += ["--model", str(version_folder(base_path)), "--signature", SIGNATURE]
    command += ["--request", str(files.request), "--expect", str(files.folder / "response.pb")]
    return [*command, "--tolerance", repr(tolerance)]
