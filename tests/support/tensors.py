"""TensorProtos in either encoding."""

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2

#: Field that holds the values of a dtype, where its name is not <dtype>_val.
_FIELDS = {
    tf.float32: "float_val",
    tf.float64: "double_val",
    tf.float16: "half_val",
    tf.bfloat16: "half_val",
    tf.int64: "int64_val",
    tf.uint32: "uint32_val",
    tf.uint64: "uint64_val",
    tf.bool: "bool_val",
    tf.string: "string_val",
    tf.complex64: "scomplex_val",
    tf.complex128: "dcomplex_val",
}


def field_of(dtype: tf.DType) -> str:
    """The typed field of TensorProto for a dtype; the narrower integers share int_val."""
    return _FIELDS.get(dtype, "int_val")


def typed(array: np.ndarray) -> tensor_pb2.TensorProto:
    """`array` in its typed field."""
    proto = _empty(array)
    field = field_of(tf.as_dtype(proto.dtype))
    flat = array.ravel()
    if field == "half_val":
        flat = flat.view(np.uint16)
    elif field == "scomplex_val":
        flat = flat.view(np.float32)
    elif field == "dcomplex_val":
        flat = flat.view(np.float64)
    getattr(proto, field).extend(flat.tolist())
    return proto


def content(array: np.ndarray) -> tensor_pb2.TensorProto:
    """`array` as raw bytes in tensor_content."""
    proto = _empty(array)
    proto.tensor_content = array.tobytes()
    return proto


def _empty(array: np.ndarray) -> tensor_pb2.TensorProto:
    dtype = tf.string if array.dtype == object else tf.as_dtype(array.dtype)
    shape = tf.TensorShape(array.shape).as_proto()
    return tensor_pb2.TensorProto(dtype=dtype.as_datatype_enum, tensor_shape=shape)
