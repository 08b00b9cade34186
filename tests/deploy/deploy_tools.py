"""Programs that the tests of deploy/ run."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from support.exporting import CACHE, ROOT

DEPLOY = ROOT / "deploy"

_PATH = os.pathsep.join((str(Path(sys.executable).parent), str(CACHE / "bin"), os.environ["PATH"]))


def tool(name: str) -> str:
    """The path of a program; skips the test where it is not installed."""
    path = shutil.which(name, path=_PATH)
    if path is None:
        pytest.skip(f"{name} is not installed: run tests/deploy/install_tools.sh")
    return path


def run(*command: str | Path, seconds: float = 60.0, **options: object) -> str:
    """What a command printed, both streams together; fails the test when the command fails."""
    done = subprocess.run(
        [str(word) for word in command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=seconds,
        **options,
    )
    assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout[-6000:]}"
    return done.stdout


def free_port() -> int:
    """A port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
