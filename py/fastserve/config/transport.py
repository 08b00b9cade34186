"""Limits of the gRPC port: what its clients may ask of it, and how long they may take."""

from __future__ import annotations

import math
from dataclasses import dataclass

from fastserve.errors import ConfigError

MAX_SENT_MESSAGE_BYTES = 2**32 - 1
"""gRPC carries no longer message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransportConfig:
    """Fields are named as those of _native.ServerOptions. Times are in ms; None: no limit."""

    reuse_port: bool = False
    """Other processes that do so too may listen on the same port."""
    max_connections: int = 10_000
    """Further ones are closed at once."""
    max_requests_in_flight: int = 100_000
    """Of all connections; further ones are answered with RESOURCE_EXHAUSTED."""
    max_bytes_in_flight: int = 4 * 2**30
    """Of all connections: requests without an answer, and answers that wait for their clients.
    Beyond half of it clients are slowed down, beyond it requests are refused as above."""
    max_streams_per_connection: int = 4096
    max_frame_bytes: int = 2**20
    """Of HTTP/2: in smaller ones a long message takes longer."""
    max_metadata_bytes: int = 64 * 2**10
    """Of one request: names, values and 32 bytes for each."""
    resets_per_second: int = 1_000
    """Calls that a client may cancel in the long run; ten times that at once."""
    control_frames_per_second: int = 100
    """Frames that make work but carry nothing, counted as resets are."""
    ping_burst: float = math.inf
    """PINGs that a client may send without getting any answer in between."""
    pings_per_second: float = 0.0
    handshake_timeout_ms: int | None = 10_000
    """For TLS's handshake."""
    first_byte_timeout_ms: int | None = 20_000
    """From there to the first frame of HTTP/2."""
    stall_timeout_ms: int | None = 60_000
    """How long answers wait for a client that takes next to nothing of them."""
    max_buffered_bytes: int = 64 * 2**20
    """While more of a connection's answers wait for its client, its further calls wait, too."""
    keepalive_time_ms: int | None = 2 * 3600 * 1000
    """After so long a silence a client is sent a PING, and has so long to answer:"""
    keepalive_timeout_ms: int | None = 20_000
    max_idle_ms: int | None = None
    """After so long without a call a client is asked to leave."""
    max_age_ms: int | None = None
    """After so long every client is asked to leave, and has so long to finish its calls:"""
    max_age_grace_ms: int | None = None
    max_sent_message_bytes: int = MAX_SENT_MESSAGE_BYTES
    compression: int = 0
    """Of answers, for clients that accept it: 0 none, 1 deflate, 2 gzip."""

    def __post_init__(self) -> None:
        for flag, value in (
            ("grpc_max_connections", self.max_connections),
            ("grpc_max_requests_in_flight", self.max_requests_in_flight),
            ("grpc_max_streams_per_connection", self.max_streams_per_connection),
            ("grpc_max_metadata_bytes", self.max_metadata_bytes),
            ("grpc_max_resets_per_second", self.resets_per_second),
            ("grpc_max_control_frames_per_second", self.control_frames_per_second),
            ("grpc_max_buffered_bytes", self.max_buffered_bytes),
        ):
            _check(flag, value, 2**31 - 1)
        _check("grpc_max_bytes_in_flight", self.max_bytes_in_flight, 2**63 - 1)

    @property
    def reset_burst(self) -> int:
        """Calls that a client may cancel at once."""
        return 10 * self.resets_per_second

    @property
    def control_frame_burst(self) -> int:
        """Control frames that a client may send at once."""
        return 10 * self.control_frames_per_second


def _check(flag: str, value: int, most: int) -> None:
    if not 1 <= value <= most:
        raise ConfigError(f"--{flag} is {value}; it must be from 1 to {most}")
