"""A bucket called `models` on a real S3 server, for models that are read from a store."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import boto3
from moto.server import ThreadedMotoServer

ACCESS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
}


class Bucket:
    """A bucket of an S3 server."""

    def __init__(self, endpoint: str) -> None:
        self.environment = ACCESS | {"AWS_ENDPOINT_URL": endpoint}
        self._client = boto3.client(
            "s3",
            endpoint_url=endpoint,
            aws_access_key_id="test",
            aws_secret_access_key="test",
            region_name="us-east-1",
        )
        self._client.create_bucket(Bucket="models")

    def upload(self, version: Path, key: str) -> None:
        for path in sorted(version.rglob("*")):
            if path.is_file():
                self._client.upload_file(str(path), "models", f"{key}/{path.relative_to(version)}")

    def remove(self, key: str) -> None:
        found = self._client.list_objects_v2(Bucket="models", Prefix=f"{key}/")["Contents"]
        for item in found:
            self._client.delete_object(Bucket="models", Key=item["Key"])


@contextmanager
def serving(port: int = 0) -> Iterator[Bucket]:
    """Serves an empty bucket on a port of the loopback interface; 0: a free one."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=port)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield Bucket(f"http://{host}:{port}")
    finally:
        server.stop()
