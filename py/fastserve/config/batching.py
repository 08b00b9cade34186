"""How requests are batched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fastserve.config.cpus import MAX_THREADS
from fastserve.config.text_proto import read_text_proto
from fastserve.errors import ConfigError

MODEL_FILE = "batching_params.pbtxt"
"""What a version directory may hold for --enable_per_model_batching_parameters."""

_OF_THREADS = ("num_batch_threads", "thread_pool_name")
_SPARE_THREADS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchingParameters:
    """The fields of tensorflow.serving.BatchingParameters; sizes are rows.

    Whether they go together is checked when a model is loaded, as TensorFlow Serving does: a model
    with parameters of its own may be wrong, and only it.
    """

    max_batch_size: int = 1000
    batch_timeout_micros: int = 0
    max_enqueued_batches: int = 10
    allowed_batch_sizes: tuple[int, ...] = ()
    pad_variable_length_inputs: bool = False
    enable_large_batch_splitting: bool = False
    max_execution_batch_size: int = 0
    """With splitting, the largest batch that is run; 0: max_batch_size."""
    num_batch_threads: int = 0
    """Of all models together; 0: automatic."""
    thread_pool_name: str = "batch_threads"
    signatures: Mapping[str, BatchingParameters] = field(default_factory=dict)
    """By name, for requests of these signatures: instead of all above, but for the threads."""

    def __post_init__(self) -> None:
        if not 0 <= self.num_batch_threads <= MAX_THREADS:
            raise ConfigError(
                f"num_batch_threads must be positive; was {self.num_batch_threads}"
                if self.num_batch_threads < 0
                else f"num_batch_threads is {self.num_batch_threads}; it must be at most "
                f"{MAX_THREADS}"
            )

    @property
    def spare_threads(self) -> int:
        """How many more serve queues of which no batch runs while all threads are busy.

        None where their number was asked for: it is the limit of what runs at once, then.
        """
        return 0 if self.num_batch_threads else _SPARE_THREADS

    @staticmethod
    def from_proto(message: Any) -> BatchingParameters:
        """Returns what a tensorflow.serving.BatchingParameters says. Raises ConfigError.

        Or a fastserve.BatchingFile, which has the same fields and more.
        """
        values: dict[str, Any] = {
            name: getattr(message, name).value
            for name in (
                "max_batch_size",
                "batch_timeout_micros",
                "max_enqueued_batches",
                "enable_large_batch_splitting",
                "max_execution_batch_size",
                *_OF_THREADS,
            )
            if message.HasField(name)
        }
        if values.get("num_batch_threads") == 0:  # An explicit zero is not "automatic".
            raise ConfigError("num_batch_threads must be positive; was 0")
        return BatchingParameters(
            allowed_batch_sizes=tuple(message.allowed_batch_sizes),
            pad_variable_length_inputs=message.pad_variable_length_inputs,
            signatures={
                name: _of_signature(name, own)
                for name, own in sorted(getattr(message, "signature", {}).items())
            },
            **values,
        )

    @staticmethod
    def from_file(path: str) -> BatchingParameters:
        """Reads them in text format. Raises ServingError."""
        from fastserve import protos

        return BatchingParameters.from_proto(read_text_proto(path, protos.BatchingFile))


def _of_signature(name: str, message: Any) -> BatchingParameters:
    for given in _OF_THREADS:
        if message.HasField(given):
            raise ConfigError(
                f"{given} is set for signature {name}; set it outside, since all signatures share "
                "the threads"
            )
    return BatchingParameters.from_proto(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchingConfig:
    """Batching, where it is on."""

    parameters: BatchingParameters
    """For every model; with `per_model` only its threads count."""
    parameters_file: str = ""
    """Where they are from, to be read again."""
    per_model: bool = False
    """Each version says in a file of its own how it is batched; without one it is not."""


def batching_config(
    *, enabled: bool, parameters_file: str, per_model: bool
) -> BatchingConfig | None:
    """Returns what the flags ask for; None: no batching. Raises ServingError."""
    if parameters_file and not enabled:
        raise ConfigError(
            "server_options.batching_parameters_file is set without setting "
            "server_options.enable_batching to true."
        )
    if not enabled:
        return None
    parameters = (
        BatchingParameters.from_file(parameters_file)
        if parameters_file
        else BatchingParameters(thread_pool_name="model_server_batch_threads")
    )
    return BatchingConfig(
        parameters=parameters, parameters_file=parameters_file, per_model=per_model
    )
