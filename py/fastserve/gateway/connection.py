"""One HTTP/1.1 connection of the REST gateway."""

from __future__ import annotations

import asyncio
import dataclasses
import re
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TypeAlias, cast

import httptools

from fastserve.gateway.limits import Limits, Receiving
from fastserve.gateway.replies import Reply, error_body, html_reply, render_head
from fastserve.gateway.request import Body, Request
from fastserve.observe import instruments
from fastserve.observe.access_log import AccessLog
from fastserve.observe.stages import server_timing

if TYPE_CHECKING:
    from fastserve.observe.traces import Traces

_MAX_PIPELINED = 64
"""A client that sends more requests ahead waits until its earlier ones are answered."""

_MAX_WAITING_BYTES = 2**20
"""So does one whose further requests' bodies come to more than that."""

_MAX_HEAD_BYTES = 64 * 2**10

_JOINED_BYTES = 64 * 2**10
"""A shorter body is copied behind its head; a longer one is handed over beside it."""

_LINGER_S = 10.0
"""For how long a client that was refused may go on sending before it is cut off.

It could not read the refusal otherwise: what comes after a close resets the connection.
"""

_LINGER_BYTES = 64 * 2**20
"""How much it may send: this, or as much as the longest body if that is more."""

_REQUEST_LINE = re.compile(rb"(?:\A|\n)[^ \r\n]+ [^ \r\n]+ HTTP/1\.[0-9]\r?\n")
"""What tells a verb that is not known from bytes that are no HTTP."""


Done: TypeAlias = Callable[[Reply], None]
"""Takes the answer to one request, once; on the event loop's thread."""


class Handler(Protocol):
    """What a connection asks of the gateway."""

    max_body_bytes: int
    read_buffer: memoryview
    """For bytes that come in, until they are parsed; all connections share it."""
    draining: bool
    cors: bytes
    """Header fields of the API's replies."""

    access_log: AccessLog | None
    traces: Traces | None
    server_timing: bool
    """Replies say how long their parts took."""

    def make_body(self, request: Request) -> Body:
        """Returns what takes the pieces of a request's body; its header is known."""

    def refusal(self, request: Request) -> Reply | None:
        """Returns the answer to a request that is not to be handled; its header is known."""

    def handle(self, request: Request, done: Done) -> None:
        """Has the request answered through `done`, at once or later."""

    def opened(self, connection: HttpConnection) -> None:
        """Called when a client has connected."""

    def closed(self, connection: HttpConnection) -> None:
        """Called when the connection is gone."""


class HttpConnection(asyncio.BufferedProtocol):
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
        self._waiting: deque[Request] = deque()
        self._answering = False
        self._advancing = False
        self._waiting_bytes = 0
        self._deaf = False
        """Nothing that comes is looked at any more: a refusal, or a last request, came before."""
        self._refused = False
        self._linger_left = 0
        self._linger_end: asyncio.TimerHandle | None = None
        self._reading = True
        self._writable = True
        self._receiving = Receiving.NOTHING
        self._receiving_since = 0.0
        self._unsent = 0
        """Bytes of answers that the socket had not taken at the last look."""
        self._unsent_since = 0.0
        self.last_active = self._loop.time()

    @property
    def busy(self) -> bool:
        """Whether a request is being answered or waits for it."""
        return self._answering or bool(self._waiting)

    @property
    def receiving(self) -> bool:
        """Whether a request has begun to come, and is not whole yet."""
        return self._receiving is not Receiving.NOTHING

    def look(self, limits: Limits) -> None:
        """Ends the connection if its client is too slow, or idle for too long."""
        if self._transport is None:
            return
        now = self._loop.time()
        if self._is_stuck(now, limits.idle_s):
            self._transport.abort()
        elif self._reading and (
            problem := limits.slowness(
                self._receiving, now - self._receiving_since, self._request.size
            )
        ):
            self._refuse(Reply(408, error_body(problem), close=True))
        elif not self.busy and now - self.last_active > limits.idle_s:
            self.close()

    def _is_stuck(self, now: float, limit_s: float) -> bool:
        """Whether the client has long taken nothing of what it is to get."""
        unsent = self._transport.get_write_buffer_size() if self._transport else 0
        if unsent == 0 or unsent != self._unsent:
            self._unsent, self._unsent_since = unsent, now
        return now - self._unsent_since > limit_s

    # asyncio.BufferedProtocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Takes over the socket."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass of it
        self._handler.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Drops what was not answered."""
        self._transport = None
        self._waiting.clear()
        if self._linger_end is not None:
            self._linger_end.cancel()
        self._handler.closed(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Returns where the next bytes go."""
        return self._handler.read_buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Feeds the parser; a request that is complete is answered."""
        self.last_active = self._loop.time()
        if self._deaf:
            self._ignore(nbytes)
            return
        data = self._handler.read_buffer[:nbytes]
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
        self._request = Request(begun=time.monotonic())
        self._receive(Receiving.HEADER)

    def on_url(self, url: bytes) -> None:
        """The request target, maybe in pieces; the verb is known, too."""
        self._request.verb = self._parser.get_method().decode()
        self._request.target += url
        self._count_head(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Few headers matter."""
        self._count_head(len(name) + len(value))
        key = name.lower()
        if key == b"content-type":
            self._request.content_type = value
        elif key == b"content-encoding":
            self._request.gzip = b"gzip" in value
        elif key == b"origin":
            self._request.origin = value.decode("latin-1")
        elif key == b"accept":
            self._request.accept += b"," + value
        elif key == b"accept-encoding":
            self._request.accept_encoding += b"," + value
        elif key == b"authorization":
            before = self._request.authorization
            self._request.authorization = b", ".join((before, value)) if before else value
        elif key == b"expect":
            self._request.expects_continue = value.lower() == b"100-continue"
        elif key == b"traceparent":
            self._request.traceparent = value.decode("latin-1")
        elif key == b"content-length" and value.isdigit():
            self._request.declared_size = int(value[:19])
            self._check_size(self._request.declared_size)

    def on_headers_complete(self) -> None:
        """Everything but the body is known."""
        if self._deaf:
            return
        self._receive(Receiving.BODY)
        request = self._request
        request.is_http_1_0 = self._parser.get_http_version() == "1.0"
        request.keep_alive = self._parser.should_keep_alive()
        request.refusal = self._handler.refusal(request)
        if not request.expects_continue:
            return
        if request.refusal is not None:
            self._refuse(dataclasses.replace(request.refusal, close=True))
        elif self._transport and not self.busy:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        if self._deaf:
            return
        request = self._request
        before = request.size
        request.size += len(body)
        self._check_size(request.size)
        if self._deaf or request.refusal is not None:
            return
        if before == 0:
            request.body = body  # the first piece, which mostly is all
            return
        try:
            if isinstance(request.body, bytes):
                first, request.body = request.body, self._handler.make_body(request)
                request.body.append(first)
            request.body.append(body)
        except MemoryError:
            text = f"No memory for a body of {request.declared_size or request.size} bytes"
            self._refuse(Reply(503, error_body(text), close=True))

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._receive(Receiving.NOTHING)
        if self._deaf:
            return
        request = self._request
        request.received = time.monotonic()
        self._deaf = not request.keep_alive
        self._waiting.append(request)
        self._waiting_bytes += request.size
        self._advance()
        if self._has_enough() and self._transport and self._reading:
            self._transport.pause_reading()
            self._reading = False

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
            self._waiting_bytes -= item.size
            self._resume_reading()
            self._handler.handle(item, self._answer_to(item))
        self._advancing = False

    def _answer_to(self, request: Request) -> Done:
        def done(reply: Reply) -> None:
            if self._handler.access_log is not None:
                self._log(self._handler.access_log, request, reply)
            if self._handler.traces is not None and request.traced_as:
                self._trace(self._handler.traces, request, reply)
            if self._handler.server_timing:
                line = server_timing(reply.trace, time.monotonic() - request.begun)
                reply = dataclasses.replace(reply, fields=reply.fields + line)
            if not request.keep_alive or self._handler.draining:
                self._write(reply, b"Connection: close\r\n")
            elif request.is_http_1_0:
                self._write(reply, b"Connection: keep-alive\r\n")
            else:
                self._write(reply, b"")

        return done

    def _peer(self) -> tuple[str, int] | None:
        name = self._transport.get_extra_info("peername") if self._transport else None
        return name[:2] if name else None

    def _trace(self, traces: Traces, request: Request, reply: Reply) -> None:
        is_tls = self._transport and self._transport.get_extra_info("sslcontext") is not None
        traces.record_rest(
            verb=request.verb,
            scheme="https" if is_tls else "http",
            target=request.target.decode("latin-1"),
            route=request.traced_as,
            status=reply.status,
            peer=self._peer(),
            traceparent=request.traceparent,
            times=(request.begun, request.received, time.monotonic()),
            trace=reply.trace,
        )

    def _log(self, access_log: AccessLog, request: Request, reply: Reply) -> None:
        name = self._peer()
        access_log.record(
            "rest",
            f"{request.verb} {request.target.decode('latin-1')}".strip(),
            str(reply.status),
            time.monotonic() - request.begun,
            peer=f"{name[0]}:{name[1]}" if name else "",
            traceparent=request.traceparent,
            bytes_in=request.size,
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
            if self._refused:
                self._linger()
            else:
                self._transport.close()
        else:
            self._advance()

    def _linger(self) -> None:
        """Closes once the client does, or has sent for long enough, so that it gets the answer."""
        assert self._transport is not None
        self._linger_left = max(_LINGER_BYTES, self._handler.max_body_bytes)
        self._linger_end = self._loop.call_later(_LINGER_S, self._transport.abort)
        if not self._reading:
            self._transport.resume_reading()
        if self._transport.can_write_eof():
            self._transport.write_eof()

    def _ignore(self, size: int) -> None:
        self._linger_left -= size
        if self._linger_end is not None and self._linger_left < 0 and self._transport is not None:
            self._transport.abort()

    def _receive(self, part: Receiving) -> None:
        self._receiving = Receiving.NOTHING if self._deaf else part
        self._receiving_since = self.last_active

    def _has_enough(self) -> bool:
        return len(self._waiting) >= _MAX_PIPELINED or self._waiting_bytes > _MAX_WAITING_BYTES

    def _resume_reading(self) -> None:
        if not self._reading and self._transport and not self._has_enough():
            self._transport.resume_reading()
            self._reading = True
            self._receiving_since = self._loop.time()

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
        """Answers what cannot be handled, after the requests before it, and ends the connection.

        That is the request that is coming, or bytes that are none.
        """
        if self._deaf:
            return
        request = self._request if self.receiving else Request(begun=time.monotonic())
        if request.refusal is None:  # else for its token, which is counted natively
            instruments.rest_refused.add(str(reply.status))
        self._deaf = self._refused = True
        self._receive(Receiving.NOTHING)
        request.body = b""
        request.refusal = reply
        self._waiting.append(request)
        self._waiting_bytes += request.size
        self._advance()
