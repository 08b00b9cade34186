"""Bodies as gzip files."""

import gzip

from fastserve.gateway.compression import gzipped


def test_compressed_body_is_a_gzip_file_of_it() -> None:
    body = b"body " * 1000
    for each in (body, memoryview(body)):
        assert gzip.decompress(gzipped(each)) == body
        assert len(gzipped(each)) < len(body) / 10
