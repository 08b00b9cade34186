"""Versions that are served by their model.tflite."""

import shutil
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import get_model_metadata_pb2, prediction_log_pb2

from support import rest
from support.examples import (
    classes,
    classify_request,
    example,
    model_input,
    model_spec,
    multi_request,
    regress_request,
    task,
    values,
)
from support.exporting import exported
from support.grpc_client import SECONDS, Client, failure, predict_request
from support.layout import await_states, config_text, model_entry, publish, retire
from support.lite import interpreted
from support.server import ServerProcess, StartServer

INTERNAL = grpc.StatusCode.INTERNAL
INVALID_ARGUMENT = grpc.StatusCode.INVALID_ARGUMENT

#: Models that cannot be loaded: what their state says.
BROKEN = {
    "garbage": (INVALID_ARGUMENT, "Cannot build FlatBufferModel from buffer."),
    "empty": (INVALID_ARGUMENT, "Cannot build FlatBufferModel from buffer."),
    "bad_metadata": (INVALID_ARGUMENT, "Invalid SignatureDefs found in TfLite model: "),
    "unknown_tensor": (INTERNAL, "Signature input inputs references an unknown tensor"),
    "parsing_examples": (
        INTERNAL,
        "(TensorFlow's ops and the parser of tf.Example are not in ai-edge-litert)",
    ),
}


@pytest.fixture(scope="module")
def lite_models() -> Path:
    """The directory of the models: <model>/1/model.tflite. Not to be written to."""
    return exported(Path(__file__).parents[1] / "models" / "export_lite_models.py")


@pytest.fixture(scope="module")
def base(lite_models: Path, models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The models, broken ones, `both` (with a SavedModel too) and `saved` (a SavedModel alone)."""
    base = tmp_path_factory.mktemp("models")
    shutil.copytree(lite_models, base, dirs_exist_ok=True)
    for name, content in (("garbage", b"TFL3" * 100), ("empty", b"")):
        (base / name / "1").mkdir(parents=True)
        (base / name / "1" / "model.tflite").write_bytes(content)
    for name in ("both", "saved"):
        shutil.copytree(models / "half_plus_two", base / name)
    for version in (base / "both").iterdir():
        shutil.copy(lite_models / "plain" / "1" / "model.tflite", version)
    return base


@pytest.fixture(scope="module")
def server(start_server: StartServer, base: Path, tmp_path_factory: Any) -> ServerProcess:
    file = tmp_path_factory.mktemp("config") / "models.config"
    names = sorted(path.name for path in base.iterdir())
    file.write_text(config_text(model_entry(name, base / name) for name in names))
    return start_server(
        f"--model_config_file={file}",
        "--prefer_tflite_model",
        "--num_tflite_pools=2",
        "--max_num_load_retries=0",
    )


@pytest.fixture(scope="module")
def client(server: ServerProcess) -> Iterator[Client]:
    with Client(server.grpc_port) as client:
        yield client


def signatures(client: Client, model: str) -> Mapping[str, Any]:
    found = get_model_metadata_pb2.SignatureDefMap()
    assert client.metadata(model).metadata["signature_def"].Unpack(found)
    return found.signature_def


def assert_as_interpreted(
    client: Client, file: Path, model: str, inputs: Mapping[str, np.ndarray]
) -> None:
    """Compares a Predict with what the interpreter makes of the same inputs, by alias."""
    signature = signatures(client, model)["serving_default"]
    named = {signature.inputs[alias].name: value for alias, value in inputs.items()}
    expected = interpreted(file, named)
    answer = client.values(model, inputs)
    assert {signature.outputs[alias].name for alias in answer} == expected.keys()
    for alias, value in answer.items():
        wanted = expected[signature.outputs[alias].name]
        assert (value.dtype, value.shape) == (wanted.dtype, wanted.shape)
        if wanted.dtype == np.float32:
            np.testing.assert_allclose(value, wanted, rtol=1e-5, atol=1e-6)
        else:
            np.testing.assert_array_equal(value, wanted)


@pytest.mark.parametrize("model", ["perceptron", "plain", "quantized"])
def test_batches_of_any_size_are_answered_as_by_the_interpreter(
    client: Client, base: Path, model: str
) -> None:
    random = np.random.default_rng(1)
    for rows in (1, 7, 3, 3, 100, 1):
        images = random.normal(size=(rows, 16))
        images = (images * 30).astype(np.int8) if model == "quantized" else np.float32(images)
        file = base / model / "1" / "model.tflite"
        assert_as_interpreted(client, file, model, {"serving_default_images": images})


def test_every_dtype_goes_in_and_out(client: Client, base: Path) -> None:
    inputs = {
        "float32": np.float32([1.5, -2]),
        "int32": np.int32([-(2**31), 2**31 - 1]),
        "uint8": np.uint8([0, 255]),
        "int64": np.int64([-(2**63), 2**63 - 1]),
        "string": np.array([b"a\0\xff", b""], dtype=object),
        "bool": np.array([True, False]),
        "int16": np.int16([-(2**15), 2**15 - 1]),
        "int8": np.int8([-128, 127]),
        "complex64": np.complex64([1 + 2j, -3j]),
    }
    aliased = {f"serving_default_{name}": value for name, value in inputs.items()}
    assert_as_interpreted(client, base / "dtypes" / "1" / "model.tflite", "dtypes", aliased)


def test_outputs_whose_size_shows_in_the_run_are_answered(client: Client) -> None:
    for x, positive in (([1, -1, 2], [[0], [2]]), ([-1], []), ([3], [[0]])):
        answer = client.values("runtime_shapes", {"serving_default_x": np.float32(x)})
        np.testing.assert_array_equal(
            answer["PartitionedCall"], np.int64(positive).reshape(len(positive), 1)
        )


def test_an_empty_batch_gets_an_empty_answer(client: Client) -> None:
    answer = client.values("table", {"serving_default_row": np.zeros(0, np.int32)})
    assert answer["PartitionedCall"].shape == (0, 2)


# Signatures


def test_a_model_without_signature_defs_gets_one_of_its_tensors(
    server: ServerProcess, client: Client
) -> None:
    for model in ("perceptron", "plain"):
        ((key, signature),) = signatures(client, model).items()
        assert (key, signature.method_name) == ("serving_default", "tensorflow/serving/predict")
        ((alias, info),) = signature.inputs.items()
        assert (alias, info.name) == ("serving_default_images", "serving_default_images:0")
        assert info.dtype == tf.float32.as_datatype_enum
        assert [dim.size for dim in info.tensor_shape.dim] == [1, 16]
        ((alias, info),) = signature.outputs.items()
        assert (alias, info.name) == ("PartitionedCall", "PartitionedCall:0")
    assert "No signature def found in TFLite model. Generating one." in server.log()


def test_of_outputs_of_one_op_the_last_has_the_alias_alone(client: Client) -> None:
    outputs = signatures(client, "dtypes")["serving_default"].outputs
    assert outputs["PartitionedCall"].name == "PartitionedCall:8"
    assert {alias for alias, info in outputs.items() if alias == info.name} == {
        f"PartitionedCall:{number}" for number in range(8)
    }


def test_own_signatures_run_the_graphs_that_they_name(client: Client) -> None:
    assert signatures(client, "several_graphs").keys() == {"double", "negate", "serving_default"}
    x = np.float32([1, 2, 3])
    for rows in (1, 3):
        for key, y in (("double", x * 2), ("negate", -x), ("serving_default", x + 1)):
            answer = client.values("several_graphs", {"x": x[:rows]}, signature=key)
            np.testing.assert_array_equal(answer["y"], y[:rows])


def test_signature_defs_in_the_metadata_are_served_as_they_are(client: Client) -> None:
    found = signatures(client, "examples")
    assert {key: signature.method_name for key, signature in found.items()} == {
        method: f"tensorflow/serving/{method}" for method in ("predict", "classify", "regress")
    }
    assert [dim.size for dim in found["predict"].inputs["inputs"].tensor_shape.dim] == [-1]
    inputs = {"inputs": np.array([b"a", b"b"], dtype=object)}
    answer = client.values("examples", inputs, signature="predict", outputs=["outputs", "classes"])
    assert answer.keys() == {"outputs", "classes"}
    np.testing.assert_array_equal(answer["classes"], [[b"a"], [b"b"]])


# Methods


def test_classify_regress_and_multi_inference(client: Client) -> None:
    given = model_input([example(x=1), example(x=2)])  # which are text when serialized
    labels = [each.SerializeToString() for each in given.example_list.examples]
    to_classify = model_spec("examples", "classify")
    to_regress = model_spec("examples", "regress")
    labelled = [[(label.decode(), 0.5)] for label in labels]
    response = client.prediction.Classify(classify_request(to_classify, given), timeout=SECONDS)
    assert classes(response.result) == labelled
    response = client.prediction.Regress(regress_request(to_regress, given), timeout=SECONDS)
    assert values(response.result) == [0.25, 0.25]
    tasks = [task(to_classify, "classify"), task(to_regress, "regress")]
    response = client.prediction.MultiInference(multi_request(tasks, given), timeout=SECONDS)
    classified, regressed = response.results
    assert classes(classified.classification_result) == labelled
    assert values(regressed.regression_result) == [0.25, 0.25]


def test_rest_predicts_classifies_and_regresses(server: ServerProcess) -> None:
    def post(model: str, method: str, body: Any) -> Any:
        answer = rest.post(server.rest_port, f"/v1/models/{model}:{method}", body)
        assert answer.status == 200, answer.body
        return answer.json()

    rows = {"instances": [{"serving_default_row": 2}, {"serving_default_row": 0}]}
    assert post("table", "predict", rows) == {"predictions": [[4.0, 5.0], [0.0, 1.0]]}
    assert post("table", "predict", {"inputs": [1]}) == {"outputs": [[2.0, 3.0]]}
    named = {"signature_name": "negate", "instances": [1.0]}
    assert post("several_graphs", "predict", named) == {"predictions": [-1.0]}
    listed = {"signature_name": "regress", "examples": [{"x": 1}]}
    assert post("examples", "regress", listed) == {"results": [0.25]}
    listed["signature_name"] = "classify"
    label = example(x=1).SerializeToString().decode()
    assert post("examples", "classify", listed) == {"results": [[[label, 0.5]]]}
    metadata = rest.get(server.rest_port, "/v1/models/plain/metadata").json()
    assert metadata["metadata"]["signature_def"]["signature_def"].keys() == {"serving_default"}


def test_warm_up_requests_run_before_the_version_serves(
    start_server: StartServer, lite_models: Path, tmp_path: Path
) -> None:
    version = tmp_path / "m" / "1"
    shutil.copytree(lite_models / "table" / "1", version)
    (version / "assets.extra").mkdir()
    log = prediction_log_pb2.PredictionLog()
    request = predict_request("m", {"serving_default_row": np.int32([1])})
    log.predict_log.request.CopyFrom(request)
    file = version / "assets.extra" / "tf_serving_warmup_requests"
    with tf.io.TFRecordWriter(str(file)) as writer:
        writer.write(log.SerializeToString())
    flags = ("--model_name=m", f"--model_base_path={tmp_path / 'm'}", "--prefer_tflite_model")
    server = start_server(*flags)
    assert "Number of warmup records read: 1." in server.log()
    server.stop()


# Errors


@pytest.mark.parametrize("model", BROKEN)
def test_a_model_that_cannot_be_loaded_says_why(client: Client, model: str) -> None:
    (status,) = client.status(model).model_version_status
    code, text = BROKEN[model]
    assert client.states(model) == {1: "END"}
    assert status.status.error_code == code.value[0]
    assert text in status.status.error_message


def test_requests_that_fit_no_signature_are_refused(client: Client) -> None:
    code, text = failure(lambda: client.predict("plain", {"images": np.zeros((1, 16))}))
    assert code is INVALID_ARGUMENT
    assert "serving_default_images" in text
    doubles = {"serving_default_images": np.zeros((1, 16))}
    assert failure(lambda: client.predict("plain", doubles)) == (
        INVALID_ARGUMENT,
        "Input tensor serving_default_images:0 is to be float but double is provided",
    )


def test_a_run_that_fails_leaves_the_interpreters_usable(client: Client, base: Path) -> None:
    images = {"serving_default_images": np.ones((2, 16), np.float32)}
    for _ in range(4):  # more than there are interpreters
        wrong = {"serving_default_images": np.ones((2, 5), np.float32)}
        code, text = failure(lambda: client.predict("plain", wrong))  # noqa: B023
        assert (code, text.partition(":")[0]) == (INTERNAL, "Failed to allocate tensors")
        assert_as_interpreted(client, base / "plain" / "1" / "model.tflite", "plain", images)
    row = {"serving_default_row": np.int32([5])}
    for _ in range(3):
        code, text = failure(lambda: client.predict("table", row))
        assert (code, text.partition(":")[0]) == (INTERNAL, "Failed to invoke TfLite interpreter")
    huge = tf.make_tensor_proto(np.zeros((0, 1), np.float32))
    huge.tensor_shape.dim[1].size = 2**40
    code, text = failure(lambda: client.predict("plain", {"serving_default_images": huge}))
    assert (code, text.partition(":")[0]) == (INTERNAL, "Failed to resize input tensor")


# Serving


def test_requests_at_the_same_time_get_their_own_answers(server: ServerProcess) -> None:
    """More at a time than there are interpreters, of other sizes and models."""

    def ask(number: int) -> None:
        with Client(server.grpc_port) as client:
            x = np.arange(number + 1, dtype=np.float32) + number
            for key, factor in (("double", 2), ("negate", -1)) * 10:
                answer = client.values("several_graphs", {"x": x}, signature=key)
                np.testing.assert_array_equal(answer["y"], x * factor)
                rows = np.int32([number % 3] * (number + 1))
                answer = client.values("table", {"serving_default_row": rows})
                np.testing.assert_array_equal(answer["PartitionedCall"][:, 0], rows * 2.0)

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(ask, number) for number in range(8)]:
            done.result()


def rows_flags(base: Path, *flags: str) -> tuple[str, ...]:
    """Serves the model that says how many rows each run had."""
    fixed = ("--model_name=rows", f"--model_base_path={base / 'rows'}", "--prefer_tflite_model")
    return (*fixed, "--num_tflite_pools=1", *flags)


def test_several_interpreters_per_pool_mean_batches(start_server: StartServer, base: Path) -> None:
    """Of 500 rows divided by them; a request is cut at that."""
    server = start_server(*rows_flags(base, "--num_tflite_interpreters_per_pool=100"))
    with Client(server.grpc_port) as client:
        for rows, runs in ((3, [3] * 3), (12, [5] * 10 + [2] * 2)):
            answer = client.values("rows", {"serving_default_x": np.zeros(rows, np.float32)})
            np.testing.assert_array_equal(answer["PartitionedCall"], runs)
        many = {"serving_default_x": np.zeros(501, np.float32)}
        assert failure(lambda: client.predict("rows", many))[0] is INVALID_ARGUMENT
    server.stop()


def test_batching_parameters_apply_as_to_a_saved_model(
    start_server: StartServer, base: Path, tmp_path: Path
) -> None:
    parameters = tmp_path / "batching.pbtxt"
    parameters.write_text("max_batch_size { value: 4 } batch_timeout_micros { value: 60000000 }")
    flags = ("--enable_batching", f"--batching_parameters_file={parameters}")
    server = start_server(*rows_flags(base, *flags))
    with Client(server.grpc_port) as client, ThreadPoolExecutor(2) as pool:
        two = {"serving_default_x": np.zeros(2, np.float32)}
        for answer in [pool.submit(client.values, "rows", two) for _ in range(2)]:
            np.testing.assert_array_equal(answer.result()["PartitionedCall"], [4, 4])
    server.stop()


def test_the_saved_model_serves_without_the_flag_or_the_file(
    client: Client, start_server: StartServer, base: Path
) -> None:
    x = {"x": np.float32([2])}
    assert client.values("saved", x)["y"] == [5.0]
    assert failure(lambda: client.predict("both", x))[0] is INVALID_ARGUMENT
    images = {"serving_default_images": np.ones((1, 16), np.float32)}
    assert client.values("both", images)["PartitionedCall"].shape == (1, 4)
    server = start_server("--model_name=both", f"--model_base_path={base / 'both'}")
    with Client(server.grpc_port) as other:
        assert other.values("both", x)["y"] == [5.0]
    server.stop()


def test_versions_come_and_go(start_server: StartServer, lite_models: Path, tmp_path: Path) -> None:
    models = tmp_path / "models"
    publish(lite_models / "perceptron" / "1", models, "1")
    flags = ("--model_name=m", f"--model_base_path={models}", "--prefer_tflite_model")
    server = start_server(*flags)
    images = {"serving_default_images": np.ones((1, 16), np.float32)}
    with Client(server.grpc_port) as client:
        client.predict("m", images)
        publish(lite_models / "plain" / "1", models, "2")
        await_states(client, "m", {1: "END", 2: "AVAILABLE"})
        client.predict("m", images)
        retire(models, "2")
        await_states(client, "m", {1: "AVAILABLE", 2: "END"})
        client.predict("m", images)
    server.stop()
