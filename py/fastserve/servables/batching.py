"""The threads that run batches, and how a version is told of them."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Mapping

from fastserve import _native
from fastserve.config.batching import MODEL_FILE, BatchingConfig, BatchingParameters
from fastserve.errors import ServingError
from fastserve.observe.logs import Complaint

_LOGGER = logging.getLogger(__name__)


Batching = tuple[_native.BatchPolicy, _native.BatchScheduler]
"""What a version is loaded with to be batched."""


class Batcher:
    """Batching for all models of a platform, on threads that they share. Any thread."""

    def __init__(self, config: BatchingConfig, *, default_threads: int) -> None:
        """Starts the threads: as many as `config` says, or else as the default."""
        self._config = config
        self._parameters = config.parameters
        self._policy: _native.BatchPolicy | None = None
        self._lock = threading.Lock()
        self._complaint = Complaint(_LOGGER)
        self._scheduler = _native.BatchScheduler(
            config.parameters.num_batch_threads or default_threads,
            config.parameters.thread_pool_name,
            spare_threads=config.parameters.spare_threads,
        )

    def for_version(self, version_dir: str) -> Batching | None:
        """Returns what to load a version with; None where its requests are not batched.

        Raises ServingError when its own parameters cannot be read, and where parameters do not go
        together.
        """
        policy = self._own_policy(version_dir) if self._config.per_model else self._common_policy()
        if policy is None:
            return None
        _LOGGER.info("Wrapping session to perform batch processing (%s)", version_dir)
        return policy, self._scheduler

    def _own_policy(self, version_dir: str) -> _native.BatchPolicy | None:
        path = os.path.join(version_dir, MODEL_FILE)
        return batch_policy(BatchingParameters.from_file(path)) if os.path.exists(path) else None

    def _common_policy(self) -> _native.BatchPolicy:
        with self._lock:
            if self._policy is None:
                self._policy = batch_policy(self._parameters)
            return self._policy

    def reload(self) -> None:
        """Reads the file of common parameters again; what is new holds for the next requests.

        What cannot be applied is told of once, and what was in force stays.
        """
        if not self._config.parameters_file:
            return
        with self._lock:
            try:
                parameters = BatchingParameters.from_file(self._config.parameters_file)
                if parameters == self._parameters:
                    return
                if self._policy is not None:
                    self._policy.set(_native_options(parameters))
            except (ServingError, _native.NativeError) as error:
                self._complaint.tell(f"the batching parameters stay as they are: {error}")
                return
            if _of_threads(parameters) != _of_threads(self._parameters):
                self._complaint.tell(
                    "num_batch_threads and thread_pool_name change with a restart only"
                )
            self._parameters = parameters
            _LOGGER.info("The batching parameters of %s hold", self._config.parameters_file)

    def stop_waiting(self) -> None:
        """From now on no batch waits until it is full."""
        self._scheduler.stop_waiting()

    def stop(self) -> None:
        """Runs what waits and ends the threads. Blocks."""
        self._scheduler.stop()


def _of_threads(parameters: BatchingParameters) -> tuple[int, str]:
    return parameters.num_batch_threads, parameters.thread_pool_name


def batch_policy(parameters: BatchingParameters) -> _native.BatchPolicy:
    """Returns parameters as the native side takes them. Raises ServingError."""
    try:
        return _native.BatchPolicy(_native_options(parameters))
    except _native.NativeError as error:
        raise ServingError(error.code, error.message) from error


def _native_options(parameters: BatchingParameters) -> Mapping[str, _native.BatchingOptions]:
    """Returns the options by signature, those of all others under ""."""
    return {name: _options(own) for name, own in {**parameters.signatures, "": parameters}.items()}


def _options(parameters: BatchingParameters) -> _native.BatchingOptions:
    options = _native.BatchingOptions()
    options.max_batch_size = parameters.max_batch_size
    options.batch_timeout_micros = parameters.batch_timeout_micros
    options.max_enqueued_batches = parameters.max_enqueued_batches
    options.allowed_batch_sizes = list(parameters.allowed_batch_sizes)
    options.pad_variable_length_inputs = parameters.pad_variable_length_inputs
    options.enable_large_batch_splitting = parameters.enable_large_batch_splitting
    options.max_execution_batch_size = parameters.max_execution_batch_size
    return options
