"""Traces: spans of requests for an OpenTelemetry collector, made and sent by threads of its own.

Needs the packages of the extra `otlp`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import SpanKind, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from fastserve import _native
from fastserve.errors import CODE_NAMES, ConfigError
from fastserve.observe import instruments
from fastserve.observe.snapshot import METHODS
from fastserve.observe.stages import STAGES

_LOGGER = logging.getLogger(__name__)

_MAX_WAITING = 8192
"""Requests over REST that wait to be sent; more are dropped."""

_GATHER_S = 0.2

_AT_ONCE = 128
"""Requests between two flushes: with all their spans fewer than what the SDK's queue holds."""

_PROPAGATOR = TraceContextTextMapPropagator()

_SERVICE = "tensorflow.serving.PredictionService"

_SERVER_ERRORS = frozenset(
    ("UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS")
)
"""What makes a server's span an error, by OpenTelemetry's conventions for gRPC."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    """One request that has ended, as its spans tell of it; times are of time.monotonic_ns()."""

    name: str
    attributes: Mapping[str, str | int]
    error: str
    """Empty where the server did well."""
    traceparent: str
    begun: int
    ended: int
    stages: Sequence[tuple[int, int]]
    """As a native trace has them; all but the first are told of."""
    batch: tuple[int, int, int] = (0, 0, 0)
    """As a native trace has it."""


class Traces:
    """Makes spans of requests and has OpenTelemetry's SDK send them. Any thread.

    A thread of its own takes what has ended, several times a second; while the collector does not
    keep up, requests wait, and are dropped when too many do.
    """

    def __init__(self, endpoint: str, sample_ratio: float) -> None:
        """`sample_ratio`: the share that is traced of requests without a traceparent.

        What else the SDK can be told is said by its environment variables (OTEL_*). Raises
        ConfigError for what it refuses.
        """
        self._provider = _provider(endpoint)
        self._tracer = self._provider.get_tracer("fastserve")
        self._waiting: deque[_Request] = deque()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="fastserve-traces", daemon=True)
        self._thread.start()
        _native.enable_traces(sample_ratio)
        _LOGGER.info(
            "traces go to %s: of requests whose traceparent says so, and of %g%% of those without",
            endpoint,
            100 * sample_ratio,
        )

    def record_rest(
        self,
        *,
        verb: str,
        scheme: str,
        target: str,
        route: str,
        status: int,
        peer: tuple[str, int] | None,
        traceparent: str,
        times: tuple[float, float, float],
        trace: _native.Trace | None,
    ) -> None:
        """Takes a request that the gateway has answered.

        `times`, of time.monotonic(): when it began to come, when it had come, when it was answered.
        `trace`: None where the answer is not the native side's.
        """
        if len(self._waiting) >= _MAX_WAITING:
            instruments.traces_dropped.add()
            return
        begun, received, ended = (int(each * 1e9) for each in times)
        attributes: dict[str, str | int] = {
            "http.request.method": verb,
            "http.route": route,
            "http.response.status_code": status,
            "url.path": target.partition("?")[0],
            "url.scheme": scheme,
        }
        if peer is not None:
            attributes |= {"network.peer.address": peer[0], "network.peer.port": peer[1]}
        stages: Sequence[tuple[int, int]] = [(begun, ended), (begun, received)]
        batch = (0, 0, 0)
        if trace is not None:
            request, native_stages, batch = trace
            attributes |= _model(*request[6:9])
            stages = [*stages, *native_stages[len(stages) :]]
        self._waiting.append(
            _Request(
                name=f"{verb} {route}",
                attributes=attributes,
                error=str(status) if status >= 500 else "",
                traceparent=traceparent,
                begun=begun,
                ended=ended,
                stages=stages,
                batch=batch,
            )
        )

    def stop(self, timeout_s: float) -> None:
        """Sends what has come so far, for up to `timeout_s`. The last call."""
        self._stopping.set()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while not self._stopping.wait(_GATHER_S):
            self._send()
        self._send()
        self._provider.shutdown()

    def _send(self) -> None:
        requests = [_of_grpc(*trace) for trace in _native.take_traces()]
        while self._waiting:
            requests.append(self._waiting.popleft())
        epoch = time.time_ns() - time.monotonic_ns()
        for first in range(0, len(requests), _AT_ONCE):
            for request in requests[first : first + _AT_ONCE]:
                self._make_spans(request, epoch)
            self._provider.force_flush()

    def _make_spans(self, request: _Request, epoch: int) -> None:
        parent = _PROPAGATOR.extract({"traceparent": request.traceparent}, Context())
        span = self._tracer.start_span(
            request.name,
            parent,
            SpanKind.SERVER,
            request.attributes,
            start_time=epoch + request.begun,
        )
        self._make_stages(request, set_span_in_context(span, Context()), epoch)
        if request.error:
            span.set_attribute("error.type", request.error)
            span.set_status(StatusCode.ERROR)
        span.end(epoch + request.ended)

    def _make_stages(self, request: _Request, context: Context, epoch: int) -> None:
        """Makes a span for each stage that has begun; one that has no end ends with the request."""
        around_run = context
        for name, (begun, ended) in list(zip(STAGES, request.stages, strict=False))[1:]:
            if not 0 < begun < request.ended:
                continue
            parent = around_run if name == "run" else context
            span = self._tracer.start_span(name, parent, start_time=epoch + begun)
            if name == "batch":
                rows, batches, batch_rows = request.batch
                span.set_attribute("fastserve.request.rows", rows)
                span.set_attribute("fastserve.batch.count", batches)
                span.set_attribute("fastserve.batch.rows", batch_rows)
                around_run = set_span_in_context(span, context)
            span.end(epoch + min(ended or request.ended, request.ended))


def _provider(endpoint: str) -> TracerProvider:
    resource = Resource.create({"service.name": "fastserve"})
    resource = resource.merge(OTELResourceDetector().detect())  # OTEL_SERVICE_NAME comes first
    try:
        processor = BatchSpanProcessor(OTLPSpanExporter(endpoint))
    except Exception as error:
        raise ConfigError(f"cannot send traces to --otlp_endpoint={endpoint}: {error}") from error
    # What comes here has been sampled; the process's end is the server's to see to.
    provider = TracerProvider(sampler=ALWAYS_ON, resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(processor)
    return provider


def _of_grpc(
    request: _native.EndedRequest,
    stages: Sequence[tuple[int, int]],
    batch: tuple[int, int, int],
) -> _Request:
    _, method, code, _, _, _, model, version, signature, peer, traceparent = request
    code_name, method_name = CODE_NAMES[code], METHODS[method]
    attributes: dict[str, str | int] = {"rpc.system": "grpc", "rpc.grpc.status_code": code}
    if method_name:
        attributes |= {"rpc.service": _SERVICE, "rpc.method": method_name}
    kind, _, address = peer.partition(":")
    host, _, port = address.rpartition(":")
    if kind in ("ipv4", "ipv6"):
        attributes |= {"network.peer.address": host.strip("[]"), "network.peer.port": int(port)}
    return _Request(
        name=f"{_SERVICE}/{method_name}" if method_name else "grpc",
        attributes=attributes | _model(model, version, signature),
        error=code_name if code_name in _SERVER_ERRORS else "",
        traceparent=traceparent,
        begun=stages[0][0],
        ended=stages[0][1],
        stages=stages,
        batch=batch,
    )


def _model(name: str, version: str, signature: str) -> dict[str, str | int]:
    """Returns the attributes of what was asked for, as far as that was found."""
    named = {"name": name, "version": version, "signature": signature}
    # A client may ask for names that are no text.
    texts = {key: value.encode(errors="replace").decode() for key, value in named.items()}
    return {f"fastserve.model.{key}": text for key, text in texts.items() if text}
