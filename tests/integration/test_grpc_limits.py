"""What one client may ask of the gRPC port, and how long it may take: limits are kept."""

import contextlib
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import numpy as np
import pytest

from support import http2_frames as h2
from support import rest, slow
from support.certificates import Authority, ssl_config
from support.grpc_client import Client, failure, predict_request
from support.server import ServerProcess, StartServer
from support.waiting import wait_until

PREDICT = "/tensorflow.serving.PredictionService/Predict"
CONNECTIONS, STREAMS = 12, 3


@pytest.fixture(scope="module")
def flags(recorded_models: Path) -> tuple[str, ...]:
    return ("--model_name=identity", f"--model_base_path={recorded_models / 'identity'}")


@pytest.fixture(scope="module")
def strict(start_server: StartServer, flags: tuple[str, ...]) -> ServerProcess:
    return start_server(
        *flags,
        f"--grpc_max_connections={CONNECTIONS}",
        f"--grpc_max_streams_per_connection={STREAMS}",
        "--grpc_max_metadata_bytes=4000",
        "--grpc_first_byte_timeout_seconds=1.0",
        "--grpc_stall_timeout_seconds=0.5",
        "--grpc_max_buffered_bytes=1000000",
        "--grpc_max_resets_per_second=2",
        "--grpc_max_control_frames_per_second=2",
    )


@pytest.fixture
def server(strict: ServerProcess) -> Iterator[ServerProcess]:
    """A server that must still serve others during and after."""
    yield strict
    wait_until(lambda: serves(strict), 10, "others are served")


def serves(server: ServerProcess) -> bool:
    with Client(server.grpc_port) as client, contextlib.suppress(grpc.RpcError):
        return bool(client.values("identity", {"x": 1.5}, seconds=10)["y"] == 1.5)
    return False


def message(floats: int) -> bytes:
    return predict_request("identity", {"x": np.zeros(floats, np.float32)}).SerializeToString()


def test_requests_beyond_those_of_all_connections_are_resource_exhausted(
    start_server: StartServer, models: Path
) -> None:
    server = start_server(*slow.flags(models), "--grpc_max_requests_in_flight=1")
    with Client(server.grpc_port) as one, Client(server.grpc_port) as other:
        running = one.prediction.Predict.future(slow.request(2.0), timeout=30)
        under_way = b'fastserve_requests_in_flight{protocol="grpc"} 1'
        wait_until(
            lambda: under_way in rest.get(server.rest_port, "/metrics").body, 10, "the first"
        )
        code, text = None, ""
        while code is None and not running.done():  # until its connection has told the other
            try:
                other.prediction.Predict(slow.request(0.001), timeout=30)
            except grpc.RpcError as error:
                code, text = error.code(), error.details()
        slow.check(running.result(), 2.0)
        assert code == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "all the requests in flight that it takes (1)" in text
        slow.check(other.prediction.Predict(slow.request(0.001), timeout=30), 0.001)


def test_bytes_beyond_those_of_all_connections_are_resource_exhausted(
    start_server: StartServer, flags: tuple[str, ...]
) -> None:
    server = start_server(*flags, "--grpc_max_bytes_in_flight=1000000")
    with h2.Connection(server.grpc_port, {h2.INITIAL_WINDOW_SIZE: 1}) as connection:
        connection.call(1, PREDICT, message(1 << 18))
        assert connection.until(h2.DATA) is not None  # of an answer of a megabyte
        with Client(server.grpc_port) as client:
            code, text = failure(lambda: client.predict("identity", {"x": 1.0}, seconds=10))
            assert code == grpc.StatusCode.RESOURCE_EXHAUSTED
            assert "all the bytes in flight that it takes (1000000)" in text
    wait_until(lambda: serves(server), 10, "room again, as the client that did not read has gone")


def goaway_code(connection: h2.Connection) -> int:
    """Waits for GOAWAY and for the end of the connection."""
    goaway = connection.until(h2.GOAWAY)
    assert goaway is not None, "the connection ended without GOAWAY"
    assert connection.until() is None
    return goaway.code


def test_connections_beyond_the_limit_are_closed_at_once(server: ServerProcess) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(CONNECTIONS):
            stack.enter_context(h2.Connection(server.grpc_port)).until(h2.SETTINGS)
        began = time.monotonic()
        with socket.create_connection(("127.0.0.1", server.grpc_port), timeout=10) as extra:
            assert extra.recv(1) == b""
        assert time.monotonic() - began < 0.9, "it was the limit for the first byte"
        with Client(server.grpc_port) as client:
            code, _ = failure(lambda: client.predict("identity", {"x": 1.0}, seconds=10))
            assert code == grpc.StatusCode.UNAVAILABLE


def test_streams_beyond_the_limit_are_refused(server: ServerProcess) -> None:
    with h2.Connection(server.grpc_port) as connection:
        for stream in range(1, 2 * STREAMS + 2, 2):
            connection.send(h2.grpc_headers(stream, PREDICT))
        refused = connection.until(h2.RST_STREAM)
    assert refused is not None
    assert (refused.stream, refused.code) == (2 * STREAMS + 1, h2.REFUSED_STREAM)


def test_metadata_beyond_the_limit_is_resource_exhausted(server: ServerProcess) -> None:
    def predict(size: int) -> object:
        request = predict_request("identity", {"x": 1.0})
        return client.prediction.Predict(request, timeout=10, metadata=[("key", "x" * size)])

    with Client(server.grpc_port) as client:
        predict(3000)
        code, _ = failure(lambda: predict(5000))
        assert code == grpc.StatusCode.RESOURCE_EXHAUSTED
        predict(3000)


def closes_within(connection: socket.socket, least: float, most: float) -> None:
    began = time.monotonic()
    connection.settimeout(most)
    with contextlib.suppress(ConnectionResetError):
        while connection.recv(65536):
            pass
    assert least < time.monotonic() - began


@pytest.mark.parametrize("start", [b"", h2.PREFACE[:10], h2.PREFACE])
def test_client_that_does_not_begin_is_closed(server: ServerProcess, start: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server.grpc_port), timeout=10) as silent:
        silent.sendall(start)
        closes_within(silent, 0.7, 10)


def test_handshake_that_does_not_end_is_closed(
    start_server: StartServer, flags: tuple[str, ...], tmp_path: Path
) -> None:
    file = tmp_path / "ssl.config"
    file.write_text(ssl_config(Authority(tmp_path).issue("server")))
    server = start_server(
        *flags, f"--ssl_config_file={file}", "--grpc_handshake_timeout_seconds=0.5"
    )
    with socket.create_connection(("127.0.0.1", server.grpc_port), timeout=10) as silent:
        silent.sendall(b"\x16\x03\x01\x02\x00\x01\x00")  # the begin of a ClientHello
        closes_within(silent, 0.3, 10)
    server.stop()


MOST_READ = 64 << 20
"""More than the kernel's buffers of both ends and what is thrown away; a second's flood is more."""

FLOODS = {
    "ping": h2.frame(h2.PING, 0, 0, b"12345678"),
    "settings": h2.settings(),
    "priority": h2.frame(h2.PRIORITY, 0, 1, b"\0\0\0\0\1"),
    "empty data": h2.frame(h2.DATA, 0, 1),
}


@pytest.mark.parametrize("kind", FLOODS)
def test_flood_of_frames_without_content_ends_the_connection(
    server: ServerProcess, kind: str
) -> None:
    with h2.Connection(server.grpc_port) as connection:
        connection.send(h2.grpc_headers(1, PREDICT))
        with contextlib.suppress(ConnectionError):
            connection.send(FLOODS[kind] * 1000)
        assert goaway_code(connection) == h2.ENHANCE_YOUR_CALM


def test_client_that_goes_on_flooding_when_it_was_cut_off_is_not_read(
    server: ServerProcess,
) -> None:
    flood, sent = FLOODS["ping"] * 50_000, 0
    with contextlib.suppress(OSError), h2.Connection(server.grpc_port) as connection:
        while sent < MOST_READ:
            connection.send(flood)
            sent += len(flood)
    assert sent < MOST_READ


def test_rapid_resets_end_the_connection(server: ServerProcess) -> None:
    with h2.Connection(server.grpc_port) as connection:
        connection.until(h2.SETTINGS)
        with contextlib.suppress(ConnectionError):
            for stream in range(1, 400, 2):
                connection.send(h2.grpc_headers(stream, PREDICT) + h2.reset(stream))
        assert goaway_code(connection) != 0


def test_headers_without_an_end_end_the_connection(server: ServerProcess) -> None:
    with h2.Connection(server.grpc_port) as connection:
        with contextlib.suppress(ConnectionError):
            connection.send(h2.frame(h2.HEADERS, 0, 1))
            for _ in range(1000):
                connection.send(h2.frame(h2.CONTINUATION, 0, 1))
        assert connection.until() is None


def test_client_that_gives_no_credit_for_its_answers_is_dropped(server: ServerProcess) -> None:
    with h2.Connection(server.grpc_port, {h2.INITIAL_WINDOW_SIZE: 0}) as connection:
        for stream in (1, 3):
            connection.call(stream, PREDICT, message(1000))
        # Signs of life are no progress.
        with contextlib.suppress(ConnectionError):
            for _ in range(3):
                connection.send(FLOODS["ping"])
        began = time.monotonic()
        assert connection.until() is None
        assert time.monotonic() - began < 10


def test_client_that_reads_nothing_is_dropped_with_what_waits_for_it(
    server: ServerProcess,
) -> None:
    files = len(list(Path(f"/proc/{server.pid}/fd").iterdir()))
    with h2.Connection(server.grpc_port, {h2.INITIAL_WINDOW_SIZE: 2**31 - 1}) as connection:
        connection.send(h2.frame(h2.WINDOW_UPDATE, 0, 0, (2**30).to_bytes(4, "big")))
        for stream in (1, 3, 5):
            connection.call(stream, PREDICT, message(2 << 20))
        wait_until(
            lambda: len(list(Path(f"/proc/{server.pid}/fd").iterdir())) <= files,
            10,
            "the connection of the client that does not read",
        )


def test_slow_reader_gets_all_of_its_answer(server: ServerProcess) -> None:
    """It takes longer than the stall timeout, but takes something all the time."""
    floats = 1 << 20
    window = 256 << 10
    with h2.Connection(server.grpc_port, {h2.INITIAL_WINDOW_SIZE: window}) as connection:
        connection.send(h2.frame(h2.WINDOW_UPDATE, 0, 0, (2**30).to_bytes(4, "big")))
        connection.call(1, PREDICT, message(floats))
        began = time.monotonic()
        received = 0
        while (found := connection.until(h2.DATA, h2.RST_STREAM, h2.GOAWAY)) is not None:
            assert found.kind == h2.DATA
            received += len(found.payload)
            if received > 4 * floats:
                break
            if received % window == 0:
                time.sleep(0.1)  # the slow part of the slow reader
                credit = window.to_bytes(4, "big")
                connection.send(h2.frame(h2.WINDOW_UPDATE, 0, 1, credit))
        assert received > 4 * floats
        assert time.monotonic() - began > 1.0
