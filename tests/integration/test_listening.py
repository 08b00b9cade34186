"""Where a server listens: unix sockets, more addresses, and what happens to socket files."""

import os
import signal
import socket
import stat
from pathlib import Path

import pytest

from support.grpc_client import Client
from support.server import ServerProcess, StartServer, run_to_end


@pytest.fixture(scope="module")
def flags(recorded_models: Path) -> tuple[str, ...]:
    return ("--model_name=m", f"--model_base_path={recorded_models / 'half_plus'}")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "grpc.socket"


def assert_serves(target: int | str) -> None:
    with Client(target) as client:
        assert client.values("m", {"x": [2.0]}, seconds=10)["y"] == [5.0]


def listening_ports(server: ServerProcess) -> set[int]:
    """The TCP ports on which the process listens."""
    inodes = set()
    for entry in Path(f"/proc/{server.pid}/fd").iterdir():
        link = os.readlink(entry)
        if link.startswith("socket:["):
            inodes.add(link[8:-1])
    ports = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{server.pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:
                ports.add(int(fields[1].rpartition(":")[2], 16))
    return ports


def test_unix_socket_beside_a_port(
    start_server: StartServer, flags: tuple[str, ...], path: Path
) -> None:
    server = start_server(*flags, "--port=auto", f"--grpc_socket_path={path}")
    assert_serves(server.grpc_port)
    assert_serves(f"unix:{path}")
    assert f"Running gRPC ModelServer at UNIX socket {path} ..." in server.log()
    server.stop()
    assert not path.exists()


def test_unix_socket_instead_of_a_port(
    start_server: StartServer, flags: tuple[str, ...], path: Path
) -> None:
    """As with TensorFlow Serving, port 0 then means none."""
    server = start_server(*flags, "--port=0", f"--grpc_socket_path={path}", "--rest_api_port=0")
    assert server.grpc_port == 0
    assert listening_ports(server) == set()
    assert_serves(f"unix:{path}")
    server.stop()


def test_socket_has_the_permissions_asked_for(
    start_server: StartServer, flags: tuple[str, ...], path: Path
) -> None:
    server = start_server(*flags, f"--grpc_socket_path={path}", "--grpc_socket_mode=0660")
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    server.stop()


def test_socket_of_a_server_that_was_killed_is_replaced(
    start_server: StartServer, flags: tuple[str, ...], path: Path, tmp_path: Path
) -> None:
    killed = ServerProcess(tmp_path, *flags, f"--grpc_socket_path={path}").ready()
    killed.signal(signal.SIGKILL)
    killed.wait()
    assert path.is_socket()
    server = start_server(*flags, f"--grpc_socket_path={path}")
    assert_serves(f"unix:{path}")
    server.stop()


def test_socket_of_a_server_that_lives_is_refused_and_left_to_it(
    start_server: StartServer, flags: tuple[str, ...], path: Path
) -> None:
    server = start_server(*flags, f"--grpc_socket_path={path}")
    ended = run_to_end(*flags, "--port=0", f"--grpc_socket_path={path}")
    assert ended.returncode == 255
    assert f"cannot listen on unix:{path}: another process listens on it" in ended.stderr
    assert_serves(f"unix:{path}")
    server.stop()


def test_start_that_fails_leaves_no_socket_behind(
    flags: tuple[str, ...], path: Path, tmp_path: Path
) -> None:
    with socket.socket(socket.AF_INET6) as taken:
        taken.bind(("::", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ended = run_to_end(*flags, f"--grpc_socket_path={path}", f"--rest_api_port={port}")
    assert ended.returncode == 255
    assert f"--rest_api_port={port}" in ended.stderr
    assert not path.exists()


def test_more_addresses_are_served_too(
    start_server: StartServer, flags: tuple[str, ...], path: Path
) -> None:
    server = start_server(
        *flags, "--port=auto", f"--grpc_listen_addresses=127.0.0.1:0,[::1]:0,unix:{path}"
    )
    more = listening_ports(server) - {server.grpc_port, server.rest_port}
    assert len(more) == 2
    for port in more:
        address = "127.0.0.1" if not reachable("::1", port) else "[::1]"
        assert_serves(f"{address}:{port}")
    assert_serves(server.grpc_port)
    assert_serves(f"unix:{path}")
    server.stop()


def reachable(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=5).close()
    except ConnectionRefusedError:
        return False
    return True


@pytest.mark.parametrize("address", ["nowhere", "127.0.0.1:x", "127.0.0.1:1,"])
def test_bad_address_ends_the_start_and_is_named(flags: tuple[str, ...], address: str) -> None:
    ended = run_to_end(*flags, "--port=0", f"--grpc_listen_addresses={address}")
    assert ended.returncode == 255
    assert address in ended.stderr
    assert "Traceback" not in ended.stderr


def test_both_families_reach_the_port(start_server: StartServer, flags: tuple[str, ...]) -> None:
    server = start_server(*flags)
    assert_serves(f"127.0.0.1:{server.grpc_port}")
    assert_serves(f"[::1]:{server.grpc_port}")
    server.stop()
