"""Point 2: Predict over gRPC with the official stubs."""

from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2, types_pb2

from support.grpc_client import Client, failure
from support.server import StartServer
from support.tensors import content, field_of, typed

NUMERIC = {
    "float": tf.float32,
    "double": tf.float64,
    "half": tf.float16,
    "bfloat16": tf.bfloat16,
    "int8": tf.int8,
    "int16": tf.int16,
    "int32": tf.int32,
    "int64": tf.int64,
    "uint8": tf.uint8,
    "uint16": tf.uint16,
    "uint32": tf.uint32,
    "uint64": tf.uint64,
    "bool": tf.bool,
    "complex64": tf.complex64,
    "complex128": tf.complex128,
}
#: From a scalar to the highest rank that numpy can hold.
SHAPES = [(), (1,), (3,), (0,), (2, 3), (2, 0, 3), (1, 2, 1, 2, 1), (1,) * 30 + (2, 2), (1,) * 64]
MIB = 1 << 20


@pytest.fixture(scope="module")
def identity(start_server: StartServer, recorded_models: Path) -> Iterator[Client]:
    """y = x of any shape; one signature a dtype."""
    base = recorded_models / "identity"
    server = start_server("--model_name=identity", f"--model_base_path={base}")
    with Client(server.grpc_port) as client:
        yield client


@pytest.fixture(scope="module")
def shapes(start_server: StartServer, recorded_models: Path) -> Iterator[Client]:
    """Signatures of many inputs, outputs and shapes."""
    base = recorded_models / "shapes"
    server = start_server("--model_name=shapes", f"--model_base_path={base}")
    with Client(server.grpc_port) as client:
        yield client


def echo(client: Client, signature: str, proto: tensor_pb2.TensorProto) -> tensor_pb2.TensorProto:
    response = client.predict("identity", {"x": proto}, signature=signature)
    return response.outputs["y"]


def some_values(dtype: tf.DType, shape: tuple[int, ...]) -> np.ndarray:
    """Values that differ from each other and reach the dtype's ends."""
    count = int(np.prod(shape, dtype=np.int64))
    if dtype == tf.bool:
        flat = np.arange(count) % 2 == 1
    elif dtype.is_complex:
        flat = (np.arange(count) + 1.5) * (1 - 2j)
    elif dtype.is_floating:
        flat = np.array([1.5, -0.0, np.inf, -np.inf, dtype.max, dtype.min] * (count // 6 + 1))
        flat = flat[:count]
    else:
        flat = np.array([dtype.max, dtype.min, 7] * (count // 3 + 1), object)[:count]
    return flat.astype(dtype.as_numpy_dtype).reshape(shape)


@pytest.mark.parametrize("encode", [typed, content])
@pytest.mark.parametrize("name", NUMERIC)
def test_every_dtype_and_rank_survives_in_both_encodings(
    identity: Client, name: str, encode: Callable[[np.ndarray], tensor_pb2.TensorProto]
) -> None:
    dtype = NUMERIC[name]
    for shape in SHAPES:
        array = some_values(dtype, shape)
        answer = echo(identity, name, encode(array))
        assert answer.dtype == dtype.as_datatype_enum
        assert tuple(d.size for d in answer.tensor_shape.dim) == shape
        assert tf.make_ndarray(answer).tobytes() == array.tobytes()
        assert not answer.tensor_content
        numbers = len(getattr(answer, field_of(dtype)))
        assert numbers == array.size * (2 if dtype.is_complex else 1)


def test_strings_of_any_bytes_and_ranks_survive(identity: Client) -> None:
    values = np.array([b"", b"\x00\xff", "ü".encode(), b"x" * 100_000], object)
    for array in (values, values.reshape(2, 1, 2), values[1:2].reshape(()), values[:0]):
        answer = echo(identity, "string", typed(array))
        assert tuple(d.size for d in answer.tensor_shape.dim) == array.shape
        assert list(answer.string_val) == list(array.ravel())


@pytest.mark.parametrize("name", NUMERIC)
def test_single_value_fills_the_shape(identity: Client, name: str) -> None:
    dtype = NUMERIC[name]
    one = typed(np.ones((1,), dtype.as_numpy_dtype))
    one.tensor_shape.CopyFrom(tf.TensorShape([2, 3]).as_proto())
    answer = tf.make_ndarray(echo(identity, name, one))
    assert answer.shape == (2, 3)
    assert (answer == np.ones((2, 3), dtype.as_numpy_dtype)).all()


def test_single_string_fills_the_shape(identity: Client) -> None:
    one = typed(np.array([b"a"], object))
    one.tensor_shape.dim[0].size = 4
    assert list(echo(identity, "string", one).string_val) == [b"a"] * 4


def test_nan_keeps_its_bits(identity: Client) -> None:
    array = np.array([0x7FC00001, 0xFFC00000], np.uint32).view(np.float32)
    for encode in (typed, content):
        answer = echo(identity, "float", encode(array))
        assert tf.make_ndarray(answer).tobytes() == array.tobytes()


def test_output_filter_fetches_only_what_it_names(shapes: Client) -> None:
    inputs = {
        "a": np.array([[1, 2], [3, 4]], np.float32),
        "b": np.array([5, 6], np.int64),
        "s": [b"u", b"v"],
    }
    every = shapes.values("shapes", inputs)
    assert set(every) == {"total", "next", "echo"}
    assert every["total"].tolist() == [3.0, 7.0]
    assert every["next"].tolist() == [6, 7]
    assert every["echo"].tolist() == [b"u", b"v"]
    two = shapes.values("shapes", inputs, outputs=["echo", "next"])
    assert set(two) == {"next", "echo"}
    assert two["next"].tolist() == [6, 7]


def test_answer_names_model_signature_and_version(shapes: Client) -> None:
    response = shapes.predict("shapes", {"p": 2.0}, signature="scalar", version=1)
    assert response.outputs["twice"].float_val == [4.0]
    assert response.model_spec.name == "shapes"
    assert response.model_spec.version.value == 1
    assert response.model_spec.signature_name == "scalar"
    assert not response.model_spec.version_label
    default = shapes.predict(
        "shapes", {"a": np.ones((1, 2), np.float32), "b": np.ones(1, np.int64), "s": [b""]}
    )
    assert default.model_spec.signature_name == "serving_default"


@pytest.mark.parametrize("shape", [(), (0,), (5,), (2, 3, 4)])
def test_input_of_unknown_rank_takes_any_shape(shapes: Client, shape: tuple[int, ...]) -> None:
    values = shapes.values("shapes", {"x": np.ones(shape, np.float32)}, signature="unknown_rank")
    assert values["rank"] == len(shape)
    assert values["size"] == np.ones(shape).size


def test_unknown_dimension_takes_any_extent(shapes: Client) -> None:
    for rows in (0, 1, 1000):
        x = np.arange(rows * 6, dtype=np.float32).reshape(rows, 2, 3)
        y = shapes.values("shapes", {"x": x}, signature="rank3")["y"]
        assert np.array_equal(y, x.transpose(0, 2, 1))


def test_one_tensor_may_answer_under_two_names(shapes: Client) -> None:
    values = shapes.values("shapes", {"x": np.array([1, 2], np.float32)}, signature="same_twice")
    assert values["y"].tolist() == values["z"].tolist() == [1.0, 2.0]


def test_left_out_input_takes_the_default_of_its_signature(
    start_server: StartServer, recorded_models: Path
) -> None:
    """z = x + y + c; y = [10] and c = 0.5 by default."""
    server = start_server("--model_name=d", f"--model_base_path={recorded_models / 'defaults'}")
    with Client(server.grpc_port) as client:
        x = np.array([1.0], np.float32)
        assert client.values("d", {"x": x})["z"] == [11.5]
        assert client.values("d", {"x": x, "y": np.array([2.0], np.float32)})["z"] == [3.5]
    server.stop()


def memory_available() -> int:
    lines = Path("/proc/meminfo").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("MemAvailable")).split()[1]) * 1024


@pytest.mark.parametrize("size", [1, 16_384, 16_385, MIB, 33 * MIB, 256 * MIB])
def test_string_of_this_many_bytes_comes_back_whole(identity: Client, size: int) -> None:
    if memory_available() < 10 * size:
        pytest.skip("too little memory")
    text = np.random.default_rng(size).bytes(size)
    proto = tensor_pb2.TensorProto(dtype=types_pb2.DT_STRING, string_val=[text])
    assert echo(identity, "string", proto).string_val[0] == text


@pytest.mark.parametrize("megabytes", [1, 256])
def test_floats_of_this_many_mebibytes_come_back_whole(identity: Client, megabytes: int) -> None:
    if memory_available() < 10 * megabytes * MIB:
        pytest.skip("too little memory")
    array = np.random.default_rng(megabytes).random(megabytes * MIB // 4, np.float32)
    answer = echo(identity, "float", content(array))
    assert np.array_equal(np.fromiter(answer.float_val, np.float32, array.size), array)


def test_message_over_the_limit_is_refused_and_the_connection_lives(
    start_server: StartServer, recorded_models: Path
) -> None:
    server = start_server(
        "--model_name=identity",
        f"--model_base_path={recorded_models / 'identity'}",
        f"--grpc_max_message_bytes={MIB}",
    )
    with Client(server.grpc_port) as client:
        code, text = failure(lambda: echo(client, "float", content(np.zeros(MIB // 4, "f4"))))
        assert code == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert str(MIB) in text
        small = content(np.ones(MIB // 4 - 100, "f4"))
        assert len(echo(client, "float", small).float_val) == MIB // 4 - 100
    server.stop()


def test_answers_can_carry_tensor_content_by_flag(
    start_server: StartServer, recorded_models: Path
) -> None:
    server = start_server(
        "--model_name=identity",
        f"--model_base_path={recorded_models / 'identity'}",
        "--enable_serialization_as_tensor_content",
    )
    array = np.array([1.5, -2.0], np.float32)
    with Client(server.grpc_port) as client:
        answer = echo(client, "float", typed(array))
    assert answer.tensor_content == array.tobytes()
    assert not answer.float_val
    server.stop()
