"""TensorProto and JSON <-> numpy arrays, for clients; the server's own conversions are native."""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import ml_dtypes
import numpy as np

from fastserve import protos
from fastserve.errors import ConfigError

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
"""Of the numpy type that stands for its DataType; strings are objects of type bytes."""

_BOOLEAN, _INTEGER, _FLOAT, _COMPLEX, _STRING = "b", "iu", "iuf", "iufc", "SU"
"""Kinds of numpy's types (dtype.kind) that an array may be made from."""

_LEAVES: Final[Mapping[str, tuple[type, ...]]] = {
    _BOOLEAN: (bool,),
    _INTEGER: (int,),
    _FLOAT: (int, float),
    _COMPLEX: (int, float),
}
"""The same for what JSON holds."""


@dataclass(frozen=True, slots=True)
class _Type:
    """What a DataType is outside TensorFlow."""

    numpy: Any
    kinds: str
    field: str
    """Where a TensorProto keeps it, unless as tensor_content."""


_TYPES: Final[Mapping[str, _Type]] = {
    "DT_FLOAT": _Type(np.float32, _FLOAT, "float_val"),
    "DT_DOUBLE": _Type(np.float64, _FLOAT, "double_val"),
    "DT_HALF": _Type(np.float16, _FLOAT, "half_val"),
    "DT_BFLOAT16": _Type(ml_dtypes.bfloat16, _FLOAT, "half_val"),
    "DT_FLOAT8_E5M2": _Type(ml_dtypes.float8_e5m2, _FLOAT, "float8_val"),
    "DT_FLOAT8_E4M3FN": _Type(ml_dtypes.float8_e4m3fn, _FLOAT, "float8_val"),
    "DT_INT64": _Type(np.int64, _INTEGER, "int64_val"),
    "DT_UINT32": _Type(np.uint32, _INTEGER, "uint32_val"),
    "DT_UINT64": _Type(np.uint64, _INTEGER, "uint64_val"),
    **{
        f"DT_{name}": _Type(numpy, _INTEGER, "int_val")
        for name, numpy in (
            *(("INT8", np.int8), ("INT16", np.int16), ("INT32", np.int32)),
            *(("UINT8", np.uint8), ("UINT16", np.uint16)),
            *(("QINT8", np.int8), ("QINT16", np.int16), ("QINT32", np.int32)),
            *(("QUINT8", np.uint8), ("QUINT16", np.uint16)),
            *(("INT4", ml_dtypes.int4), ("UINT4", ml_dtypes.uint4)),
        )
    },
    "DT_BOOL": _Type(np.bool_, _BOOLEAN, "bool_val"),
    "DT_COMPLEX64": _Type(np.complex64, _COMPLEX, "scomplex_val"),
    "DT_COMPLEX128": _Type(np.complex128, _COMPLEX, "dcomplex_val"),
    "DT_STRING": _Type(np.object_, _STRING, "string_val"),
}


def type_name(data_type: int) -> str:
    """Returns a DataType's name, as "DT_FLOAT"; its number for one that has none."""
    try:
        return str(protos.DataType.Name(data_type))
    except ValueError:
        return str(data_type)


def _type_of(what: str, data_type: int) -> _Type:
    name = type_name(data_type)
    if name not in _TYPES:
        raise ConfigError(f"{what} is {name}, which no array stands for")
    return _TYPES[name]


# Arrays of other types


def as_type(what: str, array: Array, data_type: int) -> Array:
    """Returns an array as one of `data_type`, where that loses no more than digits.

    `what` names the tensor in errors. Raises ConfigError.
    """
    wanted = _type_of(what, data_type)
    if array.size > 0 and array.dtype.kind not in wanted.kinds:
        raise ConfigError(f"{what} is {type_name(data_type)}, but the values are {array.dtype}")
    if wanted.kinds == _STRING:
        texts = array.ravel().tolist()
        values = [text.encode() if isinstance(text, str) else text for text in texts]
        return _objects(values, array.shape)
    if wanted.kinds == _INTEGER:
        _check_range(what, array, data_type)
    return array.astype(wanted.numpy, copy=False)


def _check_range(what: str, array: Array, data_type: int) -> None:
    limits = ml_dtypes.iinfo(_type_of(what, data_type).numpy)  # type: ignore[no-untyped-call]
    if array.size > 0 and not limits.min <= int(array.min()) <= int(array.max()) <= limits.max:
        raise ConfigError(f"{what} is {type_name(data_type)}, which does not hold all the values")


def _objects(values: Sequence[bytes], shape: Sequence[int]) -> Array:
    array = np.empty(len(values), np.object_)
    array[:] = values
    return array.reshape(shape)


# JSON


def from_json(what: str, value: Any, data_type: int) -> Array:
    """Returns what the REST API takes (nested lists, base64 objects) as an array.

    `what` names the tensor in errors. Raises ConfigError.
    """
    wanted = _type_of(what, data_type)
    shape = []
    first = value
    while isinstance(first, list):
        shape.append(len(first))
        first = first[0] if first else None
    leaves = list(_leaves(what, value, shape))
    if wanted.kinds == _STRING:
        return _objects([_bytes(what, leaf) for leaf in leaves], shape)
    for leaf in leaves:
        if type(leaf) not in _LEAVES[wanted.kinds]:
            text = f"{what} is {type_name(data_type)}, but has the value {json_text(leaf)}"
            raise ConfigError(text)
    if wanted.kinds == _INTEGER:
        _check_range(what, np.array(leaves, np.object_), data_type)
    return np.array(leaves, wanted.numpy).reshape(shape)


def _leaves(what: str, value: Any, shape: Sequence[int]) -> Iterator[Any]:
    """Yields the values of nested lists that must have this shape."""
    if not shape and not isinstance(value, list):
        yield value
    elif shape and isinstance(value, list) and len(value) == shape[0]:
        for item in value:
            yield from _leaves(what, item, shape[1:])
    else:
        raise ConfigError(f"{what} is ragged: its lists differ in length or depth")


def is_base64(value: Any) -> bool:
    """Whether a JSON value stands for bytes."""
    return isinstance(value, dict) and list(value) == ["b64"] and isinstance(value["b64"], str)


def _bytes(what: str, value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape")
    if not is_base64(value):
        raise ConfigError(
            f"{what} is DT_STRING, but has the value {json_text(value)}; it must be a string or "
            '{"b64": "..."}'
        )
    try:
        return base64.b64decode(value["b64"])
    except binascii.Error as error:
        raise ConfigError(f"{what} has a value that is not base64: {error}") from None


def json_text(value: Any) -> str:
    """Returns the beginning of a JSON value's text, for errors."""
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:60]}..."


def to_json(array: Array, *, as_base64: bool = False) -> Any:
    """Returns an array as nested lists, with the digits that tell its values apart.

    Strings are base64 objects where they are no text, or all with `as_base64`. Complex numbers are
    pairs.
    """
    if array.dtype == np.object_:
        values = [_json_string(value, as_base64=as_base64) for value in array.ravel()]
        nested = np.empty(len(values), np.object_)
        nested[:] = values
        return nested.reshape(array.shape).tolist()
    if array.dtype.kind == "c":
        return to_json(np.stack([array.real, array.imag], axis=-1))
    if array.dtype.kind in "biu" or array.dtype == np.float64:
        return array.tolist()
    if array.dtype in (ml_dtypes.int4, ml_dtypes.uint4):
        return array.astype(np.int8).tolist()
    return array.astype(np.float32).astype("U32").astype(np.float64).tolist()


def _json_string(value: bytes, *, as_base64: bool) -> Any:
    if not as_base64:
        try:
            return value.decode()
        except UnicodeDecodeError:
            pass
    return {"b64": base64.b64encode(value).decode()}


# TensorProto


def to_proto(array: Array, data_type: int) -> Any:
    """Returns an array, which as_type() or from_json() made for `data_type`, as a TensorProto."""
    proto = protos.TensorProto(dtype=data_type)
    for size in array.shape:
        proto.tensor_shape.dim.add(size=size)
    if array.dtype == np.object_:
        proto.string_val.extend(array.ravel().tolist())
    else:
        proto.tensor_content = array.tobytes()
    return proto


def from_proto(what: str, proto: Any) -> Array:
    """Returns a TensorProto, in either encoding, as an array. Raises ConfigError."""
    kind = _type_of(what, proto.dtype)
    shape = [dim.size for dim in proto.tensor_shape.dim]
    count = math.prod(shape)
    if proto.tensor_content:
        values = np.frombuffer(proto.tensor_content, kind.numpy)
    else:
        values = _typed_values(kind, getattr(proto, kind.field))
        if len(values) == 0:
            values = np.full(count, b"" if kind.kinds == _STRING else 0, kind.numpy)
        # Values that end in repetitions may come without them.
        values = np.pad(values, (0, count - len(values)), "edge")
    return values.reshape(shape)


def _typed_values(kind: _Type, field: Any) -> Array:
    if kind.field == "string_val":
        return _objects(list(field), [len(field)])
    if kind.field == "half_val":
        return np.array(field, np.uint16).view(kind.numpy)
    if kind.field == "float8_val":
        return np.frombuffer(field, kind.numpy)
    if kind.kinds == _COMPLEX:
        return np.array(field, np.float32 if kind.field[0] == "s" else np.float64).view(kind.numpy)
    return np.array(field, np.int64 if kind.field == "int_val" else kind.numpy).astype(kind.numpy)
