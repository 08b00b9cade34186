"""Classify and regress over REST."""

import base64
import gzip
import json
import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from support import rest
from support.examples import classify_request, example, model_input, model_spec
from support.grpc_client import SECONDS, Client
from support.server import ServerProcess, StartServer

CLASSIFY = "/v1/models/heads:classify"
REGRESS = "/v1/models/heads:regress"


@pytest.fixture(scope="module")
def heads(start_server: StartServer, recorded_models: Path) -> ServerProcess:
    """scores [x, 2x, x/4], classes a b ü, labels [s, n], first = x + n; version 7."""
    base = recorded_models / "heads"
    return start_server("--model_name=heads", f"--model_base_path={base}")


def results(server: ServerProcess, path: str, body: Any) -> Any:
    answer = rest.post(server.rest_port, path, body)
    assert answer.status == 200, answer.body
    assert answer.headers["content-type"] == "application/json"
    value = answer.json()
    assert list(value) == ["results"]
    return value["results"]


def regressed(server: ServerProcess, *examples: Any, **keys: Any) -> Any:
    return results(server, REGRESS, {"signature_name": "regress", "examples": examples} | keys)


def labels(server: ServerProcess, **features: Any) -> Any:
    """The two labels that the model makes of the features s and n."""
    body = {"signature_name": "classes_only", "examples": [features]}
    return [label for label, _ in results(server, CLASSIFY, body)[0]]


def test_classify_answers_label_and_score(heads: ServerProcess) -> None:
    body = {"examples": [{"x": 2.0}, {"x": -0.5}]}
    assert results(heads, CLASSIFY, body) == [
        [["a", 2.0], ["b", 4.0], ["ü", 0.5]],
        [["a", -0.5], ["b", -1.0], ["ü", -0.125]],
    ]


def test_regress_answers_numbers(heads: ServerProcess) -> None:
    assert regressed(heads, {"x": 2.0, "n": 3}, {}) == [5.0, 1.0]


def test_answers_are_laid_out_as_upstream_does(heads: ServerProcess) -> None:
    body = {"signature_name": "scores_only", "examples": [{"x": 0.5}, {"x": 2.0}]}
    assert rest.post(heads.rest_port, CLASSIFY, body).body == (
        b'{\n    "results": [[["", 0.5], ["", 1.0], ["", 0.125]],'
        b' [["", 2.0], ["", 4.0], ["", 0.5]]\n    ]\n}'
    )
    body = {"signature_name": "regress", "examples": [{"x": 0.1}, {"x": 1e22}]}
    assert rest.post(heads.rest_port, REGRESS, body).body == (b'{\n    "results": [0.1, 1e+22]\n}')


def test_rest_and_grpc_agree(heads: ServerProcess) -> None:
    xs = [0.1, -3.25, 1e-7, 1234567.0]
    by_rest = results(heads, CLASSIFY, {"examples": [{"x": x} for x in xs]})
    with Client(heads.grpc_port) as client:
        request = classify_request(model_spec("heads"), model_input([example(x=x) for x in xs]))
        by_grpc = client.prediction.Classify(request, timeout=SECONDS)
    assert [[label for label, _ in row] for row in by_rest] == [
        [c.label for c in row.classes] for row in by_grpc.result.classifications
    ]
    for row, other in zip(by_rest, by_grpc.result.classifications, strict=True):
        scores = [score for _, score in row]
        assert scores == pytest.approx([c.score for c in other.classes], rel=1e-6)


def test_strings_bytes_and_numbers_become_features(heads: ServerProcess) -> None:
    assert labels(heads, s="text ü", n=7) == ["text ü", "7"]
    assert labels(heads, s={"b64": base64.b64encode(b"by\ttes").decode()}) == ["by\ttes", "0"]
    assert labels(heads, s=["one"], n=[True]) == ["one", "1"]
    assert labels(heads, s=[], n=[]) == ["none", "0"]
    assert labels(heads, n=-(2**63)) == ["none", str(-(2**63))]


def test_special_numbers_go_in_and_out(heads: ServerProcess) -> None:
    first, second, third = regressed(heads, {"x": math.nan}, {"x": math.inf}, {"x": -math.inf})
    assert math.isnan(first)
    assert (second, third) == (math.inf, -math.inf)


def test_context_is_part_of_each_example(heads: ServerProcess) -> None:
    assert regressed(heads, {"n": 1}, {"n": 2, "x": 1.0}, context={"x": 8.0}) == [9.0, 3.0]


@pytest.mark.parametrize("version", ["", "/versions/7", "/versions/007"])
def test_version_in_the_path_selects_it(heads: ServerProcess, version: str) -> None:
    body = {"examples": [{"x": 1.0}]}
    path = f"/v1/models/heads{version}:classify"
    assert results(heads, path, body)[0][0] == ["a", 1.0]


def test_large_bodies_are_answered_in_order(heads: ServerProcess) -> None:
    xs = [i / 4 for i in range(20000)]
    assert regressed(heads, *({"x": x} for x in xs)) == xs


def test_requests_at_once_get_their_own_answers(heads: ServerProcess) -> None:
    def one(number: int) -> bool:
        return bool(regressed(heads, {"n": number}) == [1.0 + number])

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(one, range(200)))


@pytest.mark.parametrize(
    ("path", "body", "status", "error"),
    [
        (CLASSIFY, b"", 400, "JSON Parse error: The document is empty"),
        (
            "/v1/models/nope:classify",
            b"{",
            400,
            "JSON Parse error: Missing a name for object member. at offset: 1",
        ),
        (
            "/v1/models/nope:classify",
            {"examples": [1]},
            400,
            "Example must be JSON object but got JSON Number",
        ),
        (
            "/v1/models/nope:regress",
            {"examples": [{}]},
            404,
            "Servable not found for request: Latest(nope)",
        ),
        (
            "/v1/models/heads/versions/9:regress",
            {"examples": [{}]},
            404,
            "Servable not found for request: Specific(heads, 9)",
        ),
        (
            "/v1/models/heads/labels/x:classify",
            {"examples": [{}]},
            400,
            "Unrecognized servable version label: x",
        ),
        (
            CLASSIFY,
            {"signature_name": "nope", "examples": [{}]},
            400,
            "No signature was found with the name: nope",
        ),
        (
            CLASSIFY,
            {"signature_name": "bad_three_outputs", "examples": [{}]},
            400,
            "Expected one or two output Tensors, found 3",
        ),
        (
            REGRESS,
            {"signature_name": "bad_regress_dtype", "examples": [{}]},
            400,
            "Expected output Tensor of DT_FLOAT.  Got: DT_DOUBLE",
        ),
        (
            REGRESS,
            {"instances": [1]},
            400,
            'JSON Value: {\n    "instances": [1]\n} '
            "When method is classify, key 'examples' is expected and was not found",
        ),
        (
            REGRESS,
            {"examples": [{"x": [1, 2.0]}]},
            400,
            "Unexpected element type in feature: x expecting type: int64",
        ),
        (
            REGRESS,
            {"examples": [{"s": {"k": 1}}]},
            400,
            "Feature: s has element with unexpected JSON type: Object",
        ),
    ],
)
def test_fault_is_told(heads: ServerProcess, path: str, body: Any, status: int, error: str) -> None:
    answer = rest.post(heads.rest_port, path, body)
    assert (answer.status, answer.error) == (status, error)


def test_run_error_is_tensorflows(heads: ServerProcess) -> None:
    answer = rest.post(heads.rest_port, CLASSIFY, {"examples": [{"x": 1}]})
    assert answer.status == 400
    assert "Data type: int64 but expected type: float" in answer.error


def test_gzip_body_is_taken(heads: ServerProcess) -> None:
    body = gzip.compress(json.dumps({"examples": [{"x": 4.0}]}).encode())
    request = rest.request("POST", CLASSIFY, body, Content_Encoding="gzip", Connection="close")
    answer = rest.send(heads.rest_port, request)
    assert answer.json()["results"][0][0] == ["a", 4.0]
