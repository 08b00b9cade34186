"""Writes versions of half_plus_two that can be told apart: version v answers y = x * 0.5 + v.

    python bench/load/version_models.py --count 30 --out DIR

DIR/models/<v> is the SavedModel, DIR/request.pb a request for x = 1, DIR/responses/<v>.pb the only
right answer to it from version v. The model holds a variable, so that loading it reads a
checkpoint as real models do.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import tensorflow as tf  # type: ignore[import-untyped]
from tensorflow_serving.apis import predict_pb2  # type: ignore[import-untyped]

MODEL = "half_plus_two"
SIGNATURE = "serving_default"


def export(version: int, path: Path) -> None:
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        x = tf.compat.v1.placeholder(tf.float32, [None], name="x")
        offset = tf.compat.v1.get_variable("offset", initializer=float(version))
        y = tf.add(x * 0.5, offset, name="y")
        session.run(tf.compat.v1.global_variables_initializer())
        tf.compat.v1.saved_model.simple_save(session, str(path), {"x": x}, {"y": y})


def request() -> bytes:
    message = predict_pb2.PredictRequest()
    message.model_spec.name = MODEL
    message.model_spec.signature_name = SIGNATURE
    message.inputs["x"].CopyFrom(tf.make_tensor_proto([1.0], dtype=tf.float32))
    return bytes(message.SerializeToString(deterministic=True))


def response(version: int) -> bytes:
    message = predict_pb2.PredictResponse()
    message.model_spec.name = MODEL
    message.model_spec.version.value = version
    message.model_spec.signature_name = SIGNATURE
    message.outputs["y"].CopyFrom(tf.make_tensor_proto([0.5 + version], dtype=tf.float32))
    return bytes(message.SerializeToString(deterministic=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    (options.out / "responses").mkdir(parents=True)
    (options.out / "request.pb").write_bytes(request())
    for version in range(1, options.count + 1):
        export(version, options.out / "models" / str(version))
        (options.out / "responses" / f"{version}.pb").write_bytes(response(version))


if __name__ == "__main__":
    main()
