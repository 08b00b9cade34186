"""A TensorFlow model behind grpcio in Python, as one writes it without a model server.

python bench/load/grpcio_server.py --model NAME --base_path DIR --port_file FILE
"""

from __future__ import annotations

import os
from concurrent import futures
from typing import Any

import grpc
from saved_model import SIGNATURE, SavedModel, inputs_of, server_options, tell_port
from tensorflow_serving.apis import prediction_service_pb2_grpc  # type: ignore[import-untyped]


class PredictionService(
    prediction_service_pb2_grpc.PredictionServiceServicer  # type: ignore[misc]
):
    """Answers Predict with one loaded SavedModel."""

    def __init__(self, model: SavedModel) -> None:
        self._model = model

    def Predict(self, request: Any, context: grpc.ServicerContext) -> Any:
        """The generated servicer's method."""
        name = request.model_spec.name
        if name != self._model.name:
            text = f"Servable not found for request: Latest({name})"
            context.abort(grpc.StatusCode.NOT_FOUND, text)
        signature = request.model_spec.signature_name or SIGNATURE
        outputs = self._model.run(inputs_of(request), signature)
        return self._model.response(outputs, signature)


def main() -> None:
    options = server_options(__doc__)
    server = grpc.server(
        futures.ThreadPoolExecutor(max_workers=len(os.sched_getaffinity(0))),
        options=[("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)],
    )
    service = PredictionService(SavedModel.load(options.model, options.base_path))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(service, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    tell_port(port, options.port_file)
    server.wait_for_termination()


if __name__ == "__main__":
    main()
