"""A real server process: `python -m fastserve` as a user starts it."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from support.cache import ROOT

START_SECONDS = 60.0
STOP_SECONDS = 30.0


PROGRAM = (sys.executable, "-m", "fastserve")


def command(*flags: str, program: Sequence[str] = PROGRAM) -> list[str]:
    return [*program, *flags]


def environment(**changes: str) -> dict[str, str]:
    """The server's environment; names py/ only where fastserve is not installed."""
    result = os.environ | {"CUDA_VISIBLE_DEVICES": "-1"} | changes
    spec = importlib.util.find_spec("fastserve")
    if spec is None or spec.origin is None or Path(spec.origin).is_relative_to(ROOT / "py"):
        result["PYTHONPATH"] = str(ROOT / "py")
    return result


class ServerProcess:
    """One server on free ports of the loopback interface, started at once."""

    def __init__(
        self,
        scratch: Path,
        *flags: str,
        program: Sequence[str] = PROGRAM,
        **environment_changes: str,
    ) -> None:
        """`scratch`: a folder of its own for the log and the port file."""
        self._port_file = scratch / "ports"
        self._log = scratch / "stderr.txt"
        self.started = time.monotonic()
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                command(
                    *("--port=0", "--rest_port=auto", f"--port_file={self._port_file}", *flags),
                    program=program,
                ),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=scratch,
                env=environment(**environment_changes),
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    def log(self) -> str:
        """What it printed so far."""
        return self._log.read_text(errors="replace")

    def ready(self) -> "ServerProcess":
        """Waits for the port file; fails when the process ends or takes too long."""
        end = self.started + START_SECONDS
        while not self._port_file.exists():
            assert time.monotonic() < end, f"not ready within {START_SECONDS} s:\n{self.log()}"
            try:
                status = self.process.wait(timeout=0.01)
            except subprocess.TimeoutExpired:
                continue
            raise AssertionError(f"ended with status {status}:\n{self.log()}")
        self.ready_seconds = time.monotonic() - self.started
        self.grpc_port, self.rest_port = self._ports()
        return self

    def _ports(self) -> tuple[int, int]:
        ports = json.loads(self._port_file.read_text())
        return ports["grpc"], ports["rest"]

    def signal(self, number: signal.Signals = signal.SIGTERM) -> None:
        self.process.send_signal(number)

    def wait(self, seconds: float = STOP_SECONDS) -> int:
        """Its exit status."""
        return self.process.wait(timeout=seconds)

    def stop(self) -> None:
        """Ends it as an operator does, and asserts that it ended well. Again: nothing."""
        if self.process.poll() is None:
            self.signal()
            status = self.wait()
            assert status == 0, f"SIGTERM ended it with status {status}:\n{self.log()}"

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def memory_bytes(self, key: str = "VmRSS") -> int:
        """A size out of /proc/<pid>/status."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(f"{key}:"):
                return int(line.split()[1]) * 1024
        raise KeyError(key)


class StartServer(Protocol):
    """Starts a server with more flags and environment variables, and waits until it serves."""

    def __call__(self, *flags: str, **environment_changes: str) -> ServerProcess: ...


def run_to_end(*flags: str, seconds: float = 60.0) -> subprocess.CompletedProcess[str]:
    """Runs `python -m fastserve FLAGS`, which is expected to end by itself."""
    return subprocess.run(
        command(*flags),
        capture_output=True,
        text=True,
        timeout=seconds,
        env=environment(),
        cwd="/",
    )
