"""Point 4 over gRPC: each error has its code and text, and the server goes on serving."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from tensorflow.core.framework import tensor_pb2, types_pb2

from support.grpc_client import Client, failure, predict_request
from support.server import StartServer

INVALID_ARGUMENT = grpc.StatusCode.INVALID_ARGUMENT
NOT_FOUND = grpc.StatusCode.NOT_FOUND

A = np.ones((1, 2), np.float32)
B = np.ones(1, np.int64)
GOOD: dict[str, Any] = {"a": A, "b": B, "s": [b"s"]}
SHORT = tensor_pb2.TensorProto(dtype=types_pb2.DT_FLOAT, tensor_content=b"123")


@pytest.fixture(scope="module")
def shapes(start_server: StartServer, recorded_models: Path) -> Iterator[Client]:
    base = recorded_models / "shapes"
    server = start_server("--model_name=shapes", f"--model_base_path={base}")
    with Client(server.grpc_port) as client:
        yield client


@pytest.fixture
def client(shapes: Client) -> Iterator[Client]:
    """The server, which must still serve, on the same connection, after the error."""
    yield shapes
    assert shapes.values("shapes", GOOD)["total"] == [2.0]


@pytest.mark.parametrize(
    ("model", "inputs", "spec", "code", "text"),
    [
        pytest.param("", GOOD, {}, INVALID_ARGUMENT, "ModelSpec has no name specified.", id="name"),
        pytest.param(
            "nope", GOOD, {}, NOT_FOUND, "Servable not found for request: Latest(nope)", id="model"
        ),
        pytest.param(
            "shapes",
            GOOD,
            {"version": 7},
            NOT_FOUND,
            "Servable not found for request: Specific(shapes, 7)",
            id="version",
        ),
        pytest.param(
            "shapes",
            GOOD,
            {"version": 0},
            NOT_FOUND,
            "Servable not found for request: Specific(shapes, 0)",
            id="version-zero",
        ),
        pytest.param(
            "shapes",
            GOOD,
            {"label": "stable"},
            INVALID_ARGUMENT,
            "Unrecognized servable version label: stable",
            id="label",
        ),
        pytest.param(
            "shapes",
            GOOD,
            {"signature": "nope"},
            grpc.StatusCode.FAILED_PRECONDITION,
            'Serving signature key "nope" not found.',
            id="signature",
        ),
        pytest.param(
            "shapes",
            {"a": A, "b": B},
            {},
            INVALID_ARGUMENT,
            "input size does not match signature: 2!=3 len({a,b}) != len({a,b,s})."
            " Sent extra: {}. Missing but required: {s}.",
            id="missing-input",
        ),
        pytest.param(
            "shapes",
            GOOD | {"more": A},
            {},
            INVALID_ARGUMENT,
            "input size does not match signature: 4!=3 len({a,b,more,s}) != len({a,b,s})."
            " Sent extra: {more}. Missing but required: {}.",
            id="extra-input",
        ),
        pytest.param(
            "shapes",
            {"a": A, "b": B, "t": [b"s"]},
            {},
            INVALID_ARGUMENT,
            "Signature input alias: s(feed name: multi_s:0) not found in request and no default"
            " value provided. Inputs expected to be in the request {a,b,t}, or default input"
            " alias set: ",
            id="wrong-alias",
        ),
        pytest.param(
            "shapes",
            GOOD | {"a": SHORT},
            {},
            INVALID_ARGUMENT,
            "tensor parsing error: a",
            id="undecodable",
        ),
        pytest.param(
            "shapes",
            GOOD,
            {"outputs": ["nope"]},
            INVALID_ARGUMENT,
            "output tensor alias not found in signature: nope Outputs expected to be in the set"
            " {echo,next,total}.",
            id="output",
        ),
        pytest.param(
            "shapes",
            GOOD,
            {"outputs": ["echo", "echo"]},
            INVALID_ARGUMENT,
            "duplicate output tensor alias: echo",
            id="output-twice",
        ),
    ],
)
def test_fault_of_the_request_is_named(
    client: Client, model: str, inputs: Any, spec: Any, code: grpc.StatusCode, text: str
) -> None:
    assert failure(lambda: client.predict(model, inputs, **spec)) == (code, text)


def test_request_without_model_spec_is_refused(client: Client) -> None:
    request = predict_request("x", GOOD)
    request.ClearField("model_spec")
    got = failure(lambda: client.prediction.Predict(request, timeout=5))
    assert got == (INVALID_ARGUMENT, "Missing ModelSpec")


def test_wrong_dtype_is_told_by_tensorflow(client: Client) -> None:
    code, text = failure(lambda: client.predict("shapes", GOOD | {"a": np.ones((1, 2), np.int32)}))
    assert code == INVALID_ARGUMENT
    assert "float" in text
    assert "int32" in text


def test_wrong_shape_is_told_by_tensorflow(client: Client) -> None:
    wrong = {"x": np.ones((2, 2, 2, 2), np.float32)}
    code, text = failure(lambda: client.predict("shapes", wrong, signature="rank3"))
    assert code == INVALID_ARGUMENT
    assert "expects a vector of size 4" in text


@pytest.mark.parametrize(
    "message",
    [
        b"\0" * 16,
        b"hello world",
        b"\x0a\x7f",
        predict_request("shapes", GOOD).SerializeToString()[:-1],
    ],
    ids=["zeros", "text", "length-beyond-the-end", "one-byte-short"],
)
def test_bytes_that_are_no_message_are_an_internal_error(client: Client, message: bytes) -> None:
    call = client.channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
    code, _ = failure(lambda: call(message, timeout=5))
    assert code == grpc.StatusCode.INTERNAL


def test_long_error_text_is_cut_as_tensorflow_serving_cuts_it(client: Client) -> None:
    code, text = failure(lambda: client.predict("n" * 5000, GOOD))
    assert code == NOT_FOUND
    assert text.endswith("...TRUNCATED")
    assert len(text) == 1024 + len("...TRUNCATED")
