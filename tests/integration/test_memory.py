"""Memory stays flat while versions come and go, and a connection costs little of it."""

import contextlib
import resource
import shutil
from pathlib import Path

from support import http2_frames as h2
from support.grpc_client import Client
from support.server import StartServer
from support.waiting import wait_until

WARM_UP, SWAPS = 3, 12
MARGIN_BYTES = 24 << 20
CONNECTIONS, CONNECTION_BYTES = 1000, 14 << 10


def test_memory_is_flat_over_version_swaps(
    start_server: StartServer, recorded_models: Path, tmp_path: Path
) -> None:
    source = recorded_models / "half_plus" / "1"
    base, incoming = tmp_path / "versions", tmp_path / "incoming"
    shutil.copytree(source, base / "1")
    server = start_server("--model_name=m", f"--model_base_path={base}")
    sizes = {}
    with Client(server.grpc_port) as client:
        for version in range(2, WARM_UP + SWAPS + 2):
            shutil.copytree(source, incoming)
            incoming.rename(base / str(version))
            shutil.rmtree(base / str(version - 1))
            wait_until(
                lambda v=version: (
                    client.states("m").get(v) == "AVAILABLE"
                    and client.states("m").get(v - 1) == "END"
                ),
                20,
                f"version {version} has taken over",
            )
            assert client.values("m", {"x": [2.0]})["y"] == [3.0]
            sizes[version] = server.memory_bytes()
    growth = sizes[WARM_UP + SWAPS + 1] - sizes[WARM_UP + 1]
    assert growth < MARGIN_BYTES, sizes
    server.stop()


def test_idle_connection_costs_at_most_14_kib(
    start_server: StartServer, recorded_models: Path
) -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limits[1], limits[1]))  # the server's, too
    try:
        base = recorded_models / "half_plus"
        # With one thread the model gets no second session while the connections are made.
        flags = ["--model_name=m", "--tensorflow_intra_op_parallelism=1"]
        server = start_server(f"--model_base_path={base}", *flags)
        hold_connections(server.grpc_port, CONNECTIONS // 10).close()
        before = server.memory_bytes()
        with hold_connections(server.grpc_port, CONNECTIONS):
            grown = server.memory_bytes() - before
        assert grown < CONNECTIONS * CONNECTION_BYTES
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def hold_connections(port: int, count: int) -> contextlib.ExitStack:
    """Connections that have said hello and have been answered a call."""
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            connection = stack.enter_context(h2.Connection(port))
            connection.call(1, "/none.None/None", b"")
            assert connection.until(h2.HEADERS) is not None
        return stack.pop_all()
