"""A request that a model takes over REST, made up from its signature."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias
from urllib.parse import quote

from fastserve import protos
from fastserve.errors import FAILED_PRECONDITION, ServingError
from fastserve.servables.example_features import Feature, parsed_features
from fastserve.servables.saved_model import main_file, read_saved_model
from fastserve.services.backend import ModelBackend, ServableInfo

DEFAULT_SIGNATURE: Final = "serving_default"

_EXAMPLES_METHODS: Final = {
    "tensorflow/serving/classify": "classify",
    "tensorflow/serving/regress": "regress",
}
_EXAMPLES_INPUT: Final = "inputs"

_MAX_ELEMENTS: Final = 2**20
_MAX_GRAPH_BYTES: Final = 32 * 2**20
"""A larger graph is not looked into: reading it would hold up REST requests."""

_DataType = protos.DataType
_STRING: Final = _DataType.Value("DT_STRING")
_VALUES: Final[Mapping[int, Any]] = {
    _DataType.Value("DT_FLOAT"): 1.0,
    _DataType.Value("DT_DOUBLE"): 1.0,
    **{
        _DataType.Value(f"DT_{name}"): 1
        for name in ("INT8", "INT16", "INT32", "INT64", "UINT8", "UINT32", "UINT64")
    },
    _DataType.Value("DT_BOOL"): True,
    _STRING: "",
}
"""A value of every dtype that has a JSON form."""


def example_request(
    backend: ModelBackend, name: str, version: int | None, label: str | None, signature_name: str
) -> str:
    """Returns a JSON body for a signature; its member `url` names the path to POST it to.

    That member is one that the methods ignore, so the body can be sent as it is. The values are
    ones, true, and empty strings, or Examples of those where the graph parses such. Unknown
    dimensions become 1, an unknown rank too. The model may want other values, of course.

    Raises ServingError: as Predict for what is not there, FAILED_PRECONDITION where there is no
    JSON form.
    """
    servable = backend.find_servable(name, version, label)
    signatures = protos.SignatureDefMap.FromString(servable.signature_def_map).signature_def
    chosen = signature_name or DEFAULT_SIGNATURE
    if chosen not in signatures:
        raise ServingError(
            FAILED_PRECONDITION,
            f'Serving signature name: "{chosen}" not found in signature def; there are: '
            f"{', '.join(sorted(signatures))}",
        )
    signature = signatures[chosen]
    features = _parsed_features(servable, chosen, signature)
    method = _EXAMPLES_METHODS.get(signature.method_name)
    if method is not None and _takes_examples(signature):
        content: dict[str, Any] = {"examples": [_example(chosen, features)]}
    else:
        method = "predict"
        content = {"inputs": _inputs(chosen, signature, features)}
    url = f"{model_path(name, version, label)}:{method}"
    body = {"url": url, "signature_name": chosen, **content}
    members = (f" {json.dumps(key)}: {json.dumps(value)}" for key, value in body.items())
    return "{\n" + ",\n".join(members) + "\n}\n"


def model_path(name: str, version: int | None, label: str | None) -> str:
    """Returns the path of a model, or a version of it, in the REST API."""
    path = f"/v1/models/{quote(name, safe='')}"
    if version is not None:
        return f"{path}/versions/{version}"
    return path if label is None else f"{path}/labels/{quote(label, safe='')}"


_ParsedFeatures: TypeAlias = Mapping[str, Sequence[Feature]]


def _parsed_features(servable: ServableInfo, name: str, signature: Any) -> _ParsedFeatures:
    """Returns, for inputs that the graph parses as Examples, the features that it reads of them."""
    tensors = {
        alias: info.name for alias, info in signature.inputs.items() if info.dtype == _STRING
    }
    if not tensors or main_file(servable.path) is None:
        return {}
    saved_model = read_saved_model(servable.path, max_bytes=_MAX_GRAPH_BYTES)
    if saved_model is None:
        return {}
    graphs = [m.graph_def for m in saved_model.meta_graphs if m.signature_def[name] == signature]
    found = {alias: parsed_features(g, tensor) for g in graphs for alias, tensor in tensors.items()}
    return {alias: features for alias, features in found.items() if features}


def _takes_examples(signature: Any) -> bool:
    return (
        list(signature.inputs) == [_EXAMPLES_INPUT]
        and signature.inputs[_EXAMPLES_INPUT].dtype == _STRING
    )


def _example(name: str, features: _ParsedFeatures) -> dict[str, Any]:
    """Returns an Example in the form of classify and regress."""
    if _EXAMPLES_INPUT not in features:
        raise ServingError(
            FAILED_PRECONDITION,
            f"Signature {name} takes tf.Examples, whose features cannot be told from its graph; "
            'POST {"examples": [{"FEATURE": VALUE}]}',
        )
    return {
        feature.name: _VALUES[feature.dtype]
        if feature.size in (1, None)
        else [_VALUES[feature.dtype]] * feature.size
        for feature in features[_EXAMPLES_INPUT]
    }


def _serialized_example(features: Sequence[Feature]) -> dict[str, str]:
    """Returns an Example as a value of a string input."""
    example = protos.Example()
    for feature in features:
        values = [_VALUES[feature.dtype]] * (1 if feature.size is None else feature.size)
        kinds = example.features.feature[feature.name]
        if feature.dtype == _STRING:
            kinds.bytes_list.value.extend(value.encode() for value in values)
        elif feature.dtype == _DataType.Value("DT_FLOAT"):
            kinds.float_list.value.extend(values)
        else:
            kinds.int64_list.value.extend(values)
    return {"b64": base64.b64encode(example.SerializeToString(deterministic=True)).decode()}


def _inputs(name: str, signature: Any, features: _ParsedFeatures) -> dict[str, Any]:
    """Returns the inputs in column form."""
    if not signature.inputs:
        raise _no_form(name, "it takes no inputs")
    for alias, info in sorted(signature.outputs.items()):
        _check_form(name, f"output {alias}", info)
    values: dict[str, Any] = {}
    elements = 0
    for alias, info in sorted(signature.inputs.items()):
        _check_form(name, f"input {alias}", info)
        shape = info.tensor_shape
        # An unknown dimension is -1.
        dims = [1] if shape.unknown_rank else [abs(dim.size) for dim in shape.dim]
        elements += math.prod(dims)
        if elements > _MAX_ELEMENTS:
            raise ServingError(
                FAILED_PRECONDITION,
                f"Signature {name} takes more than {_MAX_ELEMENTS} values, too many for an example",
            )
        value = _VALUES[info.dtype]
        if alias in features:
            value = _serialized_example(features[alias])
        elif info.dtype == _STRING and alias.endswith("_bytes"):
            value = {"b64": ""}
        for size in reversed(dims):
            value = [value] * size
        values[alias] = value
    return values


def _check_form(name: str, what: str, info: Any) -> None:
    if info.WhichOneof("encoding") != "name":
        raise _no_form(name, f"{what} is not a dense tensor")
    if info.dtype not in _VALUES:
        raise _no_form(name, f"{what} is {_DataType.Name(info.dtype)}")


def _no_form(name: str, why: str) -> ServingError:
    return ServingError(
        FAILED_PRECONDITION, f"Signature {name} cannot be asked in JSON: {why} (gRPC may do)"
    )
