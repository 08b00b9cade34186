"""The native transport under clients that are late, leave, or speak nonsense, and under many."""

import os
import socket
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2, types_pb2

from support import http2_frames as h2
from support import slow
from support.grpc_client import Client, failure, predict_request
from support.server import ServerProcess, StartServer
from support.waiting import wait_until

PREDICT = "/tensorflow.serving.PredictionService/Predict"


@pytest.fixture(scope="module")
def identity(start_server: StartServer, recorded_models: Path) -> ServerProcess:
    base = recorded_models / "identity"
    return start_server("--model_name=identity", f"--model_base_path={base}")


@pytest.fixture
def server(identity: ServerProcess) -> Iterator[ServerProcess]:
    """A server that must still serve afterwards, and have closed what was left to it."""
    files = open_files(identity)
    yield identity
    assert_serves(identity)
    wait_until(lambda: open_files(identity) <= files, 10, "connections of clients that left")


@pytest.fixture(scope="module")
def slow_server(start_server: StartServer, models: Path) -> ServerProcess:
    return start_server(*slow.flags(models))


def open_files(server: ServerProcess) -> int:
    return len(os.listdir(f"/proc/{server.pid}/fd"))


def assert_serves(server: ServerProcess) -> None:
    with Client(server.grpc_port) as client:
        assert client.values("identity", {"x": 1.5}, seconds=10)["y"] == 1.5


def connect(server: ServerProcess) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.grpc_port), timeout=10)


def reset(connection: socket.socket) -> None:
    """Closes so that the peer sees a reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def float_message(count: int) -> bytes:
    """A Predict of `count` floats."""
    return predict_request("identity", {"x": np.zeros(count, np.float32)}).SerializeToString()


def opening(message_bytes: int) -> bytes:
    """What a client sends up to the gRPC prefix of a message of that size."""
    start = h2.PREFACE + h2.frame(h2.SETTINGS, 0, 0) + h2.grpc_headers(1, PREDICT)
    return start + h2.frame(h2.DATA, 0, 1, b"\0" + struct.pack(">I", message_bytes))


def test_deadline_is_answered_by_the_server_while_the_run_goes_on(
    slow_server: ServerProcess,
) -> None:
    """Sent as metadata, so that only the server watches the clock."""
    with Client(slow_server.grpc_port) as client:
        began = time.monotonic()
        code, _ = failure(
            lambda: client.prediction.Predict(
                slow.request(seconds=3), metadata=[("grpc-timeout", "200m")]
            )
        )
        took = time.monotonic() - began
    assert code == grpc.StatusCode.DEADLINE_EXCEEDED
    assert 0.15 < took < 2.0


def test_deadline_of_a_client_ends_its_call_and_no_other(slow_server: ServerProcess) -> None:
    with Client(slow_server.grpc_port) as client:
        patient = client.prediction.Predict.future(slow.request(seconds=0.5), timeout=30)
        code, _ = failure(lambda: client.prediction.Predict(slow.request(seconds=3), timeout=0.2))
        assert code == grpc.StatusCode.DEADLINE_EXCEEDED
        slow.check(patient.result(), 0.5)


def test_deadline_that_has_passed_never_runs(slow_server: ServerProcess) -> None:
    with Client(slow_server.grpc_port) as client:
        code, _ = failure(
            lambda: client.prediction.Predict(
                slow.request(seconds=0.01), metadata=[("grpc-timeout", "1n")]
            )
        )
        assert code == grpc.StatusCode.DEADLINE_EXCEEDED


def test_cancelled_calls_leave_the_server_free_for_others(slow_server: ServerProcess) -> None:
    with Client(slow_server.grpc_port) as client:
        futures = [
            client.prediction.Predict.future(slow.request(seconds=0.2), timeout=60)
            for _ in range(50)
        ]
        slow.check(futures[0].result(), 0.2)  # the others have arrived, too
        for future in futures[1:]:
            future.cancel()
        began = time.monotonic()
        slow.check(client.prediction.Predict(slow.request(seconds=0.01), timeout=60), 0.01)
        assert time.monotonic() - began < 5.0, "cancelled calls were run all the same"


@pytest.mark.parametrize("leave", [socket.socket.close, reset])
def test_connection_may_break_anywhere_in_a_request(
    server: ServerProcess, leave: Callable[[socket.socket], None]
) -> None:
    message = float_message(1000)
    whole = opening(len(message)) + h2.frame(h2.DATA, h2.END_STREAM, 1, message)
    for cut in [*range(0, 200, 7), *range(200, len(whole), 500), len(whole)]:
        connection = connect(server)
        connection.sendall(whole[:cut])
        leave(connection)


def test_message_that_never_comes_costs_no_memory(server: ServerProcess) -> None:
    before = server.memory_bytes()
    connections = [connect(server) for _ in range(20)]
    for connection in connections:
        connection.sendall(opening(2_000_000_000))
    assert_serves(server)
    assert server.memory_bytes() - before < 200 << 20
    for connection in connections:
        connection.close()


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /v1/models/m:predict HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}",
        bytes(range(256)) * 300,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 500,
        h2.PREFACE + b"\xff" * 1000,
        h2.PREFACE + h2.frame(h2.SETTINGS, 0, 0) + h2.frame(h2.DATA, 0, 1, b"x"),
        h2.PREFACE + h2.frame(h2.SETTINGS, 0, 0) + h2.frame(h2.HEADERS, 4, 1, b"\xff" * 50),
    ],
    ids=["http1-get", "http1-post", "binary", "tls", "frames", "data-first", "hpack"],
)
def test_garbage_closes_that_connection_only(server: ServerProcess, garbage: bytes) -> None:
    with Client(server.grpc_port) as bystander:
        assert bystander.values("identity", {"x": 2.0})["y"] == 2.0
        with connect(server) as connection:
            connection.sendall(garbage)
            try:
                while connection.recv(65536):
                    pass
            except ConnectionResetError:
                pass
        assert bystander.values("identity", {"x": 3.0})["y"] == 3.0


def test_silent_connections_do_not_hold_up_others(server: ServerProcess) -> None:
    connections = [connect(server) for _ in range(200)]
    for connection in connections[::2]:
        connection.sendall(h2.PREFACE[:10])
    assert_serves(server)
    for connection in connections:
        connection.close()


def test_reader_that_does_not_read_does_not_hold_up_others(server: ServerProcess) -> None:
    message = float_message(1 << 20)
    body = h2.grpc_message(message)
    frames = [body[i : i + 16384] for i in range(0, len(body), 16384)]
    with connect(server) as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.sendall(h2.PREFACE + h2.frame(h2.SETTINGS, 0, 0) + h2.grpc_headers(1, PREDICT))
        for number, payload in enumerate(frames, 1):
            flags = h2.END_STREAM if number == len(frames) else 0
            deaf.sendall(h2.frame(h2.DATA, flags, 1, payload))
        for _ in range(20):
            assert_serves(server)


@pytest.mark.parametrize(
    "path",
    [
        "/tensorflow.serving.NoService/Predict",
        "/tensorflow.serving.PredictionService/NoMethod",
        "/tensorflow.serving.PredictionService/predict",
        "/",
    ],
)
def test_unknown_method_is_unimplemented_without_a_text(server: ServerProcess, path: str) -> None:
    with Client(server.grpc_port) as client:
        got = failure(lambda: client.channel.unary_unary(path)(b"", timeout=10))
    assert got == (grpc.StatusCode.UNIMPLEMENTED, "")


def test_each_of_many_streams_on_many_connections_gets_its_own_answer(
    server: ServerProcess,
) -> None:
    clients = [Client(server.grpc_port) for _ in range(16)]
    for round_ in range(3):
        wanted = {}
        for i in range(1600):
            value = np.full(1 + i % 300, i + 10_000 * round_, np.float32)
            request = predict_request("identity", {"x": value})
            wanted[clients[i % 16].prediction.Predict.future(request, timeout=60)] = value
        for future, value in wanted.items():
            assert np.array_equal(tf.make_ndarray(future.result().outputs["y"]), value)
    for client in clients:
        client.channel.close()


def test_large_and_small_messages_share_a_connection(server: ServerProcess) -> None:
    text = np.random.default_rng(1).bytes(8 << 20)
    big = tensor_pb2.TensorProto(dtype=types_pb2.DT_STRING, string_val=[text])
    request = predict_request("identity", {"x": big}, signature="string")
    with Client(server.grpc_port) as client:
        futures = [client.prediction.Predict.future(request, timeout=60) for _ in range(8)]
        for i in range(100):
            assert client.values("identity", {"x": float(i)})["y"] == i
        for future in futures:
            assert future.result().outputs["y"].string_val[0] == text
