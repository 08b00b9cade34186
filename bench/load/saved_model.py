"""A SavedModel in Python, as the servers that fastserve is compared with hold it."""

from __future__ import annotations

import argparse
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf  # type: ignore[import-untyped]
from tensorflow_serving.apis import predict_pb2  # type: ignore[import-untyped]

SIGNATURE = "serving_default"
Array = npt.NDArray[Any]


@dataclass(frozen=True)
class SavedModel:
    """The highest version under a base path, as a server would choose it."""

    name: str
    version: int
    signatures: Mapping[str, Any]
    """TensorFlow's functions, by the name of the signature."""

    @classmethod
    def load(cls, name: str, base_path: Path) -> SavedModel:
        """Raises ValueError where there is no version."""
        path = max((p for p in base_path.iterdir() if p.name.isdigit()), key=lambda p: int(p.name))
        return cls(name, int(path.name), tf.saved_model.load(str(path)).signatures)

    def run(self, inputs: Mapping[str, Array], signature: str = SIGNATURE) -> dict[str, Array]:
        """The outputs for some rows."""
        tensors = {alias: tf.constant(value) for alias, value in inputs.items()}
        outputs = self.signatures[signature](**tensors)
        return {alias: np.asarray(value.numpy()) for alias, value in outputs.items()}

    def response(self, outputs: Mapping[str, Array], signature: str = SIGNATURE) -> Any:
        """A PredictResponse."""
        response = predict_pb2.PredictResponse()
        response.model_spec.name = self.name
        response.model_spec.version.value = self.version
        response.model_spec.signature_name = signature
        for alias, value in outputs.items():
            response.outputs[alias].CopyFrom(tf.make_tensor_proto(value))
        return response


def inputs_of(request: Any) -> dict[str, Array]:
    """The arrays of a PredictRequest."""
    return {alias: tf.make_ndarray(tensor) for alias, tensor in request.inputs.items()}


def server_options(description: str | None) -> argparse.Namespace:
    """The command line of a server: `model`, `base_path` and `port_file`."""
    parser = argparse.ArgumentParser(description=(description or "").split("\n", 1)[0])
    parser.add_argument("--model", required=True, help="the model's name in requests")
    parser.add_argument("--base_path", type=Path, required=True, help="holds its version folders")
    parser.add_argument("--port_file", type=Path, required=True, help="gets the port, once ready")
    return parser.parse_args()


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def tell_port(port: int, port_file: Path) -> None:
    """Says that the server is ready."""
    unfinished = port_file.with_name(port_file.name + ".new")
    unfinished.write_text(f"{port}\n")
    unfinished.rename(port_file)  # never seen half written
