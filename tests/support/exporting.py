"""SavedModels for tests, exported once a machine."""

import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path

from support.cache import digest, kept


def _tensorflow_version() -> str:
    for name in ("tensorflow", "tensorflow-cpu", "tensorflow-gpu"):
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    raise RuntimeError("no tensorflow package is installed")


def exported(script: Path) -> Path:
    """The directory that `script DIR` filled, from the cache where script and TensorFlow agree.

    A process of its own runs the script, so that the test process need not import TensorFlow.
    """

    def export(directory: Path) -> None:
        environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": "-1"}
        command = [sys.executable, str(script), str(directory)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"{script} failed:\n{done.stderr[-4000:]}")

    name = f"{script.stem}-{digest(script.read_bytes())}-tf{_tensorflow_version()}"
    return kept(f"models/{name}", export)
