"""What a reader needs to judge a run's figures: the commit, the machine, the versions."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from .harness import ROOT, BenchError

PACKAGES = ("tensorflow", "tensorflow-cpu", "grpcio", "numpy", "protobuf", "nvidia-pytriton", "ray")


@dataclass(frozen=True, kw_only=True)
class Circumstances:
    """Of one run."""

    command: str
    commit: str
    uncommitted_changes: bool
    cpu: str
    cores: int
    memory_gib: float
    kernel: str
    gpus: list[str] = field(default_factory=list)
    load_average_at_start: float
    paused_share: float | None = None
    """Of the time, in which a core gave nothing for half a millisecond or more at a time."""
    versions: dict[str, str] = field(default_factory=dict)
    """Of python, of nghttp2 and of packages where they are installed."""


def output_of(*command: str) -> str:
    """What a program prints, or "" where it is missing or fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()


def installed_gpus() -> list[str]:
    """The GPUs of this machine, with their driver."""
    gpus = output_of("nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader")
    return gpus.splitlines()


def require_gpu(python: str) -> None:
    """Raises BenchError that says what TensorFlow lacks to run on a GPU of this machine."""
    if not installed_gpus():
        raise BenchError(
            "this machine has no GPU: nvidia-smi is missing or shows none. An NVIDIA GPU and its "
            "driver are needed, in a container also `docker run --gpus all`"
        )
    code = "import tensorflow as tf; print(bool(tf.config.list_physical_devices('GPU')))"
    if output_of(python, "-c", code) != "True":
        raise BenchError(
            f"the TensorFlow of {python} finds no GPU, though nvidia-smi shows "
            f"{', '.join(installed_gpus())}. Its CUDA libraries are needed: "
            "pip install 'tensorflow[and-cuda]'"
        )


WATCH_CLOCK = """
import os, sys, time
os.sched_setaffinity(0, {int(sys.argv[1])})
now = time.monotonic_ns()
end, paused = now + 1_000_000_000, 0
while now < end:
    before, now = now, time.monotonic_ns()
    paused += now - before if now - before > 500_000 else 0
print(paused)
"""


def paused_share() -> float:
    """Has each core look at the clock for a second, at the same time, and do nothing else.

    Other programs, or the host of a virtual machine, take cores away for that share of the time,
    and at least as many requests wait for it: a percentile beyond it tells of the machine.
    """
    cores = os.sched_getaffinity(0)
    watchers = [
        subprocess.Popen([sys.executable, "-c", WATCH_CLOCK, str(core)], stdout=subprocess.PIPE)
        for core in cores
    ]
    paused_ns = sum(int(watcher.communicate()[0]) for watcher in watchers)
    return round(paused_ns / (1e9 * len(cores)), 4)


def look_around() -> Circumstances:
    """The circumstances of a run that starts now."""
    cpu = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line]
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    versions["nghttp2"] = output_of("pkg-config", "--modversion", "libnghttp2") or "unknown"
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Circumstances(
        command=" ".join(["python -m bench", *sys.argv[1:]]),
        commit=output_of("git", "rev-parse", "HEAD") or "unknown",
        uncommitted_changes=output_of("git", "status", "--porcelain") != "",
        cpu=cpu[0].split(":", 1)[1].strip() if cpu else platform.processor(),
        cores=len(os.sched_getaffinity(0)),
        memory_gib=round(memory / 2**30, 1),
        kernel=platform.release(),
        gpus=installed_gpus(),
        load_average_at_start=os.getloadavg()[0],
        paused_share=paused_share(),
        versions=versions,
    )
