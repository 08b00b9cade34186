"""Requests that go on in the background while a test does something else."""

import threading
from collections.abc import Callable

import grpc

from support.grpc_client import Client


class Background:
    """Calls `step` without a pause, with a client of its own, until the block ends."""

    def __init__(
        self,
        target: int | str,
        step: Callable[[Client], None],
        credentials: grpc.ChannelCredentials | None = None,
    ) -> None:
        """`target` and `credentials` as Client takes them."""
        self._target = target
        self._credentials = credentials
        self._step = step
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Background":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        with Client(self._target, self._credentials) as client:
            while not self._stop.is_set():
                self._step(client)
