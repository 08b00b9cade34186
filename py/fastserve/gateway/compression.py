"""Gzip: of request bodies and of replies."""

from __future__ import annotations

import dataclasses
import zlib
from typing import cast

from fastserve import _native
from fastserve.gateway.replies import Reply
from fastserve.gateway.request import Body

_MAX_UNPACKED_BYTES = 100 * 2**20
"""Longest gzip body, unpacked; TensorFlow Serving's (util/net_http/compression)."""

_UNPACKED_AT_ONCE = 64 * 2**10

_GZIP_LEVEL = 1
"""Numbers as text shrink by half at once; a higher level takes several times as long."""


def gzipped(body: bytes | memoryview) -> bytes:
    """Returns a body as a gzip file."""
    packer = zlib.compressobj(_GZIP_LEVEL, wbits=31)
    return packer.compress(body) + packer.flush()


def compressed(reply: Reply) -> Reply:
    """Returns a reply with its body as a gzip file."""
    fields = reply.fields + b"Content-Encoding: gzip\r\nVary: Accept-Encoding\r\n"
    return dataclasses.replace(reply, body=gzipped(reply.body), fields=fields)


def unpacked(body: bytes | Body, body_type: str) -> bytes | Body:
    """Returns a gzip body unpacked; nothing for a broken or too large one, as upstream does."""
    packed = memoryview(cast(bytes, body))  # every body shows its bytes
    unpacker = zlib.decompressobj(wbits=31)
    data = _native.RestBody(body_type, None)
    try:
        for begin in range(0, len(packed), _UNPACKED_AT_ONCE):
            data.append(unpacker.decompress(packed[begin : begin + _UNPACKED_AT_ONCE]))
            if len(data) > _MAX_UNPACKED_BYTES:
                return b""
    except (zlib.error, MemoryError):
        return b""
    return data if unpacker.eof else b""
