"""The command line: serves what the flags ask for, or does what a first word asks for."""

from __future__ import annotations

import importlib
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from fastserve.config.channel_arguments import with_channel_arguments
from fastserve.config.models import ModelConfig, Transitions
from fastserve.config.server import (
    GrpcConfig,
    LoadConfig,
    RestConfig,
    ServerConfig,
    SessionConfig,
    WarmupConfig,
)
from fastserve.config.text_proto import read_text_proto
from fastserve.config.transport import TransportConfig
from fastserve.errors import ConfigError, ServingError
from fastserve.flags import COMMANDS, help_text, parse_flags

START_FAILED = 255
"""Exit status when the command line is wrong or the server cannot start."""


def server_config(values: Mapping[str, Any]) -> ServerConfig:
    """Returns the configuration that flags stand for, and checks the paths in it, but not the files
    that the server itself reads. Raises ServingError.
    """
    transitions = Transitions.parse(values["version_transition_policy"])
    return ServerConfig(
        models=_models(values, transitions),
        model_config_file=values["model_config_file"],
        config_file_poll_wait_s=values["model_config_file_poll_wait_seconds"],
        allow_unavailable_labels=values["allow_version_labels_for_unavailable_models"],
        transitions=transitions,
        strict_start=values["strict_start"],
        grpc=_grpc_config(values),
        rest=RestConfig(
            port=values["rest_api_port"],
            timeout_ms=values["rest_api_timeout_in_ms"],
            max_body_bytes=values["rest_max_body_bytes"],
            cors=values["rest_api_enable_cors_support"],
            ssl_config_file=values["rest_ssl_config_file"],
        ),
        load=_load_config(values),
        session=_session_config(values),
        warmup=WarmupConfig(
            enabled=values["enable_model_warmup"],
            iterations=max(1, values["num_request_iterations_for_warmup"]),
            synthetic=values["synthetic_warmup"],
        ),
        custom_op_libraries=_custom_op_libraries(values["custom_op_libraries"]),
        request_capture=values["enable_request_capture"],
        outputs_as_tensor_content=values["enable_serialization_as_tensor_content"],
        io_threads=values["io_threads"],
        worker_threads=values["worker_threads"],
        shutdown_grace_s=values["shutdown_grace_seconds"],
        port_file=values["port_file"],
    )


def _grpc_config(values: Mapping[str, Any]) -> GrpcConfig:
    transport = TransportConfig(
        max_connections=values["grpc_max_connections"],
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


def _load_config(values: Mapping[str, Any]) -> LoadConfig:
    return LoadConfig(
        poll_wait_s=values["file_system_poll_wait_seconds"],
        max_retries=values["max_num_load_retries"],
        retry_interval_s=values["load_retry_interval_micros"] / 1e6,
        tags=tuple((values["saved_model_tags"] or "serve").split(",")),
        num_load_threads=values["num_load_threads"],
        num_unload_threads=values["num_unload_threads"],
        always_present=values["servable_versions_always_present"],
        fail_if_no_versions=values["fail_if_no_model_versions_found"],
    )


def _session_config(values: Mapping[str, Any]) -> SessionConfig:
    base = b""
    if path := values["tensorflow_session_config_file"]:
        from fastserve import protos

        base = read_text_proto(path, protos.ConfigProto).SerializeToString()
    return SessionConfig(
        parallelism=values["tensorflow_session_parallelism"],
        intra_op=values["tensorflow_intra_op_parallelism"],
        inter_op=values["tensorflow_inter_op_parallelism"],
        gpu_memory_fraction=values["per_process_gpu_memory_fraction"],
        gpu_memory_growth=values["gpu_memory_growth"],
        base=base,
    )


def _models(values: Mapping[str, Any], transitions: Transitions) -> tuple[ModelConfig, ...]:
    """Returns the model of the command line, if that is not left to a file."""
    if values["model_config_file"]:
        if values["demo"]:
            raise ConfigError(
                "--demo and --model_config_file are both set; to serve the demo model with others, "
                "list its directory in the file"
            )
        return ()
    if values["demo"]:
        from fastserve import demo

        name, base_path = demo.MODEL_NAME, str(demo.base_path())
    else:
        name, base_path = values["model_name"], values["model_base_path"]
    model = ModelConfig(name=name, base_path=base_path, transition=transitions.of(name))
    if not os.path.isdir(model.base_path):
        raise ConfigError(
            f"--model_base_path={model.base_path} is not a directory; it must be one that holds "
            "one directory a version, as 1/saved_model.pb. To try a demo model, use --demo"
        )
    return (model,)


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
    try:
        values = parse_flags(arguments)
    except ConfigError as error:
        print(f"fastserve: {error.message}", file=sys.stderr)
        return START_FAILED
    try:
        if values["help"] or values["version"]:
            print(help_text() if values["help"] else _versions())
            return 0
        config = server_config(values)
        from fastserve.server import serve

        return serve(config)
    except ServingError as error:
        print(f"Failed to start server. Error: {error}", file=sys.stderr)
        return START_FAILED


def main() -> NoReturn:
    """Runs the command line's server and ends the process.

    The process ends without the interpreter's and the libraries' tear-down, which would wait for,
    or pull memory from under, threads that still load or run a model.
    """
    status = run(sys.argv[1:])
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
