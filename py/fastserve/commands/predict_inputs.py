"""The inputs of one request, from files."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fastserve import protos
from fastserve.commands import images, tensors
from fastserve.commands.outcome import CommandError
from fastserve.commands.tensors import Array, is_base64

_STRING = protos.DataType.Value("DT_STRING")


def described(signature: Any) -> str:
    """Returns the inputs of a signature, for errors."""
    return ", ".join(
        f"{alias} ({tensors.type_name(info.dtype)})"
        for alias, info in sorted(signature.inputs.items())
    )


def check_complete(signature: Any, inputs: Mapping[str, Array]) -> None:
    """Raises CommandError for an input that is missing and has no default."""
    missing = signature.inputs.keys() - inputs.keys() - signature.defaults.keys()
    if missing:
        raise CommandError(
            f"no value for {', '.join(sorted(missing))}; the inputs are: {described(signature)}"
        )


def input_info(signature: Any, alias: str) -> Any:
    """Returns the TensorInfo of an input; CommandError for one that there is not."""
    if alias not in signature.inputs:
        raise CommandError(f"no input is called {alias}; there are: {described(signature)}")
    return signature.inputs[alias]


# Files of one input


def read_input(alias: str, path: str, info: Any, *, resize: bool, scale: float) -> Array:
    """Returns the array that a file holds for an input: .npy, an image, or the bytes of a string.

    Raises CommandError, ServingError, OSError.
    """
    suffix = Path(path).suffix.lower()
    if suffix == ".npy":
        try:
            array = np.load(path, allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise CommandError(f"{path} is no array of numbers or strings: {error}") from None
    elif info.dtype == _STRING:
        shape = info.tensor_shape
        array = np.empty([1] if shape.unknown_rank else [1] * len(shape.dim), np.object_)
        array[...] = Path(path).read_bytes()  # np.full() would drop zero bytes at the end.
        return array
    elif suffix in images.SUFFIXES:
        array = images.read_image(path, info.tensor_shape, resize=resize, scale=scale)
    else:
        raise CommandError(
            f"{path} is neither .npy nor an image ({', '.join(images.SUFFIXES)}); any other file "
            f"is for string inputs, and {alias} is {tensors.type_name(info.dtype)}"
        )
    return tensors.as_type(f"input {alias}", array, info.dtype)


# The REST API's JSON


def read_json(path: str) -> dict[str, Any]:
    """Returns the JSON object in a file, or in standard input for "-". Raises CommandError."""
    try:
        text = sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8")
        body = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CommandError(f"{path} is not JSON: {error}") from None
    if not isinstance(body, dict) or len(body.keys() & {"instances", "inputs"}) != 1:
        raise CommandError(
            f"{path} must hold a JSON object with either 'instances' (a row for each example) or "
            "'inputs' (a column for each input), as for the REST API's :predict"
        )
    if not isinstance(body.get("signature_name", ""), str):
        raise CommandError(f"{path}: 'signature_name' must be a string")
    return body


def inputs_from_json(body: Mapping[str, Any], signature: Any) -> dict[str, Array]:
    """Returns the inputs that a body of the REST API, as of read_json(), gives.

    Raises CommandError and ServingError.
    """
    if "inputs" in body:
        columns = _named_or_only(body["inputs"], signature, "'inputs'")
    else:
        columns = _columns(body["instances"], signature)
    return {
        alias: tensors.from_json(f"input {alias}", value, input_info(signature, alias).dtype)
        for alias, value in columns.items()
    }


def _columns(instances: Any, signature: Any) -> dict[str, Any]:
    """Returns row form as column form."""
    if not isinstance(instances, list) or not instances:
        raise CommandError("'instances' must be a list with at least one element")
    rows = [_named_or_only(row, signature, "each of 'instances'") for row in instances]
    for row in rows:
        if row.keys() != rows[0].keys():
            raise CommandError(
                f"'instances' differ in their keys: {', '.join(row)}; {', '.join(rows[0])}"
            )
    return {alias: [row[alias] for row in rows] for alias in rows[0]}


def _named_or_only(value: Any, signature: Any, what: str) -> dict[str, Any]:
    """Returns values by the names of their inputs; a value alone is the only input's."""
    if isinstance(value, dict) and not is_base64(value):
        return value
    if len(signature.inputs) != 1:
        text = f"{what} must be an object with the keys: {described(signature)}"
        raise CommandError(text)
    return dict.fromkeys(signature.inputs, value)
