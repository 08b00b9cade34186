"""Where TensorFlow finds CUDA's libraries when its package is never imported."""

import json
import os
import subprocess
import sys
from pathlib import Path

from fastserve.servables.runtime import tensorflow_directory

PROGRAM = Path(__file__).parents[2] / "support" / "cuda_libraries.py"


def test_tensorflow_finds_cusolver_and_cufft_in_nvidias_packages(tmp_path: Path) -> None:
    """cuFFT lies on the search path of TensorFlow's library, cuSOLVER, in 2.21, does not."""
    package = tmp_path / "tensorflow"
    package.mkdir()
    (package / "__init__.py").touch()
    for library in Path(tensorflow_directory()).glob("libtensorflow*.so.2"):
        (package / library.name).symlink_to(library)
    libraries = {
        "Cusolver": tmp_path / "nvidia" / "cusolver" / "lib" / "libcusolver.so.11",
        "Cufft": tmp_path / "nvidia" / "cufft" / "lib" / "libcufft.so.11",
    }
    for path in libraries.values():
        path.parent.mkdir(parents=True)
        link = ("g++", "-shared", "-o", path, f"-Wl,-soname,{path.name}", "-x", "c++", os.devnull)
        subprocess.run(link, check=True)
    search = os.pathsep.join((str(tmp_path), os.environ.get("PYTHONPATH", "")))
    done = subprocess.run(
        (sys.executable, PROGRAM),
        env=os.environ | {"PYTHONPATH": search},
        stdout=subprocess.PIPE,
        check=True,
    )
    found = json.loads(done.stdout)
    assert {name: found[name] for name in libraries} == {
        name: str(path) for name, path in libraries.items()
    }
