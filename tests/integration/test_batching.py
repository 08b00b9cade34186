"""Batching over the wire. Where batches must be certain ones, they wait until they are full."""

import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import tensorflow as tf

from support import rest
from support.grpc_client import SECONDS, Client, failure, predict_request
from support.layout import publish, write_whole
from support.server import ServerProcess, StartServer, run_to_end
from support.waiting import wait_until

#: Microseconds after which no test is still there.
FOR_EVER = 600_000_000
PER_VERSION = ("--enable_batching", "--enable_per_model_batching_parameters")

Start = Callable[..., ServerProcess]


def of_signature(name: str, text: str) -> str:
    """Its section of a file of parameters."""
    return f"signature {{ key: '{name}' value {{ {text} }} }}\n"


def parameters(**fields: int | bool | Sequence[int]) -> str:
    """BatchingParameters in text format."""
    lines = []
    for name, value in fields.items():
        if name == "pad_variable_length_inputs":
            lines.append(f"{name}: {str(value).lower()}")
        elif isinstance(value, Sequence):
            lines += [f"{name}: {size}" for size in value]
        else:
            lines.append(f"{name} {{ value: {str(value).lower()} }}")
    return "\n".join(lines) + "\n"


@pytest.fixture
def start(start_server: StartServer, models: Path, tmp_path: Path) -> Iterator[Start]:
    """Starts a server of the model `rows` with these parameters, for one test."""
    servers: list[ServerProcess] = []

    def with_parameters(**fields: Any) -> ServerProcess:
        file = tmp_path / "batching.txt"
        file.write_text(parameters(**fields))
        servers.append(
            start_server(
                "--model_name=rows",
                f"--model_base_path={models / 'rows'}",
                "--enable_batching",
                f"--batching_parameters_file={file}",
            )
        )
        return servers[-1]

    yield with_parameters
    for server in servers:
        server.stop()


class Callers:
    """Calls that are in flight at the same time."""

    def __init__(self, client: Client, pool: ThreadPoolExecutor) -> None:
        self.client = client
        self._pool = pool

    def send(self, x: Any, **spec: Any) -> Future[dict[str, np.ndarray]]:
        values = np.asarray(x, None if spec.get("signature") == "strings" else np.float32)
        return self._pool.submit(self.client.values, "rows", {"x": values}, **spec)


@contextmanager
def callers(server: ServerProcess) -> Iterator[Callers]:
    with Client(server.grpc_port) as client, ThreadPoolExecutor(16) as pool:
        yield Callers(client, pool)


def check(call: Future[dict[str, np.ndarray]], x: Any, size: int) -> None:
    """Asserts the answer: twice x, run in a batch of `size` rows."""
    answer = call.result()
    np.testing.assert_array_equal(answer["y"], 2 * np.asarray(x, np.float32))
    np.testing.assert_array_equal(answer["size"], [size] * len(x))


def test_requests_are_run_together_and_each_gets_its_own_rows(start: Start) -> None:
    with callers(start(max_batch_size=6, batch_timeout_micros=FOR_EVER)) as calls:
        inputs = [[[1]], [[2], [3]], [[4], [5], [6]]]
        futures = [calls.send(x) for x in inputs]
        for x, future in zip(inputs, futures, strict=True):
            check(future, x, size=6)


def test_without_a_timeout_nobody_waits_for_others(start: Start) -> None:
    with callers(start(max_batch_size=100)) as calls:
        check(calls.send([[1, 2]]), [[1, 2]], size=1)


def test_values_are_right_under_load_of_mixed_sizes_and_shapes(start: Start) -> None:
    with callers(start(max_batch_size=16, max_enqueued_batches=100)) as calls:
        random = np.random.default_rng(3)
        inputs = [
            random.random((random.integers(1, 6), random.integers(1, 4))).astype(np.float32)
            for _ in range(400)
        ]
        futures = [calls.send(x) for x in inputs]
        for x, future in zip(inputs, futures, strict=True):
            np.testing.assert_array_equal(future.result()["y"], 2 * x)


def test_strings_are_batched_too(start: Start) -> None:
    with callers(start(max_batch_size=2, batch_timeout_micros=FOR_EVER)) as calls:
        a, b = (calls.send([[text]], signature="strings") for text in ("one", "a longer other one"))
        assert a.result()["y"].tolist() == [[b"ONE"]]
        assert b.result()["y"].tolist() == [[b"A LONGER OTHER ONE"]]
        assert a.result()["size"].tolist() == [2]


def test_an_output_filter_gives_the_outputs_asked_for(start: Start) -> None:
    with callers(start(max_batch_size=2, batch_timeout_micros=FOR_EVER)) as calls:
        a, b = (calls.send([[n]], outputs=["y"]) for n in (1, 2))
        assert {k: v.tolist() for k, v in a.result().items()} == {"y": [[2]]}
        assert {k: v.tolist() for k, v in b.result().items()} == {"y": [[4]]}


def test_rest_and_grpc_requests_share_batches(start: Start) -> None:
    server = start(max_batch_size=2, batch_timeout_micros=FOR_EVER)
    with callers(server) as calls:
        future = calls.send([[1]])
        answer = rest.post(server.rest_port, "/v1/models/rows:predict", {"instances": [[5]]})
        assert answer.json() == {"predictions": [{"y": [10.0], "size": 2}]}
        check(future, [[1]], size=2)


def test_a_batch_is_padded_to_an_allowed_size(start: Start) -> None:
    with callers(start(max_batch_size=8, allowed_batch_sizes=[4, 8])) as calls:
        check(calls.send([[1], [2], [3]]), [[1], [2], [3]], size=4)
        check(calls.send([[1]] * 5), [[1]] * 5, size=8)


def test_a_large_request_is_cut_and_its_answer_put_together(start: Start) -> None:
    server = start(
        max_batch_size=100, enable_large_batch_splitting=True, max_execution_batch_size=4
    )
    with callers(server) as calls:
        x = np.arange(9, dtype=np.float32).reshape(9, 1)
        answer = calls.send(x).result()
        np.testing.assert_array_equal(answer["y"], 2 * x)
        assert answer["size"].tolist() == [4] * 8 + [1]
        texts = calls.send([[f"text {n}"] for n in range(9)], signature="strings").result()
        assert texts["y"].tolist() == [[f"TEXT {n}".encode()] for n in range(9)]


def test_inputs_of_variable_length_are_padded_with_their_first_element(start: Start) -> None:
    server = start(max_batch_size=2, batch_timeout_micros=FOR_EVER, pad_variable_length_inputs=True)
    with callers(server) as calls:
        short, long = calls.send([[1, 2]]), calls.send([[3, 4, 5]])
        assert short.result()["y"].tolist() == [[2, 4, 2]]
        assert long.result()["y"].tolist() == [[6, 8, 10]]


def test_without_padding_requests_of_another_shape_are_no_trouble(start: Start) -> None:
    with callers(start(max_batch_size=2, batch_timeout_micros=FOR_EVER)) as calls:
        inputs = [[[1]], [[1, 2]], [[2]], [[3, 4]]]
        futures = [calls.send(x) for x in inputs]
        for x, future in zip(inputs, futures, strict=True):
            check(future, x, size=2)


def test_a_run_that_fails_fails_the_requests_in_it_and_no_others(start: Start) -> None:
    with callers(start(max_batch_size=2, batch_timeout_micros=FOR_EVER)) as calls:
        bad = [calls.send([[-1]]), calls.send([[1]])]
        good = [calls.send([[1, 2]]), calls.send([[3, 4]])]
        for future in bad:
            code, text = failure(future.result)
            assert code is grpc.StatusCode.INVALID_ARGUMENT
            assert "x is negative" in text
        for future in good:
            future.result()


@pytest.mark.parametrize(
    ("signature", "inputs", "text"),
    [
        (
            "serving_default",
            {"x": np.ones((9, 1), np.float32)},
            "Task size 9 is larger than maximum input batch size 8",
        ),
        (
            "total",
            {"x": np.float32(1)},
            "Batching Run() input tensors must have at least one dimension",
        ),
        (
            "two",
            {"a": np.ones(2, np.float32), "b": np.ones(3, np.float32)},
            "Batching Run() input tensors must have equal 0th-dimension size",
        ),
    ],
)
def test_what_cannot_be_batched_is_refused(
    start: Start, signature: str, inputs: dict[str, Any], text: str
) -> None:
    with Client(start(max_batch_size=8).grpc_port) as client:
        refused = failure(lambda: client.predict("rows", inputs, signature=signature))
        assert refused == (grpc.StatusCode.INVALID_ARGUMENT, text)


def test_outputs_that_cannot_be_cut_into_rows_are_an_error(start: Start) -> None:
    with Client(start(max_batch_size=8).grpc_port) as client:

        def refused(signature: str) -> tuple[grpc.StatusCode, str]:
            x = np.ones(2, np.float32)
            return failure(lambda: client.predict("rows", {"x": x}, signature=signature))

        precondition = grpc.StatusCode.FAILED_PRECONDITION
        assert refused("total") == (precondition, "Batched output tensor has 0 dimensions")
        assert refused("twice") == (
            precondition,
            "Batched output tensor's 0th dimension does not equal the sum of the 0th dimension "
            "sizes of the input tensors",
        )


def test_no_rows_are_answered_with_no_rows(start: Start) -> None:
    with callers(start(max_batch_size=8, allowed_batch_sizes=[8])) as calls:
        assert calls.send(np.zeros((0, 3))).result()["y"].shape == (0, 3)


def test_a_full_queue_is_unavailable(start: Start) -> None:
    server = start(max_batch_size=2, batch_timeout_micros=FOR_EVER, max_enqueued_batches=1)
    with callers(server) as calls:
        waiting = calls.client.prediction.Predict.future(
            predict_request("rows", {"x": np.ones((1, 1), np.float32)}), timeout=SECONDS
        )
        calls.client.status("rows")  # on the same connection, so the other has come before
        two_rows = {"x": np.ones((2, 1), np.float32)}
        assert failure(lambda: calls.client.predict("rows", two_rows)) == (
            grpc.StatusCode.UNAVAILABLE,
            "The batch scheduling queue to which this task was submitted is full; "
            "currently 1 batches enqueued and max_enqueued_batches is 1",
        )
        # What fills the batch that waits is taken.
        check(calls.send([[2]]), [[2]], size=2)
        assert tf.make_ndarray(waiting.result().outputs["size"]).tolist() == [2]


def test_a_request_whose_time_is_over_is_not_run(start: Start) -> None:
    with callers(start(max_batch_size=3, batch_timeout_micros=FOR_EVER)) as calls:
        late = calls.send([[1]], seconds=0.3)
        assert failure(late.result)[0] is grpc.StatusCode.DEADLINE_EXCEEDED
        check(calls.send([[2], [3]]), [[2], [3]], size=2)


def test_a_stop_does_not_wait_for_batches_to_fill(start: Start) -> None:
    server = start(max_batch_size=2, batch_timeout_micros=FOR_EVER)
    with Client(server.grpc_port) as client:
        request = predict_request("rows", {"x": np.ones((1, 1), np.float32)})
        waiting = client.prediction.Predict.future(request, timeout=SECONDS)
        client.status("rows")  # on the same connection, so the server has seen the other as well
        server.stop()
        assert tf.make_ndarray(waiting.result().outputs["size"]).tolist() == [1]


@pytest.fixture
def two_models(models: Path, tmp_path: Path) -> Path:
    """A config of the models `batched` and `alone`; only the first has batching parameters."""
    for name in ("batched", "alone"):
        (tmp_path / name).mkdir()
        publish(models / "rows" / "1", tmp_path / name, "1")
    file = tmp_path / "models.config"
    entries = (
        f"config {{ name: '{name}' base_path: '{tmp_path / name}' model_platform: 'tensorflow' }}"
        for name in ("batched", "alone")
    )
    file.write_text(f"model_config_list {{ {' '.join(entries)} }}")
    return file


def test_each_version_may_have_parameters_of_its_own(
    start_server: StartServer, two_models: Path
) -> None:
    own = two_models.parent / "batched" / "1" / "batching_params.pbtxt"
    own.write_text(parameters(max_batch_size=4, allowed_batch_sizes=[4]))
    server = start_server(f"--model_config_file={two_models}", *PER_VERSION)
    with Client(server.grpc_port) as client:
        x = np.ones((2, 1), np.float32)
        assert client.values("batched", {"x": x})["size"].tolist() == [4, 4]
        assert client.values("alone", {"x": x})["size"].tolist() == [2, 2]
        assert client.values("alone", {"x": np.float32([1])}, signature="total")["y"] == 1


def test_parameters_that_make_no_sense_fail_the_load_of_their_model_alone(
    start_server: StartServer, two_models: Path
) -> None:
    own = two_models.parent / "batched" / "1" / "batching_params.pbtxt"
    own.write_text(parameters(max_batch_size=4, allowed_batch_sizes=[2]))
    server = start_server(
        f"--model_config_file={two_models}", *PER_VERSION, "--max_num_load_retries=0"
    )
    with Client(server.grpc_port) as client:
        assert client.states("alone") == {1: "AVAILABLE"}
        (state,) = client.status("batched").model_version_status
        assert state.status.error_message == (
            "Last entry in allowed_batch_sizes must match max_batch_size; last entry was 2; "
            "expected 4"
        )


def test_parameters_are_read_again_with_the_config(
    start_server: StartServer, two_models: Path, tmp_path: Path
) -> None:
    file = tmp_path / "batching.txt"
    file.write_text(parameters(max_batch_size=8, allowed_batch_sizes=[4, 8]))
    server = start_server(
        f"--model_config_file={two_models}",
        "--enable_batching",
        f"--batching_parameters_file={file}",
    )
    with Client(server.grpc_port) as client:

        def size() -> int:
            return int(client.values("alone", {"x": np.ones((1, 1), np.float32)})["size"][0])

        assert size() == 4
        write_whole(file, parameters(max_batch_size=8, allowed_batch_sizes=[2, 8]))
        server.signal(signal.SIGHUP)
        wait_until(lambda: size() == 2, SECONDS, "the new parameters hold")
        write_whole(file, parameters(max_batch_size=8, allowed_batch_sizes=[2]))
        server.signal(signal.SIGHUP)
        wait_until(lambda: "the batching parameters stay" in server.log(), SECONDS, "it is told")
        assert size() == 2


def test_a_signature_may_have_parameters_of_its_own_and_they_are_read_again(
    start_server: StartServer, two_models: Path, tmp_path: Path
) -> None:
    file = tmp_path / "batching.txt"
    common = parameters(max_batch_size=8, allowed_batch_sizes=[4, 8])
    own = parameters(max_batch_size=2, allowed_batch_sizes=[2])
    file.write_text(common + of_signature("strings", own))
    server = start_server(
        f"--model_config_file={two_models}",
        "--enable_batching",
        f"--batching_parameters_file={file}",
    )
    with Client(server.grpc_port) as client:

        def sizes() -> list[int]:
            texts = client.values("alone", {"x": [["a"]]}, signature="strings")
            numbers = client.values("alone", {"x": np.ones((1, 1), np.float32)})
            return [int(values["size"][0]) for values in (texts, numbers)]

        assert sizes() == [2, 4]
        three_rows = {"x": [["a"]] * 3}
        assert failure(lambda: client.predict("alone", three_rows, signature="strings")) == (
            grpc.StatusCode.INVALID_ARGUMENT,
            "Task size 3 is larger than maximum input batch size 2",
        )
        write_whole(file, common + of_signature("strings", own.replace("2", "3")))
        server.signal(signal.SIGHUP)
        wait_until(lambda: sizes() == [3, 4], SECONDS, "the signature's new parameters hold")
        write_whole(file, common)
        server.signal(signal.SIGHUP)
        wait_until(lambda: sizes() == [4, 4], SECONDS, "the common parameters hold for it")


def test_a_versions_own_file_may_have_sections_and_a_wrong_one_is_named(
    start_server: StartServer, two_models: Path
) -> None:
    for name, allowed in (("batched", 2), ("alone", 1)):
        own = parameters(max_batch_size=2, allowed_batch_sizes=[allowed])
        file = two_models.parent / name / "1" / "batching_params.pbtxt"
        file.write_text(parameters(max_batch_size=8) + of_signature("strings", own))
    server = start_server(
        f"--model_config_file={two_models}", *PER_VERSION, "--max_num_load_retries=0"
    )
    with Client(server.grpc_port) as client:
        texts = client.values("batched", {"x": [["a"]]}, signature="strings")
        assert texts["size"].tolist() == [2]
        (state,) = client.status("alone").model_version_status
        assert state.status.error_message == (
            "signature strings: Last entry in allowed_batch_sizes must match max_batch_size; last "
            "entry was 1; expected 2"
        )


#: y = x, by two signatures.
ALIKE = (
    """saved_model_schema_version: 1 meta_graphs { meta_info_def { tags: 'serve' }
graph_def {
  node { name: 'x' op: 'Placeholder' attr { key: 'dtype' value { type: DT_FLOAT } } }
  node { name: 'y' op: 'Identity' input: 'x' attr { key: 'T' value { type: DT_FLOAT } } }
}"""
    + "".join(
        f"""signature_def {{ key: '{name}' value {{
  inputs {{ key: 'x' value {{ name: 'x:0' dtype: DT_FLOAT }} }}
  outputs {{ key: 'y' value {{ name: 'y:0' dtype: DT_FLOAT }} }} }} }}"""
        for name in ("own", "other", "another")
    )
    + "}"
)


def test_signatures_of_the_same_tensors_share_batches_but_for_those_with_their_own_parameters(
    start_server: StartServer, tmp_path: Path
) -> None:
    (tmp_path / "alike" / "1").mkdir(parents=True)
    (tmp_path / "alike" / "1" / "saved_model.pbtxt").write_text(ALIKE)
    two = parameters(max_batch_size=2, batch_timeout_micros=FOR_EVER)
    file = tmp_path / "batching.txt"
    file.write_text(two + of_signature("own", two))
    server = start_server(
        "--model_name=alike",
        f"--model_base_path={tmp_path / 'alike'}",
        "--enable_batching",
        f"--batching_parameters_file={file}",
    )
    with Client(server.grpc_port) as client:
        calls = []
        for signature in ("own", "other", "own", "another"):
            request = predict_request("alike", {"x": np.ones(1, np.float32)}, signature=signature)
            calls.append(client.prediction.Predict.future(request, timeout=SECONDS))
            client.status("alike")  # on the same connection, so the other has come before
        for call in calls:
            assert call.result().outputs["y"].float_val == [1]


@pytest.mark.parametrize(
    ("flags", "text", "error"),
    [
        (
            [],
            "max_batch_size { value: 8 }",
            "server_options.batching_parameters_file is set without setting "
            "server_options.enable_batching to true.",
        ),
        (
            ["--enable_batching"],
            "num_batch_threads { value: 0 }",
            "num_batch_threads must be positive; was 0",
        ),
        (["--enable_batching"], "max_batch: 8", "Invalid protobuf file: '"),
        (
            ["--enable_batching"],
            of_signature("strings", "num_batch_threads { value: 2 }"),
            "num_batch_threads is set for signature strings; set it outside, since all signatures "
            "share the threads",
        ),
    ],
)
def test_flags_that_make_no_sense_end_the_start(
    models: Path, tmp_path: Path, flags: list[str], text: str, error: str
) -> None:
    file = tmp_path / "batching.txt"
    file.write_text(text)
    done = run_to_end(
        f"--model_base_path={models / 'rows'}", f"--batching_parameters_file={file}", *flags
    )
    assert done.returncode == 255
    assert error in done.stderr
