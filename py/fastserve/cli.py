"""The command line: TensorFlow Serving's flags, and those of fastserve's own."""

from __future__ import annotations

import difflib
import logging
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from fastserve.config.models import ModelConfig
from fastserve.config.server import (
    ANY_PORT,
    MAX_GRPC_MESSAGE_BYTES,
    GrpcConfig,
    LoadConfig,
    RestConfig,
    ServerConfig,
    SessionConfig,
)
from fastserve.errors import ConfigError, ServingError

START_FAILED = 255
"""Exit status when the command line is wrong or the server cannot start."""

_INTEGER = re.compile(r"\s*[+-]?[0-9]{1,19}\s*")
_TRUE, _FALSE = ("true", "1"), ("false", "0")


def _integer(text: str) -> int:
    if not _INTEGER.fullmatch(text):
        raise ValueError("an integer")
    return int(text)


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


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag; `parse` raises ValueError with what it expects."""

    name: str
    parse: Callable[[str], Any]
    default: Any
    help: str
    aliases: tuple[str, ...] = ()

    @property
    def is_boolean(self) -> bool:
        """Whether it may stand without a value."""
        return self.parse is _boolean


GROUPS: Mapping[str, tuple[Flag, ...]] = {
    "What to serve": (
        Flag("model_name", str, "model", "name that requests give the model"),
        Flag(
            "model_base_path",
            str,
            "/models/model",
            "directory that holds one directory a version, as /models/model/1/saved_model.pb",
        ),
        Flag("demo", _boolean, False, "serve a demo model, called mnist, made on first use"),
        Flag("saved_model_tags", str, "serve", "tag set of the MetaGraph, joined by commas"),
        Flag(
            "file_system_poll_wait_seconds",
            _integer,
            1,
            "between two looks for versions; 0: look once, negative: never",
        ),
        Flag("max_num_load_retries", _integer, 5, "further attempts to load a version"),
        Flag(
            "load_retry_interval_micros",
            _integer,
            60_000_000,
            "between two attempts; negative: none",
        ),
    ),
    "Listening": (
        Flag("port", _port, 8500, "gRPC port; 0 or auto: any free one"),
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
        Flag("rest_max_body_bytes", _integer, 2**30, "longest body of a REST request"),
        Flag(
            "grpc_max_message_bytes",
            _integer,
            MAX_GRPC_MESSAGE_BYTES,
            "longest message of a gRPC request",
        ),
        Flag("port_file", str, "", "file to write ports and process id to, as JSON, once ready"),
    ),
    "Running": (
        Flag(
            "tensorflow_session_parallelism",
            _integer,
            0,
            "intra- and inter-op threads of TensorFlow; 0: automatic",
        ),
        Flag("tensorflow_intra_op_parallelism", _integer, 0, "threads within one operation"),
        Flag("tensorflow_inter_op_parallelism", _integer, 0, "operations at the same time"),
        Flag(
            "enable_serialization_as_tensor_content",
            _boolean,
            False,
            "answer gRPC Predict with tensor_content instead of typed fields",
        ),
        Flag("io_threads", _integer, 0, "threads that own connections; 0: one a CPU"),
        Flag("worker_threads", _integer, 0, "threads for long runs; 0: one a CPU"),
        Flag(
            "shutdown_grace_seconds",
            _number,
            10.0,
            "how long requests in flight may take after SIGTERM",
        ),
    ),
    "Other": (
        Flag("version", _boolean, False, "print the versions and exit"),
        Flag("help", _boolean, False, "print this and exit"),
    ),
}

_FLAGS: Mapping[str, Flag] = {
    name: flag for flags in GROUPS.values() for flag in flags for name in (flag.name, *flag.aliases)
}


def parse_flags(arguments: Sequence[str]) -> dict[str, Any]:
    """Returns every flag's value by its name. The last of repeated flags counts.

    Takes `--flag=value` and `--flag value`; a boolean is never followed by its value. Raises
    ConfigError.
    """
    values = {flag.name: flag.default for flag in _FLAGS.values()}
    rest = iter(arguments)
    for argument in rest:
        word, has_value, text = argument.partition("=")
        flag = _find(word, argument)
        if not has_value:
            text = "true" if flag.is_boolean else _following(word, rest)
        try:
            values[flag.name] = flag.parse(text)
        except ValueError as expected:
            raise ConfigError(
                f"Couldn't interpret value {text} for flag {word[2:]}: it must be {expected}"
            ) from None
    return values


def _following(word: str, rest: Iterable[str]) -> str:
    for text in rest:
        return text
    raise ConfigError(f"{word} needs a value, as {word}=VALUE")


def _find(word: str, argument: str) -> Flag:
    if not word.startswith("--"):
        raise ConfigError(f"unknown argument: {argument} (flags begin with --; see --help)")
    if (flag := _FLAGS.get(word[2:])) is not None:
        return flag
    near = difflib.get_close_matches(word[2:], _FLAGS, n=1)
    hint = f"did you mean --{near[0]}?" if near else "see --help"
    raise ConfigError(f"unknown argument: {argument} ({hint})")


def help_text() -> str:
    """Returns what --help prints."""
    lines = ["usage: python -m fastserve [--flag=value ...]", ""]
    for title, flags in GROUPS.items():
        lines.append(f"{title}:")
        for flag in flags:
            names = " = ".join(f"--{name}" for name in (flag.name, *flag.aliases))
            default = str(flag.default).lower() if flag.is_boolean else flag.default
            shown = f" (default {default})" if default != "" else ""
            lines.append(f"  {names}\n      {flag.help}{shown}")
        lines.append("")
    return "\n".join(lines)


def server_config(values: Mapping[str, Any], model: ModelConfig) -> ServerConfig:
    """Returns the configuration that flags stand for. Raises ConfigError."""
    return ServerConfig(
        models=(model,),
        grpc=GrpcConfig(port=values["port"], max_message_bytes=values["grpc_max_message_bytes"]),
        rest=RestConfig(
            port=values["rest_api_port"],
            timeout_ms=values["rest_api_timeout_in_ms"],
            max_body_bytes=values["rest_max_body_bytes"],
        ),
        load=LoadConfig(
            poll_wait_s=values["file_system_poll_wait_seconds"],
            max_retries=values["max_num_load_retries"],
            retry_interval_s=values["load_retry_interval_micros"] / 1e6,
            tags=tuple((values["saved_model_tags"] or "serve").split(",")),
        ),
        session=SessionConfig(
            parallelism=values["tensorflow_session_parallelism"],
            intra_op=values["tensorflow_intra_op_parallelism"],
            inter_op=values["tensorflow_inter_op_parallelism"],
        ),
        outputs_as_tensor_content=values["enable_serialization_as_tensor_content"],
        io_threads=values["io_threads"],
        worker_threads=values["worker_threads"],
        shutdown_grace_s=values["shutdown_grace_seconds"],
        port_file=values["port_file"],
    )


def _model_config(values: Mapping[str, Any]) -> ModelConfig:
    if values["demo"]:
        from fastserve import demo

        return ModelConfig(name=demo.MODEL_NAME, base_path=str(demo.base_path()))
    model = ModelConfig(name=values["model_name"], base_path=values["model_base_path"])
    if not os.path.isdir(model.base_path):
        raise ConfigError(
            f"--model_base_path={model.base_path} is not a directory; it must be one that holds "
            "one directory a version, as 1/saved_model.pb. To try a demo model, use --demo"
        )
    return model


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
    try:
        values = parse_flags(arguments)
    except ConfigError as error:
        print(f"fastserve: {error.message}", file=sys.stderr)
        return START_FAILED
    try:
        if values["help"] or values["version"]:
            print(help_text() if values["help"] else _versions())
            return 0
        config = server_config(values, _model_config(values))
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
