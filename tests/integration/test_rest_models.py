"""What REST tells of models beyond TensorFlow Serving: the list of all, and requests they take."""

import itertools
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from tensorflow.core.protobuf import saved_model_pb2

from support import rest
from support.grpc_client import Client
from support.layout import await_states, config_text, model_entry, publish
from support.server import ServerProcess, StartServer

NAMES = ("broken", "half_plus", "heads", "identity", "mnist", "name é", "shapes", "tf2")
OK = {"error_code": "OK", "error_message": ""}
BOTH = """model_version_policy { specific { versions: [1, 3] } }
          version_labels { key: 'stable' value: 1 } version_labels { key: 'a/b' value: 3 }"""


@pytest.fixture(scope="module")
def server(
    start_server: StartServer, recorded_models: Path, tmp_path_factory: pytest.TempPathFactory
) -> ServerProcess:
    entries = {name: model_entry(name, recorded_models / name) for name in NAMES}
    entries["half_plus"] = model_entry("half_plus", recorded_models / "half_plus", BOTH)
    entries["name é"] = model_entry("name é", recorded_models / "strings")
    entries["empty"] = model_entry("empty", recorded_models / "empty")
    file = tmp_path_factory.mktemp("config") / "models.config"
    file.write_text(config_text(entries.values()), encoding="utf-8")
    started = start_server(f"--model_config_file={file}", "--max_num_load_retries=0")
    with Client(started.grpc_port) as client:
        await_states(client, "half_plus", {1: "AVAILABLE", 3: "AVAILABLE"})
    return started


def listed(server: ServerProcess, **headers: str) -> rest.Answer:
    return rest.send(server.rest_port, rest.request("GET", "/v1/models", **headers))


def example(server: ServerProcess, path: str) -> rest.Answer:
    return rest.get(server.rest_port, f"/v1/models/{path}")


def posted(server: ServerProcess, body: bytes) -> rest.Answer:
    """The answer to an example, sent as it is to where it says."""
    return rest.post(server.rest_port, json.loads(body)["url"], body)


def version(number: int) -> dict[str, Any]:
    return {"version": str(number), "state": "AVAILABLE", "status": OK}


def test_list_tells_every_model_with_versions_labels_and_errors(server: ServerProcess) -> None:
    answer = listed(server, Accept="application/json")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    models = {model["name"]: model for model in answer.json()["models"]}
    assert list(models) == sorted((*NAMES, "empty"))
    assert models["half_plus"] == {
        "name": "half_plus",
        "version_labels": {"a/b": "3", "stable": "1"},
        "model_version_status": [version(3), version(1)],
        "status": OK,
    }
    (broken,) = models["broken"]["model_version_status"]
    assert (broken["version"], broken["state"]) == ("1", "END")
    assert broken["status"]["error_code"] == "DATA_LOSS"
    assert models["empty"]["model_version_status"] == []
    assert models["empty"]["status"] == {
        "error_code": "NOT_FOUND",
        "error_message": "No versions of servable empty found under base path",
    }


def test_list_is_laid_out_as_status_is(server: ServerProcess) -> None:
    status = rest.get(server.rest_port, "/v1/models/heads").body.decode()
    inner = status.removeprefix("{\n").removesuffix("\n}\n").replace("\n", "\n  ")
    assert f'"version_labels": {{}},\n  {inner},\n' in listed(server, Accept="*/*").body.decode()


@pytest.mark.parametrize("headers", [{}, {"Accept": "text/html"}, {"Accept": "*/*;q=0"}])
def test_who_does_not_ask_for_json_gets_upstreams_answer(
    server: ServerProcess, headers: dict[str, str]
) -> None:
    answer = listed(server, **headers)
    assert (answer.status, answer.error) == (400, "Missing model name in request.")


def test_values_of_several_accept_headers_are_one_list(server: ServerProcess) -> None:
    lines = b"GET /v1/models HTTP/1.1\r\nHost: a\r\nAccept: text/html\r\n%b\r\n\r\n"
    for last, status in ((b"accept: application/*", 200), (b"accept: text/plain", 400)):
        assert rest.send(server.rest_port, lines % last).status == status


def test_example_of_every_signature_is_answered_where_it_says(server: ServerProcess) -> None:
    refused = {}
    for model in ("half_plus", "shapes", "name é", "tf2"):
        metadata = rest.get(server.rest_port, f"/v1/models/{quote(model)}/metadata").json()
        for signature in metadata["metadata"]["signature_def"]["signature_def"]:
            path = f"{quote(model)}/example/{quote(signature, safe='')}"
            found = example(server, path)
            if found.status != 200:
                refused[signature] = found.error
                continue
            assert found.json()["signature_name"] == signature
            answer = posted(server, found.body)
            if answer.status != 200:
                refused[signature] = answer.error
    no_inputs = "Signature {0} cannot be asked in JSON: it takes no inputs (gRPC may do)"
    assert refused == {
        "no_inputs": no_inputs.format("no_inputs"),
        "__saved_model_init_op": no_inputs.format("__saved_model_init_op"),
        "fed_and_fetched": "vec:0 is both fed and fetched.",
    }


@pytest.mark.parametrize(
    ("path", "url", "content"),
    [
        ("half_plus/example", "half_plus:predict", {"inputs": {"x": [[1.0]]}}),
        (
            "half_plus/versions/1/example",
            "half_plus/versions/1:predict",
            {"inputs": {"x": [[1.0]]}},
        ),
        (
            "half_plus/labels/a%2Fb/example",
            "half_plus/labels/a%2Fb:predict",
            {"inputs": {"x": [[1.0]]}},
        ),
        (
            "half_plus/example/regress_x_to_y",
            "half_plus:regress",
            {"examples": [{"x": 1.0, "x2": 1.0}]},
        ),
        (
            "half_plus/example/classify_x2_to_y3",
            "half_plus:predict",
            {"inputs": {"inputs": [[1.0]]}},
        ),
        (
            "heads/example",
            "heads:classify",
            {"examples": [{"n": 1, "s": "", "x": 1.0, "need": 1.0}]},
        ),
        ("identity/example/int64", "identity:predict", {"inputs": {"x": [1]}}),
        ("shapes/example/scalar", "shapes:predict", {"inputs": {"p": 1.0}}),
        (
            "shapes/example/only_bytes_out",
            "shapes:predict",
            {"inputs": {"raw_bytes": [{"b64": ""}]}},
        ),
        ("shapes/example/flags", "shapes:predict", {"inputs": {"flag": [True]}}),
        ("name%20%C3%A9/example", "name%20%C3%A9:predict", {"inputs": {"s": [""]}}),
    ],
)
def test_example_has_the_form_that_its_signature_takes(
    server: ServerProcess, path: str, url: str, content: dict[str, Any]
) -> None:
    body = example(server, path).json()
    assert body.pop("url") == f"/v1/models/{url}"
    body.pop("signature_name")
    assert body == content


@pytest.mark.parametrize(
    ("path", "status", "error"),
    [
        ("nope/example", 404, "Servable not found for request: Latest(nope)"),
        (
            "half_plus/versions/2/example",
            404,
            "Servable not found for request: Specific(half_plus, 2)",
        ),
        ("half_plus/labels/x/example", 400, "Unrecognized servable version label: x"),
        (
            "tf2/example/%C3%A9",
            400,
            'Serving signature name: "é" not found in signature def; there are: '
            "__saved_model_init_op, classify, lookup, regress, serving_default",
        ),
        (
            "identity/example/half",
            400,
            "Signature half cannot be asked in JSON: output y is DT_HALF (gRPC may do)",
        ),
        (
            "mnist/example/%FF",
            400,
            'Serving signature name: "\N{REPLACEMENT CHARACTER}" not found in signature def; '
            "there are: predict_images, serving_default",
        ),
    ],
)
def test_example_that_cannot_be_made_is_refused_with_the_reason(
    server: ServerProcess, path: str, status: int, error: str
) -> None:
    answer = example(server, path)
    assert (answer.status, answer.error) == (status, error)


def test_fault_of_the_server_is_answered_and_logged_once(
    start_server: StartServer, recorded_models: Path, tmp_path: Path
) -> None:
    """The graph on disk is no longer the one that was loaded, and one that TensorFlow refuses."""
    publish(recorded_models / "heads" / "7", tmp_path, "7")
    server = start_server("--model_name=heads", f"--model_base_path={tmp_path}")
    path = tmp_path / "7" / "saved_model.pb"
    model = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    graph = model.meta_graphs[0].graph_def
    bodies = (graph.node, *(function.node_def for function in graph.library.function))
    for node in itertools.chain(*bodies):
        if node.op.startswith("ParseExample"):
            del node.attr["Tdense"].list.type[0]
    path.write_bytes(model.SerializeToString())
    with rest.Connection(server.rest_port) as connection:
        connection.send(rest.request("GET", "/v1/models/heads/example"))
        answer = connection.answer()
        assert (answer.status, answer.headers["content-type"]) == (500, "application/json")
        assert answer.error == "The server failed to answer; its log says why"
        connection.send(rest.request("GET", "/v1/models/heads"))  # the connection goes on
        assert connection.answer().status == 200
    assert server.log().count("a REST request could not be answered") == 1
    assert server.log().count("Traceback") == 1
    assert "ValueError: zip()" in server.log()
