"""Point 4 over REST: errors, odd HTTP, and a server that goes on serving."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import rest
from support.server import ServerProcess, StartServer

PREDICT = "/v1/models/half_plus:predict"
BODY = b'{"instances": [1.0]}'
ANSWER = {"predictions": [4.5]}


@pytest.fixture(scope="module")
def half_plus(start_server: StartServer, recorded_models: Path) -> ServerProcess:
    base = recorded_models / "half_plus"
    return start_server("--model_name=half_plus", f"--model_base_path={base}")


@pytest.fixture
def port(half_plus: ServerProcess) -> Iterator[int]:
    """The REST port of a server that must still serve after the error."""
    yield half_plus.rest_port
    assert rest.post(half_plus.rest_port, PREDICT, BODY).json() == ANSWER


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", "JSON Parse error: The document is empty"),
        (b"{", "JSON Parse error: Missing a name for object member. at offset: 1"),
        (
            b'{"inputs":[1.0 2]}',
            "JSON Parse error: Missing a comma or ']' after an array element. at offset: 15",
        ),
        (b"hello", "JSON Parse error: Invalid value. at offset: 0"),
        (b"\xff\xfe\x00", "JSON Parse error: Invalid value. at offset: 0"),
        (b"{}", "Missing 'inputs' or 'instances' key"),
        (
            b'{"signature_name": "nope", "inputs": 1}',
            'Serving signature name: "nope" not found in signature def',
        ),
        (b'{"inputs": {"z": 1}}', "Missing named input: x in 'inputs' object."),
    ],
    ids=["empty", "brace", "comma", "text", "binary", "no-inputs", "signature", "alias"],
)
def test_fault_in_the_body_is_named(port: int, body: bytes, error: str) -> None:
    answer = rest.post(port, PREDICT, body)
    assert (answer.status, answer.error) == (400, error)
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("body", "part"),
    [
        ({"instances": ["text"]}, "Type: String is not of expected type: float"),
        ({"instances": [None]}, "Type: Null is not of expected type: float"),
        ({"instances": []}, "No values in 'instances' array"),
        ({"instances": 1}, "Expecting 'instances' to be an list/array"),
        ({"instances": [[1.0], [1.0, 2.0]]}, "Expecting tensor size: 1 but got: 2"),
        ({"inputs": [[1.0], 2.0]}, "found at incorrect level: "),
        ({"inputs": 1, "instances": [1]}, "expecting only one of 'inputs' or 'instances' keys"),
        ({"signature_name": 5, "inputs": 1}, "'signature_name' key must be a string value."),
        ({"instances": [{"x": 1, "z": 2}]}, "does not have named input: z"),
    ],
)
def test_fault_in_a_value_is_named(port: int, body: object, part: str) -> None:
    answer = rest.post(port, PREDICT, body)
    assert answer.status == 400
    assert part in answer.error


@pytest.mark.parametrize(
    ("verb", "path", "status", "error"),
    [
        ("POST", "/v1/models/nope:predict", 404, "Servable not found for request: Latest(nope)"),
        (
            "POST",
            "/v1/models/half_plus/versions/9:predict",
            404,
            "Servable not found for request: Specific(half_plus, 9)",
        ),
        (
            "POST",
            "/v1/models/half_plus/labels/x:predict",
            400,
            "Unrecognized servable version label: x",
        ),
        (
            "POST",
            "/v1/models/half_plus:predict/",
            400,
            "Malformed request: POST /v1/models/half_plus:predict/",
        ),
        (
            "POST",
            "/v1/models/half_plus:predict?a=1",
            400,
            "Malformed request: POST /v1/models/half_plus:predict?a=1",
        ),
        (
            "GET",
            "/v1/models/half_plus:predict",
            400,
            "Malformed request: GET /v1/models/half_plus:predict",
        ),
        ("PUT", PREDICT, 400, f"Malformed request: PUT {PREDICT}"),
        ("DELETE", "/v1/models/half_plus", 400, "Malformed request: DELETE /v1/models/half_plus"),
        ("GET", "/v1/models/nope", 404, "Could not find any versions of model nope"),
        ("GET", "/v1/models", 400, "Missing model name in request."),
    ],
)
def test_wrong_url_or_verb_is_told_in_json(
    port: int, verb: str, path: str, status: int, error: str
) -> None:
    body = BODY if verb in ("POST", "PUT") else b""
    answer = rest.send(port, rest.request(verb, path, body, Connection="close"))
    assert (answer.status, answer.error) == (status, error)


@pytest.mark.parametrize("path", ["/", "/v2/models/half_plus:predict", "/v1", "/favicon.ico"])
def test_path_outside_the_api_is_not_found_in_html(port: int, path: str) -> None:
    answer = rest.get(port, path)
    assert answer.status == 404
    assert answer.headers["content-type"] == "text/html"


@pytest.mark.parametrize("verb", ["TRACE", "FOO", "CONNECT"])
def test_unknown_verb_is_not_implemented(port: int, verb: str) -> None:
    assert rest.send(port, rest.request(verb, PREDICT, Connection="close")).status == 501


@pytest.mark.parametrize(
    "garbage",
    [
        b"hello world\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        bytes(range(256)) * 16 + b"\r\n\r\n",
    ],
    ids=["text", "http2", "binary"],
)
def test_bytes_that_are_no_http_close_that_connection_only(port: int, garbage: bytes) -> None:
    assert rest.send(port, garbage, 10).status in (0, 400, 501)


def test_body_over_the_limit_is_refused_before_it_is_read(
    start_server: StartServer, recorded_models: Path
) -> None:
    server = start_server(
        "--model_name=half_plus",
        f"--model_base_path={recorded_models / 'half_plus'}",
        "--rest_max_body_bytes=1000",
    )
    big = rest.head("POST", PREDICT, {"Host": "x", "Content-Length": "100000000"})
    assert rest.send(server.rest_port, big + BODY, 10).status == 413
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    chunked = rest.head("POST", PREDICT, {"Host": "x", "Transfer-Encoding": "chunked"})
    assert rest.send(server.rest_port, chunked + chunk, 10).status == 413
    assert rest.post(server.rest_port, PREDICT, BODY + b" " * 900).json() == ANSWER
    server.stop()


def test_connection_is_kept_for_further_requests_and_through_errors(port: int) -> None:
    with rest.Connection(port) as connection:
        for body, status in ((BODY, 200), (b"garbage", 400), (BODY, 200)):
            connection.send(rest.request("POST", PREDICT, body))
            assert connection.answer().status == status


def test_pipelined_requests_are_answered_in_order(port: int) -> None:
    bodies = [json.dumps({"inputs": i}).encode() for i in range(50)]
    with rest.Connection(port) as connection:
        connection.send(b"".join(rest.request("POST", PREDICT, body) for body in bodies))
        got = [connection.answer().json()["outputs"] for _ in bodies]
    assert got == [i / 2 + 4 for i in range(50)]


def test_body_may_come_in_chunks_and_byte_by_byte(port: int) -> None:
    request = rest.head("POST", PREDICT, {"Host": "x", "Transfer-Encoding": "chunked"})
    request += b"8\r\n" + BODY[:8] + b"\r\n" + b"c\r\n" + BODY[8:] + b"\r\n0\r\n\r\n"
    with rest.Connection(port) as connection:
        for i in range(len(request)):
            connection.send(request[i : i + 1])
        assert connection.answer().json() == ANSWER


def test_client_that_expects_100_continue_is_asked_to_go_on(port: int) -> None:
    fields = {"Host": "x", "Content-Length": str(len(BODY)), "Expect": "100-continue"}
    with rest.Connection(port, 10) as connection:
        connection.send(rest.head("POST", PREDICT, fields))
        assert connection.interim_status() == 100
        connection.send(BODY)
        assert connection.answer().json() == ANSWER


def test_gzip_body_is_unpacked_and_broken_gzip_is_an_empty_document(port: int) -> None:
    packed = gzip.compress(BODY)
    good = rest.request("POST", PREDICT, packed, Content_Encoding="gzip", Connection="close")
    assert rest.send(port, good).json() == ANSWER
    for body in (packed[:-10], BODY):
        bad = rest.request("POST", PREDICT, body, Content_Encoding="gzip", Connection="close")
        answer = rest.send(port, bad)
        assert answer.status == 400
        assert answer.error == "JSON Parse error: The document is empty"


def test_cors_headers_come_with_every_reply_where_the_flag_is_set(
    start_server: StartServer, recorded_models: Path
) -> None:
    base = recorded_models / "half_plus"
    server = start_server(
        "--model_name=half_plus", f"--model_base_path={base}", "--rest_api_enable_cors_support"
    )
    preflight = rest.request("OPTIONS", PREDICT, Origin="http://page", Connection="close")
    answers = [
        rest.post(server.rest_port, PREDICT, BODY),
        rest.post(server.rest_port, PREDICT, b"garbage"),
        rest.send(server.rest_port, preflight),
    ]
    assert [answer.status for answer in answers] == [200, 400, 200]
    for answer in answers:
        assert answer.headers["access-control-allow-origin"] == "*"
        assert answer.headers["access-control-allow-methods"] == "POST, GET"
        assert answer.headers["access-control-allow-headers"] == "Content-Type"
    server.stop()


def test_http_1_0_is_answered_and_closed(port: int) -> None:
    head = f"POST {PREDICT} HTTP/1.0\r\nContent-Length: {len(BODY)}\r\n\r\n".encode()
    with rest.Connection(port, 10) as connection:
        connection.send(head + BODY)
        assert connection.answer().json() == ANSWER
        assert connection.closed_by_peer()


def test_client_that_leaves_in_the_middle_of_a_body_harms_nobody(port: int) -> None:
    for cut in (1, 20, 60, 100):
        with rest.Connection(port) as connection:
            connection.send((rest.request("POST", PREDICT, BODY + b" " * 100))[:cut])
