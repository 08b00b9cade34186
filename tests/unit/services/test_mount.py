"""Our servicers on the native server, called through the descriptors' own classes."""

from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from fastserve import _native, protos
from fastserve.rpc import RpcServer
from fastserve.services import model_service, prediction_service
from fastserve.services.backend import ServableInfo, VersionState, VersionStatus
from fastserve.services.mount import generic_handler
from unit.services.fake_backend import FixedBackend

TIMEOUT_S = 20

BACKEND = FixedBackend(
    states={"m": [VersionStatus(version=7, state=VersionState.AVAILABLE)]},
    servables={
        ("m", None, None): ServableInfo(name="m", version=7, signature_def_map=b"", path="/m/7")
    },
)
SERVICERS = {
    model_service.SERVICE_NAME: model_service.ModelServicer(BACKEND, lambda config: None),
    prediction_service.SERVICE_NAME: prediction_service.PredictionServicer(BACKEND),
}


@pytest.fixture(scope="module")
def channel() -> Iterator[Any]:
    options = _native.ServerOptions()
    options.grpc_addresses = ["127.0.0.1:0"]
    options.io_threads = 1
    options.worker_threads = 1
    native = _native.Server(options)
    rpc_server = RpcServer(native)
    rpc_server.add_generic_rpc_handlers(
        generic_handler(protos.service(name), servicer) for name, servicer in SERVICERS.items()
    )
    rpc_server.start()
    (port,) = native.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield channel
    native.shutdown(0)
    rpc_server.stop()


def call(channel: Any, service: str, method: str, request: Any) -> Any:
    descriptor = protos.service(service).FindMethodByName(method)
    response = protos.message_class(descriptor.output_type)
    stub = channel.unary_unary(
        f"/{service}/{method}",
        request_serializer=type(request).SerializeToString,
        response_deserializer=response.FromString,
    )
    return stub(request, timeout=TIMEOUT_S)


def failure(channel: Any, service: str, method: str, request: Any) -> tuple[Any, str]:
    with pytest.raises(grpc.RpcError) as caught:
        call(channel, service, method, request)
    error: Any = caught.value
    return error.code(), error.details()


def test_status_is_answered(channel: Any) -> None:
    request = protos.GetModelStatusRequest(model_spec=protos.ModelSpec(name="m"))
    response = call(channel, model_service.SERVICE_NAME, "GetModelStatus", request)
    assert [entry.version for entry in response.model_version_status] == [7]


def test_metadata_is_answered(channel: Any) -> None:
    request = protos.GetModelMetadataRequest(
        model_spec=protos.ModelSpec(name="m"), metadata_field=["signature_def"]
    )
    response = call(channel, prediction_service.SERVICE_NAME, "GetModelMetadata", request)
    assert response.model_spec.version.value == 7


def test_refusals_are_the_status_of_the_rpc(channel: Any) -> None:
    request = protos.GetModelStatusRequest(model_spec=protos.ModelSpec(name="other"))
    missing = "Could not find any versions of model other"
    expected = (grpc.StatusCode.NOT_FOUND, missing)
    assert failure(channel, model_service.SERVICE_NAME, "GetModelStatus", request) == expected
    empty = protos.GetModelMetadataRequest()
    expected = (grpc.StatusCode.INVALID_ARGUMENT, "Missing ModelSpec")
    service = prediction_service.SERVICE_NAME
    assert failure(channel, service, "GetModelMetadata", empty) == expected


def test_garbage_is_internal_without_a_message(channel: Any) -> None:
    for path in (
        "/tensorflow.serving.ModelService/GetModelStatus",
        "/tensorflow.serving.PredictionService/GetModelMetadata",
    ):
        with pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary(path)(b"\x0a\xff", timeout=TIMEOUT_S)
        error: Any = caught.value
        assert (error.code(), error.details()) == (grpc.StatusCode.INTERNAL, "")


def test_method_without_a_servicer_is_unimplemented(channel: Any) -> None:
    request = protos.SessionRunRequest()
    expected = (grpc.StatusCode.UNIMPLEMENTED, "")
    assert failure(channel, "tensorflow.serving.SessionService", "SessionRun", request) == expected


def test_reload_takes_a_list_of_models_and_knows_of_no_other_metric(channel: Any) -> None:
    request = protos.ReloadConfigRequest(metric_names=["/x"])
    request.config.model_config_list.SetInParent()
    service, method = model_service.SERVICE_NAME, "HandleReloadConfigRequest"
    response = call(channel, service, method, request)
    assert response.HasField("status")
    assert response.status == protos.StatusProto()
    assert [(m.name, m.int64_value_increase) for m in response.metric] == [("/x", 0)]


def test_reload_of_anything_else_is_refused(channel: Any) -> None:
    refused = (
        grpc.StatusCode.INVALID_ARGUMENT,
        "ServerModelConfig type not supported by HandleReloadConfigRequest. "
        "Only ModelConfigList is currently supported",
    )
    custom = protos.ReloadConfigRequest()
    custom.config.custom_model_config.SetInParent()
    service, method = model_service.SERVICE_NAME, "HandleReloadConfigRequest"
    for request in (protos.ReloadConfigRequest(), custom):
        assert failure(channel, service, method, request) == refused
