"""REST predict beyond TensorFlow Serving: protobuf and npy bodies, compressed replies."""

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2

from support import npy, rest
from support.grpc_client import predict_request
from support.server import ServerProcess, StartServer

PROTOBUF, NPY = "application/x-protobuf", "application/x-npy"
MODELS = ("half_plus_two", "identity", "image_identity", "multi")


@pytest.fixture(scope="module")
def server(
    start_server: StartServer, models: Path, tmp_path_factory: pytest.TempPathFactory
) -> ServerProcess:
    config = tmp_path_factory.mktemp("config") / "models.config"
    entries = "".join(
        f'config {{ name: "{model}" base_path: "{models / model}" model_platform: "tensorflow" }}\n'
        for model in MODELS
    )
    config.write_text(f"model_config_list {{\n{entries}}}\n")
    return start_server(f"--model_config_file={config}", "--rest_gzip_replies")


def predict(
    server: ServerProcess, model: str, body: bytes, content_type: str, **headers: str
) -> rest.Answer:
    path = model if ":" in model else f"{model}:predict"
    request = rest.request(
        "POST",
        f"/v1/models/{path}",
        body,
        Connection="close",
        Content_Type=content_type,
        **headers,
    )
    return rest.send(server.rest_port, request)


def response(answer: rest.Answer) -> predict_pb2.PredictResponse:
    assert answer.status == 200, answer.body
    assert answer.headers["content-type"] == PROTOBUF
    return predict_pb2.PredictResponse.FromString(answer.body)


def array(answer: rest.Answer) -> np.ndarray:
    assert answer.status == 200, answer.body
    assert answer.headers["content-type"] == NPY
    return npy.unpacked(answer.body)


# -------------------------------------------------------------------------------------- protobuf


def test_predict_request_is_answered_with_a_predict_response(server: ServerProcess) -> None:
    inputs = {
        "a": [[1.0, 2.0]],
        "b": np.array([5], np.int64),
        "s": [b"\xff\x00"],
        "scale": 2.0,
    }
    request = predict_request("", inputs, outputs=["total", "echo"])
    got = response(predict(server, "multi", request.SerializeToString(), PROTOBUF))
    assert {alias: tf.make_ndarray(proto).tolist() for alias, proto in got.outputs.items()} == {
        "total": [6.0],
        "echo": [b"\xff\x00"],
    }
    assert got.model_spec.name == "multi"
    assert got.model_spec.version.value == 1
    assert got.model_spec.signature_name == "serving_default"


def test_url_says_which_model_answers_and_the_body_which_signature(server: ServerProcess) -> None:
    request = predict_request("another", {"x": [2.0]}, version=9)
    got = response(
        predict(
            server,
            "half_plus_two/versions/3:predict",
            request.SerializeToString(),
            f"{PROTOBUF.upper()}; charset=utf-8",
        )
    )
    assert tf.make_ndarray(got.outputs["y"]).tolist() == [5.0]
    assert (got.model_spec.name, got.model_spec.version.value) == ("half_plus_two", 3)
    request = predict_request("", {"x": np.array([7], np.int8)}, signature="int8")
    got = response(predict(server, "identity", request.SerializeToString(), PROTOBUF))
    assert got.model_spec.signature_name == "int8"
    assert got.outputs["y"].dtype == tf.int8.as_datatype_enum


def test_large_protobuf_bodies_may_come_whole_in_chunks_or_compressed(
    server: ServerProcess,
) -> None:
    image = np.random.default_rng(1).random((1, 224, 224, 3), np.float32)
    body = predict_request("", {"image": image}).SerializeToString()
    packed = predict(
        server, "image_identity", gzip.compress(body, 1), PROTOBUF, Content_Encoding="gzip"
    )
    whole = predict(server, "image_identity", body, PROTOBUF)
    chunked = rest.send(
        server.rest_port, chunked_request("image_identity", body, PROTOBUF, 100_000)
    )
    for answer in (whole, chunked, packed):
        np.testing.assert_array_equal(tf.make_ndarray(response(answer).outputs["image"]), image)


def chunked_request(model: str, body: bytes, content_type: str, size: int) -> bytes:
    head = rest.head(
        "POST",
        f"/v1/models/{model}:predict",
        {
            "Host": "x",
            "Content-Type": content_type,
            "Transfer-Encoding": "chunked",
            "Connection": "close",
        },
    )
    pieces = [body[at : at + size] for at in range(0, len(body), size)] + [b""]
    return head + b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        (b"\xff", 400, "The body is not a serialized tensorflow.serving.PredictRequest"),
        (
            b"",
            400,
            "input size does not match signature: 0!=1 len({}) != len({x}). Sent extra: {}. "
            "Missing but required: {x}.",
        ),
        (
            predict_request("", {}, signature="no").SerializeToString(),
            400,
            'Serving signature key "no" not found.',
        ),
    ],
)
def test_faults_of_protobuf_bodies_are_told_in_json(
    server: ServerProcess, body: bytes, status: int, error: str
) -> None:
    answer = predict(server, "half_plus_two", body, PROTOBUF)
    assert answer.headers["content-type"] == "application/json"
    assert (answer.status, answer.error) == (status, error)


# ------------------------------------------------------------------------------------------- npy


@pytest.mark.parametrize(
    "image",
    [
        np.arange(2 * 224 * 224 * 3, dtype=np.float32).reshape(2, 224, 224, 3),
        np.zeros((0, 224, 224, 3), np.float32),
        np.asfortranarray(np.random.default_rng(2).random((1, 224, 224, 3), np.float32)),
        np.random.default_rng(3).random((1, 224, 224, 3), np.float32).astype(">f4"),
    ],
    ids=["large", "empty", "fortran", "big-endian"],
)
def test_array_is_answered_with_an_array(server: ServerProcess, image: np.ndarray) -> None:
    got = array(predict(server, "image_identity", npy.packed(image), NPY))
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, image)
    body = chunked_request("image_identity", npy.packed(image), NPY, 70_000)
    np.testing.assert_array_equal(array(rest.send(server.rest_port, body)), image)


@pytest.mark.parametrize(
    ("accept", "is_npy"),
    [
        ("*/*", True),
        ("application/json", False),
        ("application/json, */*;q=0.5", False),
        ("application/json;q=0.5, application/x-npy", True),
    ],
)
def test_client_that_would_rather_have_json_gets_columns(
    server: ServerProcess, accept: str, is_npy: bool
) -> None:
    body = npy.packed(np.array([2.0, 4.0], np.float32))
    answer = predict(server, "half_plus_two", body, NPY, Accept=accept)
    got: Any = array(answer).tolist() if is_npy else answer.json()["outputs"]
    assert got == [5.0, 6.0]


@pytest.mark.parametrize(
    ("array", "error"),
    [
        (np.zeros(2), "Expects arg[0] to be float but double is provided"),
        (np.array(["a"]), "An npy file of dtype '<U1' cannot be taken"),
    ],
)
def test_dtype_is_never_converted(server: ServerProcess, array: np.ndarray, error: str) -> None:
    answer = predict(server, "half_plus_two", npy.packed(array), NPY)
    assert answer.status == 400
    assert answer.error.startswith(error)


def test_array_for_a_signature_of_several_inputs_is_refused(server: ServerProcess) -> None:
    answer = predict(server, "multi", npy.packed(np.zeros(1)), NPY)
    assert answer.status == 400
    assert answer.error == (
        "An npy file is one tensor, but signature serving_default expects a: float [-1,2]; "
        "b: int64 [-1]; s: string [-1]; scale: float []. Send a PredictRequest "
        "(application/x-protobuf) or JSON"
    )


def test_body_that_is_no_array_is_refused(server: ServerProcess) -> None:
    answer = predict(server, "half_plus_two", b'{"instances": [1.0]}', NPY)
    assert answer.status == 400
    assert answer.error == ("The body is not an npy file: it does not begin as np.save writes it")


def test_classify_and_regress_take_json_only(server: ServerProcess) -> None:
    answer = predict(server, "half_plus_two:classify", b"", NPY)
    assert answer.status == 400
    assert answer.error == ":classify takes JSON, not application/x-npy; only :predict does"


def test_other_content_types_are_json_as_ever(server: ServerProcess) -> None:
    for content_type in ("text/plain", "application/octet-stream", "application/x-npyz"):
        answer = predict(server, "half_plus_two", b'{"instances": [2.0]}', content_type)
        assert answer.json() == {"predictions": [5.0]}


# ------------------------------------------------------------------------------------ compression


@pytest.mark.parametrize("count", [300, 30_000])
def test_reply_is_compressed_for_a_client_that_admits_it(server: ServerProcess, count: int) -> None:
    body = json.dumps({"instances": [0.5] * count}).encode()
    answer = predict(server, "identity", body, "application/json", Accept_Encoding="br, gzip;q=0.5")
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers["vary"] == "Accept-Encoding"
    assert json.loads(gzip.decompress(answer.body)) == {"predictions": [0.5] * count}


@pytest.mark.parametrize(
    ("count", "accept"), [(300, ""), (300, "gzip;q=0"), (300, "br"), (3, "gzip")]
)
def test_reply_is_not_compressed_for_others_nor_when_it_is_short(
    server: ServerProcess, count: int, accept: str
) -> None:
    body = json.dumps({"instances": [0.5] * count}).encode()
    answer = predict(server, "identity", body, "application/json", Accept_Encoding=accept)
    assert "content-encoding" not in answer.headers
    assert answer.json() == {"predictions": [0.5] * count}
