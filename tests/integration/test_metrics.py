"""Both pages of metrics, as a Prometheus server reads them."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from support import examples, rest, slow
from support.grpc_client import Client, failure
from support.layout import await_states, publish
from support.server import ServerProcess, StartServer
from support.waiting import wait_until

PAGE = "/monitoring/prometheus/metrics"
LINE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(\{.*\})? (\S+)")
LIMITS = """
    10 18 32.4 58.32 104.976 188.957 340.122 612.22 1102 1983.59 3570.47 6426.84 11568.3 20823
    37481.3 67466.4 121440 218591 393464 708235 1.27482e+06 2.29468e+06 4.13043e+06
    7.43477e+06 1.33826e+07 2.40887e+07 4.33596e+07 7.80473e+07 1.40485e+08 2.52873e+08
    4.55172e+08 8.19309e+08 1.47476e+09 +Inf
"""


@pytest.fixture(scope="module")
def server(
    start_server: StartServer, recorded_models: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    monitoring = tmp_path_factory.mktemp("config") / "monitoring.config"
    monitoring.write_text("prometheus_config { enable: true }")
    return start_server(
        "--model_name=half_plus",
        f"--model_base_path={recorded_models / 'half_plus'}",
        f"--monitoring_config_file={monitoring}",
    )


def series(server: ServerProcess, path: str = PAGE) -> dict[str, float]:
    """Every sample of a page by name and labels."""
    answer = rest.get(server.rest_port, path)
    assert answer.status == 200
    found = {}
    for line in answer.body.decode().splitlines():
        if not line.startswith("#"):
            match = LINE.fullmatch(line)
            assert match, line
            found[match[1] + (match[2] or "")] = float(match[3])
    return found


def growth(before: dict[str, float], after: dict[str, float], *words: str) -> dict[str, float]:
    """What has grown, of the series that have all these words in their name or labels."""
    return {
        name: value - before.get(name, 0)
        for name, value in after.items()
        if value != before.get(name, 0) and all(word in name for word in words)
    }


def test_page_of_tensorflow_serving_has_its_names_and_limits(server: ServerProcess) -> None:
    with Client(server.grpc_port) as client:
        client.predict("half_plus", {"x": np.float32([1])})
    text = rest.get(server.rest_port, PAGE).body.decode()
    assert "# HELP" not in text
    assert text.endswith("\n")
    types = re.findall(r"^# TYPE (\S+) (\w+)$", text, re.MULTILINE)
    assert types == sorted(types)
    kinds = dict(types)
    prefix = ":tensorflow:serving:"
    assert kinds[f"{prefix}request_count"] == "counter"
    assert kinds[f"{prefix}batching_session:queuing_latency"] == "histogram"
    assert f"{prefix}batching_session:input_batch_size" not in kinds
    label = 'model_name="half_plus",API="Predict",entrypoint="GRPC"'
    found = re.findall(
        rf'^{prefix}request_latency_bucket{{{label},le="(.*)"}} (\d+)$', text, re.MULTILINE
    )
    assert [limit for limit, _ in found] == LIMITS.split()
    counts = [int(count) for _, count in found]
    assert counts == sorted(counts)
    assert f"{prefix}request_latency_count{{{label}}} {counts[-1]}\n" in text


def test_grpc_requests_are_counted_by_name_and_code(server: ServerProcess) -> None:
    before = series(server)
    with Client(server.grpc_port) as client:
        for _ in range(3):
            client.predict("half_plus", {"x": np.float32([1])})
        failure(lambda: client.predict("half_plus", {"wrong": np.float32([1])}))
        failure(lambda: client.predict("half_plus", {"x": np.float32([1])}, signature="none"))
        failure(lambda: client.predict("nobody", {"x": np.float32([1])}))
        failure(lambda: client.predict("", {"x": np.float32([1])}))
        client.metadata("half_plus")
        client.status("half_plus")
        after = series(server)
    count = ":tensorflow:serving:request_count"
    assert growth(before, after, count) == {
        f'{count}{{model_name="half_plus",status="OK"}}': 3,
        f'{count}{{model_name="half_plus",status="INVALID_ARGUMENT"}}': 1,
        f'{count}{{model_name="half_plus",status="FAILED_PRECONDITION"}}': 1,
        f'{count}{{model_name="nobody",status="NOT_FOUND"}}': 1,
        f'{count}{{model_name="",status="INVALID_ARGUMENT"}}': 1,
    }
    latency = ":tensorflow:serving:request_latency"
    counts = growth(before, after, f"{latency}_count")
    assert counts == {
        f'{latency}_count{{model_name="half_plus",API="Predict",entrypoint="GRPC"}}': 3
    }
    assert 0 < sum(growth(before, after, f"{latency}_sum").values()) < 30e6
    runs = growth(before, after, "runtime_latency_count")
    assert list(runs.values()) == [3]
    assert 'API="Predict",runtime="TF1"' in next(iter(runs))


def test_classify_is_counted_and_multi_inference_by_its_examples_alone(
    server: ServerProcess,
) -> None:
    before = series(server)
    spec = examples.model_spec("half_plus", "classify_x_to_y")
    given = examples.model_input([examples.example(x=1.0), examples.example(x=2.0)])
    request = examples.classify_request(spec, given)
    multi = examples.multi_request([examples.task(spec, "classify")], given)
    with Client(server.grpc_port) as client:
        client.prediction.Classify(request, timeout=30)
        client.prediction.MultiInference(multi, timeout=30)
    after = series(server)
    prefix = ":tensorflow:serving:"
    assert growth(before, after, "request_count") == {
        f'{prefix}request_count{{model_name="half_plus",status="OK"}}': 1
    }
    latencies = growth(before, after, "request_latency_count")
    assert list(latencies.values()) == [1]
    assert 'API="Classify",entrypoint="GRPC"' in next(iter(latencies))
    assert after[f'{prefix}request_example_counts_bucket{{model="half_plus",le="2"}}'] == 0
    assert after[f'{prefix}request_example_counts_bucket{{model="half_plus",le="4"}}'] == 1
    assert after[f'{prefix}request_example_count_total{{model="half_plus"}}'] == 2


def test_rest_requests_are_counted_as_tensorflow_serving_does(server: ServerProcess) -> None:
    port, base = server.rest_port, "/v1/models/half_plus"
    before = series(server)
    assert rest.post(port, f"{base}:predict", {"instances": [1.0]}).status == 200
    assert rest.post(port, f"{base}:predict", {"instances": ["no"]}).status == 400
    assert rest.post(port, "/v1/models/nobody:predict", {"instances": [1]}).status == 404
    assert rest.get(port, base).status == 200
    assert rest.get(port, f"{base}/metadata").status == 200
    assert rest.get(port, "/v1/models/half_plus:nothing").status == 400
    assert rest.get(port, "/v1/models/m/versions/99999999999999999999").status == 400
    options = rest.request("OPTIONS", base, Origin="http://a", Connection="close")
    assert rest.send(port, options).status == 200
    assert rest.get(port, "/nowhere").status == 404
    after = series(server)
    count = ":tensorflow:serving:request_count"
    assert growth(before, after, count) == {
        f'{count}{{model_name="half_plus",status="OK"}}': 3,
        f'{count}{{model_name="half_plus",status="INVALID_ARGUMENT"}}': 1,
        f'{count}{{model_name="nobody",status="NOT_FOUND"}}': 1,
        f'{count}{{model_name="",status="INVALID_ARGUMENT"}}': 1,
        f'{count}{{model_name="m",status="INVALID_ARGUMENT"}}': 1,
        f'{count}{{model_name="",status="OK"}}': 1,
    }
    latency = ":tensorflow:serving:request_latency_count"
    assert growth(before, after, latency) == {
        f'{latency}{{model_name="half_plus",API="predict",entrypoint="REST"}}': 1,
        f'{latency}{{model_name="half_plus",API="",entrypoint="REST"}}': 2,
        f'{latency}{{model_name="",API="",entrypoint="REST"}}': 1,
    }


def test_page_refuses_a_query_and_answers_any_verb(server: ServerProcess) -> None:
    answer = rest.get(server.rest_port, f"{PAGE}?a=b")
    assert (answer.status, answer.headers["content-type"]) == (400, "text/plain")
    assert answer.body.decode() == f"Unexpected path: {PAGE}?a=b. Should be {PAGE}"
    posted = rest.post(server.rest_port, PAGE, b"x")
    assert (posted.status, posted.headers["content-type"]) == (200, "text/plain")


def test_metrics_have_help_and_type_and_count_requests_by_signature(server: ServerProcess) -> None:
    before = series(server, "/metrics")
    with Client(server.grpc_port) as client:
        client.predict("half_plus", {"x": np.float32([1])}, version=3)
        failure(lambda: client.predict("half_plus", {"wrong": np.float32([1])}))
        answer = rest.get(server.rest_port, "/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    text = answer.body.decode()
    named = re.findall(r"^# (HELP|TYPE) (fastserve_\w+) ", text, re.MULTILINE)
    assert named[::2] == [("HELP", name) for _, name in named[1::2]]
    after = series(server, "/metrics")
    spec = 'model="half_plus",version="3",signature="serving_default",method="Predict"'
    counted = growth(before, after, "fastserve_request_duration_seconds_count", spec)
    assert sorted(name.rpartition(",")[2] for name in counted) == [
        'code="INVALID_ARGUMENT"}',
        'code="OK"}',
    ]
    runs = growth(before, after, "fastserve_run_duration_seconds_count", spec)
    assert list(runs.values()) == [1]
    received = growth(before, after, "fastserve_request_bytes_total", 'protocol="grpc"')
    assert sum(received.values()) > 50
    assert after["fastserve_resident_memory_bytes"] > 50e6
    assert after['fastserve_connections{protocol="rest"}'] == 1
    assert after['fastserve_requests_in_flight{protocol="grpc"}'] == 0
    assert after['fastserve_model_ready{model="half_plus"}'] == 1
    assert after['fastserve_model_loads_total{model="half_plus",outcome="OK"}'] >= 1


def test_rest_requests_that_are_no_http_or_too_long_are_counted_by_status(
    server: ServerProcess,
) -> None:
    before = series(server, "/metrics")
    length = {"Host": "x", "Content-Length": str(2**40)}
    too_long = rest.head("POST", "/v1/models/half_plus:predict", length)
    for request, status in ((b"GET\0\r\n\r\n", 400), (too_long, 413), (too_long, 413)):
        assert rest.send(server.rest_port, request).status == status
    grown = growth(before, series(server, "/metrics"), "fastserve_rest_refused_total")
    assert grown == {
        'fastserve_rest_refused_total{status="400"}': 1,
        'fastserve_rest_refused_total{status="413"}': 2,
    }


def test_batches_are_counted(start_server: StartServer, models: Path, tmp_path: Path) -> None:
    parameters = tmp_path / "batching.txt"
    parameters.write_text("max_batch_size { value: 4 } allowed_batch_sizes: 4")
    monitoring = tmp_path / "monitoring.config"
    monitoring.write_text("prometheus_config { enable: true }")
    server = start_server(
        "--model_name=rows",
        f"--model_base_path={models / 'rows'}",
        "--enable_batching",
        f"--batching_parameters_file={parameters}",
        f"--monitoring_config_file={monitoring}",
    )
    with Client(server.grpc_port) as client:
        for _ in range(2):
            client.predict("rows", {"x": np.ones((3, 2), np.float32)})
    assert (
        rest.post(server.rest_port, "/v1/models/rows:predict", {"instances": [[1.0, 1.0]]}).status
        == 200
    )
    page = series(server)
    prefix = ":tensorflow:serving:batching_session:"
    assert page[f"{prefix}wrapped_run_count{{}}"] == 3
    assert page[f'{prefix}queuing_latency_count{{thread_pool_name=""}}'] == 3
    assert page[f"{prefix}input_batch_size_sum{{}}"] == 7
    assert page[f"{prefix}processed_batch_size_sum{{}}"] == 12
    assert page[f'{prefix}padding_size_sum{{execution_batch_size="4"}}'] == 5
    runs = ':tensorflow:serving:runtime_latency_count{model_name="rows",API="Predict"'
    assert page[f'{runs},runtime="TF1"}}'] == 3
    own = series(server, "/metrics")
    assert own['fastserve_batch_rows_bucket{model="rows",version="1",le="2"}'] == 0
    assert own['fastserve_batch_rows_bucket{model="rows",version="1",le="4"}'] == 3
    assert own['fastserve_batch_padding_rows_total{model="rows",version="1"}'] == 5
    assert own['fastserve_batch_queue_duration_seconds_count{model="rows",version="1"}'] == 3


def test_in_flight_requests_are_seen(start_server: StartServer, models: Path) -> None:
    server = start_server(*slow.flags(models))
    name = 'fastserve_requests_in_flight{protocol="grpc"}'
    with Client(server.grpc_port) as client:
        future = client.prediction.Predict.future(slow.request(seconds=1.5), timeout=30)
        wait_until(lambda: series(server, "/metrics")[name] == 1, 10, "one is in flight")
        slow.check(future.result(), 1.5)
        assert series(server, "/metrics")[name] == 0


def test_series_of_a_version_go_with_it_and_totals_of_the_model_stay(
    start_server: StartServer, recorded_models: Path, tmp_path: Path
) -> None:
    base = tmp_path / "m"
    publish(recorded_models / "half_plus" / "1", base, "1")
    monitoring = tmp_path / "monitoring.config"
    monitoring.write_text('prometheus_config { enable: true path: "/elsewhere" }')
    server = start_server(
        "--model_name=m", f"--model_base_path={base}", f"--monitoring_config_file={monitoring}"
    )
    with Client(server.grpc_port) as client:
        client.predict("m", {"x": np.float32([1])})
        assert growth({}, series(server, "/metrics"), 'version="1"')
        publish(recorded_models / "half_plus" / "2", base, "2")
        await_states(client, "m", {1: "END", 2: "AVAILABLE"})
        client.predict("m", {"x": np.float32([1])})
    own = series(server, "/metrics")
    assert not growth({}, own, 'version="1"')
    assert growth({}, own, 'version="2"')
    assert own['fastserve_model_unload_duration_seconds_count{model="m"}'] == 1
    total = ':tensorflow:serving:request_count{model_name="m",status="OK"}'
    assert series(server, "/elsewhere")[total] == 2
    assert rest.get(server.rest_port, PAGE).status == 404
