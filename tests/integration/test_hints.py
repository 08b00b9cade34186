"""What a signature expects is told beside an error whose text stays TensorFlow Serving's."""

from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from support import rest
from support.grpc_client import Client
from support.server import ServerProcess, StartServer

EXPECTS = "signature serving_default expects images: float [-1,784]"


@pytest.fixture(scope="module")
def server(start_server: StartServer, models: Path) -> ServerProcess:
    return start_server("--model_name=m", f"--model_base_path={models / 'mnist_mlp'}")


def refusal(server: ServerProcess, inputs: dict[str, Any], signature: str = "") -> tuple[str, str]:
    """Message and hint of a refused Predict over gRPC."""
    with Client(server.grpc_port) as client, pytest.raises(grpc.RpcError) as error:
        client.predict("m", inputs, signature=signature)
    metadata = dict(error.value.trailing_metadata() or ())
    return error.value.details(), metadata.get("fastserve-hint", "")


@pytest.mark.parametrize(
    ("images", "message", "hint"),
    [
        (
            np.zeros((1, 784), np.int32),
            "Expects arg[0] to be float but int32 is provided",
            f"{EXPECTS}, got int32 [1,784]",
        ),
        (
            np.zeros((2, 783), np.float32),
            "Matrix size-incompatible",
            f"{EXPECTS}, got float [2,783]",
        ),
        (np.zeros(784, np.float32), "In[0]", f"{EXPECTS}, got float [784]"),
    ],
    ids=["dtype", "extent", "rank"],
)
def test_grpc_error_comes_with_what_was_expected(
    server: ServerProcess, images: np.ndarray, message: str, hint: str
) -> None:
    details, got = refusal(server, {"images": images})
    assert message in details
    assert "expects" not in details
    assert got == hint


def test_wrong_names_of_inputs_come_with_the_right_ones(server: ServerProcess) -> None:
    details, hint = refusal(server, {"image": [[0.0]]})
    assert details.startswith("Signature input alias: images") or details.startswith(
        "input size does not match"
    )
    assert hint == EXPECTS


def test_errors_of_another_kind_have_no_hint(server: ServerProcess) -> None:
    assert refusal(server, {}, signature="no")[1] == ""


@pytest.mark.parametrize(
    ("body", "hint"),
    [
        ({"instances": [[1.0, 2.0]]}, f"{EXPECTS}, got float [1,2]"),
        ({"instances": [["a"]]}, EXPECTS),
        ({"inputs": {"image": [[0.0]]}}, EXPECTS),
        ({"instances": [[0.0] * 784]}, None),
        ({"signature_name": "no", "instances": [1]}, None),
    ],
)
def test_rest_error_comes_with_a_header(
    server: ServerProcess, body: object, hint: str | None
) -> None:
    answer = rest.post(server.rest_port, "/v1/models/m:predict", body)
    assert answer.headers.get("fastserve-hint") == hint
