"""A server that is told to stop under full load: no request fails, and balancers are told."""

import asyncio
import http.client
import json
import threading
from collections.abc import Callable
from pathlib import Path

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tensorflow_serving.apis import prediction_service_pb2_grpc

from support import rest, slow
from support.grpc_client import predict_request
from support.server import ServerProcess, StartServer
from support.waiting import wait_until

BALANCED = (("grpc.lb_policy_name", "round_robin"), ("grpc.use_local_subchannel_pool", 1))
REQUEST = predict_request("half_plus", {"x": np.float32([2])})
BODY = json.dumps({"instances": [2.0]})


class Load:
    """Clients that send one request after the other until they are stopped, and what went wrong."""

    def __init__(self, ports: list[tuple[int, int]]) -> None:
        self.grpc_target = "ipv4:" + ",".join(f"127.0.0.1:{port}" for port, _ in ports)
        self.rest_ports = [port for _, port in ports]
        self.stop = threading.Event()
        self.answered = [0, 0, 0]
        self.failures: list[str] = []

    def __enter__(self) -> "Load":
        runs: list[Callable[[], None]] = [self._sync, self._sync, self._aio, self._rest, self._rest]
        self._threads = [threading.Thread(target=self._guarded, args=(run,)) for run in runs]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        for thread in self._threads:
            thread.join()

    def more(self, count: int) -> None:
        """Waits until each kind of client has had so many more answers."""
        before = list(self.answered)

        def reached() -> bool:
            pairs = zip(self.answered, before, strict=True)
            return bool(self.failures) or all(now >= then + count for now, then in pairs)

        wait_until(reached, 60, "clients get answers")

    def _guarded(self, run: Callable[[], None]) -> None:
        try:
            run()
        except Exception as error:
            self.failures.append(f"{run.__name__}: {error!r}")

    def _sync(self) -> None:
        with grpc.insecure_channel(self.grpc_target, options=BALANCED) as channel:
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            while not self.stop.is_set():
                stub.Predict(REQUEST, timeout=30)
                self.answered[0] += 1

    def _aio(self) -> None:
        async def send() -> None:
            async with grpc.aio.insecure_channel(self.grpc_target, options=BALANCED) as channel:
                stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
                while not self.stop.is_set():
                    await asyncio.gather(*(stub.Predict(REQUEST, timeout=30) for _ in range(8)))
                    self.answered[1] += 8

        asyncio.run(send())

    def _rest(self) -> None:
        """Goes to the other server where it can no longer connect, as a balancer does."""
        ports = list(self.rest_ports)
        connection = http.client.HTTPConnection("127.0.0.1", ports[0], timeout=30)
        while not self.stop.is_set():
            if connection.sock is None:
                try:
                    connection.connect()
                except ConnectionRefusedError:
                    ports.reverse()
                    connection = http.client.HTTPConnection("127.0.0.1", ports[0], timeout=30)
                    connection.connect()
            connection.request("POST", "/v1/models/half_plus:predict", BODY)
            response = connection.getresponse()
            assert response.status == 200, response.status
            assert json.loads(response.read()) == {"predictions": [5.0]}
            self.answered[2] += 1


@pytest.mark.parametrize("delay", ["0", "0.5"])
def test_no_request_fails_when_one_of_two_servers_stops_under_load(
    start_server: StartServer, recorded_models: Path, delay: str
) -> None:
    flags = ("--model_name=half_plus", f"--model_base_path={recorded_models / 'half_plus'}")
    servers = [start_server(*flags, f"--drain_delay_seconds={delay}") for _ in range(2)]
    with Load([(server.grpc_port, server.rest_port) for server in servers]) as load:
        load.more(50)
        servers[0].signal()
        assert servers[0].wait() == 0
        load.more(50)
    assert load.failures == []


@pytest.fixture
def server(start_server: StartServer, models: Path) -> ServerProcess:
    return start_server(*slow.flags(models))


def test_rest_request_that_is_still_coming_is_taken_and_answered(server: ServerProcess) -> None:
    whole = rest.request("POST", slow.REST_PATH, slow.rest_body(seconds=0))
    with rest.Connection(server.rest_port) as connection, rest.Connection(server.rest_port) as idle:
        idle.send(rest.request("GET", slow.REST_STATUS_PATH))
        assert idle.answer().status == 200
        connection.send(whole[:-2])
        assert rest.get(server.rest_port, "/healthz").status == 200  # came later
        server.signal()
        assert idle.closed_by_peer()  # the drain has begun, and looked at connections
        connection.send(whole[-2:])
        answer = connection.answer()
        slow.check_rest(answer, 0)
        assert answer.headers["connection"] == "close"
    assert server.wait() == 0


def test_health_says_not_serving_before_the_listeners_close(
    start_server: StartServer, models: Path
) -> None:
    server = start_server(*slow.flags(models), "--drain_delay_seconds=20")
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        watched = health_pb2_grpc.HealthStub(channel).Watch(
            health_pb2.HealthCheckRequest(service=""), timeout=30
        )
        assert next(watched).status == health_pb2.HealthCheckResponse.SERVING
        server.signal()
        assert next(watched).status == health_pb2.HealthCheckResponse.NOT_SERVING
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        slow.check(stub.Predict(slow.request(seconds=0), timeout=30), 0)  # still taken
        ready = rest.get(server.rest_port, "/readyz")
        assert (ready.status, ready.body) == (503, b"the server is shutting down\n")
        assert rest.get(server.rest_port, "/healthz").status == 200
    server.signal()  # a second one does not wait for the delay
    assert server.wait(10) != 0
