"""A start that is not all or nothing: ports open at once, and what is loading says so."""

import os
import socket
from pathlib import Path

import grpc
import pytest

from support import rest
from support.grpc_client import Client, failure
from support.layout import await_states, blocked_load, config_text, model_entry, publish
from support.server import ServerProcess, StartServer, run_to_end
from support.waiting import wait_until

UNAVAILABLE = grpc.StatusCode.UNAVAILABLE
SECONDS = 30.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except ConnectionRefusedError:
        return False
    return True


@pytest.fixture
def base(recorded_models: Path, tmp_path: Path) -> Path:
    path = tmp_path / "m"
    publish(recorded_models / "half_plus" / "1", path, "1")
    return path


def not_ready(wanted: str, states: str) -> str:
    return f"Servable not found for request: {wanted}. Model m is not ready yet: {states}"


def refusals(client: Client, **spec: int) -> tuple[grpc.StatusCode, str]:
    """How Predict, which is native, and GetModelMetadata, which is not, are refused: alike."""
    refusal = failure(lambda: client.predict("m", {"x": [1.0]}, **spec))
    assert failure(lambda: client.metadata("m", **spec)) == refusal
    return refusal


def test_requests_for_a_model_that_loads_are_told_so_and_others_are_answered(
    recorded_models: Path, base: Path, tmp_path: Path
) -> None:
    file = tmp_path / "models.config"
    other = recorded_models / "half_plus"
    publish(other / "2", base, "2")
    all_versions = "model_version_policy { all {} }"
    entries = [model_entry("m", base, all_versions), model_entry("other", other)]
    file.write_text(config_text(entries))
    ports = free_port(), free_port()
    with blocked_load(base / "1"), blocked_load(base / "2"):
        server = ServerProcess(
            tmp_path,
            f"--model_config_file={file}",
            f"--port={ports[0]}",
            f"--rest_api_port={ports[1]}",
            "--load_retry_interval_micros=0",
        )
        wait_until(lambda: listens(ports[1]), SECONDS, "the ports are open")
        with Client(ports[0]) as client:
            await_states(client, "other", {3: "AVAILABLE"})
            assert client.states("m") == {1: "LOADING", 2: "LOADING"}
            latest = not_ready("Latest(m)", "version 1 is LOADING, version 2 is LOADING")
            assert refusals(client) == (UNAVAILABLE, latest)
            specific = not_ready("Specific(m, 1)", "version 1 is LOADING")
            assert refusals(client, version=1) == (UNAVAILABLE, specific)
            answer = rest.post(ports[1], "/v1/models/m:predict", {"instances": [1.0]})
            assert (answer.status, answer.error) == (503, latest)
            code, _ = refusals(client, version=3)
            assert code == grpc.StatusCode.NOT_FOUND
            assert client.values("other", {"x": [2.0]})["y"] == [5.0]
    try:
        server.ready()
        with Client(ports[0]) as client:
            await_states(client, "m", {1: "AVAILABLE", 2: "AVAILABLE"})
            assert client.values("m", {"x": [2.0]})["y"] == [4.0]
        server.stop()
    finally:
        server.kill()


def test_requests_for_a_model_that_was_not_looked_at_yet_are_told_so(
    base: Path, tmp_path: Path
) -> None:
    port = free_port()
    never = "--file_system_poll_wait_seconds=-1"
    flags = ("--model_name=m", f"--model_base_path={base}", f"--port={port}", never)
    server = ServerProcess(tmp_path, *flags)
    try:
        wait_until(lambda: listens(port), SECONDS, "the port is open")
        with Client(port) as client:
            wait_until(
                lambda: "no version is looked for" in server.log(), SECONDS, "it has started"
            )
            looking = "looking for versions"
            assert refusals(client) == (UNAVAILABLE, not_ready("Latest(m)", looking))
            assert refusals(client, version=3) == (
                UNAVAILABLE,
                not_ready("Specific(m, 3)", looking),
            )
        server.stop()
    finally:
        server.kill()


def test_model_that_cannot_load_does_not_keep_the_others_from_serving(
    start_server: StartServer, recorded_models: Path, tmp_path: Path
) -> None:
    names = ("broken", "half_plus")
    entries = [model_entry(name, recorded_models / name) for name in names]
    file = tmp_path / "models.config"
    file.write_text(config_text([*entries, model_entry("gone", tmp_path / "gone")]))
    server = start_server(f"--model_config_file={file}", "--max_num_load_retries=0")
    with Client(server.grpc_port) as client:
        assert client.states("broken") == {1: "END"}
        assert client.values("half_plus", {"x": [2.0]})["y"] == [5.0]
    assert "2 servable(s) did not become available: " in server.log()
    server.stop()


@pytest.mark.parametrize("name", ["broken", "gone"])
def test_strict_start_ends_with_255_and_the_reason(
    recorded_models: Path, tmp_path: Path, name: str
) -> None:
    file = tmp_path / "models.config"
    names = (name, "half_plus")
    file.write_text(config_text([model_entry(n, recorded_models / n) for n in names]))
    ended = run_to_end(
        "--port=0", f"--model_config_file={file}", "--max_num_load_retries=0", "--strict_start"
    )
    assert ended.returncode == 255
    assert (
        "Failed to start server. Error: UNKNOWN: 1 servable(s) did not become available: "
        f"{{{{{{name: {name}"
    ) in ended.stderr


def test_signal_ends_a_start_that_is_not_over(base: Path, tmp_path: Path) -> None:
    port = free_port()
    with blocked_load(base / "1"):
        server = ServerProcess(tmp_path, f"--model_base_path={base}", f"--port={port}")
        try:
            wait_until(lambda: listens(port), SECONDS, "the port is open")
            server.signal()
            assert server.wait() == 0
        finally:
            server.kill()


def test_port_that_is_taken_ends_the_start_with_its_number(base: Path) -> None:
    with socket.socket(socket.AF_INET6) as taken:
        taken.bind(("::", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for flag in ("port", "rest_api_port"):
            other = "rest_api_port" if flag == "port" else "port"
            ended = run_to_end(f"--{flag}={port}", f"--{other}=auto", f"--model_base_path={base}")
            assert ended.returncode == 255
            assert str(port) in ended.stderr
            assert "Traceback" not in ended.stderr


def test_port_file_that_cannot_be_written_is_named(base: Path, tmp_path: Path) -> None:
    target = os.fspath(tmp_path / "no" / "such" / "folder")
    ended = run_to_end("--port=0", f"--model_base_path={base}", f"--port_file={target}")
    assert ended.returncode == 255
    assert target in ended.stderr
