"""What is served of a TensorFlow Lite model: its signatures, and the tensors that they name.

The rules are those of TensorFlow Serving's servables/tensorflow/tflite_session.cc, but that a
model's own signatures, those that TFLiteConverter writes, are served beside.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from fastserve import protos
from fastserve.errors import ALREADY_EXISTS, INTERNAL, INVALID_ARGUMENT, ServingError

_LOGGER = logging.getLogger(__name__)

_DEFAULT_SIGNATURE = "serving_default"
_PREDICT_METHOD = "tensorflow/serving/predict"
_METADATA = "signature_defs_metadata"
"""The entry of a model's metadata that holds SignatureDefs: a flexbuffer, key -> serialized."""

_DTYPES: Mapping[Any, int] = {
    np.float32: protos.DataType.DT_FLOAT,
    np.int32: protos.DataType.DT_INT32,
    np.uint8: protos.DataType.DT_UINT8,
    np.int64: protos.DataType.DT_INT64,
    np.bytes_: protos.DataType.DT_STRING,
    np.bool_: protos.DataType.DT_BOOL,
    np.int16: protos.DataType.DT_INT16,
    np.complex64: protos.DataType.DT_COMPLEX64,
    np.int8: protos.DataType.DT_INT8,
}


@dataclass(frozen=True, slots=True)
class LiteTensor:
    """An input or output of one of a model's graphs."""

    name: str
    """What the signatures call it; of one tensor within the model."""
    scalar: Any
    """The numpy type of an element, np.bytes_ for strings."""
    shape: tuple[int, ...]
    """As the file has it: with 1 where a converter knew no size."""
    graph: int
    """Its graph's number: see LiteModel.graph_keys."""
    key: int | str
    """What its graph is to be told: see lite_graph.py."""

    @property
    def dtype(self) -> int:
        """The tensorflow.DataType."""
        return _DTYPES[self.scalar]


@dataclass(frozen=True, slots=True)
class LiteModel:
    """What is served of one model."""

    meta_graph_def: bytes
    """A serialized tensorflow.MetaGraphDef of the signatures alone."""
    tensors: tuple[LiteTensor, ...]
    """All that the signatures name."""
    graph_keys: tuple[str, ...]
    """Graph 0 is the model's first; graph n is that of its own signature graph_keys[n - 1]."""
    batch_size: int
    """How many rows the first graph's only input has in the file; 0 where there is no such one."""


def read_model(content: bytes, interpreter: Any) -> LiteModel:
    """Reads what a model serves, given its file and an ai_edge_litert Interpreter that has it.

    Raises ServingError with TensorFlow Serving's code and text.
    """
    from ai_edge_litert import schema_py_generated as schema  # type: ignore[import-untyped]

    file = schema.Model.GetRootAs(content)
    inputs = _by_name("Input", interpreter.get_input_details())
    outputs = _by_name("Output", interpreter.get_output_details())
    tensors = [*inputs.values(), *outputs.values()]
    graph_keys: list[str] = []
    signatures = _stored_signatures(file)
    for signature in signatures.values():
        _settle_names("input", signature.inputs, inputs)
        _settle_names("output", signature.outputs, outputs)
    if not signatures:
        _LOGGER.warning("No signature def found in TFLite model. Generating one.")
        signatures[_DEFAULT_SIGNATURE] = _signature(_by_alias(inputs), _by_alias(outputs))
        for key, in_first_graph in _own_signatures(file):
            if in_first_graph and key == _DEFAULT_SIGNATURE:
                continue
            if not in_first_graph:
                graph_keys.append(key)
            graph = 0 if in_first_graph else len(graph_keys)
            runner = interpreter.get_signature_runner(key)
            takes = _of_signature(key, graph, runner.get_input_details())
            gives = _of_signature(key, graph, runner.get_output_details())
            signatures[key] = _signature(takes, gives)
            tensors += [*takes.values(), *gives.values()]
    meta_graph = protos.MetaGraphDef(signature_def=signatures)
    named = {tensor.name: tensor for tensor in tensors}
    shapes = [tensor.shape for tensor in inputs.values()]
    return LiteModel(
        meta_graph_def=meta_graph.SerializeToString(),
        tensors=tuple(named.values()),
        graph_keys=tuple(graph_keys),
        batch_size=shapes[0][0] if len(shapes) == 1 and shapes[0] else 0,
    )


# Tensors


def _tensor(
    details: Mapping[str, Any], *, name: str = "", graph: int = 0, key: int | str = -1
) -> LiteTensor:
    """Returns a tensor of the first graph, unless told otherwise."""
    scalar = details["dtype"]
    if scalar not in _DTYPES:
        raise ServingError(INTERNAL, f"Unknown TfLite type: {scalar.__name__}")
    return LiteTensor(
        name=name or details["name"],
        scalar=scalar,
        shape=tuple(details["shape"].tolist()),
        graph=graph,
        key=details["index"] if graph == 0 else key,
    )


def _by_name(kind: str, all_details: Iterable[Mapping[str, Any]]) -> dict[str, LiteTensor]:
    """Returns the inputs or outputs of the first graph, in the order of their names."""
    tensors = sorted(map(_tensor, all_details), key=lambda tensor: tensor.name)
    named = {tensor.name: tensor for tensor in tensors}
    if len(named) < len(tensors):
        name = next(one.name for one, other in pairwise(tensors) if one.name == other.name)
        raise ServingError(ALREADY_EXISTS, f"{kind} tensor name: {name} has multiple indices")
    return named


def _by_alias(tensors: Mapping[str, LiteTensor]) -> dict[str, LiteTensor]:
    """Names tensors as TensorFlow Serving does, without the index of an op's output.

    Where two would share an alias, the last one has it, as there; the others keep their names.
    """
    aliases: dict[str, LiteTensor] = {}
    for tensor in tensors.values():
        alias = _without_index(tensor.name)
        if alias in aliases:
            aliases[aliases[alias].name] = aliases[alias]
        aliases[alias] = tensor
    return aliases


def _of_signature(
    key: str, graph: int, all_details: Mapping[str, Mapping[str, Any]]
) -> dict[str, LiteTensor]:
    """Returns the inputs or outputs of one of the model's own signatures, by alias."""
    return {
        alias: _tensor(
            details,
            # Two graphs may use one name.
            name=f"{key}|{details['name']}" if graph else "",
            graph=graph,
            key=alias,
        )
        for alias, details in all_details.items()
    }


def _without_index(name: str) -> str:
    return name.partition(":")[0]


# Signatures


def _signature(inputs: Mapping[str, LiteTensor], outputs: Mapping[str, LiteTensor]) -> Any:
    """Returns the SignatureDef for tensors by alias."""
    signature = protos.SignatureDef(method_name=_PREDICT_METHOD)
    for infos, tensors in ((signature.inputs, inputs), (signature.outputs, outputs)):
        for alias, tensor in tensors.items():
            info = infos[alias]
            info.name = tensor.name
            info.dtype = tensor.dtype
            info.tensor_shape.SetInParent()
            for size in tensor.shape:
                info.tensor_shape.dim.add(size=size)
    return signature


def _own_signatures(file: Any) -> Iterable[tuple[str, bool]]:
    """Yields the keys of the signatures in the file's schema, and whether they are of graph 0."""
    for number in range(file.SignatureDefsLength()):
        own = file.SignatureDefs(number)
        yield own.SignatureKey().decode(), own.SubgraphIndex() == 0


def _stored_signatures(file: Any) -> dict[str, Any]:
    """Returns the SignatureDefs in the file's metadata."""
    from flatbuffers import flexbuffers  # type: ignore[import-untyped]

    signatures: dict[str, Any] = {}
    for number in range(file.MetadataLength()):
        entry = file.Metadata(number)
        if entry.Name() != _METADATA.encode():
            continue
        try:
            data = file.Buffers(entry.Buffer()).DataAsNumpy()
            stored = flexbuffers.GetRoot(bytes(data)).AsMap
            for key, value in zip(stored.Keys, stored.Values, strict=True):
                signatures[key.AsKey] = protos.SignatureDef.FromString(value.AsStringBytes)
        except (DecodeError, LookupError, TypeError, UnicodeError, ValueError) as error:
            raise ServingError(
                INVALID_ARGUMENT, f"Invalid SignatureDefs found in TfLite model: {error}"
            ) from error
    return signatures


def _settle_names(kind: str, infos: Mapping[str, Any], tensors: Mapping[str, LiteTensor]) -> None:
    """Gives the inputs or outputs of a stored signature the names that the model has for them.

    Early converters wrote no index of an op's output.
    """
    for alias, info in infos.items():
        if info.name in tensors:
            continue
        if _without_index(info.name) not in tensors:
            raise ServingError(
                INTERNAL,
                f"Unknown tensor '{info.name}'.\n\t"
                f"Signature {kind} {alias} references an unknown tensor",
            )
        info.name = _without_index(info.name)
