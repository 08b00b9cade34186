"""Prints throughput through Envoy against the number of replicas.

usage: PYTHONPATH=tests:tests/deploy python tests/deploy/measure_replicas.py [PERCENT [SECONDS]]

Each replica may use PERCENT (10) of one CPU, so that one machine stands for several. Needs root and
the cpu controller of cgroup version 1.
"""

import contextlib
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from fleet import Envoy, Load, Replica

from support import slow
from support.cache import ROOT
from support.exporting import exported

CGROUPS = Path("/sys/fs/cgroup/cpu")
PERIOD_US = 100_000
RUN_S = 0.002
CLIENTS_A_REPLICA = 4


@contextlib.contextmanager
def limited(replica: Replica, percent: float) -> Iterator[None]:
    """Lets a replica use `percent` of a CPU until the block ends, whatever else runs."""
    group = CGROUPS / f"fastserve-{replica.server.pid}"
    group.mkdir()
    try:
        (group / "cpu.cfs_period_us").write_text(str(PERIOD_US))
        (group / "cpu.cfs_quota_us").write_text(str(round(PERIOD_US * percent / 100)))
        (group / "cpu.shares").write_text("16384")
        (group / "cgroup.procs").write_text(str(replica.server.pid))
        yield
    finally:
        replica.server.stop()
        group.rmdir()


def measure(scratch: Path, models: Path, replicas: int, percent: float, seconds: float) -> float:
    """Returns right answers a second."""
    with contextlib.ExitStack() as at_end:
        fleet = [Replica(scratch / f"{n}", *slow.flags(models)) for n in range(replicas)]
        for replica in fleet:
            replica.server.ready()
            at_end.enter_context(limited(replica, percent))
        clusters = {"all-models": fleet, "mnist": fleet, "mnist-canary": fleet}
        envoy = Envoy(scratch / "envoy", clusters)
        at_end.callback(envoy.stop)
        envoy.await_healthy("all-models", fleet)
        clients = CLIENTS_A_REPLICA * replicas
        with Load(envoy.port, slow.request(RUN_S), clients=clients) as load:
            time.sleep(1)
            before, began = load.answers, time.monotonic()
            time.sleep(seconds)
            answers, took = load.answers - before, time.monotonic() - began
        if load.failures:
            raise SystemExit(f"calls failed: {dict(load.failures)}")
        return answers / took


def main() -> None:
    percent, seconds = (float(word) for word in [*sys.argv[1:], "10", "10"][:2])
    models = exported(ROOT / "tests" / "models" / "export_models.py")
    with tempfile.TemporaryDirectory() as scratch:
        for replicas in range(1, 5):
            rate = measure(Path(scratch, str(replicas)), models, replicas, percent, seconds)
            print(
                f"{replicas} replicas: {rate:.1f} answers/s, {rate / replicas:.1f} each", flush=True
            )


if __name__ == "__main__":
    main()
