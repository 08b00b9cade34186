"""SavedModels for tests, exported once a machine and kept under the repository's .cache/."""

import fcntl
import hashlib
import importlib.metadata
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache"


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
    Made under another name and renamed, so that a cut-off export is never taken for a whole one.
    """
    digest = hashlib.sha256(script.read_bytes()).hexdigest()[:12]
    target = CACHE / "models" / f"{script.stem}-{digest}-tf{_tensorflow_version()}"
    target.parent.mkdir(parents=True, exist_ok=True)
    with (target.parent / f"{script.stem}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            scratch = Path(tempfile.mkdtemp(dir=target.parent, prefix="export-"))
            environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": "-1"}
            command = [sys.executable, str(script), str(scratch)]
            done = subprocess.run(command, env=environment, capture_output=True, text=True)
            if done.returncode != 0:
                shutil.rmtree(scratch)
                raise RuntimeError(f"{script} failed:\n{done.stderr[-4000:]}")
            scratch.rename(target)
    return target
