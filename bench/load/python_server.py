"""A REST predict as one writes it without a model server: json, numpy and TensorFlow on uvicorn.

    python bench/load/python_server.py --model NAME --base_path DIR --port_file FILE

Rows in, rows out, for a model of one input and one output. Needs the package uvicorn.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import asgi
import numpy as np
import tensorflow as tf  # type: ignore[import-untyped]
import uvloop


class App:
    """POST {"instances": [...]} to anywhere."""

    def __init__(self, version_folder: Path) -> None:
        self._model = tf.saved_model.load(str(version_folder))
        self._function = self._model.signatures["serving_default"]
        ((self._input, spec),) = self._function.structured_input_signature[1].items()
        (self._output,) = self._function.structured_outputs
        self._dtype = spec.dtype.as_numpy_dtype

    async def __call__(self, scope: dict[str, Any], receive: asgi.Receive, send: asgi.Send) -> None:
        if scope["type"] != "http":
            return
        rows = np.array(json.loads(await asgi.read_body(receive))["instances"], self._dtype)
        answer = self._function(**{self._input: tf.constant(rows)})[self._output].numpy()
        await asgi.reply(send, 200, json.dumps({"predictions": answer.tolist()}).encode())


def main() -> None:
    options = asgi.parse_options((__doc__ or "").split("\n", 1)[0])
    uvloop.run(asgi.serve(App(options.version_folder), options.port_file))


if __name__ == "__main__":
    main()
