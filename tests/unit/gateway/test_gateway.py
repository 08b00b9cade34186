"""The gateway on an event loop of the test's own."""

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest
import uvloop

from fastserve import _native
from fastserve.config.server import ANY_PORT, RestConfig
from fastserve.gateway.gateway import Gateway
from support import rest
from unit.services.fake_backend import FixedBackend

IDLE_S = 0.4


@pytest.fixture
def port() -> Iterator[int]:
    """The port of a gateway without models, whose clients must be quick."""
    options = _native.ServerOptions()
    options.grpc_addresses = ["127.0.0.1:0"]
    options.io_threads = options.worker_threads = 1
    native = _native.Server(options)
    config = RestConfig(port=ANY_PORT, idle_timeout_s=IDLE_S)
    loop = uvloop.new_event_loop()

    async def start() -> int:
        return await Gateway(native, FixedBackend(), config=config, pages={}).start()

    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield asyncio.run_coroutine_threadsafe(start(), loop).result(10)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        native.shutdown(0)


def test_client_that_takes_nothing_of_a_long_answer_is_cut_off(port: int) -> None:
    text = b'["%b"]' % (b"a" * 20_000_000)  # comes back in the error's text
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        client.sendall(rest.request("POST", "/v1/models/m:predict", text))
        received = client.recv(1000)
        assert received.startswith(b"HTTP/1.1 400 ")
        time.sleep(3 * IDLE_S)  # the limit is what is tested
        size = len(received)
        with contextlib.suppress(ConnectionResetError):
            while piece := client.recv(1 << 20):
                size += len(piece)
    assert size < len(text)  # what the kernel had taken


def test_connection_without_traffic_is_closed(port: int) -> None:
    with rest.Connection(port, 20) as connection:
        assert connection.closed_by_peer()
