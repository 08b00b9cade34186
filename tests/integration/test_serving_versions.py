"""Point 1: which version is served, how a newer one takes over, what the flags mean."""

import os
from pathlib import Path

import grpc
import pytest

from support import rest
from support.background import Background
from support.grpc_client import Client, failure
from support.layout import publish, retire
from support.server import StartServer, run_to_end
from support.waiting import wait_until

#: half_plus/N computes x / 2 + N + 1.
HALF_PLUS = "half_plus"


def served_version(client: Client) -> int:
    return client.predict("m", {"x": [1.0]}).model_spec.version.value


class Load(Background):
    """Predicts without a pause and checks each answer, until the block ends."""

    def __init__(self, port: int) -> None:
        super().__init__(port, self._predict)
        self.versions: list[int] = []
        self.failures: list[str] = []

    def _predict(self, client: Client) -> None:
        try:
            response = client.predict("m", {"x": [4.0]})
        except grpc.RpcError as e:
            self.failures.append(f"{e.code().name}: {e.details()}")
            return
        version = response.model_spec.version.value
        self.versions.append(version)
        if response.outputs["y"].float_val[0] != 3.0 + (version - 1) % 3 + 1:
            self.failures.append(f"version {version} answered {response.outputs['y']}")


@pytest.fixture
def base(tmp_path: Path) -> Path:
    path = tmp_path / "versions"
    path.mkdir()
    return path


@pytest.fixture
def versions(recorded_models: Path) -> Path:
    return recorded_models / HALF_PLUS


def test_highest_number_is_served_not_the_last_name(
    start_server: StartServer, base: Path, versions: Path
) -> None:
    for source, name in (("1", "9"), ("2", "10"), ("3", "v11"), ("3", "12.tmp"), ("3", "latest")):
        publish(versions / source, base, name)
    server = start_server("--model_name=m", f"--model_base_path={base}")
    with Client(server.grpc_port) as client:
        assert client.values("m", {"x": [2.0]})["y"] == [4.0]
        assert client.states("m") == {10: "AVAILABLE"}
    server.stop()


def test_newer_version_takes_over_and_only_then_the_old_one_goes(
    start_server: StartServer, base: Path, versions: Path
) -> None:
    publish(versions / "1", base, "1")
    server = start_server("--model_name=m", f"--model_base_path={base}")
    seen: list[dict[int, str]] = []

    with Client(server.grpc_port) as client, Load(server.grpc_port) as load:
        assert served_version(client) == 1
        publish(versions / "2", base, "2")

        def old_one_ended() -> bool:
            seen.append(client.states("m"))
            return seen[-1].get(1) == "END"

        wait_until(old_one_ended, 20, "version 1 is unloaded")
        assert served_version(client) == 2
        assert failure(lambda: client.predict("m", {"x": [1.0]}, version=1)) == (
            grpc.StatusCode.NOT_FOUND,
            "Servable not found for request: Specific(m, 1)",
        )
    assert all("AVAILABLE" in states.values() for states in seen), seen
    assert all(states[1] == "AVAILABLE" or states[2] == "AVAILABLE" for states in seen), seen
    assert load.failures == []
    assert load.versions == sorted(load.versions)
    server.stop()


def test_no_request_fails_while_versions_swap(
    start_server: StartServer, base: Path, versions: Path
) -> None:
    publish(versions / "1", base, "1")
    server = start_server("--model_name=m", f"--model_base_path={base}")
    with (
        Client(server.grpc_port) as client,
        Load(server.grpc_port) as one,
        Load(server.grpc_port) as two,
    ):
        for version in range(2, 6):
            publish(versions / str((version - 1) % 3 + 1), base, str(version))
            wait_until(lambda v=version: served_version(client) == v, 20, f"version {version}")
            retire(base, str(version - 1))
    for load in (one, two):
        assert load.failures == []
        assert set(load.versions) == {1, 2, 3, 4, 5}
    server.stop()


def test_removed_directory_is_unloaded_and_an_older_one_comes_back(
    start_server: StartServer, base: Path, versions: Path
) -> None:
    for version in ("1", "2"):
        publish(versions / version, base, version)
    server = start_server("--model_name=m", f"--model_base_path={base}")
    with Client(server.grpc_port) as client:
        assert served_version(client) == 2
        retire(base, "2")
        wait_until(lambda: served_version(client) == 1, 20, "version 1 is back")
        retire(base, "1")
        wait_until(lambda: set(client.states("m").values()) == {"END"}, 20, "all unloaded")
        assert failure(lambda: served_version(client)) == (
            grpc.StatusCode.NOT_FOUND,
            "Servable not found for request: Latest(m)",
        )
        publish(versions / "3", base, "3")
        wait_until(lambda: client.states("m").get(3) == "AVAILABLE", 20, "version 3 serves")
        assert served_version(client) == 3
    server.stop()


def test_version_that_cannot_be_loaded_leaves_the_old_one_serving(
    start_server: StartServer, base: Path, versions: Path, recorded_models: Path
) -> None:
    publish(versions / "1", base, "1")
    server = start_server("--model_name=m", f"--model_base_path={base}", "--max_num_load_retries=0")
    with Client(server.grpc_port) as client:
        publish(recorded_models / "broken" / "1", base, "2")
        wait_until(lambda: client.states("m").get(2) == "END", 20, "version 2 has failed")
        (status,) = client.status("m", 2).model_version_status
        assert status.status.error_code != 0
        assert status.status.error_message
        assert served_version(client) == 1
    server.stop()


def test_model_name_is_model_by_default_and_either_rest_flag_works(
    start_server: StartServer, versions: Path
) -> None:
    server = start_server("--rest_api_port=auto", "--model_base_path", str(versions))
    with Client(server.grpc_port) as client:
        assert client.values("model", {"x": [2.0]})["y"] == [5.0]
    assert rest.get(server.rest_port, "/v1/models/model").status == 200
    server.stop()


@pytest.mark.parametrize("name", [["--model_name", "a"], ["--model_name=b", "--model_name=a"]])
def test_flag_takes_its_value_in_either_form_and_the_last_one_counts(
    start_server: StartServer, versions: Path, name: list[str]
) -> None:
    server = start_server(*name, "--model_base_path", str(versions), "--demo=false")
    with Client(server.grpc_port) as client:
        assert client.states("a") == {3: "AVAILABLE"}
    server.stop()


def test_missing_default_base_path_names_the_flag_and_the_demo() -> None:
    if os.path.exists("/models/model"):
        pytest.skip("this machine has a model there")
    ended = run_to_end("--port=0")
    assert ended.returncode not in (0, -6, -11)
    for part in ("/models/model", "--model_base_path", "--demo"):
        assert part in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--model_base_pth=/x"], ["--model_base_pth", "--model_base_path"]),
        (["--port=abc"], ["port", "abc"]),
        (["--demo=perhaps"], ["demo", "perhaps"]),
        (["stray"], ["stray"]),
    ],
    ids=["unknown", "not-a-number", "not-a-bool", "stray-word"],
)
def test_wrong_command_line_is_refused_with_the_culprit(flags: list[str], named: list[str]) -> None:
    ended = run_to_end(*flags)
    assert ended.returncode not in (0, -6, -11)
    for part in named:
        assert part in ended.stderr
    assert "Traceback" not in ended.stderr
