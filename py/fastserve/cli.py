"""The command line: serves what the flags ask for, or does what a first word asks for."""

from __future__ import annotations

import importlib
import logging
import os
import signal
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, NoReturn

from fastserve import protos
from fastserve.command_line import COMMANDS, differing_from_default, help_text, parse_flags
from fastserve.config.any_proto import unpack_any
from fastserve.config.auth import AuthConfig
from fastserve.config.batching import batching_config
from fastserve.config.channel_arguments import with_channel_arguments
from fastserve.config.gpus import replica_devices
from fastserve.config.model_config_file import (
    models_from_proto,
    read_model_config_file,
    single_model_config,
)
from fastserve.config.models import TENSORFLOW_PLATFORM, ModelConfig, Transitions
from fastserve.config.observe import ObserveConfig, read_monitoring_path
from fastserve.config.platform_config_file import read_platform_config_file
from fastserve.config.server import (
    GrpcConfig,
    LiteConfig,
    LoadConfig,
    PlatformConfig,
    RestConfig,
    ServerConfig,
    SessionConfig,
    WarmupConfig,
)
from fastserve.config.text_proto import read_text_proto
from fastserve.config.transport import TransportConfig
from fastserve.errors import ConfigError, ServingError
from fastserve.flags.models import REPLACED_BY_PLATFORM_CONFIG_FILE
from fastserve.observe import logs

_LOGGER = logging.getLogger(__name__)

START_FAILED = 255
"""Exit status when the command line is wrong or the server cannot start."""


def server_config(values: Mapping[str, Any]) -> ServerConfig:
    """Returns the configuration that flags stand for, with the models of their file.

    What is wrong is found in the order of TensorFlow Serving (model_servers/server.cc), so that its
    texts come where its own would. Raises ServingError.
    """
    grpc = _grpc_config(values)
    _check_credentials(values)
    model_config = _model_config(values)
    platforms = _platforms(values)
    transitions = Transitions.parse(values["version_transition_policy"])
    models = _models(values, model_config, platforms, transitions)
    _check_thread_pool_factory(values["thread_pool_factory_config_file"])
    return ServerConfig(
        models=models,
        model_config_file=values["model_config_file"],
        model_config=model_config,
        config_file_poll_wait_s=values["model_config_file_poll_wait_seconds"],
        allow_unavailable_labels=values["allow_version_labels_for_unavailable_models"],
        transitions=transitions,
        strict_start=values["strict_start"],
        grpc=grpc,
        rest=RestConfig(
            port=values["rest_api_port"],
            timeout_ms=values["rest_api_timeout_in_ms"],
            max_body_bytes=values["rest_max_body_bytes"],
            cors=values["rest_api_enable_cors_support"],
            ssl_config_file=values["rest_ssl_config_file"],
            gzip_replies=values["rest_gzip_replies"],
            server_timing=values["rest_server_timing"],
            header_timeout_s=values["rest_header_timeout_seconds"],
            body_timeout_s=values["rest_body_timeout_seconds"],
        ),
        auth=AuthConfig(
            token_file=values["auth_token_file"],
            admin_token_file=values["admin_auth_token_file"],
        ),
        load=_load_config(values),
        platforms=platforms,
        xla=values["xla_cpu_compilation_enabled"] or values["xla_gpu_compilation_enabled"],
        custom_op_libraries=_custom_op_libraries(values["custom_op_libraries"]),
        request_capture=values["enable_request_capture"],
        outputs_as_tensor_content=values["enable_serialization_as_tensor_content"],
        check_method_names=values["enable_signature_method_name_check"],
        io_threads=values["io_threads"],
        worker_threads=values["worker_threads"],
        shutdown_grace_s=values["shutdown_grace_seconds"],
        observe=_observe_config(values),
        port_file=values["port_file"],
    )


def _grpc_config(values: Mapping[str, Any]) -> GrpcConfig:
    transport = TransportConfig(
        max_connections=values["grpc_max_connections"],
        max_requests_in_flight=values["grpc_max_requests_in_flight"],
        max_bytes_in_flight=values["grpc_max_bytes_in_flight"],
        max_streams_per_connection=values["grpc_max_streams_per_connection"],
        max_metadata_bytes=values["grpc_max_metadata_bytes"],
        resets_per_second=values["grpc_max_resets_per_second"],
        control_frames_per_second=values["grpc_max_control_frames_per_second"],
        max_buffered_bytes=values["grpc_max_buffered_bytes"],
        handshake_timeout_ms=_milliseconds(values["grpc_handshake_timeout_seconds"]),
        first_byte_timeout_ms=_milliseconds(values["grpc_first_byte_timeout_seconds"]),
        stall_timeout_ms=_milliseconds(values["grpc_stall_timeout_seconds"]),
    )
    config = GrpcConfig(
        port=values["port"],
        socket_path=values["grpc_socket_path"],
        socket_mode=values["grpc_socket_mode"] or None,
        listen_addresses=_words(values["grpc_listen_addresses"]),
        max_message_bytes=values["grpc_max_message_bytes"],
        ssl_config_file=values["ssl_config_file"],
        transport=transport,
    )
    return with_channel_arguments(config, values["grpc_channel_arguments"])


def _milliseconds(seconds: float) -> int | None:
    """Returns a limit that a flag gives in seconds; None, no limit, for 0 or less."""
    return max(1, round(seconds * 1000)) if seconds > 0 else None


def _check_credentials(values: Mapping[str, Any]) -> None:
    if not values["use_alts_credentials"]:
        return
    if values["ssl_config_file"]:
        raise ConfigError(
            "Either use_alts_credentials must be false or ssl_config_file must be empty."
        )
    raise ConfigError(
        "--use_alts_credentials cannot be used: ALTS works among machines of Google's own only. "
        "Secure the port with TLS instead, by --ssl_config_file, or leave the flag out to serve "
        "without encryption"
    )


def _load_config(values: Mapping[str, Any]) -> LoadConfig:
    return LoadConfig(
        poll_wait_s=values["file_system_poll_wait_seconds"],
        remote_poll_wait_s=values["remote_poll_wait_seconds"],
        remote_directory=values["remote_cache_directory"],
        max_retries=values["max_num_load_retries"],
        retry_interval_s=values["load_retry_interval_micros"] / 1e6,
        num_load_threads=values["num_load_threads"],
        num_unload_threads=values["num_unload_threads"],
        always_present=values["servable_versions_always_present"],
        fail_if_no_versions=values["fail_if_no_model_versions_found"],
    )


def _platforms(values: Mapping[str, Any]) -> Mapping[str, PlatformConfig]:
    """Returns how models are loaded: as a file says, or as the flags do."""
    warmup = WarmupConfig(
        enabled=values["enable_model_warmup"],
        iterations=max(1, values["num_request_iterations_for_warmup"]),
        synthetic=values["synthetic_warmup"],
        check_method_names=values["enable_signature_method_name_check"],
    )
    if path := values["platform_config_file"]:
        for name in differing_from_default(values):
            if name in REPLACED_BY_PLATFORM_CONFIG_FILE:
                _LOGGER.warning("--%s has no effect: --platform_config_file replaces it", name)
        platforms = read_platform_config_file(
            path, gpu_memory_growth=values["gpu_memory_growth"], warmup=warmup
        )
        replicas = values["gpu_replicas"]
        return {name: _replicated(platform, replicas) for name, platform in platforms.items()}
    batching = batching_config(
        enabled=values["enable_batching"],
        parameters_file=values["batching_parameters_file"],
        per_model=values["enable_per_model_batching_parameters"],
    )
    platform = PlatformConfig(
        tags=tuple((values["saved_model_tags"] or "serve").split(",")),
        config_proto=_session_config(values).config_proto(),
        warmup=warmup,
        batching=batching,
        lite=LiteConfig(
            preferred=values["prefer_tflite_model"],
            pools=values["num_tflite_pools"],
            interpreters_per_pool=values["num_tflite_interpreters_per_pool"],
        ),
    )
    return {TENSORFLOW_PLATFORM: _replicated(platform, values["gpu_replicas"])}


def _replicated(platform: PlatformConfig, replicas: int) -> PlatformConfig:
    """Returns a platform whose models have so many replicas, by --gpu_replicas."""
    if replicas == 1:
        return platform
    session = protos.ConfigProto.FromString(platform.config_proto)
    devices = replica_devices(session, replicas)
    session.allow_soft_placement = True  # what a GPU has no kernel for runs on the CPU
    return replace(platform, devices=devices, config_proto=session.SerializeToString())


def _session_config(values: Mapping[str, Any]) -> SessionConfig:
    base = b""
    if path := values["tensorflow_session_config_file"]:
        base = read_text_proto(path, protos.ConfigProto).SerializeToString()
    return SessionConfig(
        parallelism=values["tensorflow_session_parallelism"],
        intra_op=values["tensorflow_intra_op_parallelism"],
        inter_op=values["tensorflow_inter_op_parallelism"],
        gpu_memory_fraction=values["per_process_gpu_memory_fraction"],
        gpu_memory_growth=values["gpu_memory_growth"],
        gpu_memory_limit_mb=values["gpu_memory_limit_mb"],
        mixed_precision=values["mixed_precision"],
        base=base,
    )


def _observe_config(values: Mapping[str, Any]) -> ObserveConfig:
    path = values["monitoring_config_file"]
    return ObserveConfig(
        metrics=values["enable_metrics"],
        serving_page=read_monitoring_path(path) if path else "",
        log_format=values["log_format"],
        access_log=values["access_log"],
        otlp_endpoint=values["otlp_endpoint"],
        trace_sample_ratio=values["trace_sample_ratio"],
        drain_delay_s=values["drain_delay_seconds"],
    )


def _model_config(values: Mapping[str, Any]) -> Any:
    """Returns the ModelServerConfig of the file that names the models, None without a file."""
    path = values["model_config_file"]
    if not path and not values["model_base_path"] and not values["demo"]:
        raise ConfigError(
            "Both server_options.model_base_path and server_options.model_config_file are empty!"
        )
    if not path:
        return None
    if values["demo"]:
        raise ConfigError(
            "--demo and --model_config_file are both set; to serve the demo model with others, "
            "list its directory in the file"
        )
    return read_model_config_file(path)


def _models(
    values: Mapping[str, Any],
    model_config: Any,
    platforms: Collection[str],
    transitions: Transitions,
) -> tuple[ModelConfig, ...]:
    """Returns the models of the file, or the one of the command line."""
    name, base_path = values["model_name"], values["model_base_path"]
    if values["demo"]:
        from fastserve import demo

        name, base_path = demo.MODEL_NAME, str(demo.base_path())
    models = models_from_proto(
        model_config or single_model_config(name, base_path),
        transitions=transitions,
        platforms=platforms,
        allow_unavailable_labels=values["allow_version_labels_for_unavailable_models"],
    )
    if model_config is None and not (models[0].is_remote or os.path.isdir(base_path)):
        raise ConfigError(
            f"--model_base_path={base_path} is not a directory; it must be one that holds one "
            "directory a version, as 1/saved_model.pb. To try a demo model, use --demo"
        )
    return models


def _check_thread_pool_factory(path: str) -> None:
    """Refuses any factory, since none is linked (upstream neither has one)."""
    if path:
        config = read_text_proto(path, protos.ThreadPoolFactoryConfig)
        unpack_any(config.thread_pool_factory_config, types=())


def _words(text: str) -> tuple[str, ...]:
    """Returns what is joined by commas, nothing for an empty text."""
    return tuple(text.split(",")) if text else ()


def _custom_op_libraries(text: str) -> tuple[str, ...]:
    paths = _words(text)
    for path in paths:
        if not os.path.isabs(path) or not os.path.isfile(path):
            problem = "not a file" if os.path.isabs(path) else "not an absolute path"
            raise ConfigError(
                f"--custom_op_libraries names {path!r}, which is {problem}; it must be absolute "
                "paths of shared libraries, joined by commas"
            )
    return paths


def _versions() -> str:
    import importlib.metadata

    from fastserve.servables.runtime import load_runtime

    try:
        own = importlib.metadata.version("fastserve")
    except importlib.metadata.PackageNotFoundError:
        own = "(not installed)"
    return f"TensorFlow ModelServer: fastserve {own}\nTensorFlow Library: {load_runtime().version}"


def run(arguments: Sequence[str]) -> int:
    """Does what the command line asks for and returns the exit status."""
    if arguments and arguments[0] in COMMANDS:
        command = importlib.import_module(f"fastserve.commands.{arguments[0].replace('-', '_')}")
        return int(command.run(arguments[1:]))
    logs.set_up("text")
    try:
        values = parse_flags(arguments)
    except ConfigError as error:
        print(f"fastserve: {error.message}", file=sys.stderr)
        return START_FAILED
    try:
        if values["help"] or values["version"]:
            print(help_text() if values["help"] else _versions())
            return 0
        logs.set_up(values["log_format"])
        config = server_config(values)
        from fastserve.server import serve

        return serve(config)
    except ServingError as error:
        print(f"Failed to start server. Error: {error}", file=sys.stderr)
        return START_FAILED


def main() -> NoReturn:
    """Runs the command line's server and ends the process.

    The process ends without the interpreter's and the libraries' tear-down, which would wait for,
    or pull memory from under, threads that still load or run a model. When whoever reads its output
    has gone, as `head` does, the status is that of a program which that ended.
    """
    try:
        status = run(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:
        status = 128 + signal.SIGPIPE
    logging.shutdown()
    sys.stderr.flush()
    os._exit(status)
