"""Runs the graphs of a TensorFlow Lite model in one interpreter. One thread at a time."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from fastserve.errors import INTERNAL, ServingError

Array = npt.NDArray[Any]


class Graph(Protocol):
    """One of a model's graphs."""

    def run(self, inputs: Mapping[Any, Array], outputs: Sequence[Any]) -> list[Array]:
        """Returns these outputs. Inputs have the right dtypes. Raises ServingError."""
        ...


class FirstGraph:
    """The first graph of a model, whose tensors go by their numbers.

    Upstream's servables/tensorflow/tflite_session.cc says when an input is resized, and what is
    said of a failure.
    """

    def __init__(self, interpreter: Any) -> None:
        """`interpreter`: an ai_edge_litert Interpreter."""
        self._interpreter = interpreter
        self._names = {each["index"]: each["name"] for each in interpreter.get_input_details()}
        self._shapes: dict[int, tuple[int, ...]] = {}

    def run(self, inputs: Mapping[int, Array], outputs: Sequence[int]) -> list[Array]:
        """As Graph."""
        self._make_room(inputs)
        with _failing("Failed to invoke TfLite interpreter"):
            for number, array in inputs.items():
                self._interpreter.set_tensor(number, array)
            self._interpreter.invoke()
        return [self._output(number) for number in outputs]

    def _make_room(self, inputs: Mapping[int, Array]) -> None:
        """Gives the inputs the shapes of the request."""
        shapes = {number: array.shape for number, array in inputs.items()}
        if shapes.items() <= self._shapes.items():
            return
        allocated, self._shapes = self._shapes, {}  # none is certain after a failure
        for number, shape in shapes.items():
            with _failing(f"Failed to resize input tensor: {self._names[number]} to {shape}"):
                self._interpreter.resize_tensor_input(number, shape)
        with _failing("Failed to allocate tensors"):
            self._interpreter.allocate_tensors()
        self._shapes = allocated | shapes

    def _output(self, number: int) -> Array:
        try:
            output: Array = self._interpreter.get_tensor(number)
        except ValueError:  # also where there is no element but, from an earlier run, memory
            all_details = self._interpreter.get_output_details()
            details = next(each for each in all_details if each["index"] == number)
            if 0 not in details["shape"]:
                raise
            output = np.empty(details["shape"], details["dtype"])
        return output


class SignatureGraph:
    """A further graph of a model, whose tensors go by the aliases of the model's own signature."""

    def __init__(self, interpreter: Any, key: str) -> None:
        self._interpreter = interpreter
        self._key = key

    def run(self, inputs: Mapping[str, Array], outputs: Sequence[str]) -> list[Array]:
        """As Graph."""
        with _failing("Failed to invoke TfLite interpreter"):
            # None is kept: an interpreter resizes nothing while there is one.
            results = self._interpreter.get_signature_runner(self._key)(**inputs)
        return [results[alias] for alias in outputs]


@contextlib.contextmanager
def _failing(what: str) -> Iterator[None]:
    """Puts `what` in front of what the interpreter says."""
    try:
        yield
    except (RuntimeError, ValueError, OverflowError) as error:
        raise ServingError(INTERNAL, f"{what}: {error}") from error
