"""HTTP replies: status lines, bodies of errors, bytes on the wire."""

from __future__ import annotations

import functools
import time
from dataclasses import dataclass, field, replace
from typing import Final

from fastserve import _native
from fastserve.errors import ServingError
from fastserve.gateway.media import JSON

HTML: Final = b"text/html"
TEXT: Final = b"text/plain"
METRICS: Final = b"text/plain; version=0.0.4; charset=utf-8"
DEFAULT_TYPE: Final = b"text/html; charset=ISO-8859-1"
"""What the HTTP library of TensorFlow Serving says of a reply that states no type."""

_REASONS: Final = {
    200: b"OK",
    400: b"Bad Request",
    401: b"Unauthorized",
    403: b"Forbidden",
    404: b"Not Found",
    408: b"Request Timeout",
    409: b"Conflict",
    413: b"Request Entity Too Large",
    429: b"Client Error",
    499: b"Client Error",
    500: b"Internal Server Error",
    501: b"Not Implemented",
    503: b"Service Unavailable",
    504: b"Gateway Time-out",
}

_HTTP_STATUS: Final = (
    *(200, 499, 500, 400, 504, 404, 409, 403, 429),
    *(400, 409, 400, 501, 500, 503, 500, 401),
)
"""HTTP status of each canonical code; the index is the code's number."""

_ESCAPES: Final = {i: f"\\u{i:04X}" for i in range(0x20)} | {
    **{ord('"'): '\\"', ord("\\"): "\\\\", 8: "\\b", 9: "\\t", 10: "\\n", 12: "\\f", 13: "\\r"},
}

_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = (
    *("Jan", "Feb", "Mar", "Apr", "May", "Jun"),
    *("Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
)


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, before it is known how the connection goes on."""

    status: int
    body: bytes | memoryview = b""
    content_type: bytes = JSON
    bare: bool = False
    """Neither a body nor its length: an answer to HEAD."""
    close: bool = False
    """The connection ends with it."""
    fields: bytes = b""
    """Further header fields, each with its line's end."""
    trace: _native.Trace | None = field(default=None, compare=False)
    """What the native side says of the request's way, where it was asked."""
    # What is counted; the client sees nothing of it.
    code: int = field(default=0, compare=False)
    """The canonical code that `status` stands for."""
    model: str = field(default="", compare=False)
    """Of a request that was refused: the model that its path names."""


def http_status(code: int) -> int:
    """Returns the HTTP status of a gRPC status code's number."""
    return _HTTP_STATUS[code] if 0 <= code < len(_HTTP_STATUS) else 500


def error_body(message: str) -> bytes:
    """Returns a message as the JSON body of an error.

    Bytes that are no UTF-8, as a URL may hold, pass through; so the body need not be UTF-8 either.
    """
    escaped = message.translate(_ESCAPES).encode("utf-8", "surrogateescape")
    return b'{\n    "error": "' + escaped + b'"\n}'


def error_reply(error: ServingError) -> Reply:
    """Returns the reply that tells of an error."""
    return Reply(http_status(error.code), error_body(error.message), code=error.code)


def without_body(reply: Reply) -> Reply:
    """Returns what HEAD is answered in the place of a reply."""
    return replace(reply, body=b"", bare=True)


@functools.cache
def html_reply(status: int, *, bare: bool = False) -> Reply:
    """Returns the page for what the API has no JSON answer to; it closes the connection."""
    reason = _REASONS[status]
    body = (b"<HTML><HEAD>\n<TITLE>%d %b</TITLE>\n</HEAD><BODY>\n<H1>%b</H1>\n</BODY></HTML>\n") % (
        status,
        reason,
        reason,
    )
    return Reply(status, b"" if bare else body, HTML, bare=bare, close=True)


def cors_fields(*, authorization: bool) -> bytes:
    """Returns the header fields that let pages of any origin read a reply.

    `authorization`: they may send that header besides.
    """
    headers = b"Content-Type, Authorization" if authorization else b"Content-Type"
    return (
        b"Access-Control-Allow-Origin: *\r\n"
        b"Access-Control-Allow-Methods: POST, GET\r\n"
        b"Access-Control-Allow-Headers: %b\r\n"
    ) % headers


_OF_API: Final = (JSON, DEFAULT_TYPE)


@functools.cache
def _head(status: int, content_type: bytes, close: bool, cors: bytes) -> bytes:
    line = b"HTTP/1.1 %d %b\r\nContent-Type: %b\r\n" % (status, _REASONS[status], content_type)
    if content_type in _OF_API:
        line += cors
    return line + b"Connection: close\r\n" if close else line


@functools.lru_cache(maxsize=2)
def _date_line(second: int) -> bytes:
    t = time.gmtime(second)
    day, month = _DAYS[t.tm_wday], _MONTHS[t.tm_mon - 1]
    clock = f"{t.tm_hour:02}:{t.tm_min:02}:{t.tm_sec:02}"
    return f"Date: {day}, {t.tm_mday:02} {month} {t.tm_year} {clock} GMT\r\n".encode()


def render_head(reply: Reply, connection: bytes, now: float, *, cors: bytes = b"") -> bytes:
    """Returns status line and headers, up to the body.

    `connection`: that header's line, or b""; not looked at where the reply itself closes. `cors`:
    fields of a reply of the API.
    """
    head = _head(reply.status, reply.content_type, reply.close, cors) + _date_line(int(now))
    if not reply.bare:
        head += b"Content-Length: %d\r\n" % len(reply.body)
    head += reply.fields
    return head + b"\r\n" if reply.close else head + connection + b"\r\n"
