"""What the server writes down: events, and a line for each request."""

import json
import re
import time
from pathlib import Path

import numpy as np
import pytest
from tensorflow_serving.apis import prediction_log_pb2

from fastserve.servables.tfrecord import read_records
from support import examples, rest
from support.grpc_client import Client, failure, predict_request
from support.layout import config_text, model_entry
from support.server import ServerProcess, StartServer, run_to_end
from support.waiting import wait_until

MAX_BODY_BYTES = 1000
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
        f"--rest_max_body_bytes={MAX_BODY_BYTES}",
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


@pytest.mark.parametrize("expects", [{"Expect": "100-continue"}, {}])
def test_rest_request_that_is_refused_by_its_header_is_logged(
    server: ServerProcess, access_log: Path, expects: dict[str, str]
) -> None:
    path = f"/v1/models/half_plus:predict?{len(expects)}"
    size = {"Content-Length": str(MAX_BODY_BYTES + 1), "Traceparent": TRACEPARENT}
    head = rest.head("POST", path, {"Host": "h", **size, **expects})
    assert rest.send(server.rest_port, head).status == 413
    found = entry(access_log, method=f"POST {path}")
    assert found["status"] == "413"
    assert found["bytes_in"] == 0
    assert 0 < float(str(found["seconds"])) < 30
    assert re.match(r".*127\.0\.0\.1:\d+$", str(found["peer"]))


def test_bytes_that_are_no_request_are_logged_beside_the_one_before_them(
    server: ServerProcess, access_log: Path
) -> None:
    path = "/v1/models/half_plus/versions/3"
    with rest.Connection(server.rest_port) as connection:
        connection.send(rest.request("GET", path))
        assert connection.answer().status == 200
        connection.send(b"\0\1")
        assert connection.answer().status == 400
    assert entry(access_log, status="400")["method"] == ""
    assert entry(access_log, method=f"GET {path}")["status"] == "200"


def test_refused_request_waits_for_its_turn_and_is_logged_once(
    server: ServerProcess, access_log: Path
) -> None:
    """It comes whole, behind one that is not answered at once."""
    path = "/v1/models/half_plus/versions/2/metadata"
    long = rest.request("POST", path, bytes(MAX_BODY_BYTES + 1))
    with rest.Connection(server.rest_port) as connection:
        connection.send(rest.request("GET", path) + long)
        assert [connection.answer().status for _ in range(2)] == [404, 413]
        assert connection.closed_by_peer()
    entry(access_log, method=f"GET {path}", status="404")
    entry(access_log, method=f"POST {path}", status="413")
    assert access_log.read_text().count(f"POST {path}") == 1


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


def logging_entry(name: str, base: Path, prefix: Path, rate: float) -> str:
    return model_entry(
        name,
        base,
        f'logging_config {{ log_collector_config {{ filename_prefix: "{prefix}" }} '
        f"sampling_config {{ sampling_rate: {rate} }} }}",
    )


def logged(folder: Path) -> list[prediction_log_pb2.PredictionLog]:
    """All that is logged in a folder's files, in order."""
    records = [each for path in sorted(folder.glob("*.tfrecord")) for each in read_records(path)]
    return [prediction_log_pb2.PredictionLog.FromString(record) for record in records]


def test_requests_of_a_model_are_logged_with_their_answers(
    start_server: StartServer, recorded_models: Path, tmp_path: Path
) -> None:
    base, folder = recorded_models / "half_plus", tmp_path / "logs" / "all"
    config = tmp_path / "models.config"
    entries = [
        logging_entry("all", base, folder / "requests", 1.0),
        logging_entry("none", base, tmp_path / "logs" / "none" / "requests", 0.0),
        model_entry("quiet", base),
    ]
    config.write_text(config_text(entries))
    server = start_server(f"--model_config_file={config}")
    request = predict_request("all", {"x": np.float32([1, 2])})
    given = examples.model_input([examples.example(x=2.0)])
    spec = examples.model_spec("all", "classify_x_to_y")
    multi = examples.multi_request([examples.task(spec, "classify")], given)
    with Client(server.grpc_port) as client:
        response = client.prediction.Predict(request, timeout=30)
        classified = client.prediction.Classify(examples.classify_request(spec, given), timeout=30)
        client.prediction.MultiInference(multi, timeout=30)
        failure(lambda: client.predict("all", {"wrong": np.float32([1])}))
        for name in ("none", "quiet"):
            client.predict(name, {"x": np.float32([1])})
        wait_until(lambda: len(logged(folder)) == 3, 20, "three requests are logged")
        client.reload(config_text([model_entry("all", base)]))
        client.predict("all", {"x": np.float32([1])})
    server.stop()
    assert [path.name for path in (tmp_path / "logs").iterdir()] == ["all"]
    first, second, third = logged(folder)
    assert first.predict_log.request == request
    assert first.predict_log.response == response
    metadata = first.log_metadata
    assert (metadata.model_spec.name, metadata.model_spec.version.value) == ("all", 3)
    assert metadata.model_spec.signature_name == "serving_default"
    assert metadata.sampling_config.sampling_rate == 1.0
    assert list(metadata.saved_model_tags) == ["serve"]
    assert abs(metadata.timestamp_secs - time.time()) < 600
    assert second.classify_log.response == classified
    assert third.multi_inference_log.request == multi
