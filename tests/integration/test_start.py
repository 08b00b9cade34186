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


def test_requests_for_a_model_that_loads_are_told_so_and_others_are_answered(
    recorded_models: Path, base: Path, tmp_path: Path
) -> None:
    file = tmp_path / "models.config"
    other = recorded_models / "half_plus"
    file.write_text(config_text([model_entry("m", base), model_entry("other", other)]))
    ports = free_port(), free_port()
    with blocked_load(base / "1"):
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
            assert client.states("m") == {1: "LOADING"}
            for spec, wanted in (({}, "Latest(m)"), ({"version": 1}, "Specific(m, 1)")):
                code, text = failure(lambda s=spec: client.predict("m", {"x": [1.0]}, **s))
                assert (code, text) == (
                    UNAVAILABLE,
                    f"Servable not found for request: {wanted}. "
                    "Model m is not ready yet: version 1 is LOADING",
                )
                assert failure(lambda s=spec: client.metadata("m", **s)) == (code, text)
            answer = rest.post(ports[1], "/v1/models/m:predict", {"instances": [1.0]})
            assert answer.status == 503
            assert "version 1 is LOADING" in answer.error
            code, _ = failure(lambda: client.predict("m", {"x": [1.0]}, version=2))
            assert code == grpc.StatusCode.NOT_FOUND
            assert client.values("other", {"x": [2.0]})["y"] == [5.0]
    try:
        server.ready()
        with Client(ports[0]) as client:
            assert client.values("m", {"x": [2.0]})["y"] == [3.0]
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
