"""The value of --grpc_channel_arguments: gRPC's settings, as far as they mean something here."""

from __future__ import annotations

import dataclasses
import logging
import re
from collections.abc import Callable, Mapping
from typing import Any

from fastserve.config.server import MAX_GRPC_MESSAGE_BYTES, GrpcConfig
from fastserve.config.transport import MAX_SENT_MESSAGE_BYTES
from fastserve.errors import ConfigError

_LOGGER = logging.getLogger(__name__)

_INFINITE_MS = 2**31 - 1
"""As gRPC writes it."""

_INT32 = re.compile(r"-?[0-9]{1,10}")
_COMPRESSIONS = ("identity", "deflate", "gzip")

_STRIKES = "grpc.http2.max_ping_strikes"
_PING_INTERVAL = "grpc.http2.min_ping_interval_without_data_ms"
_RECEIVE_LENGTH = "grpc.max_receive_message_length"
_DEFAULT_STRIKES = 2
_DEFAULT_PING_INTERVAL_MS = 300_000
"""Both gRPC's, for where only the other one is given."""


def _integer(text: str, least: int, what: str) -> int:
    if not _INT32.fullmatch(text) or not least <= int(text) < 2**31:
        raise ValueError(what)
    return int(text)


def _count(text: str) -> int:
    return _integer(text, 1, "a number from 1 to 2147483647")


def _frame_size(text: str) -> int:
    """RFC 9113, section 6.5.2."""
    expected = "a number of bytes from 16384 to 16777215"
    if (value := _integer(text, 2**14, expected)) >= 2**24:
        raise ValueError(expected)
    return value


def _milliseconds(text: str) -> int | None:
    value = _integer(text, 0, "a number of milliseconds; 2147483647 means no limit")
    return None if value == _INFINITE_MS else value


def _positive_milliseconds(text: str) -> int | None:
    value = _integer(text, 1, "a number of milliseconds, 1 or more; 2147483647 means no limit")
    return None if value == _INFINITE_MS else value


def _length(unlimited: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        value = _integer(text, -1, "a number of bytes, or -1 for no limit")
        return unlimited if value == -1 else value

    return parse


def _switch(text: str) -> bool:
    if text not in ("0", "1"):
        raise ValueError("0 or 1")
    return text == "1"


def _compression(text: str) -> int:
    """gRPC takes the number and the name."""
    for number, name in enumerate(_COMPRESSIONS):
        if text in (str(number), name):
            return number
    raise ValueError("0 (identity), 1 (deflate) or 2 (gzip)")


_TRANSPORT: Mapping[str, tuple[str, Callable[[str], Any]]] = {
    "grpc.max_concurrent_streams": ("max_streams_per_connection", _count),
    "grpc.max_send_message_length": ("max_sent_message_bytes", _length(MAX_SENT_MESSAGE_BYTES)),
    "grpc.http2.max_frame_size": ("max_frame_bytes", _frame_size),
    "grpc.max_metadata_size": ("max_metadata_bytes", _count),
    "grpc.keepalive_time_ms": ("keepalive_time_ms", _positive_milliseconds),
    "grpc.keepalive_timeout_ms": ("keepalive_timeout_ms", _positive_milliseconds),
    "grpc.max_connection_age_ms": ("max_age_ms", _positive_milliseconds),
    "grpc.max_connection_age_grace_ms": ("max_age_grace_ms", _milliseconds),
    "grpc.max_connection_idle_ms": ("max_idle_ms", _positive_milliseconds),
    "grpc.so_reuseport": ("reuse_port", _switch),
    "grpc.default_compression_algorithm": ("compression", _compression),
}
"""Argument -> field of TransportConfig, and what its value means."""


def with_channel_arguments(config: GrpcConfig, text: str) -> GrpcConfig:
    """Returns `config` with what the flag's value asks for, which comes before other flags.

    As in TensorFlow Serving, arguments are joined by commas, and of one the text between its first
    and its second "=" counts. Warns of arguments that have no effect here. Raises ConfigError.
    """
    arguments = _split(text)
    transport: dict[str, Any] = {}
    for name, (field, parse) in _TRANSPORT.items():
        if name in arguments:
            transport[field] = _parsed(name, arguments.pop(name), parse)
    if _STRIKES in arguments or _PING_INTERVAL in arguments:
        transport |= _ping_limits(arguments)
    top: dict[str, Any] = {}
    if _RECEIVE_LENGTH in arguments:
        parse = _length(MAX_GRPC_MESSAGE_BYTES)
        top["max_message_bytes"] = _parsed(_RECEIVE_LENGTH, arguments.pop(_RECEIVE_LENGTH), parse)
    for name in arguments:
        _LOGGER.warning("--grpc_channel_arguments: %s has no effect here", name)
    return dataclasses.replace(
        config, **top, transport=dataclasses.replace(config.transport, **transport)
    )


def _split(text: str) -> dict[str, str]:
    arguments = {}
    for entry in text.split(",") if text else ():
        name, separator, rest = entry.partition("=")
        if not separator or not name:
            raise ConfigError(
                f"--grpc_channel_arguments has the entry {entry!r}; it must be name=value, several "
                "joined by commas, as grpc.max_connection_age_ms=60000"
            )
        arguments[name] = rest.partition("=")[0]
    return arguments


def _parsed(name: str, text: str, parse: Callable[[str], Any]) -> Any:
    try:
        return parse(text)
    except ValueError as expected:
        raise ConfigError(
            f"--grpc_channel_arguments: {name} is {text!r}; it must be {expected}"
        ) from None


def _ping_limits(arguments: dict[str, str]) -> dict[str, Any]:
    """Returns gRPC's rule against PINGs as a rate: after one PING, so many may come too early."""

    def count(text: str) -> int:
        return _integer(text, 0, "a number from 0 to 2147483647")

    strikes = _parsed(_STRIKES, arguments.pop(_STRIKES, str(_DEFAULT_STRIKES)), count)
    interval_text = arguments.pop(_PING_INTERVAL, str(_DEFAULT_PING_INTERVAL_MS))
    interval_ms = _parsed(_PING_INTERVAL, interval_text, count)
    if strikes == 0 or interval_ms == 0:  # Any number, or any interval.
        return {}
    return {"ping_burst": strikes + 1.0, "pings_per_second": 1000 / interval_ms}
