"""Bytes of HTTP replies."""

import json

import pytest

from fastserve.errors import INVALID_ARGUMENT, NOT_FOUND, ServingError
from fastserve.gateway.replies import (
    DEFAULT_TYPE,
    Reply,
    cors_fields,
    error_body,
    error_reply,
    html_reply,
    http_status,
    render_head,
)

NOW = 784111777.9
DATE = b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"


def test_headers_stand_in_the_order_type_date_length() -> None:
    assert render_head(Reply(200, b"{}"), b"", NOW) == (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
        + DATE
        + b"Content-Length: 2\r\n\r\n"
    )


def test_connection_line_comes_after_the_length() -> None:
    head = render_head(Reply(404, b"abc"), b"Connection: keep-alive\r\n", NOW)
    assert head.endswith(DATE + b"Content-Length: 3\r\nConnection: keep-alive\r\n\r\n")


def test_reply_that_closes_says_so_once_before_the_date() -> None:
    assert render_head(html_reply(404), b"Connection: close\r\n", NOW) == (
        b"HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\nConnection: close\r\n"
        + DATE
        + b"Content-Length: 90\r\n\r\n"
    )


def test_bare_reply_has_no_length() -> None:
    head = render_head(Reply(400, bare=True), b"", NOW)
    assert (
        head == b"HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\n" + DATE + b"\r\n"
    )


def test_further_fields_come_before_the_connection_line() -> None:
    reply = Reply(200, b"{}", fields=b"Fastserve-Hint: x\r\n")
    head = render_head(reply, b"Connection: close\r\n", NOW)
    assert head.endswith(b"Content-Length: 2\r\nFastserve-Hint: x\r\nConnection: close\r\n\r\n")


def test_pages_of_any_origin_may_read_replies_where_that_is_wanted() -> None:
    cors = cors_fields(authorization=False)
    head = render_head(Reply(200, b"{}"), b"", NOW, cors=cors)
    assert head == (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
        b"Access-Control-Allow-Origin: *\r\n"
        b"Access-Control-Allow-Methods: POST, GET\r\n"
        b"Access-Control-Allow-Headers: Content-Type\r\n" + DATE + b"Content-Length: 2\r\n\r\n"
    )
    assert b"Access-Control" not in render_head(html_reply(404), b"", NOW, cors=cors)
    assert cors_fields(authorization=True).endswith(b"-Headers: Content-Type, Authorization\r\n")


def test_empty_body_has_length_zero_and_the_stated_type() -> None:
    head = render_head(Reply(200, content_type=DEFAULT_TYPE), b"", NOW)
    assert head == (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=ISO-8859-1\r\n"
        + DATE
        + b"Content-Length: 0\r\n\r\n"
    )


@pytest.mark.parametrize(
    ("now", "date"),
    [
        (0, b"Thu, 01 Jan 1970 00:00:00 GMT"),
        (951868799, b"Tue, 29 Feb 2000 23:59:59 GMT"),
        (951868800, b"Wed, 01 Mar 2000 00:00:00 GMT"),
    ],
)
def test_date_is_that_of_the_moment(now: float, date: bytes) -> None:
    assert b"\r\nDate: " + date + b"\r\n" in render_head(Reply(200), b"", now)


def test_html_page_is_that_of_upstream() -> None:
    assert html_reply(404).body == (
        b"<HTML><HEAD>\n<TITLE>404 Not Found</TITLE>\n</HEAD><BODY>\n<H1>Not Found</H1>\n"
        b"</BODY></HTML>\n"
    )
    assert html_reply(501, bare=True) == Reply(501, b"", b"text/html", bare=True, close=True)


def test_error_is_the_bare_message_under_its_status() -> None:
    reply = error_reply(ServingError(NOT_FOUND, "Servable not found for request: Latest(m)"))
    body = b'{\n    "error": "Servable not found for request: Latest(m)"\n}'
    assert reply == Reply(404, body, b"application/json")
    assert error_reply(ServingError(INVALID_ARGUMENT, "x")).status == 400


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ('"', rb"\""),
        ("\\", rb"\\"),
        ("\b\t\n\f\r", rb"\b\t\n\f\r"),
        ("\0\x1f\x0b", rb"\u0000\u001F\u000B"),
        ("/ \x7f <>&", b"/ \x7f <>&"),
        ("\N{SNOWMAN} \U0001f600", "\N{SNOWMAN} \U0001f600".encode()),
        ("\udcff", b"\xff"),
    ],
)
def test_message_is_escaped_as_rapidjson_does(text: str, escaped: bytes) -> None:
    assert error_body(text) == b'{\n    "error": "' + escaped + b'"\n}'


def test_every_text_comes_back_out_of_the_error_body() -> None:
    text = "".join(map(chr, range(0x180)))
    assert json.loads(error_body(text)) == {"error": text}


def test_every_canonical_code_has_its_http_status() -> None:
    assert [http_status(code) for code in range(17)] == [
        *(200, 499, 500, 400, 504, 404, 409, 403, 429),
        *(400, 409, 400, 501, 500, 503, 500, 401),
    ]
    assert [http_status(code) for code in (-1, 17, 1000)] == [500] * 3
