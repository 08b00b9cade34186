"""A TensorFlow model behind grpcio in Python, as one writes it without a model server.

    python bench/load/grpcio_server.py --model NAME --base_path DIR [--port 0] [--port_file FILE]

The benchmark's third subject: what fastserve saves its users from writing.
"""

from __future__ import annotations

import argparse
import os
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import tensorflow as tf  # type: ignore[import-untyped]
from tensorflow_serving.apis import (  # type: ignore[import-untyped]
    predict_pb2,
    prediction_service_pb2_grpc,
)


class PredictionService(
    prediction_service_pb2_grpc.PredictionServiceServicer  # type: ignore[misc]
):
    """Answers Predict with one loaded SavedModel."""

    def __init__(self, name: str, base_path: Path) -> None:
        version = max(int(path.name) for path in base_path.iterdir() if path.name.isdigit())
        path = next(p for p in base_path.iterdir() if p.name.isdigit() and int(p.name) == version)
        self._name = name
        self._version = version
        self._model = tf.saved_model.load(str(path))

    def Predict(self, request: Any, context: grpc.ServicerContext) -> Any:
        """The generated servicer's method."""
        if request.model_spec.name != self._name:
            context.abort(
                grpc.StatusCode.NOT_FOUND,
                f"Servable not found for request: Latest({request.model_spec.name})",
            )
        signature_name = request.model_spec.signature_name or "serving_default"
        function = self._model.signatures[signature_name]
        inputs = {
            alias: tf.constant(tf.make_ndarray(tensor)) for alias, tensor in request.inputs.items()
        }
        response = predict_pb2.PredictResponse()
        for alias, tensor in function(**inputs).items():
            response.outputs[alias].CopyFrom(tf.make_tensor_proto(tensor.numpy()))
        response.model_spec.name = self._name
        response.model_spec.version.value = self._version
        response.model_spec.signature_name = signature_name
        return response


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", required=True, help="the model's name in requests")
    parser.add_argument("--base_path", type=Path, required=True, help="holds its version folders")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--port_file", type=Path)
    options = parser.parse_args()

    server = grpc.server(
        futures.ThreadPoolExecutor(max_workers=os.cpu_count()),
        options=[("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)],
    )
    service = PredictionService(options.model, options.base_path)
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(service, server)
    port = server.add_insecure_port(f"127.0.0.1:{options.port}")
    server.start()
    print(port, flush=True)
    if options.port_file:
        unfinished = options.port_file.with_name(options.port_file.name + ".new")
        unfinished.write_text(f"{port}\n")
        unfinished.rename(options.port_file)  # never seen half written
    server.wait_for_termination()


if __name__ == "__main__":
    main()
