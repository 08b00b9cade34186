"""TensorFlow's C library out of the installed `tensorflow` package, which is never imported."""

from __future__ import annotations

import ctypes
import glob
import importlib.util
import logging
import os
import threading
import time
from collections.abc import Sequence

from fastserve import _native
from fastserve.config.gpus import visible_gpus
from fastserve.errors import FAILED_PRECONDITION, ServingError

_LOGGER = logging.getLogger(__name__)
_LOCK = threading.Lock()
_loaded: _native.Runtime | None = None
_xla = False


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


def enable_xla() -> None:
    """Lets XLA compile what models mark for it, in the whole process. Before load_runtime()."""
    global _xla
    _xla = True


def load_runtime() -> _native.Runtime:
    """Opens the library, once for the process; takes about a second. Any thread.

    XLA compiles nothing unless it was enabled before: a run that needs it fails. Raises
    ServingError.
    """
    global _loaded
    with _LOCK:
        if _loaded is None:
            directory = tensorflow_directory()
            # It reads these when it is loaded. Of its own log, unless asked for, only errors.
            os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
            # oneDNN's allocator would keep the memory of unloaded models.
            os.environ.setdefault("TF_ONEDNN_USE_SYSTEM_ALLOCATOR", "1")
            began = time.monotonic()
            if visible_gpus():
                preload_cusolver(directory)
            try:
                _loaded = _native.Runtime.load(directory)
            except _native.NativeError as error:
                raise ServingError(error.code, error.message) from error
            if not _xla:
                _disable_xla(directory)
            seconds = time.monotonic() - began
            _LOGGER.info("TensorFlow %s is loaded (%.2f s)", _loaded.version, seconds)
        return _loaded


def preload_cusolver(directory: str) -> None:
    """Opens the libcusolver of NVIDIA's Python package, if it lies beside TensorFlow's directory.

    TensorFlow opens CUDA's libraries by name and uses no GPU if one is missing. The search path of
    2.21's libtensorflow_framework has the folders of NVIDIA's packages, but not this one. A library
    that is open already is found by its name. It takes 190 MB with those that it needs.
    """
    pattern = os.path.join(directory, "..", "nvidia", "cusolver", "lib", "libcusolver.so.*")
    for path in glob.glob(pattern):
        try:
            ctypes.CDLL(path)
        except OSError as error:
            _LOGGER.warning("TensorFlow will use no GPU: %s", error)


def _disable_xla(directory: str) -> None:
    """Calls tensorflow::DisableXlaCompilation(), which the C API does not offer."""
    try:
        library = ctypes.CDLL(os.path.join(directory, "libtensorflow_cc.so.2"))  # as loaded already
        library["_ZN10tensorflow21DisableXlaCompilationEv"]()
    except (OSError, AttributeError) as error:
        _LOGGER.warning("XLA compilation cannot be switched off in this TensorFlow: %s", error)


def load_op_libraries(paths: Sequence[str]) -> None:
    """Loads shared libraries of custom ops, for all models loaded afterwards. Any thread.

    Raises ServingError that names the path.
    """
    for path in paths:
        try:
            load_runtime().load_library(path)
        except _native.NativeError as error:
            raise ServingError(error.code, error.message) from error
        _LOGGER.info("Custom op library %s is loaded", path)
