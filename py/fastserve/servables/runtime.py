"""TensorFlow's C library out of the installed `tensorflow` package, which is never imported."""

from __future__ import annotations

import importlib.util
import logging
import os
import threading
import time

from fastserve import _native
from fastserve.errors import FAILED_PRECONDITION, ServingError

_LOGGER = logging.getLogger(__name__)
_LOCK = threading.Lock()
_loaded: _native.Runtime | None = None


def tensorflow_directory() -> str:
    """Returns the folder of the installed package. Raises ServingError."""
    spec = importlib.util.find_spec("tensorflow")
    if spec is None or not spec.submodule_search_locations:
        raise ServingError(
            FAILED_PRECONDITION,
            "the package tensorflow, whose library runs the models, is not installed "
            "(pip install tensorflow)",
        )
    return spec.submodule_search_locations[0]


def load_runtime() -> _native.Runtime:
    """Opens the library, once for the process; takes about a second. Any thread.

    Raises ServingError.
    """
    global _loaded
    with _LOCK:
        if _loaded is None:
            directory = tensorflow_directory()
            # TensorFlow's own log, unless asked for: only errors. It reads this when it is loaded.
            os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
            began = time.monotonic()
            try:
                _loaded = _native.Runtime.load(directory)
            except _native.NativeError as error:
                raise ServingError(error.code, error.message) from error
            seconds = time.monotonic() - began
            _LOGGER.info("TensorFlow %s is loaded (%.2f s)", _loaded.version, seconds)
        return _loaded
