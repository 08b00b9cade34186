"""Point 5: SIGTERM and Ctrl-C finish what is in flight, within bounds, and exit with 0."""

import signal
import socket
import threading
import time
from pathlib import Path

import grpc
import pytest

from support import rest, slow
from support.grpc_client import Client
from support.server import ServerProcess, StartServer


def in_flight(client: Client, seconds: float) -> grpc.Future:
    """A call of that length that the server has surely received."""
    future = client.prediction.Predict.future(slow.request(seconds=seconds), timeout=60)
    client.prediction.Predict(slow.request(seconds=0), timeout=60)  # the same connection, later
    return future


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_calls_in_flight_finish_and_the_process_exits_with_0(
    start_server: StartServer, models: Path, number: signal.Signals
) -> None:
    server = start_server(*slow.flags(models))
    with Client(server.grpc_port) as client:
        future = in_flight(client, 1.5)
        server.signal(number)
        slow.check(future.result(), 1.5)
    assert server.wait() == 0
    assert "Traceback" not in server.log()


def test_rest_request_in_flight_finishes(start_server: StartServer, models: Path) -> None:
    server = start_server(*slow.flags(models))
    with rest.Connection(server.rest_port) as connection:
        connection.send(rest.request("POST", slow.REST_PATH, slow.rest_body(seconds=1.5)))
        assert rest.get(server.rest_port, slow.REST_STATUS_PATH).status == 200  # came later
        server.signal()
        slow.check_rest(connection.answer(), 1.5)
    assert server.wait() == 0


def test_idle_connections_do_not_delay_the_end(start_server: StartServer, models: Path) -> None:
    server = start_server(*slow.flags(models))
    with Client(server.grpc_port) as client, rest.Connection(server.rest_port) as connection:
        slow.check(client.prediction.Predict(slow.request(seconds=0), timeout=30), 0)
        connection.send(rest.request("GET", slow.REST_STATUS_PATH))
        assert connection.answer().status == 200
        began = time.monotonic()
        server.signal()
        assert server.wait() == 0
        assert time.monotonic() - began < 5.0


def refuses(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except ConnectionRefusedError:
        return True
    return False


def test_new_connections_are_refused_while_calls_finish(
    start_server: StartServer, models: Path
) -> None:
    server = start_server(*slow.flags(models))
    refused_in_time: list[bool] = []

    def watch(future: grpc.Future) -> None:
        while not (refuses(server.grpc_port) and refuses(server.rest_port)):
            time.sleep(0.01)
        refused_in_time.append(not future.done())

    with Client(server.grpc_port) as client:
        future = in_flight(client, 2.0)
        server.signal()
        watcher = threading.Thread(target=watch, args=(future,))
        watcher.start()
        slow.check(future.result(), 2.0)
    assert server.wait() == 0
    watcher.join()
    assert refused_in_time == [True]


def test_run_that_outlasts_the_grace_is_cut_off(start_server: StartServer, models: Path) -> None:
    server = start_server(*slow.flags(models), "--shutdown_grace_seconds=0.5")
    with Client(server.grpc_port) as client:
        future = in_flight(client, 8.0)
        began = time.monotonic()
        server.signal()
        assert future.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
        assert server.wait() == 0
        assert time.monotonic() - began < 5.0


def test_second_signal_ends_at_once(start_server: StartServer, models: Path) -> None:
    server: ServerProcess = start_server(*slow.flags(models))
    with Client(server.grpc_port) as client:
        future = in_flight(client, 8.0)
        began = time.monotonic()
        server.signal()
        server.signal(signal.SIGINT)
        server.wait()
        assert time.monotonic() - began < 5.0
        assert future.code() != grpc.StatusCode.OK
