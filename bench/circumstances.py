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

from .harness import ROOT

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
    versions: dict[str, str] = field(default_factory=dict)
    """Of python, of nghttp2 and of packages where they are installed."""


def output_of(*command: str) -> str:
    """What a program prints, or "" where it is missing or fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()


def look_around() -> Circumstances:
    """The circumstances of a run that starts now."""
    cpu = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line]
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    versions["nghttp2"] = output_of("pkg-config", "--modversion", "libnghttp2") or "unknown"
    gpus = output_of("nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Circumstances(
        command=" ".join(["python -m bench", *sys.argv[1:]]),
        commit=output_of("git", "rev-parse", "HEAD") or "unknown",
        uncommitted_changes=output_of("git", "status", "--porcelain") != "",
        cpu=cpu[0].split(":", 1)[1].strip() if cpu else platform.processor(),
        cores=len(os.sched_getaffinity(0)),
        memory_gib=round(memory / 2**30, 1),
        kernel=platform.release(),
        gpus=gpus.splitlines(),
        load_average_at_start=os.getloadavg()[0],
        versions=versions,
    )
