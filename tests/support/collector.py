"""An end of OTLP: takes the spans that a server sends, as an OpenTelemetry collector does."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span

SECONDS = 20.0


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """A collector on a free port of the loopback interface, until the block ends."""

    def __init__(self) -> None:
        self._server = grpc.server(ThreadPoolExecutor(2))
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(self, self._server)
        self.endpoint = f"http://127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._changed = threading.Condition()
        self._spans: list[Span] = []
        self.resource = Resource()
        """Who sent the last spans."""

    def __enter__(self) -> "Collector":
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop(None).wait()

    def Export(
        self, request: trace_service_pb2.ExportTraceServiceRequest, context: object
    ) -> trace_service_pb2.ExportTraceServiceResponse:
        with self._changed:
            for of_resource in request.resource_spans:
                self.resource = of_resource.resource
                for of_scope in of_resource.scope_spans:
                    self._spans += of_scope.spans
            self._changed.notify_all()
        return trace_service_pb2.ExportTraceServiceResponse()

    def trace_ids(self) -> set[str]:
        """Of everything that has come so far."""
        with self._changed:
            return {span.trace_id.hex() for span in self._spans}

    def trace(self, trace_id: str) -> "Trace":
        """A trace, once its server span, which is sent after all others, has come."""
        with self._changed:
            found = self._changed.wait_for(lambda: self._find(trace_id), SECONDS)
        assert found, f"no trace {trace_id} within {SECONDS} s"
        return found

    def any_trace(self) -> "Trace":
        """The first trace that has come."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._spans, SECONDS), "no trace came"
            first = self._spans[0].trace_id.hex()
        return self.trace(first)

    def _find(self, trace_id: str) -> "Trace | None":
        spans = [span for span in self._spans if span.trace_id.hex() == trace_id]
        ended = any(span.kind == Span.SPAN_KIND_SERVER for span in spans)
        return Trace(spans) if ended else None


class Trace:
    """The spans of one request."""

    def __init__(self, spans: list[Span]) -> None:
        (self.server,) = (span for span in spans if span.kind == Span.SPAN_KIND_SERVER)
        self._spans = {span.span_id: span for span in spans}

    def names(self) -> list[str]:
        """Of the spans below the server's, in order of their begin."""
        below = [span for span in self._spans.values() if span is not self.server]
        return [span.name for span in sorted(below, key=lambda s: s.start_time_unix_nano)]

    def span(self, name: str) -> Span:
        """The only one with that name."""
        (span,) = (span for span in self._spans.values() if span.name == name)
        return span

    def parent(self, span: Span) -> Span:
        """Of a span below the server's."""
        return self._spans[span.parent_span_id]

    def check_nesting(self) -> None:
        """Asserts that every span below the server's lies within its parent."""
        for span in self._spans.values():
            assert span.start_time_unix_nano <= span.end_time_unix_nano, span
            if span is not self.server:
                parent = self.parent(span)
                assert parent.start_time_unix_nano <= span.start_time_unix_nano, span
                assert span.end_time_unix_nano <= parent.end_time_unix_nano, span


def attributes(span: Span) -> dict[str, Any]:
    """A span's attributes."""
    return {
        each.key: getattr(each.value, each.value.WhichOneof("value")) for each in span.attributes
    }


def seconds(span: Span) -> float:
    """How long it took."""
    return (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9
