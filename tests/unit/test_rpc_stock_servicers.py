"""grpcio's own health checking and reflection servicers, mounted unchanged."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2, reflection_pb2_grpc

from fastserve import _native, protos
from fastserve.rpc import RpcServer

TIMEOUT_S = 20
WORKERS = 2
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def rpc_server(stack: ExitStack) -> RpcServer:
    options = _native.ServerOptions()
    options.grpc_addresses = ["127.0.0.1:0"]
    options.io_threads = 1
    options.worker_threads = 1
    native = _native.Server(options)
    rpc_server = RpcServer(native, WORKERS)
    stack.callback(rpc_server.stop)
    stack.callback(native.shutdown, 0)
    rpc_server.native = native  # type: ignore[attr-defined]
    return rpc_server


def connect(rpc_server: Any, stack: ExitStack) -> Any:
    rpc_server.start()
    (port,) = rpc_server.native.start()
    return stack.enter_context(grpc.insecure_channel(f"127.0.0.1:{port}"))


def test_health_check_tells_what_was_set(rpc_server: RpcServer, stack: ExitStack) -> None:
    servicer = health.HealthServicer()
    servicer.set("PredictionService", NOT_SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(servicer, rpc_server)
    stub = health_pb2_grpc.HealthStub(connect(rpc_server, stack))
    request = health_pb2.HealthCheckRequest
    assert stub.Check(request(), timeout=TIMEOUT_S).status == SERVING
    assert stub.Check(request(service="PredictionService"), timeout=TIMEOUT_S).status == NOT_SERVING
    with pytest.raises(grpc.RpcError) as caught:
        stub.Check(request(service="other"), timeout=TIMEOUT_S)
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize("non_blocking", [True, False])
def test_health_watch_follows_changes(
    rpc_server: RpcServer, stack: ExitStack, non_blocking: bool
) -> None:
    servicer = health.HealthServicer(experimental_non_blocking=non_blocking)
    health_pb2_grpc.add_HealthServicer_to_server(servicer, rpc_server)
    stub = health_pb2_grpc.HealthStub(connect(rpc_server, stack))
    watch = stub.Watch(health_pb2.HealthCheckRequest(), timeout=TIMEOUT_S)
    assert next(watch).status == SERVING
    servicer.set("", NOT_SERVING)
    assert next(watch).status == NOT_SERVING
    watch.cancel()


def test_health_watchers_occupy_no_worker(rpc_server: RpcServer, stack: ExitStack) -> None:
    servicer = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, rpc_server)
    stub = health_pb2_grpc.HealthStub(connect(rpc_server, stack))
    request = health_pb2.HealthCheckRequest()
    watches = [stub.Watch(request, timeout=TIMEOUT_S) for _ in range(4 * WORKERS)]
    assert [next(watch).status for watch in watches] == [SERVING] * len(watches)
    assert stub.Check(request, timeout=TIMEOUT_S).status == SERVING
    servicer.set("", NOT_SERVING)
    assert [next(watch).status for watch in watches] == [NOT_SERVING] * len(watches)
    for watch in watches:
        watch.cancel()


def test_cancelled_health_watcher_is_forgotten(rpc_server: RpcServer, stack: ExitStack) -> None:
    servicer = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, rpc_server)
    forgotten = threading.Event()
    original = servicer._on_close_callback

    def on_close(send_response_callback: Any, service: str) -> Any:
        callback = original(send_response_callback, service)

        def then_tell() -> None:
            callback()
            forgotten.set()

        return then_tell

    servicer._on_close_callback = on_close
    stub = health_pb2_grpc.HealthStub(connect(rpc_server, stack))
    watch = stub.Watch(health_pb2.HealthCheckRequest(), timeout=TIMEOUT_S)
    next(watch)
    servicer.set("", NOT_SERVING)  # Waits until the servicer has the watcher on its list.
    next(watch)
    watch.cancel()
    assert forgotten.wait(TIMEOUT_S)
    assert not servicer._send_response_callbacks[""]


def test_reflection_describes_our_services(rpc_server: RpcServer, stack: ExitStack) -> None:
    name = protos.service("tensorflow.serving.PredictionService").full_name
    reflection.enable_server_reflection((name, reflection.SERVICE_NAME), rpc_server)
    stub = reflection_pb2_grpc.ServerReflectionStub(connect(rpc_server, stack))
    request = reflection_pb2.ServerReflectionRequest
    answers = list(
        stub.ServerReflectionInfo(
            iter([request(list_services=""), request(file_containing_symbol=name)]),
            timeout=TIMEOUT_S,
        )
    )
    listed = {service.name for service in answers[0].list_services_response.service}
    assert listed == {name, reflection.SERVICE_NAME}
    files = answers[1].file_descriptor_response.file_descriptor_proto
    assert any(b"tensorflow_serving/apis/prediction_service.proto" in file for file in files)
