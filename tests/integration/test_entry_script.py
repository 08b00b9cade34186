"""The container's entry script, which starts `tensorflow_model_server` from two variables."""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support import rest
from support.cache import ROOT
from support.grpc_client import Client
from support.server import ServerProcess, environment

SCRIPT = ROOT / "deploy" / "docker" / "tf_serving_entrypoint.sh"


def install(folder: Path, line: str) -> str:
    """Puts a `tensorflow_model_server` of one line of shell into a folder; returns PATH with it."""
    program = folder / "tensorflow_model_server"
    program.write_text(f"#!/bin/sh\n{line}\n")
    program.chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


def arguments(folder: Path, *given: str, **variables: str) -> list[str]:
    """The arguments that the script starts the server with."""
    inherited = {k: v for k, v in os.environ.items() if k not in ("MODEL_NAME", "MODEL_BASE_PATH")}
    path = install(folder, """for word in "$@"; do echo "$word"; done""")
    ran = subprocess.run(
        [SCRIPT, *given],
        env=inherited | {"PATH": path} | variables,
        capture_output=True,
        text=True,
        check=True,
    )
    return ran.stdout.splitlines()


def test_script_serves_one_model_on_the_ports_of_tensorflow_serving(tmp_path: Path) -> None:
    assert arguments(tmp_path) == [
        "--port=8500",
        "--rest_api_port=8501",
        "--model_name=model",
        "--model_base_path=/models/model",
    ]


def test_variables_name_the_model_and_arguments_come_last(tmp_path: Path) -> None:
    given = ("--port=9000", "--model_config_file=/a b", "")
    assert arguments(tmp_path, *given, MODEL_NAME="my model", MODEL_BASE_PATH="/data") == [
        *("--port=8500", "--rest_api_port=8501"),
        *("--model_name=my model", "--model_base_path=/data/my model"),
        *given,
    ]


def test_script_serves_a_model_and_passes_signals_on(recorded_models: Path, tmp_path: Path) -> None:
    """The program is the entry point of pyproject.toml as pip would install it."""
    shutil.copytree(recorded_models / "half_plus", tmp_path / "models" / "half_plus")
    entry = "import sys; from fastserve.cli import main; sys.exit(main())"
    path = install(tmp_path, f'exec {shlex.join([sys.executable, "-c", entry])} "$@"')
    server = ServerProcess(
        tmp_path,
        program=[str(SCRIPT)],
        PATH=path,
        MODEL_NAME="half_plus",
        MODEL_BASE_PATH=str(tmp_path / "models"),
    )
    try:
        server.ready()
        with Client(server.grpc_port) as client:
            assert client.values("half_plus", {"x": [2.0]})["y"] == [5.0]
        answer = rest.post(server.rest_port, "/v1/models/half_plus:predict", {"instances": [2.0]})
        assert answer.json() == {"predictions": [5.0]}
        server.stop()
        assert "SIGTERM: finishing what is in flight" in server.log()
    finally:
        server.kill()


@pytest.mark.parametrize("flag", ["--version", "--help"])
def test_program_says_what_it_is(tmp_path: Path, flag: str) -> None:
    """`tensorflow_model_server` is a name of the same program."""
    declared = (ROOT / "pyproject.toml").read_text()
    assert 'tensorflow_model_server = "fastserve.cli:main"' in declared
    entry = "from fastserve.cli import main; main()"
    ran = subprocess.run(
        [sys.executable, "-c", entry, flag],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment(),
        cwd=tmp_path,
    )
    assert ran.returncode == 0
    lines = ran.stdout.splitlines()
    if flag == "--version":
        assert [line.partition(": ")[0] for line in lines] == [
            "TensorFlow ModelServer",
            "TensorFlow Library",
        ]
    else:
        assert lines[0].startswith("usage: ")
