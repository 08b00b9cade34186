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
from tensorflow_serving.apis import predict_pb2  # type: ignore[import-untyped]

SIGNATURE = "serving_default"
Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Model:
    """A SavedModel's highest version and its one input and one output."""

    name: str
    version: int
    path: Path
    function: Any
    input_alias: str
    input_shape: tuple[int, ...]
    """Of one row; 1 for every unknown extent."""
    output_alias: str


def load(name: str, base_path: Path) -> Model:
    """Loads the highest version under `base_path`, as a server would choose it."""
    path = max((p for p in base_path.iterdir() if p.name.isdigit()), key=lambda p: int(p.name))
    function = tf.saved_model.load(str(path)).signatures[SIGNATURE]
    (input_alias, spec), *more_inputs = function.structured_input_signature[1].items()
    output_alias, *more_outputs = function.structured_outputs
    if more_inputs or more_outputs:
        raise SystemExit(f"{name}: the benchmark feeds one input and fetches one output")
    dims = [1] if spec.shape.rank is None else [1 if n is None else n for n in spec.shape]
    return Model(name, int(path.name), path, function, input_alias, tuple(dims), output_alias)


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
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()

    model = load(options.model, options.base_path)
    row = make_row(model.input_shape)
    answer = EXPECTED.get(model.name, by_tensorflow)(model, row)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "request.pb").write_bytes(predict_request(model, row))
    (options.out / "response.pb").write_bytes(predict_response(model, answer))
    (options.out / "request.json").write_text(json.dumps({"instances": row.tolist()}))
    (options.out / "response.json").write_text(rest_response(answer))
    python = json.dumps({"predictions": answer.tolist()})
    (options.out / "response_python.json").write_text(python)


if __name__ == "__main__":
    main()
