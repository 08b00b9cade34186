"""GetModelMetadata and GetModelStatus, over gRPC and REST."""

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from tensorflow.core.framework import types_pb2
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2

from support import rest
from support.grpc_client import Client, failure
from support.server import ServerProcess, StartServer

INVALID_ARGUMENT = grpc.StatusCode.INVALID_ARGUMENT
NOT_FOUND = grpc.StatusCode.NOT_FOUND


@pytest.fixture(scope="module")
def half_plus(start_server: StartServer, recorded_models: Path) -> ServerProcess:
    base = recorded_models / "half_plus"
    return start_server("--model_name=half_plus", f"--model_base_path={base}")


@pytest.fixture(scope="module")
def client(half_plus: ServerProcess) -> Iterator[Client]:
    with Client(half_plus.grpc_port) as client:
        yield client


def test_metadata_holds_every_signature(client: Client) -> None:
    response = client.metadata("half_plus")
    assert response.model_spec.name == "half_plus"
    assert response.model_spec.version.value == 3
    assert not response.model_spec.signature_name
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert response.metadata["signature_def"].Unpack(signatures)
    assert len(signatures.signature_def) == 6
    default = signatures.signature_def["serving_default"]
    assert default.method_name == "tensorflow/serving/predict"
    assert default.inputs["x"].name == "x:0"
    assert default.inputs["x"].dtype == types_pb2.DT_FLOAT
    assert [d.size for d in default.inputs["x"].tensor_shape.dim] == [-1, 1]


@pytest.mark.parametrize(
    ("model", "version", "fields", "code", "text"),
    [
        (
            "half_plus",
            None,
            (),
            INVALID_ARGUMENT,
            "GetModelMetadataRequest must specify at least one metadata_field",
        ),
        ("nope", None, ("other",), INVALID_ARGUMENT, "Metadata field other is not supported"),
        (
            "nope",
            None,
            ("signature_def",),
            NOT_FOUND,
            "Servable not found for request: Latest(nope)",
        ),
        (
            "half_plus",
            9,
            ("signature_def",),
            NOT_FOUND,
            "Servable not found for request: Specific(half_plus, 9)",
        ),
        ("", None, ("signature_def",), INVALID_ARGUMENT, "ModelSpec has no name specified."),
    ],
)
def test_fault_of_a_metadata_request_is_named(
    client: Client,
    model: str,
    version: int | None,
    fields: tuple[str, ...],
    code: grpc.StatusCode,
    text: str,
) -> None:
    assert failure(lambda: client.metadata(model, version, fields)) == (code, text)


def test_requests_without_model_spec_are_refused(client: Client) -> None:
    metadata = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    status = get_model_status_pb2.GetModelStatusRequest()
    expected = (INVALID_ARGUMENT, "Missing ModelSpec")
    assert failure(lambda: client.prediction.GetModelMetadata(metadata, timeout=5)) == expected
    assert failure(lambda: client.model.GetModelStatus(status, timeout=5)) == expected


def test_status_tells_the_served_version(client: Client) -> None:
    (status,) = client.status("half_plus").model_version_status
    assert status.version == 3
    assert status.state == get_model_status_pb2.ModelVersionStatus.AVAILABLE
    assert status.HasField("status")
    assert status.status.error_code == 0
    assert client.status("half_plus", 3) == client.status("half_plus")


def test_status_of_the_unknown_is_not_found(client: Client) -> None:
    assert failure(lambda: client.status("nope")) == (
        NOT_FOUND,
        "Could not find any versions of model nope",
    )
    assert failure(lambda: client.status("half_plus", 9)) == (
        NOT_FOUND,
        "Could not find version 9 of model half_plus",
    )


@pytest.mark.parametrize("path", ["half_plus", "half_plus/versions/3"])
def test_rest_status_is_the_message_as_json(half_plus: ServerProcess, path: str) -> None:
    answer = rest.get(half_plus.rest_port, f"/v1/models/{path}")
    assert answer.status == 200
    ok = {"error_code": "OK", "error_message": ""}
    version = {"version": "3", "state": "AVAILABLE", "status": ok}
    assert answer.json() == {"model_version_status": [version]}


@pytest.mark.parametrize("path", ["half_plus/metadata", "half_plus/versions/3/metadata"])
def test_rest_metadata_holds_every_signature(half_plus: ServerProcess, path: str) -> None:
    answer = rest.get(half_plus.rest_port, f"/v1/models/{path}")
    assert answer.status == 200
    body = answer.json()
    assert body["model_spec"] == {"name": "half_plus", "version": "3", "signature_name": ""}
    signatures = body["metadata"]["signature_def"]["signature_def"]
    assert len(signatures) == 6
    assert signatures["serving_default"]["inputs"]["x"]["dtype"] == "DT_FLOAT"


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("nope", "Could not find any versions of model nope"),
        ("half_plus/versions/9", "Could not find version 9 of model half_plus"),
        ("nope/metadata", "Servable not found for request: Latest(nope)"),
        ("half_plus/versions/9/metadata", "Servable not found for request: Specific(half_plus, 9)"),
    ],
)
def test_rest_tells_what_it_does_not_find(half_plus: ServerProcess, path: str, error: str) -> None:
    answer = rest.get(half_plus.rest_port, f"/v1/models/{path}")
    assert (answer.status, answer.error) == (404, error)
