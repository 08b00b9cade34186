"""How many GPUs there are, and what comes of it, with a library that stands for CUDA's driver."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fastserve.config.cpus import available_cpus

DRIVER = """
int cuInit(unsigned flags) { return %(error)d; }
int cuDeviceGetCount(int* count) { *count = %(gpus)d; return 0; }
"""
# A process of its own, since a library stays in the one that has loaded it.
PROGRAM = """
import json, sys
from fastserve import protos
from fastserve.cli import server_config
from fastserve.command_line import parse_flags
from fastserve.errors import ConfigError
try:
    config = server_config(parse_flags(["--model_base_path=/", *sys.argv[1:]]))
except ConfigError as error:
    print(json.dumps(error.message))
else:
    platform = config.platforms["tensorflow"]
    options = protos.ConfigProto.FromString(platform.config_proto).gpu_options
    limits = [list(device.memory_limit_mb) for device in options.experimental.virtual_devices]
    print(json.dumps([platform.devices, platform.default_batch_threads, limits]))
"""

Configure = Callable[..., Any]


@pytest.fixture
def configure(tmp_path: Path) -> Configure:
    """Gives devices, threads and memory limits by flags, or the error; and standard error."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler")

    def run(*flags: str, gpus: int, error: int = 0) -> tuple[Any, str]:
        source = tmp_path / "driver.c"
        source.write_text(DRIVER % {"error": error, "gpus": gpus})
        library = tmp_path / "libcuda.so.1"
        subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source], check=True)
        environment = os.environ | {"LD_LIBRARY_PATH": str(tmp_path)}
        command = [sys.executable, "-c", PROGRAM, *flags]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        return json.loads(done.stdout), done.stderr

    return run


def names(kind: str, count: int) -> list[str]:
    return [f"/device:{kind}:{index}" for index in range(count)]


@pytest.mark.parametrize(
    ("replicas", "gpus", "devices", "threads"),
    [
        (1, 4, [], 2),
        (1, 0, [], available_cpus()),
        (0, 4, names("GPU", 4), 8),
        (0, 1, names("GPU", 1), 2),
        (3, 4, names("GPU", 3), 6),
        (0, 0, names("CPU", 1), available_cpus()),
    ],
)
def test_each_gpu_that_is_used_has_two_threads_for_batches(
    configure: Configure, replicas: int, gpus: int, devices: list[str], threads: int
) -> None:
    made, _ = configure(f"--gpu_replicas={replicas}", gpus=gpus)
    assert made == [devices, threads, []]


@pytest.mark.parametrize(
    ("config", "count"),
    [
        ("gpu_options { visible_device_list: '2,0' }", 2),
        ("device_count { key: 'GPU' value: 1 }", 1),
    ],
)
def test_gpus_that_the_session_does_not_use_do_not_count(
    configure: Configure, tmp_path: Path, config: str, count: int
) -> None:
    file = tmp_path / "session.config"
    file.write_text(config)
    flag = f"--tensorflow_session_config_file={file}"
    made, _ = configure(flag, "--gpu_replicas=0", "--gpu_memory_limit_mb=4096", gpus=3)
    assert made == [names("GPU", count), 2 * count, [[4096]] * count]


def test_a_memory_limit_is_one_of_each_gpu(configure: Configure) -> None:
    assert configure("--gpu_memory_limit_mb=512", gpus=2)[0][2] == [[512], [512]]
    assert configure("--gpu_memory_limit_mb=512", gpus=0)[0][2] == []


@pytest.mark.parametrize("replicas", [3, -1])
def test_a_number_of_replicas_that_cannot_be_is_refused(
    configure: Configure, replicas: int
) -> None:
    refusal, _ = configure(f"--gpu_replicas={replicas}", gpus=2)
    assert refusal == (
        f"--gpu_replicas is {replicas}; it must be 0 (one a GPU) or at most 2, since there are so "
        "many GPUs"
    )


@pytest.mark.parametrize(("error", "told"), [(100, False), (999, True)])
def test_a_driver_that_fails_is_told_of_unless_it_has_no_device(
    configure: Configure, error: int, told: bool
) -> None:
    (devices, _, _), log = configure("--gpu_replicas=0", gpus=2, error=error)
    assert devices == names("CPU", 1)
    assert (f"CUDA's driver gives no GPU: error {error}" in log) == told


def test_limits_of_memory_that_do_not_go_together_are_refused(
    configure: Configure, tmp_path: Path
) -> None:
    file = tmp_path / "session.config"
    file.write_text("gpu_options { experimental { virtual_devices { memory_limit_mb: 9 } } }")
    for flag, text in (
        ("--per_process_gpu_memory_fraction=0.5", "both limit the memory of a GPU; set one"),
        (f"--tensorflow_session_config_file={file}", "are both set; give the limit as memory"),
    ):
        refusal, _ = configure("--gpu_memory_limit_mb=512", flag, gpus=1)
        assert text in refusal
    refusal, _ = configure("--gpu_memory_limit_mb=-1", gpus=1)
    assert refusal == (
        "--gpu_memory_limit_mb is -1; it must be 0 (no limit) or a number of MiB, as 4096"
    )
