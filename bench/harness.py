"""What the benchmark programs share: server processes and the load generator's figures."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PREDICT_PATH = "/tensorflow.serving.PredictionService/Predict"


class BenchError(RuntimeError):
    """The benchmark could not be carried out; there is no figure to report."""


def program(name: str) -> Path:
    """A C++ program of bench/, from FASTSERVE_BENCH_BIN or the release preset's build."""
    folder = Path(os.environ.get("FASTSERVE_BENCH_BIN", ROOT / "build" / "release" / "bench"))
    path = folder / name
    if not path.exists():
        raise BenchError(
            f"{path} is not built: cmake --preset release && cmake --build --preset release"
        )
    return path


@dataclass(frozen=True, kw_only=True)
class Load:
    """How hard a server is driven: calls in flight = connections x streams."""

    connections: int
    streams: int = 1

    def __str__(self) -> str:
        return f"{self.connections}x{self.streams}"


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """One request and the answers to it that count as right, in files."""

    path: str
    body: Path
    expected: tuple[Path, ...]
    compare_bytes: bool = False
    """Equal byte for byte; otherwise as PredictResponse, whatever its encoding."""
    tolerance: float = 0.0
    rest: bool = False


@dataclass(frozen=True, kw_only=True)
class LoadResult:
    """One run of the load generator. Only right answers count; latencies are of those."""

    ok: int
    ok_per_s: float
    error_count: int
    errors: dict[str, Any]
    """Of the whole run, warm-up included: kind -> {count, sample}."""
    right_by_expected: list[int]
    latency_us: dict[str, float]
    server_cpu_us_per_ok: float
    client_cpu_us_per_ok: float


def loadgen_command(
    exchange: Exchange, load: Load, *, port: int, seconds: float, warm_up: float, pid: int | None
) -> list[str]:
    """The load generator's command line; `pid` is the process whose CPU it reads."""
    command = [str(program("loadgen")), "--port", str(port), "--path", exchange.path]
    command += ["--body", str(exchange.body), "--tolerance", repr(exchange.tolerance)]
    kind = "--expect_bytes" if exchange.compare_bytes else "--expect_predict"
    for path in exchange.expected:
        command += [kind, str(path)]
    command += ["--connections", str(load.connections), "--streams", str(load.streams)]
    command += ["--duration", repr(seconds), "--warm_up", repr(warm_up)]
    command += ["--rest", str(int(exchange.rest))]
    return command + (["--cpu_of", str(pid)] if pid is not None else [])


def read_result(stdout: str) -> LoadResult:
    """The load generator's output."""
    report = json.loads(stdout)
    ok = int(report["ok"])
    cpu_us = sum(report["cpu_ns"]) / 1000
    return LoadResult(
        ok=ok,
        ok_per_s=report["ok_per_s"],
        error_count=report["error_count"],
        errors=report["errors"],
        right_by_expected=report["right_by_expected"],
        latency_us=report["latency_us"],
        server_cpu_us_per_ok=cpu_us / ok if ok else 0.0,
        client_cpu_us_per_ok=report["client_cpu_us_per_ok"],
    )


def run_load(
    exchange: Exchange,
    load: Load,
    *,
    port: int,
    seconds: float,
    warm_up: float = 1.0,
    pid: int | None = None,
) -> LoadResult:
    """Drives a server for `warm_up` + `seconds` and returns what it answered."""
    command = loadgen_command(exchange, load, port=port, seconds=seconds, warm_up=warm_up, pid=pid)
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=seconds + warm_up + 60, check=False
    )
    if done.returncode not in (0, 1):  # 1: it ran, and some answers were wrong
        raise BenchError(f"loadgen failed: {done.stderr.strip()}")
    return read_result(done.stdout)


@dataclass
class Server:
    """A server process that tells its port, or ports as JSON, through a file. A context manager."""

    name: str
    command: Sequence[str]
    port_file: Path
    log: Path
    environment: dict[str, str] = field(default_factory=dict)
    start_timeout_s: float = 120.0
    ports: list[int] = field(init=False, default_factory=list)
    _process: subprocess.Popen[bytes] | None = field(init=False, default=None)

    def __enter__(self) -> Server:
        self.port_file.unlink(missing_ok=True)
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                self.command, stdout=log, stderr=log, env={**os.environ, **self.environment}
            )
        try:
            self._await_ports()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The process to account CPU time to."""
        assert self._process is not None
        return self._process.pid

    @property
    def port(self) -> int:
        """The first port; the gRPC one where there are several."""
        return self.ports[0]

    def stop(self) -> int:
        """Ends the process, by SIGTERM and after ten seconds by SIGKILL; its exit status."""
        assert self._process is not None
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
        return self._process.wait()

    def _await_ports(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + self.start_timeout_s
        while not self.port_file.exists():
            if self._process.poll() is not None or time.monotonic() > deadline:
                tail = self.log.read_text(errors="replace")[-2000:]
                raise BenchError(f"{self.name} did not start: {' '.join(self.command)}\n{tail}")
            time.sleep(0.02)
        told = json.loads(self.port_file.read_text())
        self.ports = [told["grpc"], told["rest"]] if isinstance(told, dict) else [told]
