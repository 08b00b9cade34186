"""One HTTP request, as a connection reads it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from fastserve.gateway.replies import Reply


class Body(Protocol):
    """A body that comes in several pieces."""

    def append(self, piece: bytes) -> None:
        """Adds a piece. Raises MemoryError."""

    def __len__(self) -> int: ...


@dataclass(slots=True)
class Request:
    """One request, whole."""

    verb: str = ""
    target: bytes = b""
    origin: str = ""
    content_type: bytes = b""
    accept: bytes = b""
    """Values of that header, joined by commas."""
    accept_encoding: bytes = b""
    """The same."""
    authorization: bytes = field(default=b"", repr=False)
    """The same."""
    gzip: bool = False
    expects_continue: bool = False
    keep_alive: bool = True
    is_http_1_0: bool = False
    declared_size: int | None = None
    """Of the body, where it does not come in chunks."""
    body: bytes | Body = b""
    size: int = 0
    """Of the body, as far as it has come in."""
    head_size: int = 0
    begun: float = 0.0
    """By time.monotonic()."""
    received: float = 0.0
    """By the same clock: when its last byte had come."""
    traceparent: str = ""
    traced_as: str = ""
    """The route's pattern, where the request is traced."""
    refusal: Reply | None = None
    """The answer to one that is not to be handled; its body is not kept then."""

    def split_target(self) -> tuple[str, str]:
        """Returns the path as it came, and the query with its question mark."""
        path, mark, query = self.target.decode("latin-1").partition("?")
        return path, mark + query
