"""Exports the small TensorFlow Lite models of the tests.

usage: python tests/models/export_lite_models.py DIR

Writes DIR/<name>/1/model.tflite. All are deterministic.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from flatbuffers import flexbuffers
from tensorflow.core.protobuf import meta_graph_pb2

Function = Callable[..., Mapping[str, tf.Tensor]]

#: What the model `dtypes` takes, one input of each, and gives back.
DTYPES = (tf.float32, tf.int32, tf.uint8, tf.int64, tf.string, tf.bool, tf.int16, tf.int8)


def spec(name: str, shape: Sequence[int | None], dtype: tf.DType = tf.float32) -> tf.TensorSpec:
    return tf.TensorSpec(shape, dtype, name=name)


def convert(function: Function, *inputs: tf.TensorSpec, flex: bool = False) -> bytes:
    """A model of one function, with a signature `serving_default` of its own."""
    concrete = tf.function(function, input_signature=inputs).get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], tf.Module())
    if flex:
        converter.target_spec.supported_ops = [tf.lite.OpsSet.SELECT_TF_OPS]
    return bytes(converter.convert())


def repack(model: bytes, change: Callable[[Any], None]) -> bytes:
    """The model after a change of its schema's object."""
    file = schema.ModelT.InitFromPackedBuf(model, 0)
    change(file)
    builder = flatbuffers.Builder(len(model))
    builder.Finish(file.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def without_signatures(model: bytes) -> bytes:
    def change(file: Any) -> None:
        file.signatureDefs = []

    return repack(model, change)


def with_metadata(model: bytes, content: bytes) -> bytes:
    """The model with metadata as TensorFlow Lite's signature_def_util writes them."""

    def change(file: Any) -> None:
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(content, np.uint8)
        entry = schema.MetadataT()
        entry.name = "signature_defs_metadata"
        entry.buffer = len(file.buffers)
        file.buffers.append(buffer)
        file.metadata = [*(file.metadata or ()), entry]

    return repack(model, change)


def with_signature_defs(
    model: bytes, signatures: Mapping[str, meta_graph_pb2.SignatureDef]
) -> bytes:
    builder = flexbuffers.Builder()
    with builder.Map():
        for key in sorted(signatures):
            builder.Key(key)
            # builder.String() takes text alone.
            builder._WriteBlob(signatures[key].SerializeToString(), True, flexbuffers.Type.STRING)
    return with_metadata(model, bytes(builder.Finish()))


def signature(
    method: str, inputs: Mapping[str, tf.TensorSpec], outputs: Mapping[str, tf.TensorSpec]
) -> meta_graph_pb2.SignatureDef:
    """A SignatureDef of alias -> spec, whose name is the tensor's in the model."""
    result = meta_graph_pb2.SignatureDef(method_name=f"tensorflow/serving/{method}")
    for infos, specs in ((result.inputs, inputs), (result.outputs, outputs)):
        for alias, tensor in specs.items():
            infos[alias].name = tensor.name
            infos[alias].dtype = tensor.dtype.as_datatype_enum
            infos[alias].tensor_shape.CopyFrom(tensor.shape.as_proto())
    return result


def perceptron() -> bytes:
    """images [?,16] -> scores [?,4]."""
    random = np.random.default_rng(1)
    first, second = (random.normal(size=shape).astype(np.float32) for shape in ((16, 32), (32, 4)))

    def serve(images: tf.Tensor) -> Mapping[str, tf.Tensor]:
        return {"scores": tf.matmul(tf.nn.relu(tf.matmul(images, first)), second)}

    return convert(serve, spec("images", [None, 16]))


def quantized() -> bytes:
    """images [?,16] int8 -> scores [?,4] int8: a quantized layer, its ends included."""
    random = np.random.default_rng(2)
    weights = random.normal(size=(16, 4)).astype(np.float32)

    def serve(images: tf.Tensor) -> Mapping[str, tf.Tensor]:
        return {"scores": tf.matmul(images, weights)}

    concrete = tf.function(serve, input_signature=[spec("images", [None, 16])])
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [concrete.get_concrete_function()], tf.Module()
    )
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: (
        [random.normal(size=(1, 16)).astype(np.float32)] for _ in range(20)
    )
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    return bytes(converter.convert())


def dtypes() -> bytes:
    """An input [?] of each of DTYPES -> the same twice over; complex64 [?] -> its real part."""

    def serve(**inputs: tf.Tensor) -> Mapping[str, tf.Tensor]:
        real = tf.math.real(inputs.pop("complex64"))
        twice = {
            name: tf.gather(x, [0, 0]) if x.dtype == tf.string else tf.concat([x, x], 0)
            for name, x in inputs.items()
        }
        return {**twice, "complex64": real}

    named = {dtype.name: spec(dtype.name, [None], dtype) for dtype in (*DTYPES, tf.complex64)}
    concrete = tf.function(serve).get_concrete_function(**named)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], tf.Module())
    return bytes(converter.convert())


def runtime_shapes() -> bytes:
    """x [?] -> where it is positive [n,1]: how many that are shows in the run."""

    def serve(x: tf.Tensor) -> Mapping[str, tf.Tensor]:
        return {"positive": tf.where(x > 0)}

    return convert(serve, spec("x", [None]))


def table() -> bytes:
    """row [?] int32 -> rows of a table of 3 x 2; one that there is not is an error."""
    cells = np.arange(6, dtype=np.float32).reshape(3, 2)

    def serve(row: tf.Tensor) -> Mapping[str, tf.Tensor]:
        return {"cells": tf.gather(cells, row)}

    return convert(serve, spec("row", [None], tf.int32))


def rows() -> bytes:
    """x [?] -> how many rows the run has, in each row [?] int32."""

    def serve(x: tf.Tensor) -> Mapping[str, tf.Tensor]:
        return {"rows": tf.zeros_like(x, tf.int32) + tf.size(x)}

    return convert(serve, spec("x", [None]))


def several_graphs(directory: Path) -> bytes:
    """Signatures `double`, `negate` and `serving_default` (x + 1) of x [?], a graph for each."""

    class Module(tf.Module):  # type: ignore[misc]
        @tf.function(input_signature=[spec("x", [None])])
        def double(self, x: tf.Tensor) -> Mapping[str, tf.Tensor]:
            return {"y": x * 2.0}

        @tf.function(input_signature=[spec("x", [None])])
        def negate(self, x: tf.Tensor) -> Mapping[str, tf.Tensor]:
            return {"y": -x}

        @tf.function(input_signature=[spec("x", [None])])
        def increment(self, x: tf.Tensor) -> Mapping[str, tf.Tensor]:
            return {"y": x + 1.0}

    module = Module()
    signatures = {
        "double": module.double,
        "negate": module.negate,
        "serving_default": module.increment,
    }
    tf.saved_model.save(module, str(directory), signatures=signatures)
    return bytes(tf.lite.TFLiteConverter.from_saved_model(str(directory)).convert())


def examples() -> tuple[bytes, dict[str, meta_graph_pb2.SignatureDef]]:
    """Signatures `classify`, `regress` and `predict`, as written in metadata, over strings [?].

    The classes are the examples themselves, the scores and the regression 0.5.
    """

    def serve(inputs: tf.Tensor) -> Mapping[str, tf.Tensor]:
        count = tf.shape(inputs)[0]
        return {
            "classes": tf.reshape(inputs, [-1, 1]),
            "scores": tf.fill([count, 1], 0.5),
            "outputs": tf.fill([count], 0.25),
        }

    model = convert(serve, spec("inputs", [None], tf.string))
    interpreter = Interpreter(model_content=model)
    runner = interpreter.get_signature_runner("serving_default")
    (taken,) = runner.get_input_details().values()
    named = {
        alias: tf.TensorSpec([None], dtype=details["dtype"], name=details["name"])
        for alias, details in runner.get_output_details().items()
    }
    inputs = {"inputs": tf.TensorSpec([None], tf.string, name=taken["name"])}
    chosen = {
        "classify": ("classes", "scores"),
        "regress": ("outputs",),
        "predict": ("classes", "scores", "outputs"),
    }
    return model, {
        method: signature(method, inputs, {alias: named[alias] for alias in aliases})
        for method, aliases in chosen.items()
    }


def parsing_examples() -> bytes:
    """Needs TensorFlow's own parser of tf.Example."""

    def serve(examples: tf.Tensor) -> Mapping[str, tf.Tensor]:
        features = {"x": tf.io.FixedLenFeature([2], tf.float32)}
        return {"x": tf.io.parse_example(examples, features)["x"]}

    return convert(serve, spec("examples", [None], tf.string), flex=True)


def export_all(directory: Path) -> None:
    model, stored = examples()
    models = {
        "perceptron": perceptron(),
        "plain": without_signatures(perceptron()),
        "quantized": quantized(),
        "dtypes": dtypes(),
        "runtime_shapes": runtime_shapes(),
        "table": table(),
        "rows": rows(),
        "several_graphs": several_graphs(directory / "several_graphs" / "1"),
        "examples": with_signature_defs(model, stored),
        "parsing_examples": parsing_examples(),
        "bad_metadata": with_metadata(perceptron(), b"neither text nor flexbuffer"),
        "unknown_tensor": with_signature_defs(perceptron(), {"serving_default": stored["regress"]}),
    }
    for name, content in models.items():
        path = directory / name / "1" / "model.tflite"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


if __name__ == "__main__":
    export_all(Path(sys.argv[1]))
