"""What is measured: a subject carries one load for one window and gives a Measurement."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent import futures
from dataclasses import dataclass, field
from pathlib import Path

from .harness import (
    PREDICT_PATH,
    ROOT,
    BenchError,
    Exchange,
    Load,
    LoadResult,
    Server,
    run_load,
    run_script,
)
from .scenarios import Beside, LoadSpec, Scenario

INFER_PATH = "/inference.GRPCInferenceService/ModelInfer"


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One subject under one load for one window. Times are in microseconds."""

    answers: int
    per_s: float
    """Right answers a second; of a session loop, requests run a second."""
    cpu_us: float
    """Of the server's processes (of a session loop's own process), per right answer."""
    p50: float = 0.0
    p90: float = 0.0
    p99: float = 0.0
    p999: float = 0.0
    max: float = 0.0
    client_cpu_us: float = 0.0
    errors: int = 0
    error_kinds: str = ""
    offered_per_s: float = 0.0
    """Of an open loop, with the three below; see harness.OpenLoop."""
    unsent: int = 0
    late: int = 0
    lag_p99: float = 0.0
    beside_per_s: float = 0.0
    """Right answers a second of the load on the other model, where there is one."""
    buckets: list[tuple[float, int]] = field(default_factory=list)
    """The histogram of latencies: upper end, count."""
    batches: dict[int, int] = field(default_factory=dict)
    """Batches run within warm-up and window, by their rows: the upper end of a bucket -> count."""


@dataclass(frozen=True)
class ScenarioFiles:
    """The files that scenario_files.py made for one model."""

    folder: Path
    model: str
    tolerance: float

    @property
    def request(self) -> Path:
        """A serialized PredictRequest."""
        return self.folder / "request.pb"

    @property
    def response(self) -> Path:
        """The serialized PredictResponse that is right."""
        return self.folder / "response.pb"

    def predict(self) -> Exchange:
        """TensorFlow Serving's Predict."""
        return Exchange(
            path=PREDICT_PATH,
            body=self.request,
            expected=(self.response,),
            tolerance=self.tolerance,
        )

    def infer(self) -> Exchange:
        """The same request in KServe's protocol."""
        return Exchange(
            path=INFER_PATH,
            body=self.folder / "infer_request.pb",
            expected=(self.folder / "infer_response.pb",),
            tolerance=self.tolerance,
            infer=True,
        )

    def rest(self) -> Exchange:
        """The same request as JSON."""
        return Exchange(
            path=f"/v1/models/{self.model}:predict",
            body=self.folder / "request.json",
            expected=(self.folder / "response.json",),
            compare_bytes=True,
            rest=True,
        )

    def echo(self) -> Exchange:
        """The same request where the answer is the request."""
        return Exchange(
            path=PREDICT_PATH, body=self.request, expected=(self.request,), compare_bytes=True
        )


def make_files(scenario: Scenario | Beside, models: Path, work: Path) -> ScenarioFiles:
    """Has the request and the expected answer of a scenario's model written."""
    folder = work / f"{scenario.model}-files"
    script = ROOT / "bench" / "load" / "scenario_files.py"
    options = ["--model", scenario.model, "--base_path", str(models / scenario.model)]
    if isinstance(scenario, Scenario):
        options += ["--row_shape", *map(str, scenario.row_shape)] if scenario.row_shape else []
        options += ["--json"] if scenario.rest else []
    run_script(script, *options, "--out", str(folder))
    return ScenarioFiles(folder, scenario.model, scenario.tolerance)


@dataclass(frozen=True, kw_only=True)
class BatchMetric:
    """A Prometheus histogram of the rows of batches, and where it is served."""

    path: str
    name: str

    def read(self, port: int) -> Counter[int]:
        """Batches so far by their bucket's upper end; empty where the server does not tell."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{self.path}", timeout=5) as page:
                text = page.read().decode()
        except (urllib.error.URLError, OSError):
            return Counter()
        below: Counter[float] = Counter()
        pattern = re.compile(rf'^{re.escape(self.name)}_bucket{{(?:.*,)?le="([^"]+)"}} (\S+)', re.M)
        for bound, count in pattern.findall(text):
            below[float(bound)] += int(float(count))
        counts: Counter[int] = Counter()
        before = 0
        for bound in sorted(below):
            if bound != float("inf"):
                counts[int(bound)] = below[bound] - before
            before = below[bound]
        return counts


@dataclass(frozen=True)
class ServerSubject:
    """A server under load."""

    name: str
    server: Server
    exchange: Exchange
    beside: tuple[Exchange, Beside] | None = None
    """The load on another model that some loads are put beside."""
    batch_metric: BatchMetric | None = None

    def measure(
        self, spec: LoadSpec, capacity: float | None, seconds: float, warm_up: float
    ) -> Measurement:
        """Drives the server and reads its CPU time over the same window.

        `capacity` is the answers a second that a share in `spec` is of.
        """
        load = spec.load(capacity)
        before = self._batches()
        with self._loaded_beside(spec, seconds, warm_up) as other:
            result = run_load(
                self.exchange,
                load,
                port=self._port(self.exchange),
                seconds=seconds,
                warm_up=warm_up,
                pids=self.server.pids,
            )
        beside = other.result() if other else None
        return _measurement(result, beside, dict(self._batches() - before))

    def prime(self) -> None:
        """Has the first requests answered, which may take longer than all others together."""
        exchanges = [self.exchange, *([self.beside[0]] if self.beside else [])]
        for exchange in exchanges:
            port = self._port(exchange)
            run_load(exchange, Load(connections=8), port=port, seconds=0.1, warm_up=0)

    def _port(self, exchange: Exchange) -> int:
        return self.server.ports[-1 if exchange.rest else 0]

    def _batches(self) -> Counter[int]:
        return self.batch_metric.read(self.server.ports[-1]) if self.batch_metric else Counter()

    @contextlib.contextmanager
    def _loaded_beside(
        self, spec: LoadSpec, seconds: float, warm_up: float
    ) -> Iterator[futures.Future[LoadResult] | None]:
        """The other load, if there is one: from before to after the block's window."""
        if not spec.beside:
            yield None
            return
        assert self.beside is not None
        exchange, other = self.beside
        load = Load(connections=other.connections, streams=other.in_flight)
        with futures.ThreadPoolExecutor(1) as pool:
            yield pool.submit(
                run_load,
                exchange,
                load,
                port=self._port(exchange),
                seconds=seconds + 1,
                warm_up=warm_up,
            )


def _measurement(
    result: LoadResult, beside: LoadResult | None, batches: Mapping[int, int]
) -> Measurement:
    errors = {**result.errors}
    if beside is not None:
        errors |= {f"beside: {kind}": error for kind, error in beside.errors.items()}
    open_loop = result.open_loop
    return Measurement(
        answers=result.ok,
        per_s=result.ok_per_s,
        cpu_us=result.server_cpu_us_per_ok,
        p50=result.latency_us["p50"],
        p90=result.latency_us["p90"],
        p99=result.latency_us["p99"],
        p999=result.latency_us["p99.9"],
        max=result.latency_us["max"],
        client_cpu_us=result.client_cpu_us_per_ok,
        errors=result.error_count + (beside.error_count if beside else 0),
        error_kinds=json.dumps(errors) if errors else "",
        offered_per_s=open_loop.offered_per_s if open_loop else 0.0,
        unsent=open_loop.unsent if open_loop else 0,
        late=open_loop.late if open_loop else 0,
        lag_p99=open_loop.lag_p99_us if open_loop else 0.0,
        beside_per_s=beside.ok_per_s if beside else 0.0,
        buckets=result.buckets,
        batches=dict(batches),
    )


@dataclass(frozen=True)
class SessionSubject:
    """A loop of TF_SessionRun: no server. It is run again under every closed load."""

    name: str
    command: Sequence[str]

    def measure(
        self, spec: LoadSpec, capacity: float | None, seconds: float, warm_up: float
    ) -> Measurement:
        """Runs the loop; the load does not apply to it."""
        command = [*self.command, "--duration", repr(seconds), "--warm_up", repr(warm_up)]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=seconds + warm_up + 300, check=False
        )
        if done.returncode != 0:
            raise BenchError(f"session_loop failed: {done.stderr[-2000:]}")
        report = json.loads(done.stdout)
        return Measurement(
            answers=report["requests"],
            per_s=report["requests_per_s"],
            cpu_us=report["cpu_us_per_request"],
            p50=report["wall_us"]["p50"],
            p90=report["wall_us"]["p90"],
            p99=report["wall_us"]["p99"],
            p999=report["wall_us"]["p99.9"],
            max=report["wall_us"]["max"],
        )


Subject = ServerSubject | SessionSubject
