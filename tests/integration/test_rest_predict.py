"""Point 3: predict over REST, in row and column format."""

import base64
import math
from pathlib import Path
from typing import Any

import pytest

from support import rest
from support.server import ServerProcess, StartServer


@pytest.fixture(scope="module")
def half_plus(start_server: StartServer, recorded_models: Path) -> ServerProcess:
    """y = x / 2 + 4, version 3."""
    base = recorded_models / "half_plus"
    return start_server("--model_name=half_plus", f"--model_base_path={base}")


@pytest.fixture(scope="module")
def shapes(start_server: StartServer, recorded_models: Path) -> ServerProcess:
    base = recorded_models / "shapes"
    return start_server("--model_name=shapes", f"--model_base_path={base}")


@pytest.fixture(scope="module")
def identity(start_server: StartServer, recorded_models: Path) -> ServerProcess:
    base = recorded_models / "identity"
    return start_server("--model_name=identity", f"--model_base_path={base}")


def predict(server: ServerProcess, model: str, body: Any, version: str = "") -> Any:
    answer = rest.post(server.rest_port, f"/v1/models/{model}{version}:predict", body)
    assert answer.status == 200, answer.body
    assert answer.headers["content-type"] == "application/json"
    return answer.json()


def test_rows_answer_as_predictions(half_plus: ServerProcess) -> None:
    assert predict(half_plus, "half_plus", {"instances": [1.0, 2, 5]}) == {
        "predictions": [4.5, 5.0, 6.5]
    }
    rows = {"instances": [{"x": [1.0]}, {"x": [2.0]}]}
    assert predict(half_plus, "half_plus", rows) == {"predictions": [[4.5], [5.0]]}


def test_columns_answer_as_outputs(half_plus: ServerProcess) -> None:
    assert predict(half_plus, "half_plus", {"inputs": [[1.0], [2.0]]}) == {
        "outputs": [[4.5], [5.0]]
    }
    assert predict(half_plus, "half_plus", {"inputs": {"x": [1.0]}}) == {"outputs": [4.5]}
    assert predict(half_plus, "half_plus", {"inputs": 1.0}) == {"outputs": 4.5}


@pytest.mark.parametrize("version", ["", "/versions/3", "/versions/003"])
def test_version_in_the_path_selects_it(half_plus: ServerProcess, version: str) -> None:
    assert predict(half_plus, "half_plus", {"inputs": 1.0}, version) == {"outputs": 4.5}


def test_several_inputs_are_objects_in_rows_and_columns(shapes: ServerProcess) -> None:
    row = {"a": [1.0, 2.0], "b": 5, "s": "u"}
    expected = {"total": 3.0, "next": 6, "echo": "u"}
    got = predict(shapes, "shapes", {"instances": [row, row]})
    assert got == {"predictions": [expected, expected]}
    columns = {"a": [[1.0, 2.0]], "b": [5], "s": ["u"], "ignored": 1}
    got = predict(shapes, "shapes", {"inputs": columns})
    assert got == {"outputs": {"total": [3.0], "next": [6], "echo": ["u"]}}


def test_signature_name_selects_it(shapes: ServerProcess) -> None:
    body = {"signature_name": "scalars", "inputs": {"p": 3, "q": 4}}
    assert predict(shapes, "shapes", body) == {"outputs": {"sum": 7.0, "product": 12.0}}


def test_base64_objects_are_bytes_both_ways(shapes: ServerProcess) -> None:
    raw = bytes(range(256))
    text = base64.b64encode(raw).decode()
    body = {"signature_name": "only_bytes_out", "instances": [{"b64": text}, {"b64": ""}]}
    assert predict(shapes, "shapes", body) == {"predictions": [{"b64": text}, {"b64": ""}]}


def test_strings_keep_their_unicode(identity: ServerProcess) -> None:
    texts = ["", "ü€😀", '"\\/\b\f\n\r\t', "\u0001"]
    body = {"signature_name": "string", "inputs": texts}
    assert predict(identity, "identity", body) == {"outputs": texts}


def test_not_a_number_and_infinities_go_both_ways(identity: ServerProcess) -> None:
    body = b'{"inputs": [NaN, Infinity, -Infinity, -Inf]}'
    answer = rest.post(identity.rest_port, "/v1/models/identity:predict", body)
    assert answer.body.split() == b'{ "outputs": [ NaN, Infinity, -Infinity, -Infinity ] }'.split()
    assert math.isnan(answer.json()["outputs"][0])


@pytest.mark.parametrize(
    ("signature", "values"),
    [
        ("float", [0.0, -0.0, 1.5, 3.4028234663852886e38, 1.1754943508222875e-38, 0.1]),
        ("double", [1.7976931348623157e308, 2.2250738585072014e-308, 0.1, 1 / 3]),
        ("int64", [2**63 - 1, -(2**63), 0]),
        ("uint64", [2**64 - 1, 0]),
        ("int32", [2**31 - 1, -(2**31)]),
        ("uint32", [2**32 - 1, 0]),
        ("int8", [127, -128]),
        ("uint8", [255, 0]),
        ("int16", [32767, -32768]),
        ("bool", [True, False]),
    ],
)
def test_ends_of_each_dtype_survive(
    identity: ServerProcess, signature: str, values: list[Any]
) -> None:
    got = predict(identity, "identity", {"signature_name": signature, "inputs": values})["outputs"]
    if signature == "float":
        assert got == pytest.approx(values, rel=1e-7, abs=0.0)
    else:
        assert got == values
    assert [type(value) for value in got] == [type(value) for value in values]


def test_numbers_too_small_for_a_normal_float_are_zero_as_recorded(
    identity: ServerProcess,
) -> None:
    for signature, value in (("float", 1.4e-45), ("double", 5e-324)):
        body = {"signature_name": signature, "inputs": value}
        assert predict(identity, "identity", body) == {"outputs": 0.0}


@pytest.mark.parametrize("rank", [0, 1, 3, 8])
def test_nested_lists_keep_their_rank(identity: ServerProcess, rank: int) -> None:
    value: Any = 1.5
    for _ in range(rank):
        value = [value, value] if rank < 8 else [value]
    assert predict(identity, "identity", {"inputs": value}) == {"outputs": value}


def test_layout_is_that_of_tensorflow_serving(half_plus: ServerProcess) -> None:
    path = "/v1/models/half_plus:predict"
    rows = rest.post(half_plus.rest_port, path, {"instances": [1.0, 2.0]})
    assert rows.body == b'{\n    "predictions": [4.5, 5.0\n    ]\n}'
    columns = rest.post(half_plus.rest_port, path, {"inputs": [1.0]})
    assert columns.body == b'{\n    "outputs": [\n        4.5\n    ]\n}'


def test_body_of_many_megabytes_is_answered_whole(identity: ServerProcess) -> None:
    values = [i / 2 for i in range(1_000_000)]
    assert predict(identity, "identity", {"inputs": values}) == {"outputs": values}
