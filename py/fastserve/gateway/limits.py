"""How slow a client may be."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from fastserve.config.server import MIN_BODY_RATE


class Receiving(Enum):
    """What part of a request is coming in."""

    NOTHING = 0
    HEADER = 1
    BODY = 2


@dataclass(frozen=True, slots=True)
class Limits:
    """Times in seconds; 0 of the first two: no limit."""

    header_s: float
    body_s: float
    """And a second more for each MIN_BODY_RATE bytes."""
    idle_s: float
    """Without traffic; also how long a client may take nothing of an answer."""

    def slowness(self, part: Receiving, elapsed_s: float, size: int) -> str:
        """Says what has taken too long to come in; empty when it has not.

        `size`: what has come in of the body.
        """
        if part is Receiving.HEADER and elapsed_s > self.header_s > 0:
            return (
                f"The request's header did not come in within {self.header_s:g} seconds "
                "(--rest_header_timeout_seconds)"
            )
        is_slow = elapsed_s > self.body_s + size / MIN_BODY_RATE
        if part is Receiving.BODY and self.body_s > 0 and is_slow:
            return (
                f"Of the request's body only {size} bytes came in within {elapsed_s:.0f} seconds "
                "(--rest_body_timeout_seconds)"
            )
        return ""
