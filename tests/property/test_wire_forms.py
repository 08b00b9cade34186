"""Every form of a request is understood as protobuf understands it, and no other bytes are.

What a request means is what google.protobuf reads, and what TensorFlow makes of the tensor in it.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import grpc
import numpy as np
import pytest
import tensorflow as tf
from cpp_parser import parses
from google.protobuf.message import DecodeError, Message
from google.protobuf.unknown_fields import UnknownFieldSet
from hypothesis import assume, given, note
from hypothesis import strategies as st
from tensorflow.core.example import example_pb2
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis import (
    classification_pb2,
    inference_pb2,
    predict_pb2,
    regression_pb2,
)
from wire_forms import Encoder, spoil, varint

from support.examples import example, model_input, model_spec, task
from support.grpc_client import SECONDS, Client
from support.layout import config_text, model_entry
from support.server import StartServer
from support.tensors import field_of

SERVICE = "/tensorflow.serving.PredictionService/"
#: Name of a signature of `identity` -> its dtype.
DTYPES: dict[str, tf.DType] = {
    name: getattr(tf, name, None) or getattr(tf.dtypes.experimental, name)
    for name in (
        *("half", "bfloat16", "float32", "double", "complex64", "complex128"),
        *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
        *("qint8", "quint8", "qint16", "quint16", "qint32", "bool", "string"),
        *("int4", "uint4", "float8_e5m2", "float8_e4m3fn"),
    )
}
DTYPES["float"] = DTYPES.pop("float32")
#: Types some of whose bits mean nothing -> one in which only the meaning is left.
BITS_ASIDE = {tf.bool: np.bool_, DTYPES["int4"]: np.int8, DTYPES["uint4"]: np.uint8}
INPUTS = predict_pb2.PredictRequest.INPUTS_FIELD_NUMBER
#: A tensor that promises more than this would only have both sides fill memory.
MAX_ELEMENTS = 1 << 16


@dataclass(frozen=True)
class Answer:
    """What a call came to: the code's name, then the text of an error or the response."""

    code: str
    text: str
    response: bytes = b""


#: The answer to bytes that do not parse.
NO_MESSAGE = Answer("INTERNAL", "")


class Caller:
    """Sends bytes as they are."""

    def __init__(self, client: Client) -> None:
        self._calls = {
            method: client.channel.unary_unary(SERVICE + method)
            for method in ("Predict", "Classify", "Regress", "MultiInference")
        }

    def __call__(self, method: str, request: bytes) -> Answer:
        try:
            return Answer("OK", "", self._calls[method](request, timeout=SECONDS))
        except grpc.RpcError as error:
            return Answer(error.code().name, error.details())


@pytest.fixture(scope="module")
def call(
    start_server: StartServer, recorded_models: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Caller]:
    """A server of `identity` and `heads`."""
    file = tmp_path_factory.mktemp("config") / "models.config"
    file.write_text(
        config_text(model_entry(name, recorded_models / name) for name in ("identity", "heads"))
    )
    with Client(start_server(f"--model_config_file={file}").grpc_port) as client:
        yield Caller(client)


@st.composite
def tensor_protos(draw: st.DrawFn, dtype: tf.DType) -> tensor_pb2.TensorProto:
    """Tensors of any shape, in either encoding, with too few or too many values now and then."""
    shape = draw(st.lists(st.integers(0, 3), max_size=4))
    count = math.prod(shape)
    proto = tensor_pb2.TensorProto(dtype=dtype.as_datatype_enum)
    proto.tensor_shape.CopyFrom(tf.TensorShape(shape).as_proto())
    count = draw(st.one_of(st.just(count), st.integers(0, count + 2)))
    if dtype == tf.string:
        values = draw(st.lists(st.binary(max_size=6), min_size=count, max_size=count))
        if draw(st.booleans()):
            proto.string_val.extend(values)
        else:
            proto.tensor_content = b"".join(map(varint, map(len, values))) + b"".join(values)
    elif dtype != tf.bool and draw(st.booleans()):
        size = count * np.dtype(dtype.as_numpy_dtype).itemsize
        proto.tensor_content = draw(st.binary(min_size=size, max_size=size))
    else:
        field = "float8_val" if dtype.name.startswith("float8") else field_of(dtype)
        values = draw(st.lists(ELEMENTS[field], min_size=count, max_size=count))
        if dtype.is_complex:
            values += values
        if field == "float8_val":
            proto.float8_val = bytes(values)
        else:
            getattr(proto, field).extend(values)
    return proto


ELEMENTS: dict[str, st.SearchStrategy[Any]] = {
    "float_val": st.floats(width=32),
    "scomplex_val": st.floats(width=32),
    "double_val": st.floats(),
    "dcomplex_val": st.floats(),
    "half_val": st.integers(0, 0xFFFF),
    "int_val": st.integers(-(2**31), 2**31 - 1),
    "int64_val": st.integers(-(2**63), 2**63 - 1),
    "uint32_val": st.integers(0, 2**32 - 1),
    "uint64_val": st.integers(0, 2**64 - 1),
    "bool_val": st.booleans(),
    "float8_val": st.integers(0, 255),
}


@st.composite
def predict_requests(draw: st.DrawFn) -> predict_pb2.PredictRequest:
    signature = draw(st.sampled_from(sorted(DTYPES)))
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "identity"
    request.model_spec.signature_name = signature
    if draw(st.booleans()):
        request.model_spec.version.value = 1
    if draw(st.booleans()):
        request.output_filter.append("y")
    request.inputs["x"].CopyFrom(draw(tensor_protos(DTYPES[signature])))
    return request


def elements(proto: tensor_pb2.TensorProto, dtype: tf.DType) -> tuple[Any, ...] | None:
    """Shape and elements of a tensor as TensorFlow decodes it; None where it refuses to."""
    try:
        array = tf.io.parse_tensor(proto.SerializeToString(), dtype).numpy()
    except tf.errors.OpError:
        return None
    if dtype == tf.string:
        return np.shape(array), np.ravel(array).tolist()
    if dtype in BITS_ASIDE:
        array = array.astype(BITS_ASIDE[dtype])
    return array.shape, array.tobytes()


def expected_code(request: predict_pb2.PredictRequest) -> str:
    """The code that a request to `identity` gets, its tensor aside."""
    spec = request.model_spec
    if not spec.name or spec.WhichOneof("version_choice") == "version_label":
        return "INVALID_ARGUMENT"
    if spec.name != "identity" or (spec.HasField("version") and spec.version.value != 1):
        return "NOT_FOUND"
    if (spec.signature_name or "float") not in DTYPES:
        return "FAILED_PRECONDITION"
    good = list(request.inputs) == ["x"] and list(request.output_filter) in ([], ["y"])
    return "OK" if good else "INVALID_ARGUMENT"


def check_predict(data: bytes, answer: Answer) -> None:
    """Asserts that `answer` is what the request `data` deserves."""
    if not parses(data, predict_pb2.PredictRequest):
        assert answer == NO_MESSAGE
        return
    request = predict_pb2.PredictRequest.FromString(data)
    code = expected_code(request)
    if code != "OK":
        assert answer.code == code, answer
        return
    dtype = DTYPES[request.model_spec.signature_name or "float"]
    expected = elements(request.inputs["x"], dtype)
    if expected is None:
        assert answer.code == "INVALID_ARGUMENT", answer
        return
    assert answer.code == "OK", answer
    response = predict_pb2.PredictResponse.FromString(answer.response)
    assert elements(response.outputs["y"], dtype) == expected
    assert response.model_spec.version.value == 1


def is_comparable(data: bytes) -> bool:
    """Whether protobuf for Python reads it as C++ does, and no tensor is too large to fill."""
    if not parses(data, predict_pb2.PredictRequest):
        return True
    try:
        request = predict_pb2.PredictRequest.FromString(data)
    except DecodeError:  # a tag with bits beyond its 32, for one
        return False
    # Python leaves out an entry of a map that has unknown fields; C++ leaves out those fields.
    lost = any(field.field_number == INPUTS for field in UnknownFieldSet(request))
    shapes = (proto.tensor_shape for proto in request.inputs.values())
    sizes = (math.prod(dim.size for dim in shape.dim) for shape in shapes)
    return not lost and all(size <= MAX_ELEMENTS for size in sizes)


randoms = st.integers(0, 2**32 - 1).map(Random)


@given(request=predict_requests(), random=randoms)
def test_every_form_of_a_predict_means_the_same(
    call: Caller, request: predict_pb2.PredictRequest, random: Random
) -> None:
    data = Encoder(random).encode(request)
    note(f"sent: {data.hex()}")
    check_predict(data, call("Predict", data))


@given(request=predict_requests(), random=randoms)
def test_spoilt_predict_is_refused_just_where_protobuf_refuses_it(
    call: Caller, request: predict_pb2.PredictRequest, random: Random
) -> None:
    data = spoil(Encoder(random).encode(request), random)
    assume(is_comparable(data))
    note(f"sent: {data.hex()}")
    check_predict(data, call("Predict", data))


examples = st.lists(
    st.builds(
        example,
        x=st.floats(width=32, allow_nan=False),
        n=st.integers(-(2**63), 2**63 - 1),
        s=st.binary(max_size=4),
        more=st.lists(st.integers(-3, 3), max_size=3),
    ),
    max_size=3,
)
inputs = st.builds(model_input, examples, st.none() | st.builds(example, s=st.binary(max_size=4)))
INFERENCES = {
    "Classify": st.builds(
        classification_pb2.ClassificationRequest,
        model_spec=st.just(model_spec("heads", version=7)),
        input=inputs,
    ),
    "Regress": st.builds(
        regression_pb2.RegressionRequest,
        model_spec=st.just(model_spec("heads", "regress")),
        input=inputs,
    ),
    "MultiInference": st.builds(
        inference_pb2.MultiInferenceRequest,
        tasks=st.lists(
            st.sampled_from(
                [
                    task(model_spec("heads"), "classify"),
                    task(model_spec("heads", "regress"), "regress"),
                ]
            ),
            max_size=3,
        ),
        input=inputs,
    ),
}
#: TensorFlow's own parser reads Examples; it takes fewer forms than protobuf does.
PLAIN = (example_pb2.Example.DESCRIPTOR,)


@pytest.mark.parametrize("method", INFERENCES)
def test_every_form_of_an_inference_means_the_same(method: str, call: Caller) -> None:
    @given(request=INFERENCES[method], random=randoms)
    def check(request: Message, random: Random) -> None:
        data = Encoder(random, PLAIN).encode(request)
        assert call(method, data) == call(method, request.SerializeToString())

    check()


@pytest.mark.parametrize("method", INFERENCES)
def test_spoilt_inference_is_refused_just_where_protobuf_refuses_it(
    method: str, call: Caller
) -> None:
    @given(request=INFERENCES[method], random=randoms)
    def check(request: Message, random: Random) -> None:
        data = spoil(Encoder(random, PLAIN).encode(request), random)
        note(f"sent: {data.hex()}")
        answer = call(method, data)
        assert (answer != NO_MESSAGE) == parses(data, type(request))

    check()
