"""Clients that others wrote for TensorFlow Serving, as they are published, against a real server.

Each runs in a process of its own, with libraries of its own, and prints what it was answered.
"""

import base64
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from client_programs import HERE, run
from tensorflow_serving.apis import get_model_metadata_pb2

from support.cache import ROOT, digest, kept
from support.server import ServerProcess

NOT_FOUND = "Servable not found for request: Latest(nope)"
MISSING_ALL = (
    "input size does not match signature: 1!=3 len({x}) != len({a,b,s})."
    " Sent extra: {x}. Missing but required: {a,b,s}."
)


@pytest.fixture(scope="module")
def python() -> Path:
    """A Python that has the clients written in it; the tests' own has too new a protobuf."""
    requirements = HERE / "requirements.txt"

    def install(directory: Path) -> None:
        run(sys.executable, "-m", "venv", directory)
        pip = (directory / "bin" / "python", "-m", "pip", "--disable-pip-version-check")
        run(*pip, "install", "--quiet", "--no-deps", "-r", requirements)

    name = digest(requirements.read_bytes(), sys.version.encode())
    return kept(f"clients/python-{name}", install) / "bin" / "python"


@pytest.fixture(scope="module")
def node_modules() -> Path:
    """The packages of the client in JavaScript."""
    files = [HERE / "node" / "package.json", HERE / "node" / "package-lock.json"]

    def install(directory: Path) -> None:
        for file in files:
            shutil.copy(file, directory)
        run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", cwd=directory)

    name = digest(*(file.read_bytes() for file in files))
    return kept(f"clients/node-{name}", install) / "node_modules"


def test_min_tfs_client_gets_its_answers_and_errors(python: Path, server: ServerProcess) -> None:
    answers = json.loads(run(python, HERE / "use_min_tfs_client.py", server.grpc_port))
    assert answers == {
        "newest": {"version": 3, "y": [4.5, 5.0, 6.5]},
        "version_1": {"version": 1, "y": [2.5, 3.0, 4.5]},
        "several": {
            "version": 1,
            "total": [3.0, 7.0],
            "next": [6, 2**40 + 1],
            "echo": ["u", "v"],
        },
        "unknown_model": ["NOT_FOUND", NOT_FOUND],
        "unknown_version": [
            "NOT_FOUND",
            "Servable not found for request: Specific(half_plus, 9)",
        ],
        "missing_input": ["INVALID_ARGUMENT", MISSING_ALL],
        "timeout": ["DEADLINE_EXCEEDED", "Deadline Exceeded"],
    }


@pytest.fixture(scope="module")
def ovmsclient(python: Path, server: ServerProcess) -> Any:
    """What its two clients were answered."""
    return json.loads(run(python, HERE / "use_ovmsclient.py", server.grpc_port, server.rest_port))


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_ovmsclient_gets_its_predictions(ovmsclient: Any, protocol: str) -> None:
    answers = ovmsclient[protocol]
    assert answers["version_3"] == [4.5, 5.0, 6.5]
    assert answers["version_1"] == [2.5, 3.0, 4.5]
    assert answers["several"] == {"total": [3.0, 7.0], "next": [6, 8], "echo": ["u", "v"]}


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_ovmsclient_gets_the_state_of_a_version(ovmsclient: Any, protocol: str) -> None:
    available = {"state": "AVAILABLE", "error_code": 0, "error_message": ""}
    assert ovmsclient[protocol]["status"] == {"2": available}


def test_ovmsclient_gets_metadata(ovmsclient: Any) -> None:
    assert ovmsclient["grpc"]["metadata"] == {
        "model_version": 1,
        "inputs": {
            "a": {"shape": [-1, 2], "dtype": "DT_FLOAT"},
            "b": {"shape": [-1], "dtype": "DT_INT64"},
            "s": {"shape": [-1], "dtype": "DT_STRING"},
        },
        "outputs": {
            "total": {"shape": [-1], "dtype": "DT_FLOAT"},
            "next": {"shape": [-1], "dtype": "DT_INT64"},
            "echo": {"shape": [-1], "dtype": "DT_STRING"},
        },
    }
    # Over HTTP it knows OpenVINO's spelling of the keys only, and hands on what it got.
    metadata = ovmsclient["http"]["metadata"]
    assert metadata["model_spec"]["version"] == "1"
    assert "serving_default" in metadata["metadata"]["signature_def"]["signature_def"]


@pytest.mark.parametrize(
    ("protocol", "missing"),
    [("grpc", MISSING_ALL), ("http", "Missing named input: a in 'inputs' object.")],
)
def test_ovmsclient_raises_its_own_errors(ovmsclient: Any, protocol: str, missing: str) -> None:
    answers = ovmsclient[protocol]
    begin = "Error occurred during handling the request: "
    unknown = "Servable not found for request: Specific(nope, 1)"
    assert answers["unknown_model"] == ["ModelNotFoundError", begin + unknown]
    assert answers["unknown_version"][0] == "ModelNotFoundError"
    assert answers["missing_input"] == ["InvalidInputError", begin + missing]
    assert answers["timeout"] == ["TimeoutError", begin + "Request handling exceeded timeout"]


@pytest.fixture(scope="module")
def grpc_js(node_modules: Path, server: ServerProcess) -> Any:
    """What the client in JavaScript was answered."""
    script = HERE / "node" / "use_grpc_js.js"
    return json.loads(
        run("node", script, ROOT / "protos", server.grpc_port, NODE_PATH=str(node_modules))
    )


def outputs(answer: Any) -> dict[str, Any]:
    """The outputs of a Predict that the client in JavaScript got: name -> field -> values."""
    fields = ("float_val", "int64_val", "string_val")
    return {
        name: {field: tensor[field] for field in fields if field in tensor}
        for name, tensor in answer["outputs"].items()
    }


def spec(name: str, version: int, signature: str = "serving_default") -> dict[str, Any]:
    return {"name": name, "version": {"value": str(version)}, "signature_name": signature}


def test_grpc_js_gets_its_predictions(grpc_js: Any) -> None:
    for key in ("newest", "tensor_content"):
        assert outputs(grpc_js[key]) == {"y": {"float_val": [4.5, 5, 6.5]}}
        assert grpc_js[key]["model_spec"] == spec("half_plus", 3)
    assert outputs(grpc_js["label"]) == {"y": {"float_val": [2.5]}}
    assert grpc_js["label"]["model_spec"] == spec("half_plus", 1)
    several = {
        "total": {"float_val": [3]},
        "next": {"int64_val": ["9007199254740994"]},
        "echo": {"string_val": [base64.b64encode("ü".encode()).decode()]},
    }
    assert outputs(grpc_js["several"]) == several
    assert outputs(grpc_js["filtered"]) == {"next": several["next"]}


def test_grpc_js_gets_its_classes_and_regressions(grpc_js: Any) -> None:
    classes = [[("a", 2), ("b", 4), ("ü", 0.5)], [("a", 4), ("b", 8), ("ü", 1)]]
    assert grpc_js["classify"] == {
        "result": {
            "classifications": [
                {"classes": [{"label": label, "score": score} for label, score in row]}
                for row in classes
            ]
        },
        "model_spec": spec("heads", 7),
    }
    assert grpc_js["regress"] == {
        "result": {"regressions": [{"value": 2}, {"value": 4}]},
        "model_spec": spec("heads", 7, "regress"),
    }


def test_grpc_js_gets_metadata_and_status(grpc_js: Any) -> None:
    (packed,) = grpc_js["metadata"]["metadata"].values()
    assert packed["type_url"] == "type.googleapis.com/tensorflow.serving.SignatureDefMap"
    signatures = get_model_metadata_pb2.SignatureDefMap.FromString(
        base64.b64decode(packed["value"])
    )
    assert signatures.signature_def["regress"].method_name == "tensorflow/serving/regress"
    versions = grpc_js["status"]["model_version_status"]
    states = [(version["version"], version["state"]) for version in versions]
    assert states == [("3", "AVAILABLE"), ("2", "AVAILABLE"), ("1", "AVAILABLE")]


def test_grpc_js_gets_its_errors(grpc_js: Any) -> None:
    assert grpc_js["unknown_model"] == ["NOT_FOUND", NOT_FOUND]
    code, details = grpc_js["missing_input"]
    assert code == "INVALID_ARGUMENT"
    assert details.startswith("input size does not match signature: 1!=3")
    assert grpc_js["timeout"][0] == "DEADLINE_EXCEEDED"
    assert grpc_js["cancelled"] == "CANCELLED"
    assert grpc_js["unknown_method"] == "UNIMPLEMENTED"


def test_grpc_js_gets_many_answers_at_once_and_large_ones(grpc_js: Any) -> None:
    assert grpc_js["many"] == sum(i / 2 + 4 for i in range(500))
    assert grpc_js["large"] == 1 << 19
