"""What the server writes down: events, and a line for each request."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from support import rest
from support.grpc_client import Client, failure, predict_request
from support.server import ServerProcess, StartServer, run_to_end
from support.waiting import wait_until

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


@pytest.fixture(scope="module")
def access_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("logs") / "access.log"


@pytest.fixture(scope="module")
def server(start_server: StartServer, recorded_models: Path, access_log: Path) -> ServerProcess:
    return start_server(
        "--model_name=half_plus",
        f"--model_base_path={recorded_models / 'half_plus'}",
        "--log_format=json",
        f"--access_log={access_log}",
    )


def entry(access_log: Path, **fields: str) -> dict[str, object]:
    """The first entry with these fields, once it is there."""
    found: list[dict[str, object]] = []

    def is_there() -> bool:
        entries = [json.loads(line) for line in access_log.read_text().splitlines()]
        found[:] = [each for each in entries if fields.items() <= each.items()]
        return bool(found)

    wait_until(is_there, 20, f"an entry with {fields}")
    return found[0]


def test_native_call_is_logged_with_its_trace(server: ServerProcess, access_log: Path) -> None:
    request = predict_request("half_plus", {"x": np.float32([1])})
    with Client(server.grpc_port) as client:
        metadata = (("traceparent", TRACEPARENT),)
        client.prediction.Predict(request, metadata=metadata, timeout=30)
        failure(lambda: client.predict("nobody", {"x": np.float32([1])}))
    found = entry(access_log, trace_id=TRACE)
    assert found["protocol"] == "grpc"
    assert found["method"] == "Predict"
    assert found["status"] == "OK"
    assert (found["model"], found["version"]) == ("half_plus", "3")
    assert found["signature"] == "serving_default"
    assert found["bytes_in"] == request.ByteSize()
    assert re.match(r"ipv[46]:.*127\.0\.0\.1.*:\d+$", str(found["peer"]))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", str(found["time"]))
    assert 0 < float(str(found["seconds"])) < 30
    assert entry(access_log, model="nobody", status="NOT_FOUND")["version"] == ""


def test_rare_rpc_is_logged(server: ServerProcess, access_log: Path) -> None:
    with Client(server.grpc_port) as client:
        client.status("half_plus")
    entry(access_log, method="/tensorflow.serving.ModelService/GetModelStatus", status="OK")


def test_rest_request_is_logged(server: ServerProcess, access_log: Path) -> None:
    body = b'{"instances": [1.0]}'
    path = "/v1/models/half_plus:predict"
    rest.send(
        server.rest_port,
        rest.request("POST", path, body, Traceparent=TRACEPARENT, Connection="close"),
    )
    found = entry(access_log, method=f"POST {path}")
    assert found["status"] == "200"
    assert found["trace_id"] == TRACE
    assert found["bytes_in"] == len(body)


def test_events_are_json_objects_one_a_line(server: ServerProcess) -> None:
    events = [json.loads(line) for line in server.log().splitlines() if line.startswith("{")]
    assert any("Successfully loaded servable version" in event["message"] for event in events)
    assert {"time", "severity", "logger", "message"} <= events[0].keys()


def test_access_log_as_text_on_standard_error(
    start_server: StartServer, recorded_models: Path
) -> None:
    server = start_server(
        "--model_name=half_plus",
        f"--model_base_path={recorded_models / 'half_plus'}",
        "--access_log=-",
    )
    with Client(server.grpc_port) as client:
        client.predict("half_plus", {"x": np.float32([1])})
    server.stop()  # what is not written yet is written at the end
    line = next(line for line in server.log().splitlines() if "protocol=grpc" in line)
    assert " method=Predict status=OK seconds=0." in line
    assert " model=half_plus version=3 signature=serving_default bytes_in=" in line


def test_access_log_that_cannot_be_written_ends_the_start(recorded_models: Path) -> None:
    done = run_to_end(
        "--model_name=half_plus",
        f"--model_base_path={recorded_models / 'half_plus'}",
        "--access_log=/nonexistent/access.log",
    )
    assert done.returncode == 255
    assert "cannot write --access_log=/nonexistent/access.log: No such file" in done.stderr
