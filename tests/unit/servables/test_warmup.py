"""Warm-up of a loaded model."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

from fastserve import _native, protos
from fastserve.config.server import PlatformConfig, WarmupConfig
from fastserve.errors import (
    DATA_LOSS,
    INVALID_ARGUMENT,
    UNIMPLEMENTED,
    UNKNOWN,
    ServingError,
)
from fastserve.servables.loader import VersionLoader
from fastserve.servables.runtime import load_runtime
from fastserve.servables.warmup import (
    MAX_RECORDS,
    requests_path,
    warm_up,
    write_warmup_file,
)

CLASSIFY = "tensorflow/serving/classify"
REGRESS = "tensorflow/serving/regress"


class Watched:
    """A real servable that keeps what it is asked to run."""

    def __init__(self, servable: _native.Servable) -> None:
        self._servable = servable
        self.ran: list[tuple[str, bytes]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._servable, name)

    def warm_up(self, method: str, request: bytes, *, check_method_names: bool) -> None:
        self.ran.append((method, request))
        self._servable.warm_up(method, request, check_method_names=check_method_names)

    @property
    def requests(self) -> list[Any]:
        return [protos.PredictRequest.FromString(request) for _, request in self.ran]


def load(directory: Path, name: str) -> _native.Servable:
    return _native.Servable.load(
        load_runtime(), name=name, version=1, path=str(directory / name / "1"), tags=["serve"]
    )


@pytest.fixture(scope="module")
def half_plus_two(models: Path) -> Iterator[_native.Servable]:
    servable = load(models, "half_plus_two")
    yield servable
    servable.release()


@pytest.fixture
def watched(half_plus_two: _native.Servable) -> Watched:
    return Watched(half_plus_two)


def predict(value: float, alias: str = "x", **spec: str) -> Any:
    request = protos.PredictRequest()
    request.model_spec.CopyFrom(protos.ModelSpec(**spec))
    request.inputs[alias].CopyFrom(
        protos.TensorProto(
            dtype=protos.DataType.DT_FLOAT,
            tensor_shape={"dim": [{"size": 1}]},
            float_val=[value],
        )
    )
    return request


def predict_log(value: float, alias: str = "x", **spec: str) -> bytes:
    log = protos.PredictionLog()
    log.predict_log.request.CopyFrom(predict(value, alias, **spec))
    return bytes(log.SerializeToString())


def write(version_dir: Path, *records: bytes) -> Path:
    """Writes a file of warm-up requests as TensorFlow's users do."""
    path = requests_path(version_dir)
    path.parent.mkdir()
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.write(record)
    return path


def run(watched: Watched, version_dir: Path, **config: Any) -> None:
    warm_up(watched, str(version_dir), WarmupConfig(**config))  # type: ignore[arg-type]


def failure(watched: Watched, version_dir: Path, **config: Any) -> ServingError:
    with pytest.raises(ServingError) as raised:
        run(watched, version_dir, **config)
    return raised.value


def test_requests_run_in_order(watched: Watched, tmp_path: Path) -> None:
    write(tmp_path, predict_log(1), predict_log(2, name="another", signature_name=""))
    run(watched, tmp_path)
    assert watched.requests == [predict(1), predict(2, name="another")]
    assert {method for method, _ in watched.ran} == {"predict"}


def test_each_request_runs_as_often_as_asked_for_in_a_row(watched: Watched, tmp_path: Path) -> None:
    write(tmp_path, predict_log(1), predict_log(2))
    run(watched, tmp_path, iterations=2)
    assert watched.requests == [predict(1), predict(1), predict(2), predict(2)]


def test_without_a_file_nothing_runs(
    watched: Watched, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    run(watched, tmp_path)
    assert watched.ran == []
    assert f"No warmup data file found at {requests_path(tmp_path)}" in caplog.messages


def test_an_empty_file_is_no_error(
    watched: Watched, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    path = write(tmp_path)
    run(watched, tmp_path, synthetic=True)
    assert watched.ran == []
    assert caplog.messages == [
        f"Starting to read warmup data for model at {path}",
        f"Finished reading warmup data for model at {path}. Number of warmup records read: 0.",
    ]


def test_switched_off_nothing_runs(watched: Watched, tmp_path: Path) -> None:
    write(tmp_path, b"\xff")
    run(watched, tmp_path, enabled=False)
    assert watched.ran == []


def test_a_record_without_a_request_counts_but_does_not_run(
    watched: Watched, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    write(tmp_path, protos.PredictionLog().SerializeToString(), predict_log(1))
    run(watched, tmp_path)
    assert len(watched.ran) == 1
    assert "records read: 2." in caplog.messages[-1]


def test_a_failing_request_ends_it_with_its_own_error(watched: Watched, tmp_path: Path) -> None:
    write(tmp_path, predict_log(1), predict_log(2, alias="z"), predict_log(3))
    error = failure(watched, tmp_path)
    assert error.code == INVALID_ARGUMENT
    assert error.message.startswith("Signature input alias: x(feed name: ")
    assert len(watched.ran) == 2


def test_classify_regress_and_multi_inference_run_too(
    recorded_models: Path, tmp_path: Path
) -> None:
    example = protos.Example()
    example.features.feature["x"].float_list.value.append(2)
    examples = protos.Input(example_list={"examples": [example]})
    tasks = [
        {"model_spec": {"name": "m", "signature_name": "classify_x_to_y"}, "method_name": CLASSIFY},
        {"model_spec": {"name": "m", "signature_name": "regress_x_to_y"}, "method_name": REGRESS},
    ]
    logs = [protos.PredictionLog() for _ in range(3)]
    logs[0].classify_log.request.input.CopyFrom(examples)
    logs[0].classify_log.request.model_spec.signature_name = "classify_x_to_y"
    logs[1].regress_log.request.input.CopyFrom(examples)
    logs[1].regress_log.request.model_spec.signature_name = "regress_x_to_y"
    logs[2].multi_inference_log.request.CopyFrom(
        protos.MultiInferenceRequest(tasks=tasks, input=examples)
    )
    write(tmp_path, *(log.SerializeToString() for log in logs))
    watched = Watched(load(recorded_models, "half_plus"))
    run(watched, tmp_path)
    assert [method for method, _ in watched.ran] == ["classify", "regress", "multi_inference"]
    watched.release()


@pytest.mark.parametrize(("kind", "number"), [("predict_streamed_log", 7), ("session_run_log", 5)])
def test_streams_and_session_runs_are_refused(
    watched: Watched, tmp_path: Path, kind: str, number: int
) -> None:
    log = protos.PredictionLog()
    getattr(log, kind).SetInParent()
    write(tmp_path, log.SerializeToString())
    error = failure(watched, tmp_path)
    assert error.code == UNIMPLEMENTED
    assert error.message == f"Unsupported log_type for warmup: {number}"


def test_a_record_that_does_not_parse_is_shown(watched: Watched, tmp_path: Path) -> None:
    path = write(tmp_path, b"\xffno record")
    error = failure(watched, tmp_path)
    assert error.code == INVALID_ARGUMENT
    assert error.message == f"Failed to parse warmup record: \\xffno record from {path}"


def test_a_file_of_another_format_is_told(watched: Watched, tmp_path: Path) -> None:
    write(tmp_path).write_bytes(b"this is some text and no records")
    error = failure(watched, tmp_path)
    assert error.code == DATA_LOSS
    assert error.message == (
        "corrupted record at 0 (Is this even a TFRecord file?). "
        "Please verify your warmup data is in TFRecord format."
    )


def test_what_cannot_be_read_is_named(watched: Watched, tmp_path: Path) -> None:
    requests_path(tmp_path).mkdir(parents=True)
    error = failure(watched, tmp_path)
    assert error.code == UNKNOWN
    assert error.message == f"{requests_path(tmp_path)}; Is a directory"


def test_the_limit_of_records_is_not_too_many(watched: Watched, tmp_path: Path) -> None:
    write(tmp_path, *[predict_log(1)] * MAX_RECORDS)
    run(watched, tmp_path)
    assert len(watched.ran) == 1000


def test_one_record_more_than_the_limit_runs_and_fails(watched: Watched, tmp_path: Path) -> None:
    path = write(tmp_path, *[predict_log(1)] * (MAX_RECORDS + 1))
    error = failure(watched, tmp_path)
    assert error.code == INVALID_ARGUMENT
    assert error.message == f"Number of warmup records exceeds the maximum (1000) at {path}"
    assert len(watched.ran) == 1001


def test_a_version_whose_warm_up_fails_does_not_load(models: Path, tmp_path: Path) -> None:
    version = shutil.copytree(models / "half_plus_two" / "1", tmp_path / "1")
    write(version, predict_log(1, signature_name="none"))
    loader = VersionLoader(PlatformConfig())
    with pytest.raises(ServingError, match='Serving signature key "none" not found'):
        loader.load("m", 1, str(version))
    write_warmup_file(requests_path(version), [predict(1).SerializeToString()])
    loader.load("m", 1, str(version)).release()


def test_warm_up_minds_the_method_names_that_the_server_minds(
    recorded_models: Path, tmp_path: Path
) -> None:
    version = shutil.copytree(recorded_models / "heads" / "7", tmp_path / "7")
    write(version, predict_log(1, signature_name="no_method"))
    for checked, text in (
        (False, "^INVALID_ARGUMENT: Signature input alias: inputs"),
        (True, "^INTERNAL: Expected prediction signature method_name to be one of"),
    ):
        loader = VersionLoader(PlatformConfig(warmup=WarmupConfig(check_method_names=checked)))
        with pytest.raises(ServingError, match=text):
            loader.load("m", 7, str(version))


# Made-up requests.


def test_every_signature_that_takes_tensors_gets_a_made_up_request(
    models: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    watched = Watched(load(models, "identity"))
    run(watched, tmp_path, synthetic=True)
    signatures = protos.SignatureDefMap.FromString(watched.signature_def_map).signature_def
    made_for = [request.model_spec.signature_name for request in watched.requests]
    assert made_for == sorted(set(signatures) - {"__saved_model_init_op", "variant"})
    assert caplog.messages == [f"No warmup data file found at {requests_path(tmp_path)}"]
    watched.release()


def test_a_made_up_request_has_the_signatures_shape_and_leaves_defaults_out(
    models: Path, tmp_path: Path
) -> None:
    watched = Watched(load(models, "multi"))
    run(watched, tmp_path, synthetic=True, iterations=2)
    first, second = watched.requests
    assert first == second
    shapes = {
        alias: [dim.size for dim in tensor.tensor_shape.dim]
        for alias, tensor in first.inputs.items()
    }
    assert {alias: shapes[alias] for alias in "abs"} == {"a": [1, 2], "b": [1], "s": [1]}
    signature = protos.SignatureDefMap.FromString(watched.signature_def_map).signature_def[
        "serving_default"
    ]
    assert set(shapes) == set(signature.inputs) - set(signature.defaults)
    watched.release()


def test_a_made_up_request_may_fail(
    recorded_models: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    watched = Watched(load(recorded_models, "errors"))
    run(watched, tmp_path, synthetic=True)
    failed = [message for message in caplog.messages if message.startswith("Signature divide ")]
    assert len(failed) == 1
    assert failed[0].startswith(
        "Signature divide of {name: errors version: 1} fails for a made-up warm-up request: "
        "INVALID_ARGUMENT: Integer division by zero"
    )
    watched.release()


def test_a_file_is_preferred_to_made_up_requests(watched: Watched, tmp_path: Path) -> None:
    write(tmp_path, predict_log(7))
    run(watched, tmp_path, synthetic=True)
    assert watched.requests == [predict(7)]


# Files of recorded requests.


def test_a_written_file_holds_the_requests(watched: Watched, tmp_path: Path) -> None:
    requests = [predict(value, name="m") for value in (1, 2)]
    path = requests_path(tmp_path)
    assert write_warmup_file(path, (request.SerializeToString() for request in requests)) == 2
    run(watched, tmp_path)
    assert watched.requests == requests
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    ("requests", "text"),
    [
        ([b"", b"\xff"], "request 2 is no PredictRequest"),
        ([b""] * (MAX_RECORDS + 1), "a warm-up file holds at most 1000 requests"),
    ],
)
def test_a_file_that_could_not_be_run_is_not_written(
    tmp_path: Path, requests: list[bytes], text: str
) -> None:
    path = requests_path(tmp_path)
    with pytest.raises(ServingError, match=text):
        write_warmup_file(path, requests)
    assert list(path.parent.iterdir()) == []
