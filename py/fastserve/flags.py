"""The flags: TensorFlow Serving's, and those of fastserve's own."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fastserve.config.models import TransitionPolicy
from fastserve.config.server import ANY_PORT, MAX_GRPC_MESSAGE_BYTES

_INTEGER = re.compile(r"\s*[+-]?[0-9]{1,19}\s*")
_FILE_MODE = re.compile(r"0?[0-7]{3}")
_TRUE, _FALSE = ("true", "1"), ("false", "0")


def _integer(text: str) -> int:
    if not _INTEGER.fullmatch(text):
        raise ValueError("an integer")
    return int(text)


def _int32(text: str) -> int:
    if not -(2**31) <= (value := _integer(text)) < 2**31:
        raise ValueError("an integer of 32 bits")
    return value


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError("a number") from None


def _boolean(text: str) -> bool:
    if text.lower() not in _TRUE + _FALSE:
        raise ValueError("true, false, 1 or 0")
    return text.lower() in _TRUE


def _port(text: str) -> int:
    try:
        return ANY_PORT if text.lower() == "auto" else _integer(text)
    except ValueError:
        raise ValueError("a port's number, or auto") from None


def _file_mode(text: str) -> int:
    if not _FILE_MODE.fullmatch(text):
        raise ValueError("three octal digits, as 660")
    return int(text, 8)


_TYPE_NAMES: Mapping[Callable[[str], Any], str] = {
    str: "string",
    _boolean: "bool",
    _integer: "integer",
    _int32: "int32",
    _number: "number",
    _port: "port",
    _file_mode: "octal",
}


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag; `parse` raises ValueError with what it expects."""

    name: str
    parse: Callable[[str], Any]
    default: Any
    help: str
    aliases: tuple[str, ...] = ()
    inert: bool = False
    """Taken because TensorFlow Serving has it; without effect."""

    @property
    def is_boolean(self) -> bool:
        """Whether it may stand without a value."""
        return self.parse is _boolean

    @property
    def type_name(self) -> str:
        """What it takes, in a word."""
        return _TYPE_NAMES[self.parse]


GROUPS: Mapping[str, tuple[Flag, ...]] = {
    "What to serve": (
        Flag("model_name", str, "model", "name that requests give the model"),
        Flag(
            "model_base_path",
            str,
            "/models/model",
            "directory that holds one directory a version, as /models/model/1/saved_model.pb, or a "
            "URI (s3, gs, oss, https) of one",
        ),
        Flag("demo", _boolean, False, "serve a demo model, called mnist, made on first use"),
        Flag(
            "model_config_file",
            str,
            "",
            "ModelServerConfig in text format, instead of one model; SIGHUP reads it again",
        ),
        Flag(
            "model_config_file_poll_wait_seconds",
            _int32,
            0,
            "between two looks at that file; 0 or less: never again",
        ),
        Flag(
            "allow_version_labels_for_unavailable_models",
            _boolean,
            False,
            "let a new label name a version that is not loaded yet",
        ),
    ),
    "Versions": (
        Flag("saved_model_tags", str, "serve", "tag set of the MetaGraph, joined by commas"),
        Flag(
            "file_system_poll_wait_seconds",
            _int32,
            1,
            "between two looks for versions; 0: look once, negative: never",
        ),
        Flag(
            "remote_poll_wait_seconds",
            _int32,
            60,
            "the same for base paths that are URIs; 0 or less: look once",
        ),
        Flag(
            "remote_cache_directory",
            str,
            "",
            "where the versions below URIs are staged; empty: ~/.cache/fastserve/models",
        ),
        Flag(
            "version_transition_policy",
            str,
            TransitionPolicy.AVAILABILITY_PRESERVING.value,
            "whether a new version loads before the old ones leave, or, to save memory, after: "
            "resource_preserving; exceptions by model follow, as "
            "availability_preserving,big=resource_preserving",
        ),
        Flag(
            "servable_versions_always_present",
            _boolean,
            False,
            "keep what is loaded when no version is found; fail a start or reload without any",
        ),
        Flag(
            "fail_if_no_model_versions_found",
            _boolean,
            False,
            "fail a start or reload when a model has no version",
        ),
        Flag("strict_start", _boolean, False, "end when a model cannot be loaded at start"),
        Flag("num_load_threads", _integer, 0, "loads at the same time; 0: automatic"),
        Flag("num_unload_threads", _integer, 0, "unloads at the same time; 0: automatic"),
        Flag("max_num_load_retries", _integer, 5, "further attempts to load a version"),
        Flag(
            "load_retry_interval_micros",
            _integer,
            60_000_000,
            "between two attempts; negative: none",
        ),
        Flag(
            "enable_model_warmup",
            _boolean,
            True,
            "answer the requests in assets.extra/tf_serving_warmup_requests before serving",
        ),
        Flag(
            "num_request_iterations_for_warmup",
            _int32,
            0,
            "how often each of these is run; 0 or less: once",
        ),
        Flag(
            "synthetic_warmup",
            _boolean,
            False,
            "make warm-up requests up for a version that brings none",
        ),
    ),
    "Listening": (
        Flag(
            "port",
            _port,
            8500,
            "gRPC port; auto: any free one; 0: none with a socket path, else any free one",
        ),
        Flag("grpc_socket_path", str, "", "unix socket to listen on for gRPC, too or instead"),
        Flag(
            "grpc_socket_mode",
            _file_mode,
            "",
            "permissions of its file, as 660; without it those that the umask leaves",
        ),
        Flag(
            "grpc_listen_addresses",
            str,
            "",
            "more addresses to listen on for gRPC, joined by commas: host:port or unix:path",
        ),
        Flag(
            "rest_api_port",
            _port,
            0,
            "HTTP port; 0: no REST, auto: any free one",
            aliases=("rest_port",),
        ),
        Flag(
            "rest_api_timeout_in_ms",
            _integer,
            30_000,
            "limit for the run of one REST request; 0 or less: none",
        ),
        Flag(
            "rest_api_enable_cors_support",
            _boolean,
            False,
            "let pages of any origin read REST replies",
        ),
        Flag("rest_max_body_bytes", _integer, 2**30, "longest body of a REST request"),
        Flag(
            "rest_header_timeout_seconds",
            _number,
            20.0,
            "limit for the header of a REST request to come in; 0: none",
        ),
        Flag(
            "rest_body_timeout_seconds",
            _number,
            30.0,
            "limit for the body of a REST request to come in, and a second more for each 1000 "
            "bytes; 0: none",
        ),
        Flag(
            "rest_server_timing",
            _boolean,
            False,
            "replies have a Server-Timing header: how long queue, run and the other parts took",
        ),
        Flag(
            "rest_gzip_replies",
            _boolean,
            False,
            "compress REST replies for clients whose Accept-Encoding admits gzip",
        ),
        Flag(
            "grpc_max_message_bytes",
            _integer,
            MAX_GRPC_MESSAGE_BYTES,
            "longest message of a gRPC request",
        ),
        Flag(
            "use_alts_credentials",
            _boolean,
            False,
            "refused when true: ALTS works among machines of Google's own only; --ssl_config_file "
            "secures the port with TLS",
        ),
        Flag(
            "ssl_config_file",
            str,
            "",
            "SSLConfig in text format: TLS on the gRPC port; read again when it changes and on "
            "SIGHUP",
        ),
        Flag("rest_ssl_config_file", str, "", "the same for the HTTP port"),
        Flag(
            "auth_token_file",
            str,
            "",
            "tokens, one a line, of which requests on both ports must bring one as `authorization: "
            "Bearer TOKEN`; read again when it changes and on SIGHUP. Administration is closed "
            "then, without the next flag",
        ),
        Flag(
            "admin_auth_token_file",
            str,
            "",
            "the same for reloads, capture and metrics; these tokens are good for all else too",
        ),
        *(
            Flag(f"grpc_{name}", parse, default, help_)
            for name, parse, default, help_ in (
                (
                    "channel_arguments",
                    str,
                    "",
                    "gRPC's settings, as grpc.max_connection_age_ms=60000,grpc.so_reuseport=1; "
                    "they come before other flags of the same meaning",
                ),
                ("max_connections", _integer, 10_000, "further ones are closed at once"),
                (
                    "max_requests_in_flight",
                    _integer,
                    100_000,
                    "of all connections; further ones are answered with RESOURCE_EXHAUSTED",
                ),
                (
                    "max_bytes_in_flight",
                    _integer,
                    4 * 2**30,
                    "of all connections' requests without an answer, and answers that wait for "
                    "their clients; beyond half of it clients are slowed down, beyond it requests "
                    "are answered with RESOURCE_EXHAUSTED",
                ),
                ("max_streams_per_connection", _integer, 4096, "calls at the same time"),
                (
                    "max_metadata_bytes",
                    _integer,
                    64 * 2**10,
                    "of one request: names, values, and 32 for each",
                ),
                (
                    "handshake_timeout_seconds",
                    _number,
                    10.0,
                    "for the handshake of TLS; 0 or less: no limit",
                ),
                (
                    "first_byte_timeout_seconds",
                    _number,
                    20.0,
                    "from there to the first frame of HTTP/2; 0 or less: no limit",
                ),
                (
                    "stall_timeout_seconds",
                    _number,
                    60.0,
                    "how long answers wait for a client that takes next to nothing of them; 0 or "
                    "less: no limit",
                ),
                (
                    "max_buffered_bytes",
                    _integer,
                    64 * 2**20,
                    "while more of a connection's answers wait for its client, its calls wait too",
                ),
                (
                    "max_resets_per_second",
                    _integer,
                    1_000,
                    "calls that one client may cancel; ten times that at once",
                ),
                (
                    "max_control_frames_per_second",
                    _integer,
                    100,
                    "frames of HTTP/2 that make work but carry nothing; ten times that at once",
                ),
            )
        ),
        Flag("port_file", str, "", "file to write ports and process id to, as JSON, once ready"),
    ),
    "Batching": (
        Flag(
            "enable_batching",
            _boolean,
            False,
            "run requests of a model that wait at the same time together",
        ),
        Flag(
            "batching_parameters_file",
            str,
            "",
            "BatchingParameters in text format; without it a batch is what waits when a thread is "
            "free, at most 1000 rows",
        ),
        Flag(
            "enable_per_model_batching_parameters",
            _boolean,
            False,
            "take each version's batching_params.pbtxt instead; a version without one is not "
            "batched",
        ),
    ),
    "TensorFlow": (
        Flag(
            "tensorflow_session_parallelism",
            _integer,
            0,
            "intra- and inter-op threads of TensorFlow; 0: automatic",
        ),
        Flag(
            "tensorflow_intra_op_parallelism",
            _integer,
            0,
            "threads within one operation; 0: one a CPU, but one alone for short runs of small "
            "models",
        ),
        Flag("tensorflow_inter_op_parallelism", _integer, 0, "operations at the same time"),
        Flag(
            "tensorflow_session_config_file",
            str,
            "",
            "ConfigProto in text format; its threads and per_process_gpu_memory_fraction are those "
            "of the flags",
        ),
        Flag(
            "per_process_gpu_memory_fraction",
            _number,
            0.0,
            "share of each GPU's memory, as 0.5; 0: automatic",
        ),
        Flag(
            "gpu_memory_growth",
            _boolean,
            True,
            "take GPU memory as it is needed, not all at the start",
        ),
        Flag(
            "gpu_memory_limit_mb",
            _integer,
            0,
            "the most to take of each GPU's memory, in MiB; 0: see per_process_gpu_memory_fraction",
        ),
        Flag(
            "gpu_replicas",
            _int32,
            1,
            "GPUs that hold a replica of each model, between which its runs are shared; 0: all",
        ),
        Flag(
            "mixed_precision",
            str,
            "",
            "bfloat16: let oneDNN compute in bfloat16 where that keeps the accuracy, on CPUs with "
            "instructions for it; another value only brings a warning",
        ),
        Flag(
            "xla_cpu_compilation_enabled",
            _boolean,
            False,
            "let XLA compile what a model marks for it (jit_compile=True); a request that needs "
            "that fails otherwise. On CPU and GPU: TensorFlow has one switch for both",
        ),
        Flag(
            "xla_gpu_compilation_enabled",
            _boolean,
            False,
            "the same switch as --xla_cpu_compilation_enabled",
        ),
        Flag(
            "platform_config_file",
            str,
            "",
            "PlatformConfigMap in text format: how models are loaded, platform by platform. It "
            "takes the place of the flags about sessions, tags, warm-up, batching and mixed "
            "precision",
        ),
        Flag(
            "thread_pool_factory_config_file",
            str,
            "",
            "refused with TensorFlow Serving's error, since neither server is built with a factory "
            "of thread pools; see --tensorflow_intra_op_parallelism",
        ),
        Flag(
            "prefer_tflite_model",
            _boolean,
            False,
            "serve a version that has a model.tflite by that, not by its SavedModel",
        ),
        Flag(
            "num_tflite_pools",
            _int32,
            0,
            "TensorFlow Lite interpreters of a version: runs at the same time; 0: one a CPU",
        ),
        Flag(
            "num_tflite_interpreters_per_pool",
            _int32,
            1,
            "above 1: batch requests to TensorFlow Lite models, to 500 rows divided by this",
        ),
        Flag(
            "custom_op_libraries",
            str,
            "",
            "shared libraries of custom operations, absolute paths joined by commas",
        ),
    ),
    "Requests": (
        Flag(
            "enable_request_capture",
            _boolean,
            False,
            "let callers of the gRPC port (with --auth_token_file: administrators) record "
            "requests, as `fastserve warmup record` does",
        ),
        Flag(
            "enable_serialization_as_tensor_content",
            _boolean,
            False,
            "answer gRPC Predict with tensor_content instead of typed fields",
        ),
        Flag(
            "enable_signature_method_name_check",
            _boolean,
            False,
            "refuse requests for a signature whose method_name is not that of the request",
        ),
        Flag("io_threads", _integer, 0, "threads that own connections; 0: one a CPU"),
        Flag("worker_threads", _integer, 0, "threads for long runs; 0: one a CPU"),
        Flag(
            "shutdown_grace_seconds",
            _number,
            10.0,
            "how long requests in flight may take after SIGTERM",
        ),
        Flag(
            "drain_delay_seconds",
            _number,
            0.0,
            "how long after SIGTERM requests are still taken, while health says NOT_SERVING",
        ),
    ),
    "Observing": (
        Flag(
            "monitoring_config_file",
            str,
            "",
            "MonitoringConfig in text format: TensorFlow Serving's metrics, on the HTTP port",
        ),
        Flag("enable_metrics", _boolean, True, "fastserve's own metrics at /metrics of that port"),
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
            _number,
            0.01,
            "share, 0 to 1, of the requests without a traceparent that are traced; of those with "
            "one it says whether",
        ),
    ),
    "Taken for TensorFlow Serving's sake, without effect": (
        *(
            Flag(name, parse, default, why, inert=True)
            for name, parse, default, why in (
                (
                    "flush_filesystem_caches",
                    _boolean,
                    True,
                    "the kernel drops file caches when it needs the memory",
                ),
                (
                    "grpc_max_threads",
                    _int32,
                    0,
                    "no thread is bound to a call; see --io_threads and --worker_threads",
                ),
                (
                    "rest_api_num_threads",
                    _int32,
                    0,
                    "one event loop serves all REST connections; see --worker_threads",
                ),
                (
                    "remove_unused_fields_from_bundle_metagraph",
                    _boolean,
                    True,
                    "the graph's definition is dropped after the load in any case",
                ),
                (
                    "enable_grpc_healthcheck_service",
                    _boolean,
                    False,
                    "grpc.health.v1 is always served",
                ),
                ("enable_profiler", _boolean, True, "there is no profiler service"),
                ("skip_initialize_tpu", _boolean, False, "there is no support of TPUs"),
            )
        ),
    ),
    "Other": (
        Flag("version", _boolean, False, "print the versions and exit"),
        Flag("help", _boolean, False, "print this and exit"),
    ),
}

REPLACED_BY_PLATFORM_CONFIG_FILE = (
    "saved_model_tags",
    "enable_model_warmup",
    "num_request_iterations_for_warmup",
    "tensorflow_session_parallelism",
    "tensorflow_intra_op_parallelism",
    "tensorflow_inter_op_parallelism",
    "tensorflow_session_config_file",
    "per_process_gpu_memory_fraction",
    "gpu_memory_limit_mb",
    "mixed_precision",
    "enable_batching",
    "batching_parameters_file",
    "enable_per_model_batching_parameters",
    "prefer_tflite_model",
    "num_tflite_pools",
    "num_tflite_interpreters_per_pool",
)
"""Flags that say what a --platform_config_file says too, which then counts alone."""

COMMANDS: Mapping[str, str] = {
    "check-config": "what a server would make of a model config file",
    "inspect": "the versions, signatures and files of a model",
    "predict": "send one request from files to a running server",
    "status": "the models of a running server and their states",
    "warmup": "write a file of warm-up requests from live traffic",
}
"""What the first word may ask for instead of serving: modules of fastserve.commands."""
