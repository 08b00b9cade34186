"""The headers Accept and Accept-Encoding of a request (RFC 9110, section 12.5)."""

from __future__ import annotations

import re
from collections.abc import Mapping

from fastserve.gateway.media import JSON

_QUALITY = re.compile(rb"0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?")


def admits_json(accept: bytes) -> bool:
    """Whether a header asks for JSON, among other types or alone. Empty, as without one: no."""
    return _type_quality(accept, JSON) > 0


def prefers_json(accept: bytes, other: bytes) -> bool:
    """Whether a header would rather have JSON than another type. Empty, as without one: no."""
    return _type_quality(accept, JSON) > _type_quality(accept, other)


def admits_gzip(accept_encoding: bytes) -> bool:
    """Whether a header admits gzip. Empty, as without one: no."""
    return _quality(accept_encoding, {b"*": 0, b"gzip": 1}) > 0


def _type_quality(accept: bytes, media_type: bytes) -> float:
    family = media_type.partition(b"/")[0] + b"/*"
    return _quality(accept, {b"*/*": 0, family: 1, media_type: 2})


def _quality(header: bytes, ranks: Mapping[bytes, int]) -> float:
    """Returns the q of the range, of those in `ranks`, that ranks highest; 0 without one.

    Parameters but for q are not looked at; a range whose q is none does not count.
    """
    best = -1, 0.0
    for item in header.lower().split(b","):
        name, *parameters = (part.strip(b" \t") for part in item.split(b";"))
        quality = _given_quality(parameters)
        if quality is not None and name in ranks:
            best = max(best, (ranks[name], quality))
    return best[1]


def _given_quality(parameters: list[bytes]) -> float | None:
    for parameter in parameters:
        name, _, value = parameter.partition(b"=")
        if name == b"q":
            return float(value) if _QUALITY.fullmatch(value) else None
    return 1.0
