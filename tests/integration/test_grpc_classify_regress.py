"""Classify, Regress and MultiInference over gRPC, with the official stubs."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from tensorflow.core.example import example_pb2

from support.examples import (
    classes,
    classify_request,
    example,
    model_input,
    model_spec,
    multi_request,
    regress_request,
    spec_of,
    task,
    values,
)
from support.grpc_client import SECONDS, Client, failure
from support.server import StartServer

INVALID_ARGUMENT = grpc.StatusCode.INVALID_ARGUMENT
TWO = model_input([example(x=2.0, n=3, s=b"lab"), example(x=-0.5)])


@pytest.fixture(scope="module")
def heads(start_server: StartServer, recorded_models: Path) -> Iterator[Client]:
    """scores [x, 2x, x/4], classes a b ü, labels [s, n], first = x + n; version 7."""
    base = recorded_models / "heads"
    server = start_server("--model_name=heads", f"--model_base_path={base}")
    with Client(server.grpc_port) as client:
        yield client


@pytest.fixture(scope="module")
def half_plus(start_server: StartServer, recorded_models: Path) -> Iterator[Client]:
    """y = x / 2 + 4, version 3; its signatures have different inputs."""
    base = recorded_models / "half_plus"
    server = start_server("--model_name=half_plus", f"--model_base_path={base}")
    with Client(server.grpc_port) as client:
        yield client


def classify(client: Client, given: Any, **spec: Any) -> Any:
    request = classify_request(model_spec("heads", **spec), given)
    return client.prediction.Classify(request, timeout=SECONDS)


def regress(client: Client, given: Any, **spec: Any) -> Any:
    request = regress_request(model_spec("heads", **spec), given)
    return client.prediction.Regress(request, timeout=SECONDS)


def multi(client: Client, tasks: list[Any], given: Any) -> Any:
    return client.prediction.MultiInference(multi_request(tasks, given), timeout=SECONDS)


def test_classify_answers_labels_and_scores_of_each_example(heads: Client) -> None:
    response = classify(heads, TWO)
    assert classes(response.result) == [
        [("a", 2.0), ("b", 4.0), ("ü", 0.5)],
        [("a", -0.5), ("b", -1.0), ("ü", -0.125)],
    ]
    assert spec_of(response) == ("heads", 7, "serving_default")


def test_classify_leaves_the_missing_half_at_its_default(heads: Client) -> None:
    scores = classify(heads, TWO, signature="scores_only")
    assert classes(scores.result)[0] == [("", 2.0), ("", 4.0), ("", 0.5)]
    labels = classify(heads, TWO, signature="classes_only")
    assert classes(labels.result) == [[("lab", 0.0), ("3", 0.0)], [("none", 0.0), ("0", 0.0)]]


def test_regress_answers_one_value_an_example(heads: Client) -> None:
    for signature in ("regress", "regress_column", "regress_as_predict"):
        response = regress(heads, TWO, signature=signature, version=7)
        assert values(response.result) == [5.0, -0.5]
        assert spec_of(response) == ("heads", 7, signature)


def test_context_is_part_of_each_example_which_overrides_it(heads: Client) -> None:
    given = model_input([example(n=1), example(n=2, x=1.0), example()], example(x=8.0))
    assert values(regress(heads, given, signature="regress").result) == [9.0, 3.0, 8.0]


def test_an_empty_context_and_an_empty_example_are_legal(heads: Client) -> None:
    given = model_input([example()], example())
    assert values(regress(heads, given, signature="regress").result) == [1.0]


def test_many_examples_are_answered_in_order(heads: Client) -> None:
    xs = [float(i) for i in range(5000)]
    given = model_input([example(x=x) for x in xs])
    assert values(regress(heads, given, signature="regress").result) == xs
    scores = classify(heads, given, signature="scores_only")
    assert [row[1][1] for row in classes(scores.result)] == [2 * x for x in xs]


def test_multi_inference_answers_task_by_task(heads: Client) -> None:
    tasks = [
        task(model_spec("heads", "scores_only"), "classify"),
        task(model_spec("heads", "regress"), "regress"),
        task(model_spec("heads"), "classify"),
    ]
    response = multi(heads, tasks, TWO)
    kinds = [result.WhichOneof("result") for result in response.results]
    assert kinds == ["classification_result", "regression_result", "classification_result"]
    signatures = ("scores_only", "regress", "serving_default")
    assert [spec_of(result) for result in response.results] == [
        ("heads", 7, signature) for signature in signatures
    ]
    assert classes(response.results[0].classification_result)[1][0] == ("", -0.5)
    assert values(response.results[1].regression_result) == [5.0, -0.5]
    assert classes(response.results[2].classification_result)[0][2] == ("ü", 0.5)


def test_multi_inference_agrees_with_the_single_methods(heads: Client) -> None:
    tasks = [task(model_spec("heads", name), "regress") for name in ("regress", "regress_column")]
    response = multi(heads, tasks, TWO)
    single = regress(heads, TWO, signature="regress")
    assert [result.regression_result for result in response.results] == [single.result] * 2


def test_multi_inference_goes_by_the_first_task_version(heads: Client) -> None:
    tasks = [
        task(model_spec("heads", "regress"), "regress"),
        task(model_spec("heads", "scores_only", version=99), "classify"),
    ]
    assert len(multi(heads, tasks, TWO).results) == 2
    tasks.reverse()
    code, text = failure(lambda: multi(heads, tasks, TWO))
    assert code is grpc.StatusCode.NOT_FOUND
    assert text == "Servable not found for request: Specific(heads, 99)"


@pytest.mark.parametrize(
    ("tasks", "code", "text"),
    [
        pytest.param([], INVALID_ARGUMENT, "ModelSpec has no name specified.", id="no-task"),
        pytest.param(
            [task(model_spec("heads", "regress"), "regress"), task(model_spec(""), "regress")],
            INVALID_ARGUMENT,
            "Found ModelSpec with an empty model name.",
            id="no-name",
        ),
        pytest.param(
            [task(model_spec("heads", "regress"), "regress"), task(model_spec("b"), "regress")],
            INVALID_ARGUMENT,
            "All ModelSpecs in a MultiInferenceRequest must access the same model name.",
            id="two-models",
        ),
        pytest.param(
            [task(model_spec("heads"), "classify"), task(model_spec("heads"), "classify")],
            INVALID_ARGUMENT,
            "Duplicate evaluation of signature: serving_default",
            id="duplicate",
        ),
        pytest.param(
            [task(model_spec("heads", "nope"), "classify")],
            INVALID_ARGUMENT,
            "Requested signature not found in model graph: nope",
            id="signature",
        ),
        pytest.param(
            [task(model_spec("heads"), "predict")],
            grpc.StatusCode.UNIMPLEMENTED,
            "Unsupported signature method_name: tensorflow/serving/predict",
            id="method",
        ),
    ],
)
def test_wrong_tasks_are_told(
    heads: Client, tasks: list[Any], code: grpc.StatusCode, text: str
) -> None:
    assert failure(lambda: multi(heads, tasks, TWO)) == (code, text)


def test_signatures_of_one_request_may_have_inputs_of_their_own(half_plus: Client) -> None:
    # x2 is a float, so the run fails: what counts is that both inputs are fed.
    tasks = [
        task(model_spec("half_plus", "regress_x_to_y"), "regress"),
        task(model_spec("half_plus", "regress_x2_to_y3"), "regress"),
    ]
    code, text = failure(lambda: multi(half_plus, tasks, TWO))
    assert (code, text) == (
        INVALID_ARGUMENT,
        "Expects arg[1] to be float but string is provided",
    )


@pytest.mark.parametrize("call", [classify, regress])
def test_input_without_examples_is_refused(heads: Client, call: Callable[..., Any]) -> None:
    signature = "regress" if call is regress else ""
    for given in (None, model_input([]), model_input([], example(x=1.0))):
        assert failure(lambda given=given: call(heads, given, signature=signature)) == (
            INVALID_ARGUMENT,
            "Input is empty.",
        )


def test_signature_is_looked_at_before_the_input(heads: Client) -> None:
    for call in (classify, regress):
        assert failure(lambda call=call: call(heads, None, signature="nope")) == (
            INVALID_ARGUMENT,
            "No signature was found with the name: nope",
        )


def test_signature_that_does_not_fit_is_shown(heads: Client) -> None:
    code, text = failure(lambda: regress(heads, TWO, signature="scores_only"))
    assert code is INVALID_ARGUMENT
    assert text.startswith("No regression outputs found in SignatureDef: ")
    assert '\noutputs {\n  key: "scores"\n  value {\n    name: "scores:0"\n' in text
    assert text.endswith('method_name: "tensorflow/serving/classify"\n')


def test_output_that_does_not_fit_is_told(heads: Client) -> None:
    assert failure(lambda: regress(heads, TWO, signature="bad_regress_rank")) == (
        INVALID_ARGUMENT,
        "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got [2,3]",
    )
    assert failure(lambda: classify(heads, TWO, signature="bad_width")) == (
        INVALID_ARGUMENT,
        "Tensors class and score should match in dim_size(1). Got 2 vs. 3",
    )


def test_run_error_is_tensorflows(heads: Client) -> None:
    given = model_input([example(x=1)])
    code, text = failure(lambda: classify(heads, given))
    assert code is INVALID_ARGUMENT
    assert "Data type: int64 but expected type: float" in text


def test_model_that_is_not_there_is_not_found(heads: Client) -> None:
    request = regress_request(model_spec("nope"), TWO)
    assert failure(lambda: heads.prediction.Regress(request, timeout=SECONDS)) == (
        grpc.StatusCode.NOT_FOUND,
        "Servable not found for request: Latest(nope)",
    )


def test_example_that_is_no_message_is_an_internal_error(heads: Client) -> None:
    broken = b"\x0a\x07\x0a\x05heads" + b"\x12\x05\x0a\x03\x0a\x01\x0a"
    for method in ("Classify", "Regress"):
        call = heads.channel.unary_unary(f"/tensorflow.serving.PredictionService/{method}")
        assert failure(lambda call=call: call(broken, timeout=SECONDS)) == (
            grpc.StatusCode.INTERNAL,
            "",
        )


def test_calls_from_many_threads_get_their_own_answers(heads: Client) -> None:
    def one(number: int) -> bool:
        given = model_input([example(x=float(number)), example(n=number)])
        if number % 3 == 0:
            return values(regress(heads, given, signature="regress").result) == [
                float(number),
                1.0 + number,
            ]
        if number % 3 == 1:
            return classes(classify(heads, given).result)[0][1] == ("b", 2.0 * number)
        tasks = [task(model_spec("heads", "regress"), "regress")]
        response = multi(heads, tasks, given)
        return values(response.results[0].regression_result)[1] == 1.0 + number

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(one, range(300)))


def test_features_of_every_kind_reach_the_model(heads: Client) -> None:
    given = model_input([example(n=-(2**63), s=b"\xc3\xbc", x=[0.25])])
    response = classify(heads, given, signature="classes_only")
    assert classes(response.result) == [[("ü", 0.0), (str(-(2**63)), 0.0)]]


def test_unknown_fields_of_an_example_do_no_harm(heads: Client) -> None:
    odd = example_pb2.Example.FromString(example(x=2.0).SerializeToString() + b"\x78\x05")
    assert values(regress(heads, model_input([odd]), signature="regress").result) == [2.0]
