"""A TensorFlow model in Triton, by nvidia-pytriton.

python bench/load/pytriton_server.py --model NAME --base_path DIR --port_file FILE

Triton's core takes the requests and batches them; its Python backend hands the batches to
functions in this process.
"""

from __future__ import annotations

import os
import signal
import sysconfig
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


def tensors(specs: Any) -> list[Tensor]:
    """What Triton is told of inputs or outputs: a row's shape, which needs a dimension."""
    return [
        Tensor(
            name=alias,
            dtype=np.dtype(spec.dtype.as_numpy_dtype),
            shape=tuple(-1 if n is None else n for n in spec.shape[1:]) or (1,),
        )
        for alias, spec in specs.items()
    ]


def main() -> None:
    options = server_options(__doc__)
    model = SavedModel.load(options.model, options.base_path)
    function = model.signatures[SIGNATURE]
    inputs = function.structured_input_signature[1]
    outputs = function.structured_outputs
    flat = {alias for alias, spec in inputs.items() if spec.shape.rank == 1}

    @batch  # type: ignore[untyped-decorator]
    def infer(**arrays: Any) -> dict[str, Any]:
        rows = {alias: a.reshape(-1) if alias in flat else a for alias, a in arrays.items()}
        return {
            alias: a.reshape(len(a), -1) if a.ndim == 1 else a
            for alias, a in model.run(rows).items()
        }

    # Triton's interpreter of the backend must find this one's library, not another one's.
    os.environ["LD_LIBRARY_PATH"] = sysconfig.get_config_var("LIBDIR")
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
            infer_func=[infer] * len(os.sched_getaffinity(0)),
            inputs=tensors(inputs),
            outputs=tensors(outputs),
            config=ModelConfig(
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
