"""HTTP replies as TensorFlow Serving words them (util/net_http, http_server.cc)."""

import time
from email.utils import formatdate

_JSON = "application/json"

# gRPC code -> HTTP status and reason, as upstream sends them.
HTTP_STATUS = {
    0: (200, "OK"),
    1: (499, "Client Error"),
    2: (500, "Internal Server Error"),
    3: (400, "Bad Request"),
    4: (504, "Gateway Time-out"),
    5: (404, "Not Found"),
    6: (409, "Conflict"),
    7: (403, "Forbidden"),
    8: (429, "Client Error"),
    9: (400, "Bad Request"),
    10: (409, "Conflict"),
    11: (400, "Bad Request"),
    12: (501, "Not Implemented"),
    13: (500, "Internal Server Error"),
    14: (503, "Service Unavailable"),
    15: (500, "Internal Server Error"),
    16: (401, "Unauthorized"),
}

_ESCAPES = {ord('"'): '\\"', ord("\\"): "\\\\"} | {
    code: f"\\u{code:04X}" for code in range(0x20)
} | {8: "\\b", 9: "\\t", 10: "\\n", 12: "\\f", 13: "\\r"}  # fmt: skip


class _Clock:
    """The Date header, made once a second."""

    def __init__(self) -> None:
        self._second = 0
        self._text = ""

    def __call__(self) -> str:
        now = int(time.time())
        if now != self._second:
            self._second = now
            self._text = formatdate(now, usegmt=True)
        return self._text


_date = _Clock()


def error_body(message: str) -> bytes:
    """Returns {"error": message} in upstream's layout."""
    text = message.translate(_ESCAPES)
    return f'{{\n    "error": "{text}"\n}}'.encode(errors="surrogateescape")


def reply(code: int, body: bytes, close: bool) -> bytes:
    """Returns a JSON reply for a gRPC code."""
    status, reason = HTTP_STATUS[code]
    return http_reply(status, reason, _JSON, body, close)


def http_reply(status: int, reason: str, content_type: str, body: bytes, close: bool) -> bytes:
    """Returns a whole reply."""
    head = (
        f"HTTP/1.1 {status} {reason}\r\nContent-Type: {content_type}\r\nDate: {_date()}\r\n"
        f"Content-Length: {len(body)}\r\n{_closing(close)}\r\n"
    )
    return head.encode() + body


def bare_reply(status: int, reason: str, close: bool) -> bytes:
    """Returns the reply to a HEAD: no body and no length."""
    head = (
        f"HTTP/1.1 {status} {reason}\r\nContent-Type: {_JSON}\r\nDate: {_date()}\r\n"
        f"{_closing(close)}\r\n"
    )
    return head.encode()


def html_reply(status: int, reason: str) -> bytes:
    """Returns the HTTP library's own page, after which the connection is closed."""
    body = (
        f"<HTML><HEAD>\n<TITLE>{status} {reason}</TITLE>\n</HEAD><BODY>\n"
        f"<H1>{reason}</H1>\n</BODY></HTML>\n"
    ).encode()
    return http_reply(status, reason, "text/html", body, close=True)


def _closing(close: bool) -> str:
    return "Connection: close\r\n" if close else ""
