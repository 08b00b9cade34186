"""Clients that cancel, have no time or ask for nonsense, and check whatever answer they get.

    python bench/load/unruly_clients.py --port 8500 --seconds 600 --seed 1

They call half_plus_two as version_models.py exports it. Prints {"right", "wrong", "codes"} as JSON:
answers by value, and how the other calls ended, by gRPC code.
"""

from __future__ import annotations

import argparse
import json
import random
import threading
import time
from collections import Counter

import grpc
import numpy as np
import tensorflow as tf  # type: ignore[import-untyped]
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc  # type: ignore

MODEL = "half_plus_two"
THREADS = 4
MAX_ROWS = 12


class UnrulyClient(threading.Thread):
    """One connection that sends one call after another until `end`, on time.monotonic()'s clock."""

    def __init__(self, port: int, seed: int, end: float) -> None:
        super().__init__()
        self._channel = grpc.insecure_channel(
            f"127.0.0.1:{port}", options=[("grpc.use_local_subchannel_pool", 1)]
        )
        self._stub = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)
        self._random = random.Random(seed)
        self._end = end
        self.right = 0
        self.wrong: list[str] = []
        self.codes: Counter[str] = Counter()

    def run(self) -> None:
        calls = (self._in_time, self._too_short, self._cancelled, self._nonsense)
        while time.monotonic() < self._end:
            try:
                self._random.choice(calls)()
            except grpc.RpcError as error:
                self.codes[error.code().name] += 1  # type: ignore[attr-defined]
            except grpc.FutureCancelledError:
                self.codes["CANCELLED"] += 1
        self._channel.close()

    def _rows(self) -> np.ndarray:
        count = self._random.randint(1, MAX_ROWS)
        return np.array([self._random.randint(-1000, 1000) for _ in range(count)], np.float32)

    def _request(self, x: np.ndarray) -> predict_pb2.PredictRequest:
        request = predict_pb2.PredictRequest()
        request.model_spec.name = MODEL
        request.inputs["x"].CopyFrom(tf.make_tensor_proto(x))
        return request

    def _check(self, x: np.ndarray, answer: predict_pb2.PredictResponse) -> None:
        version = answer.model_spec.version.value
        y = tf.make_ndarray(answer.outputs["y"])
        if np.array_equal(y, x * 0.5 + version):
            self.right += 1
        else:
            self.wrong.append(f"version {version}: {x.tolist()} -> {y.tolist()}")

    def _in_time(self) -> None:
        x = self._rows()
        self._check(x, self._stub.Predict(self._request(x), timeout=60))

    def _too_short(self) -> None:
        x = self._rows()
        self._check(
            x, self._stub.Predict(self._request(x), timeout=self._random.uniform(1e-4, 1e-2))
        )

    def _cancelled(self) -> None:
        x = self._rows()
        call = self._stub.Predict.future(self._request(x), timeout=60)
        time.sleep(self._random.uniform(0, 5e-3))
        call.cancel()
        self._check(x, call.result())

    def _nonsense(self) -> None:
        request = self._request(self._rows())
        spoil = self._random.randrange(4)
        if spoil == 0:
            request.model_spec.signature_name = "none"
        elif spoil == 1:
            request.inputs["x"].dtype = tf.int32.as_datatype_enum
        elif spoil == 2:
            request.inputs["x"].tensor_shape.dim[0].size += 1
            request.inputs["x"].tensor_content += b"\0"
        else:
            request.inputs["x"].CopyFrom(tf.make_tensor_proto(np.float32(1)))  # no rows
        answer = self._stub.Predict(request, timeout=60)
        self.wrong.append(f"nonsense of kind {spoil} is answered: {answer}")


def main() -> None:
    """Runs the clients to the end and prints what became of their calls."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--seed", type=int, required=True)
    options = parser.parse_args()
    end = time.monotonic() + options.seconds
    clients = [UnrulyClient(options.port, options.seed + i, end) for i in range(THREADS)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    codes: Counter[str] = Counter()
    for client in clients:
        codes.update(client.codes)
    wrong = [text for client in clients for text in client.wrong]
    print(json.dumps({"right": sum(c.right for c in clients), "wrong": wrong, "codes": codes}))


if __name__ == "__main__":
    main()
