"""One HTTP/1.1 connection of the REST gateway."""

import asyncio
import contextlib
import zlib
from collections import deque
from dataclasses import dataclass, field
from typing import Protocol, cast

import httptools

from fastserve.gateway.replies import error_body, html_reply, http_reply

_MAX_INFLATED_BYTES = 100 << 20
# A client that pipelines more waits until its earlier requests are answered.
_MAX_PIPELINED = 64


@dataclass(slots=True)
class Request:
    """One request, whole."""

    method: str = ""
    target: bytes = b""
    origin: bytes = b""
    gzip: bool = False
    expects_continue: bool = False
    keep_alive: bool = True
    body: bytes = b""
    chunks: list[bytes] = field(default_factory=list)
    size: int = 0


class Handler(Protocol):
    """What a connection asks of the gateway."""

    max_body_bytes: int
    draining: bool

    def handle(self, connection: "HttpConnection", request: Request) -> None:
        """Answers with `connection.answer()`, at once or later."""

    def opened(self, connection: "HttpConnection") -> None:
        """Called when a client has connected."""

    def closed(self, connection: "HttpConnection") -> None:
        """Called when the connection is gone."""


def inflate(body: bytes) -> bytes:
    """Returns a gzip body unpacked; nothing for one that is broken or too large, as upstream does."""
    unpacker = zlib.decompressobj(wbits=31)
    try:
        data = unpacker.decompress(body, _MAX_INFLATED_BYTES)
    except zlib.error:
        return b""
    return data if unpacker.eof else b""


class HttpConnection(asyncio.Protocol):
    """Parses requests and writes their answers in order, one at a time. Event-loop thread only."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._request = Request()
        self._waiting: deque[Request] = deque()
        self._current: Request | None = None
        self._refused = False
        self._writable = True
        self.last_active = 0.0

    @property
    def busy(self) -> bool:
        """Whether a request is being answered or waits for it."""
        return self._current is not None or bool(self._waiting)

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Takes over the socket."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass of it
        self._touch()
        self._handler.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Drops what was not answered."""
        self._transport = None
        self._waiting.clear()
        self._handler.closed(self)

    def data_received(self, data: bytes) -> None:
        """Feeds the parser; a request that is complete is answered."""
        self._touch()
        if self._refused:
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserInvalidMethodError:
            self._refuse(html_reply(501, "Not Implemented"))
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._refuse(html_reply(400, "Bad Request"))

    def pause_writing(self) -> None:
        """The client does not read: no further request is answered for now."""
        self._writable = False

    def resume_writing(self) -> None:
        """The client reads again."""
        self._writable = True
        self._next()

    # httptools' callbacks

    def on_message_begin(self) -> None:
        """A request begins."""
        self._request = Request()

    def on_url(self, url: bytes) -> None:
        """The request target, maybe in pieces."""
        self._request.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Only four headers matter."""
        key = name.lower()
        if key == b"content-encoding":
            self._request.gzip = b"gzip" in value.lower()
        elif key == b"origin":
            self._request.origin = value
        elif key == b"expect":
            self._request.expects_continue = value.lower() == b"100-continue"
        elif key == b"content-length" and value.isdigit():
            self._check_size(int(value))

    def on_headers_complete(self) -> None:
        """Everything but the body is known."""
        request = self._request
        request.method = self._parser.get_method().decode()
        request.keep_alive = self._parser.should_keep_alive()
        if request.expects_continue and not self._refused and self._transport and not self.busy:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        if self._refused:
            return
        self._request.chunks.append(body)
        self._request.size += len(body)
        self._check_size(self._request.size)

    def on_message_complete(self) -> None:
        """The request is whole."""
        if self._refused:
            return
        request = self._request
        request.body = request.chunks[0] if len(request.chunks) == 1 else b"".join(request.chunks)
        request.chunks = []
        if request.gzip:
            request.body = inflate(request.body)
        self._waiting.append(request)
        if len(self._waiting) >= _MAX_PIPELINED and self._transport:
            self._transport.pause_reading()
        self._next()

    # answering

    def answer(self, reply: bytes, *, close: bool) -> None:
        """Writes the answer to the current request; any thread but the loop's must not call it."""
        self._current = None
        if self._transport is None:
            return
        self._touch()
        self._transport.write(reply)
        if close:
            self._waiting.clear()
            self._transport.close()
        else:
            self._next()

    def must_close(self, request: Request) -> bool:
        """Whether the answer to `request` is the last one on this connection."""
        return not request.keep_alive or self._handler.draining

    def close(self) -> None:
        """Closes at once, after what is written has gone out."""
        if self._transport is not None:
            self._transport.close()

    def _next(self) -> None:
        # A loop instead of recursion: answers may be written while this runs.
        if self._current is not None or not self._waiting or not self._writable:
            return
        request = self._waiting.popleft()
        self._current = request
        if self._transport and len(self._waiting) < _MAX_PIPELINED:
            with contextlib.suppress(RuntimeError):  # it was not paused
                self._transport.resume_reading()
        self._handler.handle(self, request)

    def _check_size(self, size: int) -> None:
        limit = self._handler.max_body_bytes
        if size <= limit or self._refused:
            return
        body = error_body(
            f"Request body of {size} bytes is larger than the limit of {limit} bytes"
            " (--rest_max_body_bytes)"
        )
        self._refuse(
            http_reply(413, "Request Entity Too Large", "application/json", body, close=True)
        )

    def _refuse(self, reply: bytes) -> None:
        """Answers what cannot be handled, after which the connection is closed."""
        self._refused = True
        self._request.chunks = []
        if self._transport is not None:
            self._transport.write(reply)
            self._transport.close()

    def _touch(self) -> None:
        self.last_active = asyncio.get_running_loop().time()
