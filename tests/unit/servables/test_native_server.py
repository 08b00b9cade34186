"""What the data plane answers while versions come, and what it captures of its requests."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from fastserve import _native, protos
from fastserve.config.server import WarmupConfig
from fastserve.errors import (
    FAILED_PRECONDITION,
    INVALID_ARGUMENT,
    NOT_FOUND,
    UNAVAILABLE,
    ServingError,
)
from fastserve.servables.runtime import load_op_libraries, load_runtime
from fastserve.servables.warmup import requests_path, warm_up, write_warmup_file

WAIT_S = 20.0
Predict = Callable[[bytes], bytes]


@pytest.fixture(scope="module")
def servable(models: Path) -> Iterator[_native.Servable]:
    path = str(models / "half_plus_two" / "1")
    loaded = _native.Servable.load(load_runtime(), name="m", version=1, path=path, tags=["serve"])
    yield loaded
    loaded.release()


@pytest.fixture
def server() -> Iterator[_native.Server]:
    options = _native.ServerOptions()
    options.grpc_addresses = ["127.0.0.1:0"]
    options.io_threads = options.worker_threads = 1
    server = _native.Server(options)
    yield server
    server.shutdown(0)


@pytest.fixture
def predict(server: _native.Server) -> Iterator[Predict]:
    (port,) = server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield channel.unary_unary("/tensorflow.serving.PredictionService/Predict")


def request(value: float, **spec: Any) -> bytes:
    message = protos.PredictRequest(model_spec=spec)
    message.inputs["x"].CopyFrom(
        protos.TensorProto(
            dtype=protos.DataType.DT_FLOAT, tensor_shape={"dim": [{"size": 1}]}, float_val=[value]
        )
    )
    return bytes(message.SerializeToString())


def failure(predict: Predict, **spec: Any) -> tuple[int, str]:
    with pytest.raises(grpc.RpcError) as raised:
        predict(request(1, **spec))
    return raised.value.code().value[0], raised.value.details()


def test_a_pending_model_is_unavailable_over_grpc_and_rest(
    server: _native.Server, predict: Predict
) -> None:
    server.publish([], {"m": {"next": 3}}, {"m": {2: "START", 3: "LOADING"}})
    latest = (
        "Servable not found for request: Latest(m). Model m is not ready yet: "
        "version 2 is START, version 3 is LOADING"
    )
    assert failure(predict, name="m") == (UNAVAILABLE, latest)
    specific = (
        "Servable not found for request: Specific(m, 3). "
        "Model m is not ready yet: version 3 is LOADING"
    )
    assert failure(predict, name="m", version_label="next") == (UNAVAILABLE, specific)
    body = b'{"instances": [1]}'
    answer = server.answer_rest(1, "predict", "m", None, None, body, "json", False, None)
    assert answer is not None
    code, body, *_ = answer
    assert (code, json.loads(bytes(body))) == (UNAVAILABLE, {"error": latest})


def test_pending_versions_end_with_the_next_table(
    server: _native.Server, predict: Predict, servable: _native.Servable
) -> None:
    server.publish([], {}, {"m": {1: "LOADING"}})
    assert failure(predict, name="m")[0] == UNAVAILABLE
    server.publish([servable], {})
    predict(request(1, name="m"))
    server.publish([], {})
    assert failure(predict, name="m") == (
        NOT_FOUND,
        "Servable not found for request: Latest(m)",
    )


def test_captured_requests_become_warm_up_requests(
    server: _native.Server, predict: Predict, servable: _native.Servable, tmp_path: Path
) -> None:
    server.publish([servable], {})
    predict(request(0, name="m"))
    server.start_capture("m", 10)
    sent = [request(value, name="m") for value in (1, 2, 3)]
    for each in sent:
        predict(each)
    assert failure(predict, name="m", signature_name="none")[0] == FAILED_PRECONDITION
    captured = server.take_captured(WAIT_S)
    assert captured == sent
    assert server.stop_capture() == 0
    predict(request(4, name="m"))
    assert server.take_captured(WAIT_S) == []
    assert write_warmup_file(requests_path(tmp_path), captured) == 3
    warm_up(servable, str(tmp_path), WarmupConfig())


def test_a_capture_that_cannot_be_is_refused(server: _native.Server) -> None:
    with pytest.raises(_native.NativeError, match="limit of a capture is 0") as raised:
        server.start_capture("m", 0)
    assert raised.value.code == INVALID_ARGUMENT
    server.start_capture("m", 1)
    with pytest.raises(_native.NativeError, match="being captured already"):
        server.start_capture("m", 1)


def test_a_library_that_cannot_be_loaded_is_named() -> None:
    with pytest.raises(ServingError, match=r"cannot load the op library /no/such\.so: ") as raised:
        load_op_libraries(["/no/such.so"])
    assert raised.value.code == NOT_FOUND
