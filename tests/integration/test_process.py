"""What the server process is made of: no Python TensorFlow, a bounded size, a quick start."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from support.server import ServerProcess, StartServer


@pytest.fixture(scope="module")
def server(start_server: StartServer, recorded_models: Path) -> ServerProcess:
    return start_server(f"--model_base_path={recorded_models / 'half_plus'}")


def mapped_files(server: ServerProcess) -> set[str]:
    lines = Path(f"/proc/{server.pid}/maps").read_text().splitlines()
    return {line.split(maxsplit=5)[5] for line in lines if "/" in line}


def test_process_maps_tensorflows_library_but_none_of_its_python_extensions(
    server: ServerProcess,
) -> None:
    files = mapped_files(server)
    assert any("/libtensorflow_cc.so" in file for file in files)
    assert [file for file in files if "/tensorflow/python/" in file or "_pywrap" in file] == []
    assert [file for file in files if "ml_dtypes" in file or "/h5py/" in file] == []


def test_process_with_a_small_model_stays_small(server: ServerProcess) -> None:
    """The parts of TensorFlow's library that are used, the interpreter, and little else."""
    assert server.memory_bytes() < 600 << 20


LOAD_TENSORFLOW = """
import ctypes, importlib.util, time
package = importlib.util.find_spec("tensorflow").submodule_search_locations[0]
began = time.monotonic()
ctypes.CDLL(f"{package}/libtensorflow_framework.so.2")
ctypes.CDLL(f"{package}/libtensorflow_cc.so.2")
print(time.monotonic() - began)
"""


def test_small_model_is_ready_soon_after_tensorflows_own_load(
    start_server: StartServer, recorded_models: Path
) -> None:
    """Best of several, since other processes share the machine."""
    loads, starts = [], []
    for _ in range(3):
        command = [sys.executable, "-c", LOAD_TENSORFLOW]
        loads.append(float(subprocess.run(command, capture_output=True, check=True).stdout))
        began = time.monotonic()
        server = start_server(f"--model_base_path={recorded_models / 'half_plus'}")
        starts.append(time.monotonic() - began)
        server.stop()
    assert min(starts) - min(loads) < 1.5
