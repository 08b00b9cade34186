"""The threads that run batches, and what a version is loaded with to be batched."""

from __future__ import annotations

import logging

from fastserve import _native
from fastserve.config.batching import BatchingConfig, BatchingParameters

_LOGGER = logging.getLogger(__name__)


class Batcher:
    """Batching for all models, on threads that they share. Any thread."""

    def __init__(self, config: BatchingConfig) -> None:
        """Starts the threads."""
        self._config = config
        parameters = config.parameters
        self.threads = parameters.threads
        self._scheduler = _native.BatchScheduler(self.threads, parameters.thread_pool_name)

    def for_version(
        self, version_dir: str
    ) -> tuple[_native.BatchingOptions, _native.BatchScheduler] | None:
        """Returns what to load a version with; None where its requests are not batched.

        Raises ServingError when its own parameters cannot be read.
        """
        parameters = self._config.for_version(version_dir)
        if parameters is None:
            return None
        _LOGGER.info("Wrapping session to perform batch processing (%s)", version_dir)
        return _native_options(parameters), self._scheduler

    def stop_waiting(self) -> None:
        """From now on no batch waits until it is full."""
        self._scheduler.stop_waiting()

    def stop(self) -> None:
        """Runs what waits and ends the threads. Blocks."""
        self._scheduler.stop()


def _native_options(parameters: BatchingParameters) -> _native.BatchingOptions:
    options = _native.BatchingOptions()
    options.max_batch_size = parameters.max_batch_size
    options.batch_timeout_micros = parameters.batch_timeout_micros
    options.max_enqueued_batches = parameters.max_enqueued_batches
    options.allowed_batch_sizes = list(parameters.allowed_batch_sizes)
    options.pad_variable_length_inputs = parameters.pad_variable_length_inputs
    options.enable_large_batch_splitting = parameters.enable_large_batch_splitting
    options.max_execution_batch_size = parameters.max_execution_batch_size
    return options
