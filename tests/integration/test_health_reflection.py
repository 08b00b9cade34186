"""Health by gRPC and HTTP, and reflection, with the clients that others use."""

from pathlib import Path

import grpc
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

from support import rest
from support.grpc_client import Client, failure
from support.layout import config_text, model_entry, publish
from support.server import ServerProcess, StartServer

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN


@pytest.fixture(scope="module")
def server(start_server: StartServer, recorded_models: Path) -> ServerProcess:
    return start_server(
        "--model_name=half_plus",
        f"--model_base_path={recorded_models / 'half_plus'}",
        "--enable_metrics=false",
    )


def stub(client: Client) -> health_pb2_grpc.HealthStub:
    return health_pb2_grpc.HealthStub(client.channel)


def check(client: Client, name: str) -> int:
    request = health_pb2.HealthCheckRequest(service=name)
    return int(stub(client).Check(request, timeout=30).status)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "ModelService",
        "PredictionService",
        "tensorflow.serving.ModelService",
        "tensorflow.serving.PredictionService",
        "half_plus",
    ],
)
def test_known_name_is_serving(server: ServerProcess, name: str) -> None:
    with Client(server.grpc_port) as client:
        assert check(client, name) == SERVING


@pytest.mark.parametrize("path", ["/metrics", "/monitoring/prometheus/metrics"])
def test_pages_of_metrics_are_not_there_when_they_are_off(server: ServerProcess, path: str) -> None:
    assert rest.get(server.rest_port, path).status == 404


def test_unknown_name_is_not_found(server: ServerProcess) -> None:
    with Client(server.grpc_port) as client:
        assert failure(lambda: check(client, "nobody"))[0] is grpc.StatusCode.NOT_FOUND


def test_model_serves_when_it_has_a_version_and_is_unknown_once_it_is_gone(
    start_server: StartServer, recorded_models: Path, tmp_path: Path
) -> None:
    first, late = tmp_path / "first", tmp_path / "late"
    publish(recorded_models / "half_plus" / "1", first, "1")
    late.mkdir()
    file = tmp_path / "models.config"
    entries = [model_entry("first", first), model_entry("late", late)]
    file.write_text(config_text(entries))
    server = start_server(f"--model_config_file={file}")
    with Client(server.grpc_port) as client:
        watched = stub(client).Watch(health_pb2.HealthCheckRequest(service="late"), timeout=60)
        assert next(watched).status == NOT_SERVING
        assert check(client, "first") == SERVING
        assert check(client, "") == NOT_SERVING
        ready = rest.get(server.rest_port, "/readyz")
        assert (ready.status, ready.body) == (503, b"model late has no version that serves\n")
        assert rest.get(server.rest_port, "/healthz").status == 200
        publish(recorded_models / "half_plus" / "1", late, "1")
        assert next(watched).status == SERVING
        assert check(client, "") == SERVING
        assert rest.get(server.rest_port, "/readyz").status == 200
        client.reload(config_text([model_entry("first", first)]))
        assert next(watched).status == UNKNOWN
        assert failure(lambda: check(client, "late"))[0] is grpc.StatusCode.NOT_FOUND
        assert check(client, "") == SERVING


def test_watchers_do_not_take_threads_from_other_rpcs(server: ServerProcess) -> None:
    with Client(server.grpc_port) as client:
        watches = [stub(client).Watch(health_pb2.HealthCheckRequest()) for _ in range(64)]
        assert [next(watch).status for watch in watches] == [SERVING] * 64
        assert client.states("half_plus")
        for watch in watches:
            watch.cancel()


def test_reflection_client_finds_every_service_and_method(server: ServerProcess) -> None:
    with Client(server.grpc_port) as client:
        database = ProtoReflectionDescriptorDatabase(client.channel)
        assert set(database.get_services()) == {
            "grpc.health.v1.Health",
            "grpc.reflection.v1alpha.ServerReflection",
            "tensorflow.serving.ModelService",
            "tensorflow.serving.PredictionService",
        }
        service = DescriptorPool(database).FindServiceByName("tensorflow.serving.PredictionService")
        assert "Predict" in service.methods_by_name


def test_reflection_answers_by_its_final_name_too(server: ServerProcess) -> None:
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    with Client(server.grpc_port) as client:
        call = client.channel.stream_stream(
            "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )
        (answer,) = call(iter([request]), timeout=30)
    names = {service.name for service in answer.list_services_response.service}
    assert "tensorflow.serving.PredictionService" in names
