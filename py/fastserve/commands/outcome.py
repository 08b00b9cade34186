"""How commands end."""

from __future__ import annotations

import sys
from collections.abc import Callable

from fastserve.errors import ServingError

FAILED = 1
"""The exit status of a command that could not do what it was asked for."""


class CommandError(Exception):
    """Why a command failed, in words for whoever called it."""


def report_failure(command: str, work: Callable[[], int]) -> int:
    """Does the work of a command and returns its exit status; tells stderr of errors."""
    try:
        return work()
    except (CommandError, ServingError, OSError) as error:
        print(f"fastserve {command}: {error}", file=sys.stderr)
        return FAILED
