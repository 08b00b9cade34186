"""A TensorFlow model in Ray Serve, behind its gRPC proxy.

python bench/load/ray_server.py --model NAME --base_path DIR --port_file FILE
"""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import Any

import numpy as np
import ray  # type: ignore[import-not-found]
from ray import serve
from ray.serve.config import gRPCOptions  # type: ignore[import-not-found]
from ray.serve.schema import LoggingConfig  # type: ignore[import-not-found]
from saved_model import SavedModel, free_port, inputs_of, server_options, tell_port

MAX_BATCH_SIZE = 64
SERVICER = (
    "tensorflow_serving.apis.prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server"
)


class Predictor:
    """Answers Predict with one loaded SavedModel, many requests of one shape a run."""

    def __init__(self, name: str, base_path: str) -> None:
        self._model = SavedModel.load(name, Path(base_path))

    async def Predict(self, request: Any) -> Any:
        """The method of the service."""
        return await self._batch(request)

    @serve.batch(max_batch_size=MAX_BATCH_SIZE, batch_wait_timeout_s=0)  # type: ignore[untyped-decorator]
    async def _batch(self, requests: list[Any]) -> list[Any]:
        rows = [inputs_of(request) for request in requests]
        together = {alias: np.concatenate([r[alias] for r in rows]) for alias in rows[0]}
        outputs = self._model.run(together)
        ends = np.cumsum([len(next(iter(r.values()))) for r in rows])[:-1]
        cut = {alias: np.split(value, ends) for alias, value in outputs.items()}
        return [
            self._model.response({alias: parts[i] for alias, parts in cut.items()})
            for i in range(len(requests))
        ]


def main() -> None:
    options = server_options(__doc__)
    stop = threading.Event()
    port = free_port()
    # Replicas import this folder's modules.
    environment = {"env_vars": {"PYTHONPATH": str(Path(__file__).parent)}}
    ray.init(include_dashboard=False, log_to_driver=False, runtime_env=environment)
    serve.start(
        http_options={"port": free_port()},
        grpc_options=gRPCOptions(port=port, grpc_servicer_functions=[SERVICER]),
        logging_config=LoggingConfig(log_level="WARNING", enable_access_log=False),
    )
    deployment = serve.deployment(
        Predictor,
        num_replicas=len(os.sched_getaffinity(0)),
        max_ongoing_requests=4096,
        ray_actor_options={"num_cpus": 0},
    )
    serve.run(deployment.bind(options.model, str(options.base_path.resolve())))
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    tell_port(port, options.port_file)
    stop.wait()
    serve.shutdown()
    ray.shutdown()


if __name__ == "__main__":
    main()
