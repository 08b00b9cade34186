"""Honest clients beside hostile ones: every answer is right, and afterwards nothing is left.

FASTSERVE_CHAOS_SECONDS   how long the attack lasts (default: 8)
FASTSERVE_CHAOS_SEED      of what the attackers do; the one that was used is printed
"""

import os
import secrets
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

import numpy as np
import pytest

from support import rest
from support.grpc_client import Client, predict_request
from support.hostile import Attackers
from support.server import ServerProcess, StartServer
from support.waiting import wait_until

SECONDS = float(os.environ.get("FASTSERVE_CHAOS_SECONDS", "8"))
REST_PATH = "/v1/models/identity:predict"
GROWTH_BYTES = 48 << 20
"""What resident memory may grow by under attack: arenas of the heap and buffers that are kept."""

pytestmark = pytest.mark.timeout(SECONDS + 120)


def gauges(server: ServerProcess) -> dict[str, float]:
    """Connections and requests in flight, by protocol, and open files. One REST request is ours."""
    page = rest.get(server.rest_port, "/metrics").body.decode()
    names = ("fastserve_connections", "fastserve_requests_in_flight")
    lines = (line.rpartition(" ") for line in page.splitlines() if line.startswith(names))
    files = len(list(Path(f"/proc/{server.pid}/fd").iterdir()))
    return {name: float(value) for name, _, value in lines} | {"files": files}


def ask_over_grpc(port: int, stop: threading.Event, random: Random) -> int:
    """Asks until it is told to stop; how often."""
    asked = 0
    with Client(port) as client:
        while not stop.is_set():
            sent = np.arange(random.choice((1, 10, 1000, 100_000)), dtype=np.float32) + asked
            got = client.values("identity", {"x": sent}, seconds=60)["y"]
            assert np.array_equal(got, sent)
            asked += 1
    return asked


def ask_over_rest(port: int, stop: threading.Event, random: Random) -> int:
    asked = 0
    while not stop.is_set():
        sent = [float(asked + i) for i in range(random.choice((1, 10, 1000)))]
        answer = rest.post(port, REST_PATH, {"inputs": sent})
        assert answer.status == 200, answer
        assert answer.json() == {"outputs": sent}
        asked += 1
    return asked


def serve_under_attack(server: ServerProcess, seconds: float, seed: int) -> tuple[list[int], str]:
    """Requests that each honest client had answered, and what the attackers did meanwhile."""
    stop = threading.Event()
    askers: list[tuple[Callable[[int, threading.Event, Random], int], int]] = [
        (ask_over_grpc, server.grpc_port),
        (ask_over_grpc, server.grpc_port),
        (ask_over_rest, server.rest_port),
    ]
    message = predict_request("identity", {"x": np.ones(2000, np.float32)}).SerializeToString()
    ports = (server.grpc_port, server.rest_port)
    with ThreadPoolExecutor() as pool, Attackers(ports, message, REST_PATH, seed) as attackers:
        asking = [
            pool.submit(ask, port, stop, Random(seed + number))
            for number, (ask, port) in enumerate(askers)
        ]
        end = time.monotonic() + seconds
        while time.monotonic() < end and not any(future.done() for future in asking):
            time.sleep(0.05)  # the length of the test, not a wait for something
        stop.set()
        answered = [future.result() for future in asking]
    return answered, str(dict(attackers.counts))


def test_honest_clients_are_served_beside_hostile_ones_and_nothing_is_left_behind(
    start_server: StartServer, recorded_models: Path
) -> None:
    seed = int(os.environ.get("FASTSERVE_CHAOS_SEED", secrets.randbelow(10**6)))
    server = start_server(
        "--model_name=identity", f"--model_base_path={recorded_models / 'identity'}"
    )
    idle = gauges(server)
    print(f"FASTSERVE_CHAOS_SEED={seed}")
    serve_under_attack(server, 1.0, seed + 1)  # from here on its buffers are there
    settled = server.memory_bytes()
    answered, attacks = serve_under_attack(server, SECONDS, seed)
    print(f"answered {answered}; attacks {attacks}")
    assert min(answered) > 0
    wait_until(lambda: gauges(server) == idle, 10, f"all as before: {idle}, {gauges(server)}")
    grown = server.memory_bytes() - settled
    print(f"resident memory: {settled >> 20} MiB, then {grown / 2**20:+.1f} MiB")
    assert grown < GROWTH_BYTES
