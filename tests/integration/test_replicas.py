"""Replicas of a model on several devices: CPU devices, which TensorFlow places on as on GPUs."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from support import rest
from support.grpc_client import SECONDS, Client
from support.server import ServerProcess, StartServer, run_to_end

DEVICES = [f"/job:localhost/replica:0/task:0/device:CPU:{index}".encode() for index in range(2)]


@pytest.fixture
def session_config(tmp_path: Path) -> str:
    """The flag that gives TensorFlow two CPU devices."""
    file = tmp_path / "session.config"
    file.write_text("device_count { key: 'CPU' value: 2 }")
    return f"--tensorflow_session_config_file={file}"


@pytest.fixture
def serve(start_server: StartServer, models: Path, session_config: str) -> StartServer:
    """Starts a server of the model `devices` on two devices."""

    def start(*flags: str, **environment_changes: str) -> ServerProcess:
        base = f"--model_base_path={models / 'devices'}"
        all_flags = ("--model_name=devices", base, session_config, "--gpu_replicas=0", *flags)
        return start_server(*all_flags, **environment_changes)

    return start


def row(client: Client) -> Mapping[str, object]:
    """The answer to one row."""
    values = client.values("devices", {"x": np.int64([1])})
    return {alias: value[0] for alias, value in values.items()}


@pytest.mark.parametrize("flags", [[], ["--enable_batching"]])
def test_runs_take_turns_and_all_parts_of_one_are_on_its_device(
    serve: StartServer, flags: list[str]
) -> None:
    server = serve(*flags)
    with Client(server.grpc_port) as client:
        for run in range(1, 4):
            answers = [row(client) for _ in DEVICES]
            assert answers == [
                {"variable": device, "made": device, "on_gpu": device, "line": b"one", "run": run}
                for device in DEVICES
            ]
    metrics = rest.get(server.rest_port, "/metrics").body.decode()
    for device in ("/device:CPU:0", "/device:CPU:1"):
        labels = f'model="devices",version="1",device="{device}"'
        assert f"fastserve_replica_runs_total{{{labels}}} 3\n" in metrics


def test_a_run_goes_where_fewest_are_in_flight(serve: StartServer) -> None:
    with Client(serve().grpc_port) as client, ThreadPoolExecutor(1) as pool:
        steps = {"steps": np.int32(1000)}
        slow = pool.submit(client.values, "devices", steps, signature="slow", seconds=SECONDS)
        answers = []
        while not slow.done():
            answers.append(row(client)["variable"])
        beside = slow.result()["variable"][()]
        # But for those before it began and after it ended.
        assert answers.count(beside) < 0.1 * len(answers)


def test_warm_up_reaches_each_replica(serve: StartServer) -> None:
    with Client(serve("--synthetic_warmup").grpc_port) as client:
        assert [row(client)["run"] for _ in DEVICES] == [2, 2]


def test_a_platform_config_file_leaves_replicas_to_the_flag(
    start_server: StartServer, models: Path, tmp_path: Path
) -> None:
    file = tmp_path / "platforms.config"
    file.write_text(
        "platform_configs { key: 'tensorflow' value { source_adapter_config { "
        "[h/tensorflow.serving.SavedModelBundleSourceAdapterConfig] { legacy_config { "
        "session_config { device_count { key: 'CPU' value: 2 } } } } } } }"
    )
    server = start_server(
        "--model_name=devices",
        f"--model_base_path={models / 'devices'}",
        f"--platform_config_file={file}",
        "--gpu_replicas=2",
    )
    with Client(server.grpc_port) as client:
        assert [row(client)["variable"] for _ in DEVICES] == DEVICES


def test_more_replicas_than_devices_end_the_start(models: Path, session_config: str) -> None:
    base = f"--model_base_path={models / 'devices'}"
    ended = run_to_end("--port=0", base, session_config, "--gpu_replicas=3")
    assert ended.returncode == 255
    assert (
        "--gpu_replicas is 3; it must be 0 (one a GPU) or at most 2, since CUDA's driver shows no "
        "GPU" in ended.stderr
    )
