"""How the manager has things done on other threads, and later."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from typing import Protocol


class Scheduler(Protocol):
    """Runs tasks elsewhere. Neither method waits; no task raises."""

    def spawn(self, name: str, task: Callable[[], None]) -> None:
        """Runs a task that may block for long, on a thread of its own called `name`."""
        ...

    def call_later(self, delay_s: float, task: Callable[[], None]) -> Callable[[], None]:
        """Runs a short task after some seconds; returns what cancels it."""
        ...


class ThreadScheduler:
    """Daemon threads: none of them keeps the process from ending."""

    def spawn(self, name: str, task: Callable[[], None]) -> None:
        """Starts a thread."""
        threading.Thread(target=task, name=name, daemon=True).start()

    def call_later(self, delay_s: float, task: Callable[[], None]) -> Callable[[], None]:
        """Starts a timer's thread."""
        timer = threading.Timer(max(0.0, delay_s), task)
        timer.daemon = True
        timer.start()
        return timer.cancel


def trim_memory() -> None:
    """Has the C library give free memory back, so that an unloaded model's does not pile up."""
    try:
        malloc_trim = ctypes.CDLL(None).malloc_trim
    except AttributeError:  # Not glibc.
        return
    malloc_trim(0)
