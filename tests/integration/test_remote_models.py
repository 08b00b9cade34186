"""Models in an object store, read from a real S3 server, and in an archive on a web server."""

import functools
import http.server
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.bucket import Bucket, serving
from support.grpc_client import Client
from support.layout import await_states
from support.server import StartServer, run_to_end
from support.waiting import wait_until

POLL = "--remote_poll_wait_seconds=1"


@pytest.fixture(scope="module")
def bucket() -> Iterator[Bucket]:
    with serving() as bucket:
        yield bucket


def adds(client: Client, model: str) -> float:
    """What the version of half_plus_two that answers adds."""
    return float(client.values(model, {"x": [0.0]})["y"][0])


def test_versions_of_a_bucket_are_served_as_they_come_and_go(
    bucket: Bucket, models: Path, start_server: StartServer, tmp_path: Path
) -> None:
    versions = models / "half_plus_two"
    bucket.upload(versions / "1", "shop/price/1")
    server = start_server(
        *("--model_name=price", "--model_base_path=s3://models/shop/price", POLL),
        f"--remote_cache_directory={tmp_path}",
        **bucket.environment,
    )
    with Client(server.grpc_port) as client:
        assert adds(client, "price") == 2.0
        bucket.upload(versions / "3", "shop/price/3")
        await_states(client, "price", {1: "END", 3: "AVAILABLE"})
        assert adds(client, "price") == 4.0
        bucket.remove("shop/price/3")
        wait_until(lambda: adds(client, "price") == 2.0, 30.0, "the version of before serves")


def test_version_without_a_graph_is_left_alone_until_it_has_one(
    bucket: Bucket, models: Path, start_server: StartServer, tmp_path: Path
) -> None:
    versions = models / "half_plus_two"
    bucket.upload(versions / "1", "half/1")
    bucket.upload(versions / "2" / "variables", "half/2/variables")
    server = start_server(
        *("--model_name=half", "--model_base_path=s3://models/half", POLL),
        f"--remote_cache_directory={tmp_path}",
        **bucket.environment,
    )
    with Client(server.grpc_port) as client:
        assert adds(client, "half") == 2.0
        bucket.upload(versions / "2", "half/2")
        wait_until(lambda: adds(client, "half") == 3.0, 30.0, "the whole version serves")


def test_what_was_staged_is_served_while_the_store_is_out_of_reach(
    bucket: Bucket, models: Path, start_server: StartServer, tmp_path: Path
) -> None:
    bucket.upload(models / "half_plus_two" / "1", "kept/1")
    flags = (
        *("--model_name=kept", "--model_base_path=s3://models/kept", POLL),
        f"--remote_cache_directory={tmp_path}",
    )
    start_server(*flags, **bucket.environment).stop()
    unreachable = bucket.environment | {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    server = start_server(*flags, AWS_MAX_ATTEMPTS="1", **unreachable)
    with Client(server.grpc_port) as client:
        assert adds(client, "kept") == 2.0
    assert "Could not find base path s3://models/kept" in server.log()


def test_strict_start_names_the_path_that_is_not_there(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in bucket.environment.items():
        monkeypatch.setenv(name, value)
    ended = run_to_end(
        *("--strict_start", "--port=auto", "--model_base_path=s3://models/none"),
        f"--remote_cache_directory={tmp_path}",
    )
    assert ended.returncode == 255
    assert "Could not find base path s3://models/none for servable" in ended.stderr


class _Recording(http.server.SimpleHTTPRequestHandler):
    """Serves files, and answers 304 to what has not changed; tells what it answered."""

    statuses: list[int]

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        self.statuses.append(int(code))


def test_archive_is_fetched_again_only_when_it_is_another_one(
    models: Path, start_server: StartServer, tmp_path: Path
) -> None:
    site, archive = tmp_path / "site", tmp_path / "site" / "half.tar.gz"
    site.mkdir()
    _pack(archive, models / "half_plus_two" / "1")
    statuses: list[int] = []
    handler = type("Handler", (_Recording,), {"statuses": statuses})
    web = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(handler, directory=str(site))
    )
    threading.Thread(target=web.serve_forever, daemon=True).start()
    server = start_server(
        "--model_name=half",
        f"--model_base_path=http://127.0.0.1:{web.server_port}/half.tar.gz",
        *(POLL, f"--remote_cache_directory={tmp_path / 'cache'}"),
    )
    with Client(server.grpc_port) as client:
        assert adds(client, "half") == 2.0
        wait_until(lambda: 304 in statuses, 30.0, "a look finds nothing new")
        _pack(archive, models / "half_plus_two" / "3")
        wait_until(lambda: adds(client, "half") == 4.0, 30.0, "the new version serves")
    assert statuses.count(200) == 2
    web.shutdown()


def _pack(archive: Path, version: Path) -> None:
    """Replaces the archive by one with this version, in a folder."""
    scratch = archive.with_name("scratch")
    with tarfile.open(scratch, "w:gz") as file:
        file.add(version, f"half/{version.name}")
    scratch.rename(archive)
