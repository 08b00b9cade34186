"""Which bodies are JSON and which are not."""

import gzip

import pytest

from fastserve.gateway.media import body_format, gzipped


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


def test_compressed_body_is_a_gzip_file_of_it() -> None:
    body = b"body " * 1000
    for each in (body, memoryview(body)):
        assert gzip.decompress(gzipped(each)) == body
        assert len(gzipped(each)) < len(body) / 10
