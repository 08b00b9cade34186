"""Clients of REST that send too much or too slowly, or do not read."""

import itertools
import socket
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from support import rest
from support.server import ServerProcess, StartServer

PREDICT = "/v1/models/half_plus_two:predict"
BODY = b'{"instances": [1.0]}'
LIMIT = 1_000_000
TIMEOUT_S = 0.8


@pytest.fixture(scope="module")
def server(start_server: StartServer, models: Path) -> ServerProcess:
    return start_server(
        "--model_name=half_plus_two",
        f"--model_base_path={models / 'half_plus_two'}",
        f"--rest_max_body_bytes={LIMIT}",
        f"--rest_header_timeout_seconds={TIMEOUT_S}",
        f"--rest_body_timeout_seconds={TIMEOUT_S}",
    )


@pytest.fixture
def port(server: ServerProcess) -> Iterator[int]:
    """The REST port of a server that must still serve after the test."""
    yield server.rest_port
    assert rest.post(server.rest_port, PREDICT, BODY).status == 200


def send_all(client: socket.socket, pieces: Iterable[bytes]) -> None:
    for piece in pieces:
        client.sendall(piece)


def declared(size: int, **headers: str) -> bytes:
    return rest.head("POST", PREDICT, {"Host": "x", "Content-Length": str(size)} | headers)


@pytest.mark.parametrize("times", [3, 40])
def test_client_that_reads_only_after_its_long_body_gets_the_413(port: int, times: int) -> None:
    size = times * LIMIT
    with rest.Connection(port) as connection:
        connection.send(declared(size))
        for _ in range(times):
            connection.send(b" " * LIMIT)
        answer = connection.answer()
        assert connection.closed_by_peer()
    assert answer.status == 413
    assert answer.headers["connection"] == "close"
    assert answer.error == (
        f"The request's body of {size} bytes or more is longer than the limit of {LIMIT} bytes "
        "(--rest_max_body_bytes)"
    )


def test_chunked_body_gets_the_413_once_it_is_too_long(port: int) -> None:
    chunk = b"%x\r\n%b\r\n" % (LIMIT // 4, b" " * (LIMIT // 4))
    with rest.Connection(port) as connection:
        connection.send(rest.head("POST", PREDICT, {"Host": "x", "Transfer-Encoding": "chunked"}))
        for _ in range(20):
            connection.send(chunk)
        assert connection.answer().status == 413


def test_client_that_expects_100_continue_is_refused_before_it_sends(port: int) -> None:
    with rest.Connection(port) as connection:
        connection.send(declared(LIMIT + 1, Expect="100-continue"))
        assert connection.interim_status() == 413


def test_client_that_never_stops_sending_is_cut_off(port: int) -> None:
    with (
        socket.create_connection(("127.0.0.1", port), timeout=30) as client,
        pytest.raises(OSError, match=r"reset|[Bb]roken pipe"),
    ):
        send_all(client, itertools.chain([declared(10**12)], itertools.repeat(b" " * LIMIT)))


def test_refusal_comes_after_the_answers_to_requests_before_it(port: int) -> None:
    with rest.Connection(port) as connection:
        connection.send(rest.request("POST", PREDICT, BODY) + declared(LIMIT + 1))
        connection.send(b" " * (LIMIT + 1))
        assert [connection.answer().status for _ in range(2)] == [200, 413]


@pytest.mark.parametrize("sent", [b"P", b"POST /v1/models/half_plus_two:predict HTTP/1.1\r\nHost"])
def test_header_that_does_not_come_in_is_a_408(port: int, sent: bytes) -> None:
    with rest.Connection(port, 10) as connection:
        connection.send(sent)
        answer = connection.answer()
        assert connection.closed_by_peer()
    assert answer.status == 408
    assert answer.error == (
        f"The request's header did not come in within {TIMEOUT_S} seconds "
        "(--rest_header_timeout_seconds)"
    )


def test_body_that_does_not_come_in_is_a_408(port: int) -> None:
    with rest.Connection(port, 10) as connection:
        connection.send(declared(100) + BODY)
        answer = connection.answer()
    assert answer.status == 408
    assert answer.error.startswith("Of the request's body only 20 bytes came in within ")
    assert answer.error.endswith(" (--rest_body_timeout_seconds)")


def test_bytes_buy_a_body_time_and_connections_between_requests_have_it(port: int) -> None:
    padded = BODY + b" " * 5000
    with rest.Connection(port, 10) as slow, rest.Connection(port, 10) as kept:
        slow.send(declared(len(padded)) + padded[:-1])
        kept.send(rest.request("POST", PREDICT, BODY))
        assert kept.answer().status == 200
        time.sleep(1.5 * TIMEOUT_S)  # the limit is what is tested
        slow.send(padded[-1:])
        kept.send(rest.request("POST", PREDICT, BODY))
        assert slow.answer().status == 200
        assert kept.answer().status == 200


def test_client_that_does_not_read_cannot_have_much_buffered(
    start_server: StartServer, models: Path
) -> None:
    server = start_server("--model_name=m", f"--model_base_path={models / 'identity'}")
    request = rest.request("POST", "/v1/models/m:predict", b'{"inputs": [%b0]}' % (b"0," * 500_000))
    count = itertools.count()
    with (
        socket.create_connection(("127.0.0.1", server.rest_port), timeout=2) as client,
        pytest.raises(TimeoutError),
    ):
        send_all(client, (request for _ in count))
    assert next(count) < 25  # most of them in the kernel's buffers
    server.stop()


def test_head_and_options_are_answered_on_a_connection_that_goes_on(port: int) -> None:
    with rest.Connection(port) as connection:
        connection.send(rest.request("OPTIONS", PREDICT, Origin="http://page"))
        assert connection.answer("OPTIONS").status == 200
        connection.send(rest.request("HEAD", "/v1/models/half_plus_two"))
        answer = connection.answer("HEAD")
        assert (answer.status, answer.body) == (400, b"")
        assert "content-length" not in answer.headers
        connection.send(rest.request("POST", PREDICT, BODY))
        assert connection.answer().status == 200
