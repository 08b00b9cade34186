"""Broken, vanishing and half-written versions: each fails alone, and what serves serves on."""

import contextlib
import errno
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.grpc_client import Client
from support.layout import await_states, blocked_load, publish
from support.server import ServerProcess, StartServer
from support.waiting import wait_until

SECONDS = 30.0


@pytest.fixture
def versions(recorded_models: Path) -> Path:
    return recorded_models / "half_plus"


@pytest.fixture
def base(tmp_path: Path, versions: Path) -> Path:
    path = tmp_path / "m"
    publish(versions / "1", path, "1")
    return path


@pytest.fixture
def server(start_server: StartServer, base: Path) -> Iterator[ServerProcess]:
    """A server of version 1 that must still be served at the end."""
    started = start_server(
        "--model_name=m", f"--model_base_path={base}", "--max_num_load_retries=0"
    )
    yield started
    with Client(started.grpc_port) as client:
        assert client.values("m", {"x": [2.0]}, version=1)["y"] == [3.0]
    assert "Traceback" not in started.log()
    started.stop()


def truncate_graph(version: Path) -> None:
    graph = version / "saved_model.pb"
    os.truncate(graph, graph.stat().st_size // 2)


def drop_data(version: Path) -> None:
    (version / "variables" / "variables.data-00000-of-00001").unlink()


def scribble(version: Path) -> None:
    (version / "saved_model.pb").write_bytes(b"\xff" * 1000)


def empty_graph(version: Path) -> None:
    (version / "saved_model.pb").write_bytes(b"")


@pytest.mark.parametrize("damage", [truncate_graph, drop_data, scribble, empty_graph])
def test_damaged_version_ends_with_an_error_and_serves_once_it_is_mended(
    server: ServerProcess,
    base: Path,
    versions: Path,
    tmp_path: Path,
    damage: Callable[[Path], None],
) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(versions / "2", damaged)
    damage(damaged)
    publish(damaged, base, "2")
    with Client(server.grpc_port) as client:
        wait_until(lambda: client.states("m").get(2) == "END", SECONDS, "version 2 has failed")
        (status,) = client.status("m", 2).model_version_status
        assert status.status.error_code != 0
        assert status.status.error_message
        assert client.states("m")[1] == "AVAILABLE"
        shutil.copytree(versions / "2", base / "2", dirs_exist_ok=True)
        await_states(client, "m", {1: "END", 2: "AVAILABLE"})
        shutil.rmtree(base / "2")
        await_states(client, "m", {1: "AVAILABLE", 2: "END"})


def test_half_copied_version_is_not_taken_up_before_it_is_whole(
    server: ServerProcess, base: Path, versions: Path
) -> None:
    with Client(server.grpc_port) as client:
        shutil.copytree(versions / "2" / "variables", base / "2" / "variables")
        wait_until(
            lambda: "Version 2 of servable m is not whole yet" in server.log(),
            SECONDS,
            "the half version is seen",
        )
        assert client.states("m") == {1: "AVAILABLE"}
        shutil.copy(versions / "2" / "saved_model.pb", base / "2" / "saved_model.pb")
        await_states(client, "m", {1: "END", 2: "AVAILABLE"})
        shutil.rmtree(base / "2")
        await_states(client, "m", {1: "AVAILABLE", 2: "END"})


def test_version_deleted_while_it_loads_harms_nobody(
    server: ServerProcess, base: Path, versions: Path, tmp_path: Path
) -> None:
    staged = tmp_path / "staged"
    shutil.copytree(versions / "2", staged)
    with Client(server.grpc_port) as client:
        with blocked_load(staged):
            staged.rename(base / "2")
            wait_until(lambda: client.states("m").get(2) == "LOADING", SECONDS, "version 2 loads")
            (base / "2").rename(staged)
        await_states(client, "m", {1: "AVAILABLE", 2: "END"})


def test_base_path_that_vanishes_or_is_a_file_keeps_what_serves(
    server: ServerProcess, base: Path, tmp_path: Path
) -> None:
    away = tmp_path / "away"
    with Client(server.grpc_port) as client:
        base.rename(away)
        wait_until(
            lambda: "Could not find base path" in server.log(), SECONDS, "the loss is noticed"
        )
        assert client.values("m", {"x": [2.0]})["y"] == [3.0]
        base.write_text("no folder")
        assert client.values("m", {"x": [2.0]})["y"] == [3.0]
        base.unlink()
        away.rename(base)
        await_states(client, "m", {1: "AVAILABLE"})


@contextlib.contextmanager
def small_disk(folder: Path, kib: int) -> Iterator[Path]:
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", str(folder)]
    subprocess.run(mount, check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_copy_that_fills_the_disk_leaves_the_old_version_serving(
    start_server: StartServer, versions: Path, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "disk", 4096) as disk:
        base = disk / "m"
        shutil.copytree(versions / "1", base / "1")
        free = os.statvfs(disk)
        (disk / "filler").write_bytes(b"\0" * ((free.f_bavail - 2) * free.f_bsize))
        server = start_server("--model_name=m", f"--model_base_path={base}")
        with Client(server.grpc_port) as client:
            with pytest.raises(shutil.Error, match=os.strerror(errno.ENOSPC)):
                shutil.copytree(versions / "2", base / "2")
            wait_until(
                lambda: any(
                    text in server.log()
                    for text in ("Version 2 of servable m is not whole yet", "version: 2} failed")
                ),
                SECONDS,
                "the torn version is seen",
            )
            assert client.values("m", {"x": [2.0]}, version=1)["y"] == [3.0]
        server.stop()
