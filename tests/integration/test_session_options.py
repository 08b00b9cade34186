"""What TensorFlow is started with: its configuration, tags and libraries."""

from pathlib import Path

import pytest

from support.grpc_client import Client
from support.server import StartServer, run_to_end


def test_session_config_file_reaches_tensorflow_and_flags_outrank_it(
    start_server: StartServer, recorded_models: Path, tmp_path: Path
) -> None:
    """The file's own number of threads is none that TensorFlow could use."""
    file = tmp_path / "session.config"
    base = recorded_models / "half_plus"
    file.write_text("device_count { key: 'CPU' value: 2 } inter_op_parallelism_threads: -7")
    server = start_server(
        f"--model_base_path={base}",
        f"--tensorflow_session_config_file={file}",
        "--tensorflow_inter_op_parallelism=1",
        "--per_process_gpu_memory_fraction=0.5",
    )
    with Client(server.grpc_port) as client:
        assert client.values("model", {"x": [2.0]})["y"] == [5.0]
    server.stop()


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--tensorflow_session_config_file=/no/such/file"], ["/no/such/file"]),
        (["--custom_op_libraries=/no/such.so"], ["--custom_op_libraries", "/no/such.so"]),
        (
            [f"--tensorflow_{pool}_parallelism=1" for pool in ("session", "intra_op", "inter_op")],
            ["You cannot configure all."],
        ),
    ],
)
def test_option_that_cannot_be_used_ends_the_start_with_its_name(
    recorded_models: Path, flags: list[str], named: list[str]
) -> None:
    base = recorded_models / "half_plus"
    ended = run_to_end("--port=0", f"--model_base_path={base}", *flags)
    assert ended.returncode == 255
    assert [part for part in named if part not in ended.stderr] == []
    assert "Traceback" not in ended.stderr


def test_library_that_is_none_ends_the_start_with_its_path(
    recorded_models: Path, tmp_path: Path
) -> None:
    library = tmp_path / "op.so"
    library.write_bytes(b"no library")
    base = recorded_models / "half_plus"
    ended = run_to_end("--port=0", f"--model_base_path={base}", f"--custom_op_libraries={library}")
    assert ended.returncode == 255
    assert str(library) in ended.stderr
    assert "Traceback" not in ended.stderr


def test_tags_that_no_graph_has_fail_the_load_with_upstreams_text(
    start_server: StartServer, recorded_models: Path
) -> None:
    server = start_server(
        f"--model_base_path={recorded_models / 'half_plus'}",
        "--saved_model_tags=serve,gpu",
        "--max_num_load_retries=0",
    )
    with Client(server.grpc_port) as client:
        (status,) = client.status("model").model_version_status
        assert status.status.error_code == 5
        text = "Could not find meta graph def matching supplied tags: "
        either_order = (f"{text}{{ serve gpu }}", f"{text}{{ gpu serve }}")
        assert status.status.error_message.startswith(either_order)
    server.stop()
