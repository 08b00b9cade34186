"""tf.Examples and the requests that carry them."""

from collections.abc import Iterable, Sequence
from typing import Any

from tensorflow.core.example import example_pb2
from tensorflow_serving.apis import (
    classification_pb2,
    inference_pb2,
    input_pb2,
    model_pb2,
    regression_pb2,
)

Value = float | int | bytes


def example(**features: Value | Sequence[Value]) -> example_pb2.Example:
    """One Example; floats, ints and bytes, each alone or in a list, become features."""
    result = example_pb2.Example()
    for name, content in features.items():
        values = [content] if isinstance(content, float | int | bytes) else content
        feature = result.features.feature[name]
        for value in values:
            if isinstance(value, float):
                feature.float_list.value.append(value)
            elif isinstance(value, int):
                feature.int64_list.value.append(value)
            else:
                feature.bytes_list.value.append(value)
    return result


def model_input(
    examples: Iterable[example_pb2.Example], context: example_pb2.Example | None = None
) -> input_pb2.Input:
    """An ExampleList, or with a context an ExampleListWithContext."""
    result = input_pb2.Input()
    if context is None:
        result.example_list.examples.extend(examples)
    else:
        result.example_list_with_context.context.CopyFrom(context)
        result.example_list_with_context.examples.extend(examples)
    return result


def model_spec(model: str, signature: str = "", version: int | None = None) -> model_pb2.ModelSpec:
    spec = model_pb2.ModelSpec(name=model, signature_name=signature)
    if version is not None:
        spec.version.value = version
    return spec


def classify_request(
    spec: model_pb2.ModelSpec, given: input_pb2.Input
) -> classification_pb2.ClassificationRequest:
    return classification_pb2.ClassificationRequest(model_spec=spec, input=given)


def regress_request(
    spec: model_pb2.ModelSpec, given: input_pb2.Input
) -> regression_pb2.RegressionRequest:
    return regression_pb2.RegressionRequest(model_spec=spec, input=given)


def task(spec: model_pb2.ModelSpec, method: str) -> inference_pb2.InferenceTask:
    """`method` is "classify", "regress" or what a client may send by mistake."""
    return inference_pb2.InferenceTask(model_spec=spec, method_name=f"tensorflow/serving/{method}")


def multi_request(
    tasks: Iterable[inference_pb2.InferenceTask], given: input_pb2.Input
) -> inference_pb2.MultiInferenceRequest:
    return inference_pb2.MultiInferenceRequest(tasks=tasks, input=given)


def classes(
    result: classification_pb2.ClassificationResult,
) -> list[list[tuple[str, float]]]:
    """(label, score) of each class of each example."""
    return [[(c.label, c.score) for c in row.classes] for row in result.classifications]


def values(result: regression_pb2.RegressionResult) -> list[float]:
    return [regression.value for regression in result.regressions]


def spec_of(response: Any) -> tuple[str, int, str]:
    """Name, version and signature that a response, or a result in it, tells."""
    spec = response.model_spec
    return spec.name, spec.version.value, spec.signature_name
