"""What --grpc_channel_arguments asks for, seen by clients."""

import time
from pathlib import Path

import grpc
import numpy as np
import pytest
from tensorflow_serving.apis import predict_pb2

from support import http2_frames as h2
from support.grpc_client import Client, failure, predict_request
from support.server import ServerProcess, StartServer, run_to_end

PREDICT = "/tensorflow.serving.PredictionService/Predict"


@pytest.fixture(scope="module")
def flags(recorded_models: Path) -> tuple[str, ...]:
    return ("--model_name=identity", f"--model_base_path={recorded_models / 'identity'}")


@pytest.fixture(scope="module")
def server(start_server: StartServer, flags: tuple[str, ...]) -> ServerProcess:
    arguments = (
        "grpc.max_receive_message_length=100000",
        "grpc.max_send_message_length=50000",
        "grpc.default_compression_algorithm=2",
        "grpc.keepalive_time_ms=300",
        "grpc.keepalive_timeout_ms=300",
        "grpc.http2.min_ping_interval_without_data_ms=60000",
        "grpc.http2.max_ping_strikes=3",
        "grpc.optimization_target=latency",
    )
    return start_server(*flags, f"--grpc_channel_arguments={','.join(arguments)}")


def floats(count: int) -> np.ndarray:
    return np.zeros(count, np.float32)


def test_messages_longer_than_allowed_are_resource_exhausted(server: ServerProcess) -> None:
    with Client(server.grpc_port) as client:
        assert len(client.values("identity", {"x": floats(12_000)})["y"]) == 12_000
        code, text = failure(lambda: client.predict("identity", {"x": floats(20_000)}))
        assert code == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert text.startswith("Sent message larger than max (")
        assert text.endswith(" vs. 50000)")
        code, text = failure(lambda: client.predict("identity", {"x": floats(30_000)}))
        assert code == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert text.startswith("Received message larger than max (")
        assert text.endswith(" vs. 100000)")


@pytest.mark.parametrize("accepted", ["identity,deflate,gzip", "identity"])
def test_answers_are_compressed_for_clients_that_accept_it(
    server: ServerProcess, accepted: str
) -> None:
    with h2.Connection(server.grpc_port) as connection:
        request = predict_request("identity", {"x": floats(2000)}).SerializeToString()
        connection.call(1, PREDICT, request, ("grpc-accept-encoding", accepted))
        data = connection.until(h2.DATA)
    assert data is not None
    flag, size = data.payload[0], int.from_bytes(data.payload[1:5], "big")
    assert flag == (accepted != "identity")
    assert (size < 1000) == (accepted != "identity")
    if flag:
        import gzip

        answer = predict_pb2.PredictResponse.FromString(gzip.decompress(data.payload[5:]))
        assert len(answer.outputs["y"].float_val) == 2000


def test_grpcio_understands_compressed_answers(server: ServerProcess) -> None:
    with Client(server.grpc_port) as client:
        assert len(client.values("identity", {"x": floats(10_000)})["y"]) == 10_000


def test_silent_client_is_pinged_and_closed_unless_it_answers(server: ServerProcess) -> None:
    with h2.Connection(server.grpc_port) as alive, h2.Connection(server.grpc_port) as dead:
        for _ in range(3):
            ping = alive.until(h2.PING)
            assert ping is not None
            assert not ping.flags & h2.ACK
            alive.send(h2.frame(h2.PING, h2.ACK, 0, ping.payload))
        assert dead.until(h2.PING) is not None
        assert dead.until() is None
        assert alive.until(h2.PING) is not None


def test_client_that_pings_too_often_is_told_so(server: ServerProcess) -> None:
    with h2.Connection(server.grpc_port) as connection:
        for _ in range(6):
            connection.send(h2.frame(h2.PING, 0, 0, b"12345678"))
        goaway = connection.until(h2.GOAWAY)
    assert goaway is not None
    assert goaway.code == h2.ENHANCE_YOUR_CALM
    assert goaway.payload[8:] == b"too_many_pings"


def test_argument_without_effect_is_warned_of_once(server: ServerProcess) -> None:
    warning = "--grpc_channel_arguments: grpc.optimization_target has no effect here"
    assert server.log().count(warning) == 1


def test_old_connections_are_drained_without_a_failed_call(
    start_server: StartServer, flags: tuple[str, ...]
) -> None:
    arguments = "grpc.max_connection_age_ms=400,grpc.max_connection_age_grace_ms=400"
    server = start_server(*flags, f"--grpc_channel_arguments={arguments}")
    with h2.Connection(server.grpc_port) as holding, Client(server.grpc_port) as client:
        began = time.monotonic()
        # A call that never ends keeps its connection for the grace, not longer.
        holding.send(h2.grpc_headers(1, PREDICT))
        calls = 0
        while time.monotonic() - began < 1.5:
            assert client.values("identity", {"x": 1.0})["y"] == 1.0
            calls += 1
        assert calls > 10
        goaway = holding.until(h2.GOAWAY)
        assert goaway is not None
        assert goaway.code == 0
        assert holding.until() is None
    server.stop()


def test_idle_connections_are_drained_and_the_port_may_be_shared(
    start_server: StartServer, flags: tuple[str, ...]
) -> None:
    argument = "--grpc_channel_arguments=grpc.max_connection_idle_ms=300,grpc.so_reuseport=1"
    first = start_server(*flags, argument)
    with h2.Connection(first.grpc_port) as idle:
        goaway = idle.until(h2.GOAWAY)
        assert goaway is not None
        assert goaway.code == 0
        while (found := idle.frame()) is not None:
            if found.kind == h2.PING and not found.flags & h2.ACK:
                idle.send(h2.frame(h2.PING, h2.ACK, 0, found.payload))
    second = start_server(*flags, argument, f"--port={first.grpc_port}")
    assert second.grpc_port == first.grpc_port
    first.stop()
    with Client(second.grpc_port) as client:
        assert client.values("identity", {"x": 1.0})["y"] == 1.0
    second.stop()


def test_entry_without_a_value_ends_the_start(flags: tuple[str, ...]) -> None:
    ended = run_to_end(*flags, "--port=0", "--grpc_channel_arguments=grpc.so_reuseport")
    assert ended.returncode == 255
    assert (
        "--grpc_channel_arguments has the entry 'grpc.so_reuseport'; it must be name=value"
    ) in ended.stderr
