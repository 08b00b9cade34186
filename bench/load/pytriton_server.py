"""A TensorFlow model in Triton, by nvidia-pytriton.

python bench/load/pytriton_server.py --model NAME --base_path DIR --port_file FILE

Triton's core takes the requests and batches them; its Python backend hands the batches to
functions in this process.
"""

from __future__ import annotations

import signal
import threading
from typing import Any

import numpy as np
from pytriton.decorators import batch  # type: ignore[import-not-found]
from pytriton.model_config import (  # type: ignore[import-not-found]
    DynamicBatcher,
    ModelConfig,
    Tensor,
)
from pytriton.triton import Triton, TritonConfig  # type: ignore[import-not-found]
from saved_model import SIGNATURE, SavedModel, free_port, server_options, tell_port

MAX_BATCH_SIZE = 64


def tensors(specs: Any, batching: bool) -> list[Tensor]:
    """What Triton is told of inputs or outputs; it leaves the rows' dimension out when batching."""
    return [
        Tensor(
            name=alias,
            dtype=np.dtype(spec.dtype.as_numpy_dtype),
            shape=tuple(-1 if n is None else n for n in spec.shape[1 if batching else 0 :]),
        )
        for alias, spec in specs.items()
    ]


def main() -> None:
    options = server_options(__doc__)
    model = SavedModel.load(options.model, options.base_path)
    function = model.signatures[SIGNATURE]
    inputs = function.structured_input_signature[1]
    outputs = function.structured_outputs
    # Triton wants a dimension besides that of the rows.
    batching = all(spec.shape.rank > 1 for spec in (*inputs.values(), *outputs.values()))

    if batching:

        @batch  # type: ignore[untyped-decorator]
        def infer(**arrays: Any) -> dict[str, Any]:
            return model.run(arrays)
    else:

        def infer(requests: Any) -> list[dict[str, Any]]:
            return [model.run(request.data) for request in requests]

    port = free_port()
    config = TritonConfig(
        grpc_address="127.0.0.1",
        grpc_port=port,
        http_address="127.0.0.1",
        http_port=free_port(),
        metrics_port=free_port(),
        allow_metrics=False,
        log_verbose=0,
    )
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    with Triton(config=config) as triton:
        triton.bind(
            model_name=model.name,
            infer_func=infer,
            inputs=tensors(inputs, batching),
            outputs=tensors(outputs, batching),
            config=ModelConfig(
                batching=batching,
                max_batch_size=MAX_BATCH_SIZE,
                batcher=DynamicBatcher(max_queue_delay_microseconds=0),
            ),
            strict=False,
        )
        triton.run()
        tell_port(port, options.port_file)
        stop.wait()


if __name__ == "__main__":
    main()
