"""Programs that the tests of deploy/ run."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from support.cache import CACHE, ROOT

DEPLOY = ROOT / "deploy"

_PATH = os.pathsep.join((str(Path(sys.executable).parent), str(CACHE / "bin"), os.environ["PATH"]))


def tool(name: str) -> str:
    """The path of a program; skips the test where it is not installed."""
    path = shutil.which(name, path=_PATH)
    if path is None:
        pytest.skip(f"{name} is not installed: run tests/deploy/install_tools.sh")
    return path


def attempt(*command: str | Path, seconds: float = 60.0, **options: object) -> tuple[int, str]:
    """The exit status of a command and what it printed, both streams together."""
    done = subprocess.run(
        [str(word) for word in command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=seconds,
        **options,
    )
    return done.returncode, done.stdout


def run(*command: str | Path, seconds: float = 60.0, **options: object) -> str:
    """What a command printed; fails the test when the command fails."""
    status, output = attempt(*command, seconds=seconds, **options)
    assert status == 0, f"{command} ended with {status}:\n{output[-6000:]}"
    return output


def free_port() -> int:
    """A port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def network() -> Iterator[tuple[str, ...]]:
    """Makes a network with a loopback interface alone; yields what runs a command in it.

    All that still runs in it is killed at the end.
    """
    if os.geteuid() != 0:
        pytest.skip("only root can make a network namespace")
    ip, name = tool("ip"), f"fastserve-{uuid.uuid4().hex[:8]}"
    run(ip, "netns", "add", name)
    try:
        run(ip, "-n", name, "link", "set", "lo", "up")
        yield (tool("nsenter"), f"--net=/run/netns/{name}")
    finally:
        for pid in run(ip, "netns", "pids", name).split():
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        run(ip, "netns", "delete", name)
