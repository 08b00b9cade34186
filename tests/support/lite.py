"""The reference for TensorFlow Lite models: ai-edge-litert's interpreter in the test's process."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter


def interpreted(file: Path, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The outputs of a model's first graph; both by the names of the tensors."""
    interpreter = Interpreter(model_path=str(file))
    numbers = {each["name"]: each["index"] for each in interpreter.get_input_details()}
    assert numbers.keys() == inputs.keys()
    for name, value in inputs.items():
        interpreter.resize_tensor_input(numbers[name], value.shape)
    interpreter.allocate_tensors()
    for name, value in inputs.items():
        interpreter.set_tensor(numbers[name], value)
    interpreter.invoke()
    return {
        each["name"]: interpreter.get_tensor(each["index"])
        for each in interpreter.get_output_details()
    }
