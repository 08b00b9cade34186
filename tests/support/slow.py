"""A model whose runs take as long as asked for: one step is about a millisecond of computation."""

import json
from pathlib import Path

import numpy as np
from tensorflow_serving.apis import predict_pb2

from support.grpc_client import predict_request
from support.rest import Answer

REST_STATUS_PATH = "/v1/models/slow"
REST_PATH = f"{REST_STATUS_PATH}:predict"


def flags(models: Path) -> tuple[str, ...]:
    """Server flags that serve it."""
    return ("--model_name=slow", f"--model_base_path={models / 'slow'}")


def _steps(seconds: float) -> int:
    return round(seconds * 1000)


def request(seconds: float) -> predict_pb2.PredictRequest:
    return predict_request("slow", {"steps": np.int32(_steps(seconds))})


def check(response: predict_pb2.PredictResponse, seconds: float) -> None:
    """Asserts that the whole run was done."""
    assert list(response.outputs["done"].int_val) == [_steps(seconds)]


def rest_body(seconds: float) -> bytes:
    return json.dumps({"inputs": _steps(seconds)}).encode()


def check_rest(answer: Answer, seconds: float) -> None:
    assert answer.status == 200, answer
    assert answer.json() == {"outputs": _steps(seconds)}
