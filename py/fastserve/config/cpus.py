"""How many CPUs this process may use."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

MAX_THREADS = 1024
"""The most that a setting may ask for."""

_CGROUP_ROOT = Path("/sys/fs/cgroup")
_OWN_CGROUPS = Path("/proc/self/cgroup")


def available_cpus(root: Path = _CGROUP_ROOT, own_cgroups: Path = _OWN_CGROUPS) -> int:
    """Returns the CPUs of the affinity mask, or of the cgroup quota if those are fewer; never 0.

    A quota of 2.5 CPUs counts as 3.
    """
    quotas = (-(-quota // period) for quota, period in _quotas(_folders(root, own_cgroups)))
    return max(1, min(len(os.sched_getaffinity(0)), *quotas, 2**31))


def _folders(root: Path, own_cgroups: Path) -> Iterator[Path]:
    """Yields the folders of the process's CPU cgroup, version 1 or 2, and of those above it.

    In a container the file often names a path of the host, and the quota is in the root's files.
    """
    try:
        lines = own_cgroups.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        top = root / "cpu" if controllers else root
        own = top / path.lstrip("/")
        yield own
        yield from (parent for parent in own.parents if parent.is_relative_to(top))


def _quotas(folders: Iterable[Path]) -> Iterator[tuple[int, int]]:
    """Yields (quota, period) in microseconds for every limit that is set."""
    for folder in folders:
        for names in (("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us")):
            try:
                quota, period = " ".join((folder / name).read_text() for name in names).split()
            except (OSError, ValueError):
                continue
            if quota not in ("max", "-1"):
                yield int(quota), int(period)
