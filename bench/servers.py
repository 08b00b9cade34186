"""How each server is started, with the settings that are best for it."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .harness import ROOT, BenchError, Exchange, Server, free_port, program
from .scenarios import SERVERS, Beside, Scenario, SessionSpec, Variant
from .subjects import BatchMetric, ScenarioFiles, ServerSubject, SessionSubject, Subject

LOAD = ROOT / "bench" / "load"
CORES = len(os.sched_getaffinity(0))


class Unavailable(Exception):
    """A server that cannot be measured here, and why."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """What the servers of one scenario need to start."""

    scenario: Scenario
    files: ScenarioFiles
    beside_files: ScenarioFiles | None
    models: Path
    """A base path a model."""
    work: Path
    python: str
    """Has fastserve and TensorFlow."""
    pythons: Mapping[str, str]
    """Those of other servers, where they differ."""
    fastserve_flags: Sequence[str]
    io_threads: int
    """Of the echo server."""
    tensorflow_model_server: Path | None

    @property
    def base_path(self) -> Path:
        """Of the scenario's model."""
        return self.models / self.scenario.model

    def exchange(self) -> Exchange:
        """What is sent to a server that speaks TensorFlow Serving's API."""
        return self.files.rest() if self.scenario.rest else self.files.predict()

    def beside(self) -> tuple[Exchange, Beside] | None:
        """The scenario's load on another model."""
        if self.scenario.beside is None or self.beside_files is None:
            return None
        return self.beside_files.predict(), self.scenario.beside

    def python_of(self, server: str) -> str:
        """The interpreter that runs a server."""
        return self.pythons.get(server, self.python)


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A subject that is ready to start: its server, if it has one, is not running yet."""

    subject: Subject
    settings: str
    """For the report: how it is started and why so."""


def entry(name: str, base_path: Path, more: str = "") -> str:
    """One model of a configuration."""
    return (
        f'config {{ name: "{name}" base_path: "{base_path}" model_platform: "tensorflow" {more}}}'
    )


def model_config(*entries: str) -> str:
    """A configuration in text format."""
    return f"model_config_list {{ {' '.join(entries)} }}"


def fastserve_command(python: str, port_file: Path, flags: Sequence[str]) -> list[str]:
    """fastserve as a user starts it, on free ports."""
    command = [python, "-m", "fastserve", "--port=0", "--rest_port=auto"]
    return [*command, f"--port_file={port_file}", *flags]


def add_fastserve_options(parser: argparse.ArgumentParser) -> None:
    """The options of every program that starts fastserve: `python` and `fastserve_flag`."""
    parser.add_argument("--python", default=sys.executable, help="has fastserve and tensorflow")
    parser.add_argument(
        "--fastserve_flag", action="append", default=[], help="one more flag for fastserve"
    )


def _serving_flags(stage: Stage, variant: Variant, work: Path) -> list[str]:
    """The flags that fastserve and tensorflow_model_server share."""
    scenario = stage.scenario
    flags = [f"--model_name={scenario.model}", f"--model_base_path={stage.base_path}"]
    if scenario.beside is not None:
        other = scenario.beside.model
        config = work / "models.config"
        entries = [entry(name, stage.models / name) for name in (scenario.model, other)]
        config.write_text(model_config(*entries))
        flags = [f"--model_config_file={config}"]
    if variant.batching_parameters:
        file = work / f"batching-{variant.name}.txt"
        file.write_text(variant.batching_parameters)
        flags.append(f"--batching_parameters_file={file}")
    return [*flags, *variant.flags]


def _variant_settings(base: str, variant: Variant, more: Sequence[str] = ()) -> str:
    environment = [f"{k}={v}" for k, v in (variant.environment or {}).items()]
    parts = [base, *environment, *variant.flags, *more]
    if variant.batching_parameters:
        parts.append(f"({variant.batching_parameters.strip()})")
    return " ".join(parts)


def _fastserve(stage: Stage) -> Iterator[Candidate]:
    for variant in stage.scenario.variants:
        name = f"fastserve {variant.name}".strip()
        port_file = stage.work / f"{name}.port"
        flags = [*_serving_flags(stage, variant, stage.work), *stage.fastserve_flags]
        server = Server(
            name,
            fastserve_command(stage.python, port_file, flags),
            stage.work / f"{name}.log",
            port_file,
            environment=variant.environment or {},
        )
        metric = BatchMetric(path="/metrics", name="fastserve_batch_rows")
        subject = ServerSubject(name, server, stage.exchange(), stage.beside(), metric)
        settings = _variant_settings("defaults", variant, stage.fastserve_flags)
        yield Candidate(subject=subject, settings=settings)


def _tensorflow_model_server(stage: Stage) -> Iterator[Candidate]:
    binary = stage.tensorflow_model_server
    if binary is None:
        raise Unavailable("no binary was given by --tensorflow_model_server")
    monitoring = stage.work / "monitoring.txt"
    monitoring.write_text('prometheus_config { enable: true path: "/monitoring/prometheus" }')
    for variant in stage.scenario.variants:
        if variant.own:
            continue
        name = f"tensorflow_model_server {variant.name}".strip()
        ports = [free_port(), free_port()]
        command = [str(binary), f"--port={ports[0]}", f"--rest_api_port={ports[1]}"]
        command.append(f"--monitoring_config_file={monitoring}")
        command += _serving_flags(stage, variant, stage.work)
        quiet = {"TF_CPP_MIN_LOG_LEVEL": "2", **(variant.environment or {})}
        server = Server(name, command, stage.work / f"{name}.log", environment=quiet, ports=ports)
        metric = BatchMetric(
            path="/monitoring/prometheus",
            name=":tensorflow:serving:batching_session:processed_batch_size",
        )
        subject = ServerSubject(name, server, stage.exchange(), stage.beside(), metric)
        settings = _variant_settings(f"{binary} with defaults", variant)
        yield Candidate(subject=subject, settings=settings)


def _echo(stage: Stage) -> Iterator[Candidate]:
    port_file = stage.work / "echo.port"
    command = [str(program("echo_server")), "--threads", str(stage.io_threads)]
    command += ["--port_file", str(port_file)]
    server = Server("echo", command, stage.work / "echo.log", port_file)
    settings = f"bare nghttp2 on epoll, {stage.io_threads} threads"
    yield Candidate(subject=ServerSubject("echo", server, stage.files.echo()), settings=settings)


def _script(
    stage: Stage, name: str, exchange: Exchange, settings: str, *options: str
) -> Iterator[Candidate]:
    """A server of bench/load that takes --model, --base_path and --port_file."""
    port_file = stage.work / f"{name}.port"
    command = [stage.python_of(name), str(LOAD / f"{name}_server.py")]
    command += ["--model", stage.scenario.model, "--base_path", str(stage.base_path)]
    command += ["--port_file", str(port_file), *options]
    quiet = {"TF_CPP_MIN_LOG_LEVEL": os.environ.get("TF_CPP_MIN_LOG_LEVEL", "2")}
    server = Server(name, command, stage.work / f"{name}.log", port_file, environment=quiet)
    yield Candidate(subject=ServerSubject(name, server, exchange), settings=settings)


def _grpcio(stage: Stage) -> Iterator[Candidate]:
    settings = f"grpcio with a pool of {CORES} threads, TensorFlow's function called for each"
    return _script(stage, "grpcio", stage.files.predict(), settings)


def _pytriton(stage: Stage) -> Iterator[Candidate]:
    _need(stage, "pytriton", "nvidia-pytriton")
    settings = (
        f"ModelInfer over gRPC, {CORES} instances of TensorFlow's function, "
        "batches of up to 64 without delay"
    )
    return _script(stage, "pytriton", stage.files.infer(), settings)


def _ray(stage: Stage) -> Iterator[Candidate]:
    _need(stage, "ray", "ray[serve]")
    settings = (
        f"its gRPC proxy, {CORES} replicas, serve.batch of up to 64 without delay, no access log"
    )
    return _script(stage, "ray", stage.files.predict(), settings)


def _uvicorn(stage: Stage) -> Iterator[Candidate]:
    settings = "fastserve's native predict behind an ASGI app (httptools, uvloop)"
    return _script(stage, "uvicorn", stage.files.rest(), settings)


def _python(stage: Stage) -> Iterator[Candidate]:
    settings = "json, numpy and TensorFlow in Python behind an ASGI app (httptools, uvloop)"
    return _script(stage, "python", stage.files.rest_of_python(), settings)


def _need(stage: Stage, name: str, package: str) -> None:
    """Raises Unavailable where the server's interpreter cannot find its module."""
    python = stage.python_of(name)
    code = f"import importlib.util as u, sys; sys.exit(u.find_spec('{name}') is None)"
    if subprocess.run([python, "-c", code], check=False).returncode != 0:
        raise Unavailable(f"{package} is not installed for {python}")


_MAKERS: Mapping[str, Callable[[Stage], Iterator[Candidate]]] = {
    "echo": _echo,
    "fastserve": _fastserve,
    "tensorflow_model_server": _tensorflow_model_server,
    "grpcio": _grpcio,
    "pytriton": _pytriton,
    "ray": _ray,
    "uvicorn": _uvicorn,
    "python": _python,
}
_REST_ONLY = ("uvicorn", "python")
_REST_SERVERS = ("fastserve", "tensorflow_model_server", *_REST_ONLY)


def candidates(stage: Stage, wanted: Sequence[str]) -> tuple[list[Candidate], dict[str, str]]:
    """The subjects of a scenario, and why others that were wanted are none."""
    found: list[Candidate] = []
    missing: dict[str, str] = {}
    for name in SERVERS:
        speaks = (name in _REST_SERVERS) if stage.scenario.rest else name not in _REST_ONLY
        if name not in wanted or name not in stage.scenario.servers or not speaks:
            continue
        try:
            found += _MAKERS[name](stage)
        except Unavailable as why:
            missing[name] = str(why)
    if "session" in wanted:
        found += [_session(stage, spec) for spec in stage.scenario.sessions]
    return found, missing


def _session(stage: Stage, spec: SessionSpec) -> Candidate:
    folder = tensorflow_folder(stage.python)
    command = [str(program("session_loop")), "--tensorflow", folder]
    command += ["--model", str(version_folder(stage.base_path))]
    command += ["--request", str(stage.files.request), "--expect", str(stage.files.response)]
    command += ["--tolerance", repr(stage.files.tolerance)]
    command += ["--batch", str(spec.batch), "--callers", str(spec.callers)]
    # TensorFlow 2.21 does not look there, and without it uses no GPU; fastserve opens it by itself.
    cusolver = Path(folder).parent / "nvidia" / "cusolver" / "lib"
    if stage.scenario.gpu and cusolver.is_dir():
        command = ["env", f"LD_LIBRARY_PATH={cusolver}", *command]
    settings = f"bare TF_SessionRun, {spec.callers} at a time, of {spec.batch} requests each"
    return Candidate(subject=SessionSubject(spec.name, command), settings=settings)


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
