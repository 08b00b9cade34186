"""Warm-up requests of a version: run before it serves, recorded from traffic, or made up."""

import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import grpc
import pytest
import tensorflow as tf
from google.protobuf import text_format
from tensorflow_serving.apis import model_management_pb2, prediction_log_pb2

from support.background import Background
from support.grpc_client import Client, failure, predict_request
from support.layout import await_states, config_text, model_entry, publish
from support.server import ServerProcess, StartServer, environment
from support.waiting import wait_until

FILE = Path("assets.extra", "tf_serving_warmup_requests")
SECONDS = 30.0


def predict_log(model: str, x: list[float], signature: str = "") -> bytes:
    log = prediction_log_pb2.PredictionLog()
    log.predict_log.request.CopyFrom(predict_request(model, {"x": x}, signature=signature))
    return bytes(log.SerializeToString())


def write_requests(version: Path, *records: bytes) -> None:
    (version / FILE).parent.mkdir()
    with tf.io.TFRecordWriter(str(version / FILE)) as writer:
        for record in records:
            writer.write(record)


@pytest.fixture
def version(recorded_models: Path, tmp_path: Path) -> Path:
    """A version that is not where the server looks yet."""
    path = tmp_path / "staged" / "1"
    shutil.copytree(recorded_models / "half_plus" / "1", path)
    return path


def serve(start: StartServer, version: Path, *flags: str) -> ServerProcess:
    fixed = ("--model_name=m", f"--model_base_path={version.parent}", "--max_num_load_retries=0")
    return start(*fixed, *flags)


def test_requests_of_the_file_run_before_the_version_serves(
    start_server: StartServer, version: Path
) -> None:
    """Whatever model they were recorded from; a signature that is missing would fail the load."""
    write_requests(version, predict_log("other", [1.0]), predict_log("other", [1.0, 2.0]))
    server = serve(start_server, version, "--num_request_iterations_for_warmup=3")
    log = server.log()
    assert f"Finished reading warmup data for model at {version / FILE}" in log
    assert log.index("Finished reading warmup data") < log.index("Successfully loaded servable")
    with Client(server.grpc_port) as client:
        assert client.states("m") == {1: "AVAILABLE"}
    server.stop()


def test_reload_tells_by_how_much_metrics_have_increased(
    start_server: StartServer, recorded_models: Path, version: Path, tmp_path: Path
) -> None:
    write_requests(version, predict_log("m", [1.0]), predict_log("m", [2.0]))
    present = model_entry("half_plus", recorded_models / "half_plus")
    file = tmp_path / "models.config"
    file.write_text(config_text([present]))
    server = start_server(f"--model_config_file={file}")
    of_requests = "/tensorflow/serving/request_count"
    increases = {
        "/tensorflow/serving/model_warmup_records_read": 2,
        "/tensorflow/serving/runtime_latency": 0,  # a histogram
        ":tensorflow:serving:model_warmup_records_read": 0,  # Prometheus' name
        "/tensorflow/serving/nonsense": 0,
    }
    request = model_management_pb2.ReloadConfigRequest(metric_names=[*increases, of_requests] * 2)
    text_format.Parse(config_text([present, model_entry("m", version.parent)]), request.config)
    answered = threading.Event()

    def ask(client: Client) -> None:
        client.predict("half_plus", {"x": [1.0]})
        answered.set()

    with Client(server.grpc_port) as client, Background(server.grpc_port, ask):
        assert answered.wait(SECONDS)
        metrics = client.model.HandleReloadConfigRequest(request, timeout=SECONDS).metric
    told = {metric.name: metric.int64_value_increase for metric in metrics}
    assert len(told) == len(metrics)
    assert told.pop(of_requests) > 0  # those that came while the model was loaded
    assert told == increases


@pytest.mark.parametrize(
    ("content", "code", "text"),
    [
        (b"no TFRecord file", "DATA_LOSS", "Please verify your warmup data is in TFRecord format."),
        (None, "FAILED_PRECONDITION", 'Serving signature key "nope" not found.'),
    ],
    ids=["broken-file", "failing-request"],
)
def test_version_whose_warm_up_fails_is_not_served(
    start_server: StartServer, version: Path, content: bytes | None, code: str, text: str
) -> None:
    if content is None:
        write_requests(version, predict_log("m", [1.0], signature="nope"))
    else:
        (version / FILE).parent.mkdir()
        (version / FILE).write_bytes(content)
    server = serve(start_server, version)
    with Client(server.grpc_port) as client:
        (status,) = client.status("m").model_version_status
        assert status.status.error_code == getattr(grpc.StatusCode, code).value[0]
        assert text in status.status.error_message
        assert client.states("m") == {1: "END"}
    server.stop()


def test_warm_up_can_be_switched_off(start_server: StartServer, version: Path) -> None:
    write_requests(version, predict_log("m", [1.0], signature="nope"))
    server = serve(start_server, version, "--enable_model_warmup=false")
    with Client(server.grpc_port) as client:
        assert client.states("m") == {1: "AVAILABLE"}
    server.stop()


def test_made_up_requests_never_keep_a_version_from_serving(
    start_server: StartServer, recorded_models: Path
) -> None:
    """`errors` has signatures that fail on zeros."""
    server = start_server(
        "--model_name=errors",
        f"--model_base_path={recorded_models / 'errors'}",
        "--synthetic_warmup",
    )
    with Client(server.grpc_port) as client:
        assert client.states("errors") == {1: "AVAILABLE"}
    assert "fails for a made-up warm-up request" in server.log()
    server.stop()


def predict_once(client: Client) -> None:
    client.predict("m", {"x": [1.0]}, signature="serving_default")


def record(port: int, output: Path, *more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "fastserve", "warmup", "record", f"--server=127.0.0.1:{port}"]
    return subprocess.run(
        [*command, "--model=m", f"--output={output}", *more],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment(),
    )


def test_requests_recorded_from_live_traffic_warm_the_next_version_up(
    start_server: StartServer, version: Path
) -> None:
    server = serve(start_server, version, "--enable_request_capture")
    next_version = version.with_name("next")
    shutil.copytree(version, next_version)
    with Background(server.grpc_port, predict_once):
        done = record(server.grpc_port, next_version, "--count=7")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{next_version / FILE}: 7 requests\n"
    logs = [
        prediction_log_pb2.PredictionLog.FromString(record.numpy())
        for record in tf.data.TFRecordDataset(str(next_version / FILE))
    ]
    requests = [log.predict_log.request for log in logs]
    assert requests == [predict_request("m", {"x": [1.0]}, signature="serving_default")] * 7
    publish(next_version, version.parent, "2")
    with Client(server.grpc_port) as client:
        await_states(client, "m", {1: "END", 2: "AVAILABLE"})
    read = re.search(r"Number of warmup records read: (\d+)", server.log())
    assert read is not None
    assert read[1] == "7"
    server.stop()


def test_recording_needs_the_servers_consent_and_some_traffic(
    start_server: StartServer, version: Path, tmp_path: Path
) -> None:
    output = tmp_path / "requests"
    closed = serve(start_server, version)
    done = record(closed.grpc_port, output)
    assert done.returncode == 1
    assert "was not started with --enable_request_capture" in done.stderr
    closed.stop()
    quiet = serve(start_server, version, "--enable_request_capture")
    done = record(quiet.grpc_port, output, "--seconds=0.5")
    assert done.returncode == 1
    assert "no request came in that time" in done.stderr
    assert not output.exists()
    with Client(quiet.grpc_port) as client:
        wait_until(lambda: client.states("m") == {1: "AVAILABLE"}, SECONDS, "it serves on")
        assert failure(lambda: client.predict("m", {"x": [1.0]}, version=9))[0] == (
            grpc.StatusCode.NOT_FOUND
        )
    quiet.stop()
