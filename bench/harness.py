"""What the benchmark programs share: server processes and the load generator's figures."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
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


def run_script(script: Path, *arguments: str, python: str = sys.executable) -> None:
    """Runs a Python program that prepares something; raises with its last words when it fails."""
    command = [python, str(script), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BenchError(f"{script.name} failed:\n{done.stderr[-2000:]}")


@dataclass(frozen=True, kw_only=True)
class Load:
    """How hard a server is driven, by calls in flight or by requests a second."""

    connections: int
    streams: int = 1
    """Calls at a time on each connection; in an open loop, at most."""
    rate: float | None = None
    """Requests a second of an open loop; None: a closed loop."""
    arrival: str = "poisson"
    """Of an open loop: `poisson` or `constant`."""


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """One request and the answers to it that count as right, in files."""

    path: str
    body: Path
    expected: tuple[Path, ...]
    compare_bytes: bool = False
    """Equal byte for byte; otherwise as PredictResponse, whatever its encoding."""
    tolerance: float = 0.0
    """Of floats, in the comparison by value."""
    infer: bool = False
    """As ModelInferResponse of KServe's protocol."""
    rest: bool = False


@dataclass(frozen=True, kw_only=True)
class OpenLoop:
    """What became of the requests that an open loop offered within the window."""

    offered_per_s: float
    unsent: int
    """Never sent: every call was taken until the end."""
    late: int
    """Sent more than a millisecond after they were due."""
    lag_p99_us: float
    """From due to sent."""


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
    buckets: list[tuple[float, int]]
    """The histogram of latencies: upper end in us, count."""
    open_loop: OpenLoop | None
    server_cpu_us_per_ok: float
    client_cpu_us_per_ok: float


def loadgen_command(
    exchange: Exchange,
    load: Load,
    *,
    port: int,
    seconds: float,
    warm_up: float,
    pids: Sequence[int] = (),
) -> list[str]:
    """The load generator's command line; `pids` are the processes whose CPU it reads."""
    command = [str(program("loadgen")), "--port", str(port), "--path", exchange.path]
    command += ["--body", str(exchange.body), "--tolerance", repr(exchange.tolerance)]
    kind = "--expect_infer" if exchange.infer else "--expect_predict"
    if exchange.compare_bytes:
        kind = "--expect_bytes"
    for path in exchange.expected:
        command += [kind, str(path)]
    command += ["--connections", str(load.connections), "--streams", str(load.streams)]
    command += ["--duration", repr(seconds), "--warm_up", repr(warm_up)]
    command += ["--rest", str(int(exchange.rest))]
    # The last answers of a closed loop are few, but of a slow model may take long.
    command += ["--drain", "60" if load.rate is None else "10"]
    if load.rate is not None:
        command += ["--rate", repr(load.rate), "--arrival", load.arrival]
    return command + [f"--cpu_of={pid}" for pid in pids]


def read_result(stdout: str) -> LoadResult:
    """The load generator's output."""
    report = json.loads(stdout)
    ok = int(report["ok"])
    cpu_us = sum(report["cpu_ns"]) / 1000
    open_loop = OpenLoop(
        offered_per_s=report["offered"] / report["window_s"],
        unsent=report["unsent"],
        late=report["late"],
        lag_p99_us=report["lag_us"]["p99"],
    )
    return LoadResult(
        ok=ok,
        ok_per_s=report["ok_per_s"],
        error_count=report["error_count"],
        errors=report["errors"],
        right_by_expected=report["right_by_expected"],
        latency_us=report["latency_us"],
        buckets=[(upper, count) for upper, count in report["latency_buckets_us"]],
        open_loop=open_loop if report["offered"] else None,
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
    pids: Sequence[int] = (),
) -> LoadResult:
    """Drives a server for `warm_up` + `seconds` and returns what it answered."""
    command = loadgen_command(
        exchange, load, port=port, seconds=seconds, warm_up=warm_up, pids=pids
    )
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=seconds + warm_up + 120, check=False
    )
    if done.returncode not in (0, 1):  # 1: it ran, and some answers were wrong
        raise BenchError(f"loadgen failed: {done.stderr.strip()}")
    return read_result(done.stdout)


@dataclass
class Server:
    """A server process on ports of loopback. A context manager.

    It tells its port, or ports as JSON, through `port_file`; or it takes `ports`, which it opens
    when it is ready.
    """

    name: str
    command: Sequence[str]
    log: Path
    port_file: Path | None = None
    environment: dict[str, str] = field(default_factory=dict)
    start_timeout_s: float = 180.0
    ports: list[int] = field(default_factory=list)
    _process: subprocess.Popen[bytes] | None = field(init=False, default=None)

    def __enter__(self) -> Server:
        if self.port_file is not None:
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
        """The process that was started."""
        assert self._process is not None
        return self._process.pid

    @property
    def pids(self) -> list[int]:
        """The processes to account CPU time to: it and all below it."""
        found = [self.pid]
        children = _children()
        for pid in found:  # grows meanwhile
            found += children.get(pid, [])
        return found

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
        while not self._ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                tail = self.log.read_text(errors="replace")[-2000:]
                raise BenchError(f"{self.name} did not start: {' '.join(self.command)}\n{tail}")
            time.sleep(0.02)
        if self.port_file is not None:
            told = json.loads(self.port_file.read_text())
            self.ports = [told["grpc"], told["rest"]] if isinstance(told, dict) else [told]

    def _ready(self) -> bool:
        if self.port_file is not None:
            return self.port_file.exists()
        try:
            for port in self.ports:
                socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            return False
        return True


def resident_kib(pid: int, key: str = "VmRSS") -> int:
    """The process's resident set; with the key VmHWM the most that it was."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1])
    raise BenchError(f"no {key} of process {pid}")


def _children() -> dict[int, list[int]]:
    """The children of every process."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has ended
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(stat.parent.name))
    return children


def free_port() -> int:
    """A port that nobody listens on now, for a server that cannot choose one itself."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
