"""Arrays of clients against TensorFlow's own conversions."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from fastserve import protos
from fastserve.commands import tensors
from fastserve.errors import ConfigError
from support.tensors import content, typed

DTYPES = [
    *(tf.float16, tf.bfloat16, tf.float32, tf.float64, tf.complex64, tf.complex128),
    *(tf.int8, tf.int16, tf.int32, tf.int64, tf.uint8, tf.uint16, tf.uint32, tf.uint64, tf.bool),
    *(tf.dtypes.experimental.int4, tf.dtypes.experimental.uint4),
]
FLOAT8 = (tf.dtypes.experimental.float8_e5m2, tf.dtypes.experimental.float8_e4m3fn)
QUANTIZED = (tf.qint8, tf.quint8, tf.qint16, tf.quint16, tf.qint32)

FLOAT, HALF, BFLOAT16, INT8, INT64, UINT64, BOOL, STRING, COMPLEX64, QINT8, VARIANT = (
    protos.DataType.Value(f"DT_{name}")
    for name in (
        *("FLOAT", "HALF", "BFLOAT16", "INT8", "INT64", "UINT64", "BOOL", "STRING", "COMPLEX64"),
        *("QINT8", "VARIANT"),
    )
)


def ours(proto: Any) -> Any:
    return protos.TensorProto.FromString(proto.SerializeToString())


def refusal(call: Any, *arguments: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        call("input x", *arguments)
    return caught.value.message


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.name)
def test_every_dtype_is_read_and_written_as_tensorflow_does(dtype: tf.DType) -> None:
    array = np.array([[0, 1], [2, 3], [4, 5]]).astype(dtype.as_numpy_dtype)
    for proto in (typed(array), content(array)):
        read = tensors.from_proto("y", ours(proto))
        assert read.dtype == array.dtype
        np.testing.assert_array_equal(read, array)
    written = tensors.to_proto(read, dtype.as_datatype_enum).SerializeToString()
    assert tf.make_ndarray(type(proto).FromString(written)).tolist() == array.tolist()


@pytest.mark.parametrize("dtype", FLOAT8, ids=lambda dtype: dtype.name)
def test_eight_bit_floats_are_bytes(dtype: tf.DType) -> None:
    array = np.array([1.0, 0.5]).astype(dtype.as_numpy_dtype)
    proto = protos.TensorProto(dtype=dtype.as_datatype_enum, float8_val=array.tobytes())
    proto.tensor_shape.dim.add(size=2)
    np.testing.assert_array_equal(tensors.from_proto("y", proto), array)


@pytest.mark.parametrize("dtype", QUANTIZED, ids=lambda dtype: dtype.name)
def test_quantized_integers_are_integers(dtype: tf.DType) -> None:
    array = tensors.from_json("x", [1, 2], dtype.as_datatype_enum)
    proto = tensors.to_proto(array, dtype.as_datatype_enum)
    assert tensors.to_json(tensors.from_proto("y", proto)) == [1, 2]


def test_strings_keep_their_zero_bytes() -> None:
    value = [["a\0", {"b64": "/wA="}]]
    array = tensors.from_json("x", value, STRING)
    assert array.tolist() == [[b"a\0", b"\xff\0"]]
    read = tensors.from_proto("y", tensors.to_proto(array, STRING))
    assert tensors.to_json(read) == value
    assert tensors.to_json(read, as_base64=True) == [[{"b64": "YQA="}, {"b64": "/wA="}]]


@pytest.mark.parametrize(
    ("dtype", "field", "values"),
    [(FLOAT, {"float_val": [1.5]}, [1.5] * 3), (INT8, {}, [0] * 3), (STRING, {}, [""] * 3)],
)
def test_values_left_out_at_the_end_are_repetitions(
    dtype: int, field: dict[str, Any], values: list[Any]
) -> None:
    proto = protos.TensorProto(dtype=dtype, **field)
    proto.tensor_shape.dim.add(size=3)
    assert tensors.to_json(tensors.from_proto("y", proto)) == values


@pytest.mark.parametrize(
    ("value", "dtype", "shape"),
    [
        (1, FLOAT, ()),
        ([[1, 2.5]], FLOAT, (1, 2)),
        ([[], []], INT8, (2, 0)),
        ([float("nan"), float("inf")], HALF, (2,)),
        (2**64 - 1, UINT64, ()),
        ([True], BOOL, (1,)),
    ],
)
def test_json_becomes_an_array_of_the_dtype_asked_for(
    value: Any, dtype: int, shape: tuple[int, ...]
) -> None:
    array = tensors.from_json("x", value, dtype)
    assert array.shape == shape
    np.testing.assert_array_equal(tensors.to_json(array), value)


@pytest.mark.parametrize(
    ("value", "dtype", "error"),
    [
        ([[1], [2, 3]], FLOAT, "input x is ragged: its lists differ in length or depth"),
        ([1, [2]], FLOAT, "input x is ragged: its lists differ in length or depth"),
        ([1.0], INT64, "input x is DT_INT64, but has the value 1.0"),
        ([True], INT8, "input x is DT_INT8, but has the value true"),
        ([1, None], FLOAT, "input x is DT_FLOAT, but has the value null"),
        ([300], INT8, "input x is DT_INT8, which does not hold all the values"),
        ([-1], UINT64, "input x is DT_UINT64, which does not hold all the values"),
        (
            ["x" * 70],
            FLOAT,
            f'input x is DT_FLOAT, but has the value "{"x" * 59}...',
        ),
        (
            [1],
            STRING,
            'input x is DT_STRING, but has the value 1; it must be a string or {"b64": "..."}',
        ),
        ([{"b64": "A"}], STRING, "input x has a value that is not base64: "),
        ([1], VARIANT, "input x is DT_VARIANT, which no array stands for"),
    ],
)
def test_json_that_does_not_fit_is_refused(value: Any, dtype: int, error: str) -> None:
    assert refusal(tensors.from_json, value, dtype).startswith(error)


def test_array_of_another_dtype_is_converted_where_only_digits_are_lost() -> None:
    for array, dtype, name in (
        (np.array([1.5]), FLOAT, "float32"),
        (np.array([3], np.int64), INT8, "int8"),
        (np.array([3], np.uint8), BFLOAT16, "bfloat16"),
        (np.array([1.5]), COMPLEX64, "complex64"),
        (np.array([]), INT8, "int8"),
    ):
        assert tensors.as_type("x", array, dtype).dtype.name == name
    texts = tensors.as_type("x", np.array(["a", "é"]), STRING)
    assert texts.tolist() == [b"a", "é".encode()]
    assert tensors.as_type("x", np.array([b"\xff"]), STRING).tolist() == [b"\xff"]


@pytest.mark.parametrize(
    ("array", "dtype", "error"),
    [
        (np.array([1.5]), INT64, "input x is DT_INT64, but the values are float64"),
        (np.array([1]), BOOL, "input x is DT_BOOL, but the values are int64"),
        (np.array([1j]), FLOAT, "input x is DT_FLOAT, but the values are complex128"),
        (np.array([1]), STRING, "input x is DT_STRING, but the values are int64"),
        (np.array([128]), INT8, "input x is DT_INT8, which does not hold all the values"),
    ],
)
def test_array_that_does_not_fit_is_refused(array: Any, dtype: int, error: str) -> None:
    assert refusal(tensors.as_type, array, dtype) == error


def test_floats_are_written_with_the_digits_that_tell_them_apart() -> None:
    assert tensors.to_json(np.array([0.1, 1 / 3], np.float32)) == [0.1, 0.33333334]
    assert tensors.to_json(np.array(0.1)) == 0.1
    assert tensors.to_json(np.array([1 + 2j], np.complex64)) == [[1.0, 2.0]]
