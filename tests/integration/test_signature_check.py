"""--enable_signature_method_name_check, over gRPC and REST. Everywhere else it is off."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from support import rest
from support.examples import (
    classify_request,
    example,
    model_input,
    model_spec,
    multi_request,
    regress_request,
    task,
)
from support.grpc_client import SECONDS, Client, failure
from support.server import ServerProcess, StartServer

INTERNAL = grpc.StatusCode.INTERNAL
INVALID_ARGUMENT = grpc.StatusCode.INVALID_ARGUMENT
ONE = example(x=2.0)
INPUTS = {"inputs": [ONE.SerializeToString()]}
NO_PREDICT = (
    "Expected prediction signature method_name to be one of {tensorflow/serving/predict, "
    "tensorflow/serving/classify, tensorflow/serving/regress}. Was: "
)
NO_CLASSIFY = (
    "Expected classification signature method_name to be tensorflow/serving/classify. Was: "
)
NO_REGRESS = "Expected regression signature method_name to be tensorflow/serving/regress. Was: "
PREDICT = "tensorflow/serving/predict"


@pytest.fixture(scope="module")
def server(start_server: StartServer, recorded_models: Path) -> ServerProcess:
    return start_server(
        "--model_name=heads",
        f"--model_base_path={recorded_models / 'heads'}",
        "--enable_signature_method_name_check",
    )


@pytest.fixture(scope="module")
def client(server: ServerProcess) -> Iterator[Client]:
    with Client(server.grpc_port) as made:
        yield made


@pytest.mark.parametrize("signature", ["predict", "scores_only", "regress"])
def test_predict_takes_signatures_of_all_three_methods(client: Client, signature: str) -> None:
    assert client.predict("heads", INPUTS, signature=signature).outputs


@pytest.mark.parametrize(
    ("signature", "method"), [("odd_method", "some/other/method"), ("no_method", "")]
)
def test_predict_refuses_other_methods(client: Client, signature: str, method: str) -> None:
    """Before it looks at the inputs."""
    for inputs in (INPUTS, {}, {**INPUTS, "more": [1.0]}):
        assert failure(lambda i=inputs: client.predict("heads", i, signature=signature)) == (
            INTERNAL,
            NO_PREDICT + method,
        )


def test_missing_signature_is_told_first(client: Client) -> None:
    assert failure(lambda: client.predict("heads", INPUTS, signature="nope")) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        'Serving signature key "nope" not found.',
    )


def test_classify_and_regress_take_signatures_of_their_own_method_only(client: Client) -> None:
    given = model_input([ONE])

    def classify(signature: str) -> Any:
        request = classify_request(model_spec("heads", signature), given)
        return client.prediction.Classify(request, timeout=SECONDS)

    def regress(signature: str) -> Any:
        request = regress_request(model_spec("heads", signature), given)
        return client.prediction.Regress(request, timeout=SECONDS)

    assert classify("scores_only").result.classifications
    assert regress("regress").result.regressions
    for call, signature, text in (
        (classify, "classify_as_predict", NO_CLASSIFY + PREDICT),
        (regress, "regress_as_predict", NO_REGRESS + PREDICT),
    ):
        assert failure(lambda c=call, s=signature: c(s)) == (INVALID_ARGUMENT, text)


def test_multi_inference_checks_every_task(client: Client) -> None:
    tasks = [
        task(model_spec("heads", "regress"), "regress"),
        task(model_spec("heads", "classify_as_predict"), "classify"),
    ]
    request = multi_request(tasks, model_input([ONE]))
    assert failure(lambda: client.prediction.MultiInference(request, timeout=SECONDS)) == (
        INVALID_ARGUMENT,
        NO_CLASSIFY + PREDICT,
    )


def rest_predict(server: ServerProcess, signature: str, instances: list[Any]) -> rest.Answer:
    body = {"signature_name": signature, "instances": instances}
    return rest.post(server.rest_port, "/v1/models/heads:predict", body)


def test_rest_predict_checks_after_it_has_read_the_inputs(server: ServerProcess) -> None:
    instances = [{"b64": base64.b64encode(ONE.SerializeToString()).decode()}]
    assert rest_predict(server, "regress", instances).json() == {"predictions": [2.0]}
    refused = rest_predict(server, "odd_method", instances)
    assert (refused.status, refused.error) == (500, f"{NO_PREDICT}some/other/method")
    assert rest_predict(server, "odd_method", [1]).status == 400


def test_rest_classify_and_regress_check_too(server: ServerProcess) -> None:
    for method, signature, text in (
        ("classify", "classify_as_predict", NO_CLASSIFY + PREDICT),
        ("regress", "regress_as_predict", NO_REGRESS + PREDICT),
    ):
        body = {"signature_name": signature, "examples": [{"x": 2.0}]}
        answer = rest.post(server.rest_port, f"/v1/models/heads:{method}", body)
        assert (answer.status, answer.error) == (400, text)
