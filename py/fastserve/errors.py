"""Errors that have a canonical status code."""

from __future__ import annotations

from typing import Final

CODE_NAMES: Final = (
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
)
"""Names of the canonical codes; the index is the code's number in gRPC."""

CANCELLED: Final = 1
UNKNOWN: Final = 2
INVALID_ARGUMENT: Final = 3
DEADLINE_EXCEEDED: Final = 4
NOT_FOUND: Final = 5
ALREADY_EXISTS: Final = 6
PERMISSION_DENIED: Final = 7
RESOURCE_EXHAUSTED: Final = 8
FAILED_PRECONDITION: Final = 9
UNIMPLEMENTED: Final = 12
INTERNAL: Final = 13
UNAVAILABLE: Final = 14
DATA_LOSS: Final = 15
UNAUTHENTICATED: Final = 16


def code_name(code: int) -> str:
    """Returns the name of a code; its number where it has none."""
    return CODE_NAMES[code] if 0 <= code < len(CODE_NAMES) else str(code)


def status_text(code: int, message: str) -> str:
    """Returns a status as TensorFlow writes it inside texts: `NOT_FOUND: no such thing`."""
    return f"{code_name(code)}: {message}"


class ServingError(Exception):
    """A failure that a client, or whoever starts the server, is told of."""

    code: int
    """The gRPC status code's number."""
    message: str
    """The text without the code's name."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return status_text(self.code, self.message)


class ConfigError(ServingError):
    """A setting that cannot be used; says what is wrong with it and what would be right."""

    def __init__(self, message: str) -> None:
        super().__init__(INVALID_ARGUMENT, message)
