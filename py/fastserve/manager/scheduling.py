"""How the manager has things done on other threads, and later."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from fastserve.config.cpus import available_cpus

_LEAST_LOAD_THREADS = 4
_MANY_THREADS = 1024


class Scheduler(Protocol):
    """Runs tasks elsewhere. No method waits; no task raises."""

    def load(self, task: Callable[[], None]) -> None:
        """Runs a task that loads a version."""

    def unload(self, task: Callable[[], None]) -> None:
        """Runs a task that waits for the requests in flight, and then unloads a version."""

    def call_later(self, delay_s: float, task: Callable[[], None]) -> Callable[[], None]:
        """Runs a short task after some seconds; returns what cancels it."""


class ThreadScheduler:
    """Threads of its own for loads and for unloads, so that neither holds up the other."""

    def __init__(self, *, load_threads: int = 0, unload_threads: int = 0) -> None:
        """0 loads on a thread a CPU, at least four, and unloads on as many threads as it takes."""
        # More than one on a small machine too: a load may hang, on a file system that does.
        threads = load_threads or max(_LEAST_LOAD_THREADS, available_cpus())
        self._loads = ThreadPoolExecutor(threads, "fastserve-load")
        self._unloads = ThreadPoolExecutor(unload_threads or _MANY_THREADS, "fastserve-unload")

    def load(self, task: Callable[[], None]) -> None:
        """Queues a load."""
        self._loads.submit(task)

    def unload(self, task: Callable[[], None]) -> None:
        """Queues an unload."""
        self._unloads.submit(task)

    def call_later(self, delay_s: float, task: Callable[[], None]) -> Callable[[], None]:
        """Starts a timer's thread."""
        timer = threading.Timer(max(0.0, delay_s), task)
        timer.daemon = True
        timer.start()
        return timer.cancel
