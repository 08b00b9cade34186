"""Traces of requests, sent to a collector, and the times that REST replies tell."""

import json
import os
import secrets
import subprocess
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from support import rest, slow
from support.collector import Collector, attributes, seconds
from support.grpc_client import SECONDS, Client, failure, predict_request
from support.layout import config_text, model_entry
from support.server import ServerProcess, StartServer, command, environment, run_to_end
from support.waiting import wait_until

PARENT = "00f067aa0ba902b7"
ROWS = predict_request("rows", {"x": np.float32([[1]])})
ROWS_PATH = "/v1/models/rows:predict"
PREDICT = "tensorflow.serving.PredictionService/Predict"


def new_trace() -> str:
    return secrets.token_hex(16)


def traceparent(trace_id: str, *, sampled: bool = True) -> str:
    return f"00-{trace_id}-{PARENT}-{'01' if sampled else '00'}"


def metadata(trace_id: str, *, sampled: bool = True) -> tuple[tuple[str, str]]:
    return (("traceparent", traceparent(trace_id, sampled=sampled)),)


def post(port: int, path: str, body: bytes, trace_id: str = "") -> rest.Answer:
    headers = {"Traceparent": traceparent(trace_id)} if trace_id else {}
    return rest.send(port, rest.request("POST", path, body, Connection="close", **headers))


def attributes_but_peer(span: Span) -> Mapping[str, Any]:
    """What a server's span tells, without the client, which is on this machine."""
    told = attributes(span)
    assert told.pop("network.peer.address").endswith("127.0.0.1")
    assert told.pop("network.peer.port") > 0
    return told


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with Collector() as running:
        yield running


@pytest.fixture(scope="module")
def server(
    start_server: StartServer,
    models: Path,
    collector: Collector,
    tmp_path_factory: pytest.TempPathFactory,
) -> ServerProcess:
    config = tmp_path_factory.mktemp("config") / "models.config"
    names = ("slow", "rows")
    config.write_text(config_text([model_entry(name, models / name) for name in names]))
    return start_server(
        f"--model_config_file={config}",
        f"--otlp_endpoint={collector.endpoint}",
        "--trace_sample_ratio=0",
        "--rest_server_timing",
        OTEL_RESOURCE_ATTRIBUTES="deployment.environment.name=test",
    )


@pytest.fixture
def client(server: ServerProcess) -> Iterator[Client]:
    with Client(server.grpc_port) as connected:
        yield connected


def test_spans_of_a_predict_are_its_stages(client: Client, collector: Collector) -> None:
    trace_id, before = new_trace(), time.time()
    request = slow.request(0.02)
    client.prediction.Predict(request, metadata=metadata(trace_id), timeout=SECONDS)
    after = time.time()
    trace = collector.trace(trace_id)
    assert trace.server.name == PREDICT
    assert trace.server.parent_span_id.hex() == PARENT
    assert before - 1 < trace.server.start_time_unix_nano / 1e9
    assert trace.server.end_time_unix_nano / 1e9 < after + 1
    assert trace.server.status.code == Status.STATUS_CODE_UNSET
    assert attributes_but_peer(trace.server) == {
        "rpc.system": "grpc",
        "rpc.service": "tensorflow.serving.PredictionService",
        "rpc.method": "Predict",
        "rpc.grpc.status_code": 0,
        "fastserve.model.name": "slow",
        "fastserve.model.version": "1",
        "fastserve.model.signature": "serving_default",
    }
    assert trace.names() == ["receive", "queue", "decode", "run", "serialise"]
    trace.check_nesting()
    for name in trace.names():
        assert trace.parent(trace.span(name)) is trace.server
    assert seconds(trace.span("run")) > seconds(trace.server) / 2


def test_resource_is_named_by_the_environment_too(client: Client, collector: Collector) -> None:
    trace_id = new_trace()
    client.prediction.Predict(ROWS, metadata=metadata(trace_id), timeout=SECONDS)
    collector.trace(trace_id)
    told = {each.key: each.value.string_value for each in collector.resource.attributes}
    assert told["service.name"] == "fastserve"
    assert told["deployment.environment.name"] == "test"


def test_a_request_that_failed_is_traced_with_its_code(
    client: Client, collector: Collector
) -> None:
    unknown, late = new_trace(), new_trace()
    failure(
        lambda: client.prediction.Predict(
            predict_request("nobody", {}), metadata=metadata(unknown), timeout=SECONDS
        )
    )
    # The server's deadline alone: a client with one of its own would cancel.
    deadline = ("grpc-timeout", "500m")
    code, _ = failure(
        lambda: client.prediction.Predict(slow.request(2), metadata=(*metadata(late), deadline))
    )
    assert code is grpc.StatusCode.DEADLINE_EXCEEDED
    server = collector.trace(unknown).server
    told = attributes(server)
    assert told["rpc.grpc.status_code"] == grpc.StatusCode.NOT_FOUND.value[0]
    assert told["fastserve.model.name"] == "nobody"
    assert server.status.code == Status.STATUS_CODE_UNSET  # the client's fault
    trace = collector.trace(late)
    assert trace.server.status.code == Status.STATUS_CODE_ERROR
    assert attributes(trace.server)["error.type"] == "DEADLINE_EXCEEDED"
    # The run goes on, but not for this request.
    assert trace.names()[-1] == "run"
    assert trace.span("run").end_time_unix_nano == trace.server.end_time_unix_nano
    trace.check_nesting()


def test_rest_request_is_traced(server: ServerProcess, collector: Collector) -> None:
    trace_id = new_trace()
    path = "/v1/models/slow/versions/1:predict"
    slow.check_rest(post(server.rest_port, path, slow.rest_body(0.02), trace_id), 0.02)
    trace = collector.trace(trace_id)
    assert trace.server.parent_span_id.hex() == PARENT
    assert trace.server.name == "POST /v1/models/{model}/versions/{version}:predict"
    assert attributes_but_peer(trace.server) == {
        "http.request.method": "POST",
        "http.route": "/v1/models/{model}/versions/{version}:predict",
        "http.response.status_code": 200,
        "url.path": path,
        "url.scheme": "http",
        "fastserve.model.name": "slow",
        "fastserve.model.version": "1",
        "fastserve.model.signature": "serving_default",
    }
    assert trace.names() == ["receive", "parse", "queue", "decode", "run", "serialise"]
    trace.check_nesting()


def test_long_rest_body_waits_to_be_read_too(server: ServerProcess, collector: Collector) -> None:
    trace_id = new_trace()
    body = json.dumps({"instances": [[1.0, 2.0]] * 20_000}).encode()
    answer = post(server.rest_port, ROWS_PATH, body, trace_id)
    assert answer.status == 200, answer
    trace = collector.trace(trace_id)
    assert trace.names()[:3] == ["receive", "queue", "parse"]
    trace.check_nesting()


def test_rest_request_that_failed_is_traced_with_its_status(
    server: ServerProcess, collector: Collector
) -> None:
    trace_id = new_trace()
    answer = post(server.rest_port, "/v1/models/nobody:predict", b"{}", trace_id)
    assert answer.status == 404
    found = collector.trace(trace_id).server
    assert attributes(found)["http.response.status_code"] == 404
    assert found.status.code == Status.STATUS_CODE_UNSET


def test_what_is_not_sampled_is_not_traced(
    server: ServerProcess, client: Client, collector: Collector
) -> None:
    unsampled, last = new_trace(), new_trace()
    before = collector.trace_ids()
    client.prediction.Predict(ROWS, timeout=SECONDS)
    client.prediction.Predict(ROWS, metadata=metadata(unsampled, sampled=False), timeout=SECONDS)
    assert post(server.rest_port, ROWS_PATH, b'{"instances": [[1.0]]}').status == 200
    client.prediction.Predict(ROWS, metadata=metadata(last), timeout=SECONDS)
    collector.trace(last)
    assert collector.trace_ids() - before == {last}


def test_spans_of_a_batch(
    start_server: StartServer, models: Path, collector: Collector, tmp_path: Path
) -> None:
    parameters = tmp_path / "batching.txt"
    parameters.write_text(
        "max_batch_size { value: 3 }\n"
        "batch_timeout_micros { value: 600000000 }\n"  # until it is full
        "allowed_batch_sizes: 3\n"
    )
    server = start_server(
        "--model_name=rows",
        f"--model_base_path={models / 'rows'}",
        "--enable_batching",
        f"--batching_parameters_file={parameters}",
        f"--otlp_endpoint={collector.endpoint}",
    )
    rows = {new_trace(): 1, new_trace(): 2}
    with Client(server.grpc_port) as client, ThreadPoolExecutor() as pool:

        def predict(item: tuple[str, int]) -> None:
            trace_id, count = item
            request = predict_request("rows", {"x": np.zeros((count, 2), np.float32)})
            client.prediction.Predict(request, metadata=metadata(trace_id), timeout=SECONDS)

        list(pool.map(predict, rows.items()))
    for trace_id, count in rows.items():
        trace = collector.trace(trace_id)
        assert trace.names() == ["receive", "decode", "queue", "batch", "run", "serialise"]
        trace.check_nesting()
        assert trace.parent(trace.span("run")) is trace.span("batch")
        assert trace.parent(trace.span("serialise")) is trace.server
        assert attributes(trace.span("batch")) == {
            "fastserve.request.rows": count,
            "fastserve.batch.count": 1,
            "fastserve.batch.rows": 3,
        }


def test_a_request_that_is_cut_has_one_span_for_its_batches(
    start_server: StartServer, models: Path, collector: Collector, tmp_path: Path
) -> None:
    parameters = tmp_path / "batching.txt"
    parameters.write_text(
        "max_batch_size { value: 8 }\n"
        "enable_large_batch_splitting { value: true }\n"
        "max_execution_batch_size { value: 2 }\n"
    )
    server = start_server(
        "--model_name=rows",
        f"--model_base_path={models / 'rows'}",
        "--enable_batching",
        f"--batching_parameters_file={parameters}",
        f"--otlp_endpoint={collector.endpoint}",
    )
    trace_id = new_trace()
    with Client(server.grpc_port) as client:
        request = predict_request("rows", {"x": np.zeros((6, 2), np.float32)})
        client.prediction.Predict(request, metadata=metadata(trace_id), timeout=SECONDS)
    trace = collector.trace(trace_id)
    assert sorted(trace.names()) == sorted(
        ["receive", "decode", "queue", "batch", "run", "serialise"]
    )
    trace.check_nesting()
    assert attributes(trace.span("batch")) == {
        "fastserve.request.rows": 6,
        "fastserve.batch.count": 3,
        "fastserve.batch.rows": 6,
    }


def test_without_a_traceparent_a_share_is_traced_from_its_root(
    start_server: StartServer, models: Path
) -> None:
    with Collector() as collector:
        server = start_server(
            *slow.flags(models), f"--otlp_endpoint={collector.endpoint}", "--trace_sample_ratio=1"
        )
        with Client(server.grpc_port) as client:
            client.prediction.Predict(slow.request(0), timeout=SECONDS)
            assert not collector.any_trace().server.parent_span_id
            client.prediction.Predict(
                slow.request(0), metadata=metadata(new_trace(), sampled=False), timeout=SECONDS
            )
        post(server.rest_port, slow.REST_PATH, slow.rest_body(0))
        server.stop()  # what is not sent yet is sent at the end
        assert len(collector.trace_ids()) == 2


def test_collector_that_is_down_does_not_matter(start_server: StartServer, models: Path) -> None:
    with Collector() as gone:
        pass
    server = start_server(
        *slow.flags(models), f"--otlp_endpoint={gone.endpoint}", "--trace_sample_ratio=1"
    )
    address = gone.endpoint.removeprefix("http://")
    with Client(server.grpc_port) as client:

        def one_request_later_it_was_tried() -> bool:
            slow.check(client.prediction.Predict(slow.request(0), timeout=SECONDS), 0)
            return server.log().count(address) > 1  # the first says where traces go

        wait_until(one_request_later_it_was_tried, 20, "a vain attempt to send traces")
        slow.check(client.prediction.Predict(slow.request(0), timeout=SECONDS), 0)
        slow.check_rest(post(server.rest_port, slow.REST_PATH, slow.rest_body(0)), 0)
    server.stop()


def test_rest_replies_tell_their_times(server: ServerProcess) -> None:
    answer = post(server.rest_port, slow.REST_PATH, slow.rest_body(0.02))
    metrics = [each.split(";dur=") for each in answer.headers["server-timing"].split(", ")]
    millis = {name: float(duration) for name, duration in metrics}
    assert list(millis) == ["parse", "decode", "queue", "run", "serialise", "total"]
    assert millis["total"] / 2 < millis["run"]
    assert sum(millis.values()) <= 2 * millis["total"]
    status = rest.get(server.rest_port, slow.REST_STATUS_PATH)
    assert status.headers["server-timing"].startswith("total;dur=")


def test_by_default_rest_replies_do_not(start_server: StartServer, models: Path) -> None:
    server = start_server(*slow.flags(models))
    assert "server-timing" not in post(server.rest_port, slow.REST_PATH, slow.rest_body(0)).headers


@pytest.mark.parametrize(
    ("flags", "variables", "error"),
    [
        (
            {"otlp_endpoint": "collector:4317"},
            {},
            "--otlp_endpoint is 'collector:4317'; it must be a URL, as http://collector:4317",
        ),
        (
            {"otlp_endpoint": "http://127.0.0.1:1", "trace_sample_ratio": "10"},
            {},
            "--trace_sample_ratio is 10.0; it must be from 0 to 1",
        ),
        (
            {"otlp_endpoint": "http://127.0.0.1:1"},
            {"OTEL_EXPORTER_OTLP_COMPRESSION": "zip"},
            'cannot send traces to --otlp_endpoint=http://127.0.0.1:1: Invalid value "zip" for '
            "compression envvar OTEL_EXPORTER_OTLP_COMPRESSION",
        ),
    ],
)
def test_what_makes_no_sense_ends_the_start(
    models: Path,
    flags: Mapping[str, str],
    variables: Mapping[str, str],
    error: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    done = run_to_end(*slow.flags(models), *(f"--{key}={value}" for key, value in flags.items()))
    assert done.returncode == 255
    assert error in done.stderr


def test_without_the_packages_the_start_ends(models: Path, tmp_path: Path) -> None:
    package = tmp_path / "opentelemetry"
    package.mkdir()
    (package / "__init__.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'opentelemetry'\", name='opentelemetry')\n"
    )
    variables: dict[str, Any] = environment()
    variables["PYTHONPATH"] = os.pathsep.join(
        filter(None, (str(tmp_path), variables.get("PYTHONPATH")))
    )
    done = subprocess.run(
        command(*slow.flags(models), "--otlp_endpoint=http://127.0.0.1:1"),
        capture_output=True,
        text=True,
        timeout=60,
        env=variables,
        cwd="/",
    )
    assert done.returncode == 255
    assert "--otlp_endpoint needs the package of opentelemetry: pip install" in done.stderr
    assert "fastserve[otlp]" in done.stderr
