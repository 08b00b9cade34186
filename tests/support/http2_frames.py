"""HTTP/2 frames by hand, for clients that break off in the middle or speak nonsense (RFC 9113)."""

import struct
from collections.abc import Iterable

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, SETTINGS = 0, 1, 4
END_STREAM, END_HEADERS = 0x1, 0x4


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def headers(stream: int, fields: Iterable[tuple[str, str]]) -> bytes:
    """A HEADERS frame; fields as HPACK literals without indexing, each shorter than 127 bytes."""
    block = b"".join(
        b"\0" + bytes([len(key)]) + key.encode() + bytes([len(value)]) + value.encode()
        for key, value in fields
    )
    return frame(HEADERS, END_HEADERS, stream, block)


def grpc_headers(stream: int, path: str, *more: tuple[str, str]) -> bytes:
    """The HEADERS frame that opens a gRPC call."""
    fixed = [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "x")]
    return headers(
        stream, [*fixed, ("te", "trailers"), ("content-type", "application/grpc"), *more]
    )


def grpc_message(message: bytes) -> bytes:
    """`message` with gRPC's five-byte prefix."""
    return b"\0" + struct.pack(">I", len(message)) + message
