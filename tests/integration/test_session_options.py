"""What TensorFlow is started with: its configuration, tags, libraries and compiler."""

from pathlib import Path

import grpc
import numpy as np
import pytest

from support.grpc_client import Client, failure
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
        (["--platform_config_file=/no/such/file"], ["NOT_FOUND: /no/such/file; No such file"]),
        (["--thread_pool_factory_config_file=/no/such/file"], ["NOT_FOUND: /no/such/file; "]),
        (["--use_alts_credentials"], ["--use_alts_credentials cannot be used"]),
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


@pytest.mark.parametrize("flag", [None, "--xla_gpu_compilation_enabled"])
def test_xla_compiles_only_when_it_is_enabled(
    start_server: StartServer, models: Path, flag: str | None
) -> None:
    """x -> y = 2 x + 1, marked by jit_compile=True."""
    server = start_server(f"--model_base_path={models / 'compiled'}", *([flag] if flag else []))
    with Client(server.grpc_port) as client:
        if flag:
            assert client.values("model", {"x": [1.0, 2.0]})["y"].tolist() == [3.0, 5.0]
        else:
            code, text = failure(lambda: client.predict("model", {"x": [1.0]}))
            assert code is grpc.StatusCode.INTERNAL
            assert text.startswith("XLA compilation disabled")
    server.stop()


def test_busy_model_that_counts_its_runs_misses_none(
    start_server: StartServer, models: Path, tmp_path: Path
) -> None:
    """A model with state never has a second session, whose state would be another."""
    soft = tmp_path / "session.config"
    soft.write_text("allow_soft_placement: true")  # the model names a GPU
    server = start_server(
        f"--model_base_path={models / 'devices'}", f"--tensorflow_session_config_file={soft}"
    )
    with Client(server.grpc_port) as client:
        x = np.array([0], np.int64)
        runs = [int(client.values("model", {"x": x})["run"][0]) for _ in range(600)]
    assert runs == list(range(1, 601))
    server.stop()


def computes_in_bfloat16() -> bool:
    """Whether oneDNN does on this CPU (tensorflow/core/graph/mkl_graph_util.h)."""
    flags = Path("/proc/cpuinfo").read_text()
    return "avx512f" in flags or "avx_ne_convert" in flags


def test_mixed_precision_computes_in_bfloat16_where_the_cpu_can(
    start_server: StartServer, models: Path
) -> None:
    images = np.linspace(0, 1, 784, dtype=np.float32).reshape(1, 784)
    scores = []
    for flags in ([], ["--mixed_precision=bfloat16"]):
        server = start_server(f"--model_base_path={models / 'mnist_mlp'}", *flags)
        with Client(server.grpc_port) as client:
            scores.append(client.values("model", {"images": images})["scores"])
        server.stop()
    full, mixed = scores
    np.testing.assert_allclose(mixed, full, atol=0.02)
    assert np.array_equal(full, mixed) != computes_in_bfloat16()
