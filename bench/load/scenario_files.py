"""Writes what a run needs of one model: a request of one row, and the answer that counts as right.

    python bench/load/scenario_files.py --model half_plus_two --base_path DIR --out DIR

A program of its own because it imports TensorFlow. The expected answer never comes from a server:
it is arithmetic where the model is arithmetic, and else the SavedModel's own function, called from
Python.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf  # type: ignore[import-untyped]
from saved_model import SIGNATURE, SavedModel
from tensorflow_serving.apis import predict_pb2  # type: ignore[import-untyped]

Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Model:
    """A SavedModel's highest version and its one input and one output."""

    name: str
    version: int
    function: Any
    input_alias: str
    input_shape: tuple[int, ...]
    """Of one row; 1 for every unknown extent."""
    output_alias: str


def load(name: str, base_path: Path) -> Model:
    """Loads the highest version under `base_path`, as a server would choose it."""
    saved = SavedModel.load(name, base_path)
    function = saved.signatures[SIGNATURE]
    (input_alias, spec), *more_inputs = function.structured_input_signature[1].items()
    output_alias, *more_outputs = function.structured_outputs
    if more_inputs or more_outputs:
        raise SystemExit(f"{name}: the benchmark feeds one input and fetches one output")
    dims = [1] if spec.shape.rank is None else [1 if n is None else n for n in spec.shape]
    return Model(name, saved.version, function, input_alias, tuple(dims), output_alias)


def half_plus_two(model: Model, row: Array) -> Array:
    """The models of the tests: version 1 adds two, each later one another one."""
    return np.asarray(row * np.float32(0.5) + np.float32(model.version + 1))


def identity(_model: Model, row: Array) -> Array:
    return row


def by_tensorflow(model: Model, row: Array) -> Array:
    answer = model.function(**{model.input_alias: tf.constant(row)})[model.output_alias]
    return np.asarray(answer.numpy(), dtype=np.float32)


EXPECTED: dict[str, Callable[[Model, Array], Array]] = {
    "half_plus_two": half_plus_two,
    "identity": identity,
    "image_identity": identity,
}


def make_row(shape: tuple[int, ...]) -> Array:
    """One row of values in [0, 1) that floats and JSON both carry exactly."""
    values = np.random.default_rng(7).integers(0, 256, size=shape) / 256
    return values.astype(np.float32)


def predict_request(model: Model, row: Array) -> bytes:
    """The request as a client writes it with TensorFlow's own helpers."""
    request = predict_pb2.PredictRequest()
    request.model_spec.name = model.name
    request.model_spec.signature_name = SIGNATURE
    request.inputs[model.input_alias].CopyFrom(tf.make_tensor_proto(row))
    return bytes(request.SerializeToString(deterministic=True))


def predict_response(model: Model, answer: Array) -> bytes:
    """The answer in full: value, shape, and the model spec that must come with it."""
    response = predict_pb2.PredictResponse()
    response.model_spec.name = model.name
    response.model_spec.version.value = model.version
    response.model_spec.signature_name = SIGNATURE
    response.outputs[model.output_alias].CopyFrom(tf.make_tensor_proto(answer))
    return bytes(response.SerializeToString(deterministic=True))


def varint(value: int) -> bytes:
    low, rest = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + varint(rest) if rest else bytes([low])


def field(number: int, payload: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def infer_message(model: Model, alias: str, value: Array, *, outputs: bool) -> bytes:
    """A ModelInferRequest or, with `outputs`, the ModelInferResponse, of KServe's protocol.

    Rows of one element each get a dimension for it, without which Triton cannot batch them.
    Written by hand: the messages are in no package that the benchmark needs otherwise.
    https://github.com/kserve/open-inference-protocol, inference_grpc.md.
    """
    extents = value.shape if value.ndim > 1 else (*value.shape, 1)
    shape = b"".join(varint(extent) for extent in extents)
    tensor = field(1, alias.encode()) + field(2, b"FP32") + field(3, shape)
    tensor_number, raw_number = (5, 6) if outputs else (5, 7)
    message = field(1, model.name.encode()) + field(tensor_number, tensor)
    return message + field(raw_number, value.astype("<f4").tobytes())


def json_number(value: float) -> str:
    """A float as TensorFlow Serving writes it: %g where that reads back, else %.9g."""
    text = f"{value:g}" if np.float32(f"{value:g}") == np.float32(value) else f"{value:.9g}"
    return text if "." in text or "e" in text else text + ".0"


def json_rows(values: Any) -> str:
    if isinstance(values, list):
        return "[" + ", ".join(json_rows(value) for value in values) + "]"
    return json_number(values)


def rest_response(answer: Array) -> str:
    """The body as TensorFlow Serving lays it out in row format."""
    rows = ", ".join(json_rows(row) for row in answer.tolist())
    return f'{{\n    "predictions": [{rows}\n    ]\n}}'


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", required=True, help="the model's name in requests")
    parser.add_argument("--base_path", type=Path, required=True, help="holds its version folders")
    parser.add_argument("--row_shape", type=int, nargs="+", help="of the request's tensor")
    parser.add_argument("--json", action="store_true", help="write the files of REST too")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()

    model = load(options.model, options.base_path)
    row = make_row(tuple(options.row_shape or model.input_shape))
    answer = EXPECTED.get(model.name, by_tensorflow)(model, row)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "request.pb").write_bytes(predict_request(model, row))
    (options.out / "response.pb").write_bytes(predict_response(model, answer))
    request = infer_message(model, model.input_alias, row, outputs=False)
    response = infer_message(model, model.output_alias, answer, outputs=True)
    (options.out / "infer_request.pb").write_bytes(request)
    (options.out / "infer_response.pb").write_bytes(response)
    if options.json:
        (options.out / "request.json").write_text(json.dumps({"instances": row.tolist()}))
        (options.out / "response.json").write_text(rest_response(answer))


if __name__ == "__main__":
    main()
