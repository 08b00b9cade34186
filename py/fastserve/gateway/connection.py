"""One HTTP/1.1 connection of the REST gateway."""

from __future__ import annotations

import asyncio
import re
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias, cast

import httptools

from fastserve.gateway.replies import Reply, error_body, html_reply, render_head
from fastserve.observe.access_log import AccessLog

_MAX_PIPELINED = 64
"""A client that sends more requests ahead waits until its earlier ones are answered."""

_MAX_HEAD_BYTES = 64 * 2**10

_JOINED_BYTES = 64 * 2**10
"""A shorter body is copied behind its head; a longer one is handed over beside it."""

_REQUEST_LINE = re.compile(rb"(?:\A|\n)[^ \r\n]+ [^ \r\n]+ HTTP/1\.[0-9]\r?\n")
"""What tells a verb that is not known from bytes that are no HTTP."""

Done: TypeAlias = Callable[[Reply], None]
"""Takes the answer to one request, once; on the event loop's thread."""


@dataclass(slots=True)
class Request:
    """One request, whole."""

    verb: str = ""
    target: bytes = b""
    origin: str = ""
    accept: bytes = b""
    """Values of that header, joined by commas."""
    gzip: bool = False
    expects_continue: bool = False
    keep_alive: bool = True
    is_http_1_0: bool = False
    body: bytes = b""
    chunks: list[bytes] = field(default_factory=list)
    size: int = 0
    head_size: int = 0
    begun: float = 0.0
    """By time.monotonic()."""
    traceparent: str = ""


class Handler(Protocol):
    """What a connection asks of the gateway."""

    max_body_bytes: int
    draining: bool
    cors: bool
    """Whether pages of any origin may read the replies."""

    access_log: AccessLog | None

    def handle(self, request: Request, done: Done) -> None:
        """Has the request answered through `done`, at once or later."""

    def opened(self, connection: HttpConnection) -> None:
        """Called when a client has connected."""

    def closed(self, connection: HttpConnection) -> None:
        """Called when the connection is gone."""


class HttpConnection(asyncio.Protocol):
    """Parses requests and writes their answers in order. Event loop's thread only.

    One request at a time is handed to the handler. What cannot be understood is a refusal: it takes
    its place in the order of answers, and ends the connection.
    """

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._parser = httptools.HttpRequestParser(self)
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._request = Request()
        self._waiting: deque[Request | Reply] = deque()
        self.receiving = False
        """A request has begun to come, and is not whole yet."""
        self._answering = False
        self._advancing = False
        self._deaf = False
        """Nothing that comes is looked at any more: a refusal, or a last request, came before."""
        self._reading = True
        self._writable = True
        self.last_active = self._loop.time()

    @property
    def busy(self) -> bool:
        """Whether a request is being answered or waits for it."""
        return self._answering or bool(self._waiting)

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Takes over the socket."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass of it
        self._handler.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Drops what was not answered."""
        self._transport = None
        self._waiting.clear()
        self._handler.closed(self)

    def data_received(self, data: bytes) -> None:
        """Feeds the parser; a request that is complete is answered."""
        self.last_active = self._loop.time()
        if self._deaf:
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserInvalidMethodError:
            self._refuse(html_reply(501 if _REQUEST_LINE.search(data) else 400))
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._refuse(html_reply(400))

    def pause_writing(self) -> None:
        """The client does not read: no further request is answered for now."""
        self._writable = False

    def resume_writing(self) -> None:
        """The client reads again."""
        self._writable = True
        self._advance()

    # httptools' callbacks

    def on_message_begin(self) -> None:
        """A request begins."""
        self.receiving = not self._deaf
        self._request = Request(begun=time.monotonic())

    def on_url(self, url: bytes) -> None:
        """The request target, maybe in pieces."""
        self._request.target += url
        self._count_head(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Few headers matter."""
        self._count_head(len(name) + len(value))
        key = name.lower()
        if key == b"content-encoding":
            self._request.gzip = b"gzip" in value
        elif key == b"origin":
            self._request.origin = value.decode("latin-1")
        elif key == b"accept":
            self._request.accept += b"," + value
        elif key == b"expect":
            self._request.expects_continue = value.lower() == b"100-continue"
        elif key == b"traceparent":
            self._request.traceparent = value.decode("latin-1")
        elif key == b"content-length" and value.isdigit():
            self._check_size(int(value[:19]))

    def on_headers_complete(self) -> None:
        """Everything but the body is known."""
        request = self._request
        request.verb = self._parser.get_method().decode()
        request.is_http_1_0 = self._parser.get_http_version() == "1.0"
        request.keep_alive = self._parser.should_keep_alive()
        if request.expects_continue and not self._deaf and self._transport and not self.busy:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        if self._deaf:
            return
        request = self._request
        request.chunks.append(body)
        request.size += len(body)
        self._check_size(request.size)

    def on_message_complete(self) -> None:
        """The request is whole."""
        self.receiving = False
        if self._deaf:
            return
        request = self._request
        request.body = request.chunks[0] if len(request.chunks) == 1 else b"".join(request.chunks)
        request.chunks = []
        self._deaf = not request.keep_alive
        self._waiting.append(request)
        if len(self._waiting) >= _MAX_PIPELINED and self._transport and self._reading:
            self._transport.pause_reading()
            self._reading = False
        self._advance()

    # answering

    def close(self) -> None:
        """Closes, after what is written has gone out."""
        if self._transport is not None:
            self._transport.close()

    def _advance(self) -> None:
        """Hands on requests, in order, until one is not answered at once.

        An answer that comes at once comes from within this loop, not by a call of it from itself.
        """
        if self._advancing:
            return
        self._advancing = True
        while self._waiting and not self._answering and self._writable and self._transport:
            item = self._waiting.popleft()
            self._answering = True
            if isinstance(item, Reply):
                self._write(item, b"")
            else:
                self._resume_reading()
                self._handler.handle(item, self._answer_to(item))
        self._advancing = False

    def _answer_to(self, request: Request) -> Done:
        def done(reply: Reply) -> None:
            if self._handler.access_log is not None:
                self._log(self._handler.access_log, request, reply)
            if not request.keep_alive or self._handler.draining:
                self._write(reply, b"Connection: close\r\n")
            elif request.is_http_1_0:
                self._write(reply, b"Connection: keep-alive\r\n")
            else:
                self._write(reply, b"")

        return done

    def _log(self, access_log: AccessLog, request: Request, reply: Reply) -> None:
        name = self._transport.get_extra_info("peername") if self._transport else None
        access_log.record(
            "rest",
            f"{request.verb} {request.target.decode('latin-1')}",
            str(reply.status),
            time.monotonic() - request.begun,
            peer=f"{name[0]}:{name[1]}" if name else "",
            traceparent=request.traceparent,
            bytes_in=len(request.body),
            bytes_out=len(reply.body),
        )

    def _write(self, reply: Reply, connection: bytes) -> None:
        """Writes an answer with that header line of the name."""
        self._answering = False
        if self._transport is None:
            return
        self.last_active = self._loop.time()
        head = render_head(reply, connection, time.time(), cors=self._handler.cors)
        if len(reply.body) < _JOINED_BYTES:
            self._transport.write(head + reply.body)
        else:
            self._transport.writelines((head, reply.body))
        if reply.close or connection == b"Connection: close\r\n":
            self._deaf = True
            self._waiting.clear()
            self._transport.close()
        else:
            self._advance()

    def _resume_reading(self) -> None:
        if not self._reading and self._transport and len(self._waiting) < _MAX_PIPELINED:
            self._transport.resume_reading()
            self._reading = True

    def _count_head(self, size: int) -> None:
        self._request.head_size += size
        if self._request.head_size > _MAX_HEAD_BYTES:
            self._refuse(html_reply(400))

    def _check_size(self, size: int) -> None:
        limit = self._handler.max_body_bytes
        if size > limit:
            text = (
                f"The request's body of {size} bytes or more is longer than the limit of {limit} "
                "bytes (--rest_max_body_bytes)"
            )
            self._refuse(Reply(413, error_body(text), close=True))

    def _refuse(self, reply: Reply) -> None:
        """Answers what cannot be handled, after the requests before it, and ends the connection."""
        if self._deaf:
            return
        self._deaf = True
        self.receiving = False
        self._request.chunks = []
        self._waiting.append(reply)
        self._advance()
