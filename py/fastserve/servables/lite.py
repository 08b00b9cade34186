"""Loads TensorFlow Lite models: a file, interpreters of it, and the threads that have them."""

from __future__ import annotations

import logging
import math
import threading
from pathlib import Path
from typing import Any

import numpy as np

from fastserve import _native
from fastserve.config.batching import BatchingParameters
from fastserve.config.cpus import available_cpus
from fastserve.config.server import LiteConfig
from fastserve.errors import (
    FAILED_PRECONDITION,
    INTERNAL,
    INVALID_ARGUMENT,
    PERMISSION_DENIED,
    RESOURCE_EXHAUSTED,
    UNKNOWN,
    ServingError,
)
from fastserve.servables.batching import Batching, batch_policy
from fastserve.servables.lite_graph import Array, FirstGraph, Graph, SignatureGraph
from fastserve.servables.lite_model import LiteModel, LiteTensor, read_model

_LOGGER = logging.getLogger(__name__)

FILE_NAME = "model.tflite"
"""In a version directory."""

_MAX_ROWS = 500
"""Of a request that is batched as TensorFlow Lite models are."""

_LACKING = ("unresolved custom op", "Select TensorFlow op")
"""What the interpreter says of ops that it has not."""


def load_lite(
    runtime: _native.Runtime,
    *,
    name: str,
    version: int,
    path: str,
    config: LiteConfig,
    batching: Batching | None = None,
) -> _native.Servable:
    """Loads the model in the version directory `path` into interpreters.

    Each has a thread of its own, which ends when the servable is unloaded. `batching` is used where
    `config` asks for none. Raises ServingError.
    """
    content = _read(Path(path, FILE_NAME))
    pools = config.pools or available_cpus()
    made = [_interpreter(content) for _ in range(pools)]
    model = read_model(content, made[0])
    for interpreter in made:
        _allocate(interpreter)
    del interpreter  # from the start of its thread on, nothing else keeps one
    thread_name = f"fastserve-lite-{name}-{version}"
    if config.interpreters_per_pool > 1:
        parameters = batching_parameters(model, pools, config.interpreters_per_pool)
        batching = (
            batch_policy(parameters),
            _native.BatchScheduler(pools, thread_name, spare_threads=0),
        )
    queue = _native.LiteQueue()
    try:
        servable = _native.Servable.make_lite(
            runtime,
            name=name,
            version=version,
            meta_graph_def=model.meta_graph_def,
            tensors=[(tensor.name, tensor.dtype, tensor.graph) for tensor in model.tensors],
            queue=queue,
            batching=batching,
        )
    except _native.NativeError as error:
        raise ServingError(error.code, error.message) from error
    try:
        while made:
            _start_thread(queue, model, made.pop(), thread_name)
    except RuntimeError as error:
        servable.release()
        text = f"no thread for a TensorFlow Lite interpreter: {error}"
        raise ServingError(RESOURCE_EXHAUSTED, text) from error
    return servable


def batching_parameters(model: LiteModel, pools: int, per_pool: int) -> BatchingParameters:
    """Returns upstream's choice for more than one interpreter per pool (tflite_session.cc)."""
    size = model.batch_size if model.batch_size > 1 else math.ceil(_MAX_ROWS / per_pool)
    return BatchingParameters(
        max_batch_size=_MAX_ROWS,
        max_enqueued_batches=100 * pools,
        enable_large_batch_splitting=True,
        max_execution_batch_size=size,
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        code = PERMISSION_DENIED if isinstance(error, PermissionError) else UNKNOWN
        raise ServingError(code, f"{path}; {error.strerror}") from error


def _interpreter(content: bytes) -> Any:
    """Returns an interpreter. All of a model share `content`."""
    try:
        from ai_edge_litert.interpreter import Interpreter  # type: ignore[import-untyped]
    except ImportError as error:
        raise ServingError(
            FAILED_PRECONDITION,
            f"the package ai-edge-litert, whose interpreter runs {FILE_NAME}, cannot be imported "
            f"(pip install ai-edge-litert, or fastserve[tflite]): {error}",
        ) from error
    try:
        return Interpreter(model_content=content, num_threads=1)
    except ValueError as error:
        if not content or "not a valid Flatbuffer" in str(error):
            text = "Cannot build FlatBufferModel from buffer."
            raise ServingError(INVALID_ARGUMENT, text) from error
        raise _cannot_build(error) from error


def _allocate(interpreter: Any) -> None:
    """Gives its tensors the memory for shapes as in the file; here unknown ops come out."""
    try:
        interpreter.allocate_tensors()
    except RuntimeError as error:
        raise _cannot_build(error) from error


def _cannot_build(error: Exception) -> ServingError:
    text = str(error)
    if any(lacking in text for lacking in _LACKING):
        text += " (TensorFlow's ops and the parser of tf.Example are not in ai-edge-litert)"
    return ServingError(INTERNAL, f"Cannot build Interpreter from buffer. {text}")


def _start_thread(queue: _native.LiteQueue, model: LiteModel, interpreter: Any, name: str) -> None:
    """Starts the thread of one interpreter. Raises RuntimeError when there is none to be had."""
    graphs: list[Graph] = [FirstGraph(interpreter)]
    graphs += (SignatureGraph(interpreter, key) for key in model.graph_keys)
    arguments = (queue, model.tensors, graphs)
    queue.enter()
    try:
        threading.Thread(target=_serve, args=arguments, name=name, daemon=True).start()
    except RuntimeError:
        queue.leave()
        raise


def _serve(queue: _native.LiteQueue, tensors: tuple[LiteTensor, ...], graphs: list[Graph]) -> None:
    """Does one run after another until the model is unloaded. Empties `graphs` at the end."""
    try:
        while (run := queue.next()) is not None:
            _answer(run, tensors, graphs)
    finally:
        graphs.clear()
        queue.leave()


def _answer(run: _native.LiteRun, tensors: tuple[LiteTensor, ...], graphs: list[Graph]) -> None:
    try:
        inputs = {
            tensors[number].key: _array(tensors[number], shape, elements)
            for number, shape, elements in run.inputs
        }
        keys = [tensors[number].key for number in run.outputs]
        results = graphs[run.graph].run(inputs, keys)
        run.finish([(array.shape, _elements(array)) for array in results])
    except ServingError as error:
        run.fail(error.code, error.message)
    except Exception as error:
        _LOGGER.exception("a TensorFlow Lite model could not be run")
        run.fail(INTERNAL, f"{type(error).__name__}: {error}")


def _array(tensor: LiteTensor, shape: tuple[int, ...], elements: memoryview | list[bytes]) -> Array:
    """Returns an input as an array, which borrows the memory of numbers."""
    if isinstance(elements, list):
        return np.array(elements, dtype=object).reshape(shape)
    array: Array = np.ndarray(shape, tensor.scalar, elements)
    return array


def _elements(array: Array) -> Array | list[bytes]:
    """Returns what an array holds as the native side takes it."""
    return array.ravel().tolist() if array.dtype == object else array
