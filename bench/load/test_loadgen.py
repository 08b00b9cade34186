"""The load generator against a stock grpcio server: what counts as an answer, and what does not.

FASTSERVE_BENCH_BIN=build/release/bench python -m pytest bench/load
"""

from __future__ import annotations

import json
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import grpc
import pytest

from bench.harness import PREDICT_PATH, Exchange, Load, LoadResult, Server, program, run_load

Answer = Callable[[bytes, grpc.ServicerContext], bytes]


# A minimal protobuf writer, so that neither this test nor its server needs TensorFlow.
def field(number: int, payload: bytes) -> bytes:
    return bytes([number << 3 | 2, len(payload)]) + payload


def integer(number: int, value: int) -> bytes:
    assert 0 <= value < 128
    return bytes([number << 3, value])


def predict_response(
    values: list[float], *, version: int = 1, typed: bool = True, alias: str = "y", dtype: int = 1
) -> bytes:
    """A PredictResponse with one float vector, in either encoding."""
    packed = struct.pack(f"<{len(values)}f", *values)
    shape = field(2, field(2, integer(1, len(values))))
    tensor = integer(1, dtype) + shape + field(5 if typed else 4, packed)
    outputs = field(1, field(1, alias.encode()) + field(2, tensor))
    spec = field(1, b"model") + field(2, integer(1, version)) + field(3, b"serving_default")
    return outputs + field(2, spec)


@pytest.fixture
def drive(tmp_path: Path) -> Iterator[Callable[..., LoadResult]]:
    """Runs the generator against a grpcio server that answers by the function given."""
    servers: list[grpc.Server] = []

    def run(
        answer: Answer,
        *expected: bytes,
        compare_bytes: bool = False,
        infer: bool = False,
        tolerance: float = 0.0,
        load: Load | None = None,
        seconds: float = 0.3,
    ) -> LoadResult:
        handler = grpc.method_handlers_generic_handler(
            "tensorflow.serving.PredictionService",
            {"Predict": grpc.unary_unary_rpc_method_handler(answer)},
        )
        server = grpc.server(futures.ThreadPoolExecutor(4))
        server.add_generic_rpc_handlers((handler,))
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        servers.append(server)
        paths = []
        for i, message in enumerate(expected):
            paths.append(tmp_path / f"expected{i}")
            paths[-1].write_bytes(message)
        body = tmp_path / "body"
        body.write_bytes(b"request")
        exchange = Exchange(
            path=PREDICT_PATH,
            body=body,
            expected=tuple(paths),
            compare_bytes=compare_bytes,
            infer=infer,
            tolerance=tolerance,
        )
        return run_load(
            exchange,
            load or Load(connections=2, streams=4),
            port=port,
            seconds=seconds,
            warm_up=0.1,
        )

    yield run
    for server in servers:
        server.stop(None).wait()


Drive = Callable[..., LoadResult]


def only_errors(result: LoadResult) -> set[str]:
    """The kinds of error, once it is clear that nothing counted."""
    assert result.ok == 0
    assert sum(result.right_by_expected) == 0
    assert result.error_count > 0
    return set(result.errors)


@pytest.mark.parametrize("typed", [True, False])
def test_right_value_counts_in_either_encoding(drive: Drive, typed: bool) -> None:
    answer = predict_response([2.5, 3.0], typed=typed)
    result = drive(lambda _request, _context: answer, predict_response([2.5, 3.0]))
    assert result.ok > 0
    assert result.error_count == 0


def test_server_receives_the_body_unchanged(drive: Drive) -> None:
    result = drive(lambda request, _context: request, b"request", compare_bytes=True)
    assert result.ok > 0
    assert result.error_count == 0


@pytest.mark.parametrize(
    "answer",
    [
        predict_response([2.5000002, 3.0]),
        predict_response([2.5]),
        predict_response([float("nan"), 3.0]),
        predict_response([2.5, 3.0], alias="z"),
        predict_response([2.5, 3.0], version=2),
        predict_response([2.5, 3.0], dtype=2, typed=False),
        predict_response([2.5, 3.0])[:-1],
        predict_response([2.5, 3.0]) * 2,
        b"",
        b"no protobuf",
    ],
    ids=["bits", "shape", "nan", "alias", "version", "dtype", "cut", "twice", "empty", "garbage"],
)
def test_wrong_value_with_status_ok_is_an_error(drive: Drive, answer: bytes) -> None:
    result = drive(lambda _request, _context: answer, predict_response([2.5, 3.0]))
    assert only_errors(result) == {"value"}


def test_wrong_answer_among_right_ones_is_found(drive: Drive) -> None:
    lock = threading.Lock()
    served = [0]

    def every_tenth_wrong(_request: bytes, _context: grpc.ServicerContext) -> bytes:
        with lock:
            served[0] += 1
            return predict_response([2.5 if served[0] % 10 else 9.5])

    result = drive(every_tenth_wrong, predict_response([2.5]))
    right = sum(result.right_by_expected)
    assert result.errors["value"]["count"] == served[0] // 10
    assert right == served[0] - served[0] // 10


def test_tolerance_allows_what_it_says_and_no_more(drive: Drive) -> None:
    expected = predict_response([0.5, 100.0])
    near = predict_response([0.50009, 100.009])
    far = predict_response([0.5, 100.011])
    nan = predict_response([0.5, float("nan")])
    assert drive(lambda _r, _c: near, expected, tolerance=1e-4).error_count == 0
    assert only_errors(drive(lambda _r, _c: far, expected, tolerance=1e-4)) == {"value"}
    assert only_errors(drive(lambda _r, _c: nan, expected, tolerance=1e-4)) == {"value"}


def infer_response(*outputs: tuple[str, list[float]], datatype: bytes = b"FP32") -> bytes:
    """A ModelInferResponse with float vectors."""
    message = field(1, b"model") + field(2, b"1")
    for name, values in outputs:
        shape = field(3, bytes([len(values)]))
        message += field(5, field(1, name.encode()) + field(2, datatype) + shape)
    for _, values in outputs:
        message += field(6, struct.pack(f"<{len(values)}f", *values))
    return message


def test_right_value_counts_in_either_order_of_outputs_of_the_infer_protocol(drive: Drive) -> None:
    expected = infer_response(("a", [2.5]), ("b", [3.0, 4.0]))
    other_order = infer_response(("b", [3.0, 4.0]), ("a", [2.5]))
    result = drive(lambda _request, _context: other_order, expected, infer=True)
    assert result.ok > 0
    assert result.error_count == 0


@pytest.mark.parametrize(
    "answer",
    [
        infer_response(("y", [2.6])),
        infer_response(("y", [2.5, 3.0])),
        infer_response(("z", [2.5])),
        infer_response(("y", [2.5]), datatype=b"INT32"),
        infer_response(("y", [2.5]))[:-1],
        infer_response(("y", [2.5])) + field(6, b"more"),
        field(1, b"model"),
    ],
    ids=["value", "shape", "name", "datatype", "cut", "more", "empty"],
)
def test_wrong_value_of_the_infer_protocol_is_an_error(drive: Drive, answer: bytes) -> None:
    result = drive(lambda _request, _context: answer, infer_response(("y", [2.5])), infer=True)
    assert only_errors(result) == {"value"}


def test_nonzero_grpc_status_is_an_error_by_its_number(drive: Drive) -> None:
    def refuse(_request: bytes, context: grpc.ServicerContext) -> bytes:
        context.abort(grpc.StatusCode.NOT_FOUND, "no such model")
        raise AssertionError

    result = drive(refuse, predict_response([2.5]))
    assert only_errors(result) == {"grpc-status 5"}
    assert result.errors["grpc-status 5"]["sample"] == "no such model"


def test_right_message_with_nonzero_status_is_an_error(drive: Drive) -> None:
    def answer(_request: bytes, context: grpc.ServicerContext) -> bytes:
        context.set_code(grpc.StatusCode.UNKNOWN)
        return predict_response([2.5])

    assert only_errors(drive(answer, predict_response([2.5]))) == {"grpc-status 2"}


def test_value_must_fit_the_version_that_the_answer_names(drive: Drive) -> None:
    expected = [predict_response([float(v)], version=v) for v in (1, 2, 3)]
    lock = threading.Lock()
    turn = [0]

    def swapping(_request: bytes, _context: grpc.ServicerContext) -> bytes:
        with lock:
            turn[0] += 1
            return expected[turn[0] % 2]

    result = drive(swapping, *expected)
    assert result.error_count == 0
    assert [count > 0 for count in result.right_by_expected] == [True, True, False]
    mixed = predict_response([2.0], version=1)
    assert only_errors(drive(lambda _r, _c: mixed, *expected)) == {"value"}


def test_unanswered_calls_are_errors() -> None:
    """A listener that accepts and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        command = [str(program("loadgen")), "--port", str(listener.getsockname()[1])]
        command += ["--path", "/x", "--body", __file__, "--expect_bytes", __file__]
        command += ["--warm_up", "0.1", "--duration", "0.1", "--drain", "0.1", "--streams", "3"]
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    assert done.returncode == 1
    assert '"timeout": {"count": 3' in done.stdout


def test_lost_connection_fails_every_call_on_it(tmp_path: Path) -> None:
    body = tmp_path / "body"
    body.write_bytes(b"x" * 100)
    command = [str(program("echo_server")), "--port_file", str(tmp_path / "port")]
    server = Server("echo", command, tmp_path / "log", tmp_path / "port")
    exchange = Exchange(path="/x", body=body, expected=(body,), compare_bytes=True)
    with server, futures.ThreadPoolExecutor(1) as pool:
        load = Load(connections=2, streams=5)
        running = pool.submit(run_load, exchange, load, port=server.port, seconds=1.0)
        time.sleep(0.5)
        server.stop()
        result = running.result()
    assert result.errors["connection lost"]["count"] == 10


def test_large_messages_pass_both_ways_unchanged(tmp_path: Path) -> None:
    body = tmp_path / "body"
    body.write_bytes(bytes(range(256)) * (20 << 12))  # 20 MiB: beyond every window and frame
    command = [str(program("echo_server")), "--port_file", str(tmp_path / "port")]
    command += ["--threads", "2"]
    exchange = Exchange(path="/x", body=body, expected=(body,), compare_bytes=True)
    with Server("echo", command, tmp_path / "log", tmp_path / "port") as server:
        load = Load(connections=2, streams=3)
        result = run_load(exchange, load, port=server.port, seconds=1.0, pids=server.pids)
    assert result.ok > 0
    assert result.error_count == 0
    assert result.server_cpu_us_per_ok > 0


def test_latencies_are_those_of_the_server(drive: Drive) -> None:
    def slow(_request: bytes, _context: grpc.ServicerContext) -> bytes:
        time.sleep(0.05)
        return b"done"

    one = Load(connections=1)
    result = drive(slow, b"done", compare_bytes=True, load=one, seconds=1.0)
    assert 50_000 <= result.latency_us["p50"] < 100_000
    assert 50_000 <= result.latency_us["mean"] < 100_000
    assert result.latency_us["p50"] <= result.latency_us["p99"] <= result.latency_us["max"]
    assert 10 <= result.ok_per_s <= 20


def test_latency_of_an_open_loop_counts_from_when_a_request_was_due(drive: Drive) -> None:
    def slow(_request: bytes, _context: grpc.ServicerContext) -> bytes:
        time.sleep(0.05)
        return b"done"

    # One call at a time, and twice as many due as it can carry: the wait grows to half the window.
    load = Load(connections=1, rate=40, arrival="constant")
    result = drive(slow, b"done", compare_bytes=True, load=load, seconds=1.0)
    assert result.open_loop is not None
    assert result.open_loop.unsent == 0
    assert result.open_loop.late > 30
    assert 400_000 <= result.open_loop.lag_p99_us < result.latency_us["p99"]
    assert sum(count for _, count in result.buckets) == 40
    assert result.ok_per_s <= 20  # of those, what was answered within the window


@pytest.mark.parametrize("arrival", ["poisson", "constant"])
def test_open_loop_offers_its_rate_by_a_schedule_of_its_own(tmp_path: Path, arrival: str) -> None:
    body = tmp_path / "body"
    body.write_bytes(b"x" * 100)
    command = [str(program("echo_server")), "--port_file", str(tmp_path / "port")]
    exchange = Exchange(path="/x", body=body, expected=(body,), compare_bytes=True)
    load = Load(connections=2, streams=500, rate=2000, arrival=arrival)
    with Server("echo", command, tmp_path / "log", tmp_path / "port") as server:
        runs = [
            run_load(exchange, load, port=server.port, seconds=0.5, warm_up=0.1) for _ in range(2)
        ]
    counted = [sum(count for _, count in run.buckets) for run in runs]
    assert counted[0] == counted[1]
    spread = 1 if arrival == "constant" else 5 * 1000**0.5
    assert counted[0] == pytest.approx(1000, abs=spread)
    assert all(run.error_count == 0 for run in runs)


def test_requests_that_found_no_call_until_the_end_are_told_as_unsent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        command = [str(program("loadgen")), "--port", str(listener.getsockname()[1])]
        command += ["--path", "/x", "--body", __file__, "--expect_bytes", __file__]
        command += ["--warm_up", "0", "--duration", "0.2", "--drain", "0.1", "--streams", "3"]
        command += ["--rate", "1000", "--arrival", "constant"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    report = json.loads(done.stdout)
    assert report["errors"]["timeout"]["count"] == 3
    assert report["offered"] == pytest.approx(200, abs=1)
    assert report["unsent"] == report["offered"] - 3


class RestHandler(BaseHTTPRequestHandler):
    """Answers by the path: /right, /wrong, /fails."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one write

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(400 if self.path == "/fails" else 200)
        answer = body[::-1] if self.path != "/wrong" else body
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def rest_port() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), RestHandler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("path", "error"), [("/right", None), ("/wrong", "value"), ("/fails", "http HTTP/1.1 400")]
)
def test_rest_answer_needs_status_200_and_the_right_body(
    tmp_path: Path, rest_port: int, path: str, error: str | None
) -> None:
    (tmp_path / "body").write_text('{"instances": [1.0]}')
    (tmp_path / "answer").write_text('{"instances": [1.0]}'[::-1])
    exchange = Exchange(
        path=path,
        body=tmp_path / "body",
        expected=(tmp_path / "answer",),
        compare_bytes=True,
        rest=True,
    )
    result = run_load(exchange, Load(connections=3), port=rest_port, seconds=0.3, warm_up=0.1)
    if error is None:
        assert result.ok > 0
        assert result.error_count == 0
    else:
        assert only_errors(result) == {error}
