"""--grpc_channel_arguments: what is taken, what is warned of, and what is refused."""

import math
from typing import Any

import pytest

from fastserve.config.channel_arguments import with_channel_arguments
from fastserve.config.server import MAX_GRPC_MESSAGE_BYTES, GrpcConfig
from fastserve.config.transport import MAX_SENT_MESSAGE_BYTES, TransportConfig
from fastserve.errors import ConfigError


def transport(text: str) -> TransportConfig:
    return with_channel_arguments(GrpcConfig(), text).transport


def test_nothing_changes_nothing() -> None:
    assert with_channel_arguments(GrpcConfig(port=1), "") == GrpcConfig(port=1)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("grpc.max_concurrent_streams=7", {"max_streams_per_connection": 7}),
        ("grpc.max_send_message_length=0", {"max_sent_message_bytes": 0}),
        ("grpc.max_send_message_length=-1", {"max_sent_message_bytes": MAX_SENT_MESSAGE_BYTES}),
        ("grpc.max_metadata_size=100", {"max_metadata_bytes": 100}),
        ("grpc.http2.max_frame_size=16384", {"max_frame_bytes": 16384}),
        ("grpc.keepalive_time_ms=1", {"keepalive_time_ms": 1}),
        ("grpc.keepalive_time_ms=2147483647", {"keepalive_time_ms": None}),
        ("grpc.keepalive_timeout_ms=2", {"keepalive_timeout_ms": 2}),
        ("grpc.max_connection_age_ms=3", {"max_age_ms": 3}),
        ("grpc.max_connection_age_grace_ms=0", {"max_age_grace_ms": 0}),
        ("grpc.max_connection_idle_ms=5", {"max_idle_ms": 5}),
        ("grpc.so_reuseport=1", {"reuse_port": True}),
        ("grpc.so_reuseport=0", {"reuse_port": False}),
        *(
            (f"grpc.default_compression_algorithm={text}", {"compression": number})
            for text, number in (("0", 0), ("1", 1), ("2", 2), ("gzip", 2), ("deflate", 1))
        ),
        (
            "grpc.http2.max_ping_strikes=1,grpc.http2.min_ping_interval_without_data_ms=500",
            {"ping_burst": 2.0, "pings_per_second": 2.0},
        ),
        (
            "grpc.http2.min_ping_interval_without_data_ms=1000",
            {"ping_burst": 3.0, "pings_per_second": 1.0},
        ),
        ("grpc.http2.max_ping_strikes=5", {"ping_burst": 6.0, "pings_per_second": 1 / 300}),
        ("grpc.http2.max_ping_strikes=0", {"ping_burst": math.inf}),
        ("grpc.so_reuseport=0,grpc.so_reuseport=1", {"reuse_port": True}),
        ("grpc.max_connection_age_ms=3=4", {"max_age_ms": 3}),
    ],
)
def test_arguments_reach_the_transport(text: str, wanted: dict[str, Any]) -> None:
    made = transport(text)
    assert made == TransportConfig(**wanted)


@pytest.mark.parametrize(("value", "wanted"), [("5", 5), ("-1", MAX_GRPC_MESSAGE_BYTES)])
def test_longest_request_is_the_configurations_own(value: str, wanted: int) -> None:
    made = with_channel_arguments(GrpcConfig(), f"grpc.max_receive_message_length={value}")
    assert made == GrpcConfig(max_message_bytes=wanted)


def test_others_are_warned_of_once_each(caplog: pytest.LogCaptureFixture) -> None:
    assert transport("grpc.a=1,grpc.b=x,grpc.a=2") == TransportConfig()
    assert caplog.messages == [
        f"--grpc_channel_arguments: grpc.{name} has no effect here" for name in "ab"
    ]


@pytest.mark.parametrize("text", ["x", "=1", "grpc.so_reuseport=1,", ",", "a=1,,b=2"])
def test_entry_that_is_no_pair_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"has the entry '.*'; it must be name=value, several"):
        transport(text)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("grpc.max_concurrent_streams", "0", "a number from 1 to 2147483647"),
        ("grpc.max_concurrent_streams", "x", "a number from 1 to 2147483647"),
        ("grpc.max_receive_message_length", "-2", "a number of bytes, or -1 for no limit"),
        ("grpc.max_send_message_length", "1.5", "a number of bytes, or -1 for no limit"),
        ("grpc.keepalive_time_ms", "0", "a number of milliseconds, 1 or more; "),
        ("grpc.max_connection_age_ms", "2147483648", "a number of milliseconds, 1 or more; "),
        ("grpc.max_connection_age_grace_ms", "-1", "a number of milliseconds; "),
        ("grpc.http2.max_frame_size", "16383", "a number of bytes from 16384 to 16777215"),
        ("grpc.http2.max_frame_size", "16777216", "a number of bytes from 16384 to 16777215"),
        ("grpc.so_reuseport", "yes", "0 or 1"),
        ("grpc.default_compression_algorithm", "3", "0 (identity), 1 (deflate) or 2 (gzip)"),
        ("grpc.http2.max_ping_strikes", "-1", "a number from 0 to 2147483647"),
    ],
)
def test_value_that_makes_no_sense_is_refused(name: str, value: str, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        transport(f"{name}={value}")
    wanted = f"--grpc_channel_arguments: {name} is {value!r}; it must be {expected}"
    assert caught.value.message.startswith(wanted)
