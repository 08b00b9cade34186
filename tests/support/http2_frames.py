"""HTTP/2 frames by hand, for clients that break off in the middle or speak nonsense (RFC 9113)."""

import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = (
    *range(5),
    *range(6, 10),
)
END_STREAM, ACK, END_HEADERS = 0x1, 0x1, 0x4
INITIAL_WINDOW_SIZE = 4
REFUSED_STREAM, CANCEL, ENHANCE_YOUR_CALM = 7, 8, 11


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


def settings(values: dict[int, int] | None = None) -> bytes:
    """A SETTINGS frame."""
    pairs = (values or {}).items()
    return frame(SETTINGS, 0, 0, b"".join(struct.pack(">HI", key, value) for key, value in pairs))


def reset(stream: int, code: int = CANCEL) -> bytes:
    """An RST_STREAM frame."""
    return frame(RST_STREAM, 0, stream, struct.pack(">I", code))


@dataclass(frozen=True)
class Frame:
    """One frame that was received."""

    kind: int
    flags: int
    stream: int
    payload: bytes

    @property
    def code(self) -> int:
        """The error code of RST_STREAM or GOAWAY."""
        at = 4 if self.kind == GOAWAY else 0
        return int.from_bytes(self.payload[at : at + 4], "big")


class Connection:
    """A client that says hello and from then on only what a test lets it say."""

    def __init__(
        self, port: int, values: dict[int, int] | None = None, *, seconds: float = 15.0
    ) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=seconds)
        self._data = b""
        self.send(PREFACE + settings(values))

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def call(self, stream: int, path: str, message: bytes, *more: tuple[str, str]) -> None:
        """Sends a whole unary call."""
        body = grpc_message(message)
        pieces = [body[i : i + 16384] for i in range(0, len(body), 16384)]
        self.send(grpc_headers(stream, path, *more))
        for number, piece in enumerate(pieces, 1):
            self.send(frame(DATA, END_STREAM if number == len(pieces) else 0, stream, piece))

    def frame(self) -> Frame | None:
        """The next frame, None at the connection's end."""
        head = self._exactly(9)
        if head is None:
            return None
        payload = self._exactly(int.from_bytes(head[:3], "big"))
        return None if payload is None else Frame(head[3], head[4], _stream(head), payload)

    def until(self, *kinds: int) -> Frame | None:
        """The next frame of one of these kinds, None when the connection ends before."""
        while (found := self.frame()) is not None and found.kind not in kinds:
            pass
        return found

    def _exactly(self, size: int) -> bytes | None:
        while len(self._data) < size:
            try:
                piece = self._socket.recv(1 << 16)
            except ConnectionResetError:
                piece = b""
            if not piece:
                return None
            self._data += piece
        found, self._data = self._data[:size], self._data[size:]
        return found


def _stream(head: bytes) -> int:
    return int.from_bytes(head[5:9], "big")
