"""All flags."""

from __future__ import annotations

from collections.abc import Mapping

from fastserve.flags.flag import Flag, boolean, int32, integer, number
from fastserve.flags.listening import LISTENING
from fastserve.flags.models import BATCHING, TENSORFLOW, VERSIONS, WHAT_TO_SERVE

_REQUESTS: tuple[Flag, ...] = (
    Flag(
        "enable_request_capture",
        boolean,
        False,
        "let callers of the gRPC port (with --auth_token_file: administrators) record "
        "requests, as `fastserve warmup record` does",
    ),
    Flag(
        "enable_serialization_as_tensor_content",
        boolean,
        False,
        "answer gRPC Predict with tensor_content instead of typed fields",
    ),
    Flag(
        "enable_signature_method_name_check",
        boolean,
        False,
        "refuse requests for a signature whose method_name is not that of the request",
    ),
    Flag("io_threads", integer, 0, "threads that own connections; 0: one a CPU"),
    Flag("worker_threads", integer, 0, "threads for long runs; 0: one a CPU"),
    Flag(
        "shutdown_grace_seconds",
        number,
        10.0,
        "how long requests in flight may take after SIGTERM",
    ),
    Flag(
        "drain_delay_seconds",
        number,
        0.0,
        "how long after SIGTERM requests are still taken, while health says NOT_SERVING",
    ),
)

_OBSERVING: tuple[Flag, ...] = (
    Flag(
        "monitoring_config_file",
        str,
        "",
        "MonitoringConfig in text format: TensorFlow Serving's metrics, on the HTTP port",
    ),
    Flag("enable_metrics", boolean, True, "fastserve's own metrics at /metrics of that port"),
    Flag("log_format", str, "text", "of the lines on standard error: text or json"),
    Flag("access_log", str, "", "file to append one line a request to; -: standard error"),
    Flag(
        "otlp_endpoint",
        str,
        "",
        "OpenTelemetry collector to send traces of requests to, by OTLP over gRPC, as "
        "http://collector:4317; needs pip install 'fastserve[otlp]'",
    ),
    Flag(
        "trace_sample_ratio",
        number,
        0.01,
        "share, 0 to 1, of the requests without a traceparent that are traced; of those with "
        "one it says whether",
    ),
)

_INERT: tuple[Flag, ...] = tuple(
    Flag(name, parse, default, why, inert=True)
    for name, parse, default, why in (
        (
            "flush_filesystem_caches",
            boolean,
            True,
            "the kernel drops file caches when it needs the memory",
        ),
        (
            "grpc_max_threads",
            int32,
            0,
            "no thread is bound to a call; see --io_threads and --worker_threads",
        ),
        (
            "rest_api_num_threads",
            int32,
            0,
            "one event loop serves all REST connections; see --worker_threads",
        ),
        (
            "remove_unused_fields_from_bundle_metagraph",
            boolean,
            True,
            "the graph's definition is dropped after the load in any case",
        ),
        (
            "enable_grpc_healthcheck_service",
            boolean,
            False,
            "grpc.health.v1 is always served",
        ),
        ("enable_profiler", boolean, True, "there is no profiler service"),
        ("skip_initialize_tpu", boolean, False, "there is no support of TPUs"),
    )
)

_OTHER: tuple[Flag, ...] = (
    Flag("version", boolean, False, "print the versions and exit"),
    Flag("help", boolean, False, "print this and exit"),
)

GROUPS: Mapping[str, tuple[Flag, ...]] = {
    "What to serve": WHAT_TO_SERVE,
    "Versions": VERSIONS,
    "Listening": LISTENING,
    "Batching": BATCHING,
    "TensorFlow": TENSORFLOW,
    "Requests": _REQUESTS,
    "Observing": _OBSERVING,
    "Taken for TensorFlow Serving's sake, without effect": _INERT,
    "Other": _OTHER,
}
"""All flags, under the titles that --help gives them."""
