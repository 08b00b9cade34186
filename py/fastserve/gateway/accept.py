"""The Accept header of a request (RFC 9110, section 12.5.1)."""

from __future__ import annotations

import re

_RANKS = {b"*/*": 0, b"application/*": 1, b"application/json": 2}
"""The ranges that JSON lies in; the most specific one given decides."""

_QUALITY = re.compile(rb"0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?")


def admits_json(accept: bytes) -> bool:
    """Whether a header asks for JSON, among other types or alone. Empty, as without one: no.

    Parameters but for q are not looked at; a range whose q is none does not count.
    """
    best = -1, 0.0
    for item in accept.lower().split(b","):
        media_range, *parameters = (part.strip(b" \t") for part in item.split(b";"))
        quality = _quality(parameters)
        if quality is not None:
            best = max(best, (_RANKS.get(media_range, -1), quality))
    return best[0] >= 0 and best[1] > 0


def _quality(parameters: list[bytes]) -> float | None:
    for parameter in parameters:
        name, _, value = parameter.partition(b"=")
        if name == b"q":
            return float(value) if _QUALITY.fullmatch(value) else None
    return 1.0
