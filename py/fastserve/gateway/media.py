"""Media types of bodies."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Final

JSON: Final = b"application/json"

NATIVE_TYPES: Final[Mapping[str, bytes]] = {
    "json": JSON,
    "protobuf": b"application/x-protobuf",
    "npy": b"application/x-npy",
}
"""The native side's names of its formats (csrc/serving/rest_body.h) -> their media types."""

_FORMATS = {media_type: name for name, media_type in NATIVE_TYPES.items()}


@functools.lru_cache(maxsize=256)
def body_format(content_type: bytes) -> str:
    """Returns the format that a Content-Type names; "json" for all that none of ours is.

    TensorFlow Serving reads every body as JSON, whatever its Content-Type.
    """
    return _FORMATS.get(content_type.partition(b";")[0].strip().lower(), "json")
