"""Which bodies are JSON and which are not."""

import pytest

from fastserve.gateway.media import body_format


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        (b"application/x-protobuf", "protobuf"),
        (b"Application/X-Protobuf ; x=y", "protobuf"),
        (b"application/x-npy", "npy"),
        (b"application/json", "json"),
        (b"", "json"),
        (b"application/octet-stream", "json"),
        (b"text/plain, application/x-npy", "json"),
    ],
)
def test_content_type_names_the_format(content_type: bytes, expected: str) -> None:
    assert body_format(content_type) == expected
