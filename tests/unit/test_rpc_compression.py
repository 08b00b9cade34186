"""Compression and rich statuses of servicers on RpcServer, on the wire and as grpcio sees them."""

import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import grpc
import pytest

from fastserve import _native
from fastserve.rpc import RpcServer
from support import http2_frames as h2

PATH = "/test.Service/Call"
TEXT = b"x" * 5000
SECONDS = 20
FORMATS = {grpc.Compression.Deflate: 15, grpc.Compression.Gzip: 31}


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def serve(stack: ExitStack, behavior: Any, compression: grpc.Compression | None = None) -> int:
    """Serves a method that streams what `behavior` yields; returns the port."""
    options = _native.ServerOptions()
    options.grpc_addresses = ["127.0.0.1:0"]
    options.max_message_bytes = 10_000
    native = _native.Server(options)
    rpc_server = RpcServer(native, 2, compression=compression)
    stack.callback(rpc_server.stop)
    stack.callback(native.shutdown, 0)
    method = grpc.unary_stream_rpc_method_handler(behavior)
    rpc_server.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler("test.Service", {"Call": method})]
    )
    rpc_server.start()
    (port,) = native.start()
    return port


def messages(port: int, accepted: str = "identity,deflate,gzip") -> list[tuple[int, bytes]]:
    """The messages of an answer with the flag of each, as they are on the wire."""
    with h2.Connection(port) as connection:
        connection.call(1, PATH, b"", ("grpc-accept-encoding", accepted))
        data = b""
        while (found := connection.until(h2.DATA, h2.HEADERS)) is not None:
            data += found.payload if found.kind == h2.DATA else b""
            if found.flags & h2.END_STREAM:
                break
    found_messages = []
    while data:
        size = int.from_bytes(data[1:5], "big")
        found_messages.append((data[0], data[5 : 5 + size]))
        data = data[5 + size :]
    return found_messages


@pytest.mark.parametrize("compression", FORMATS)
def test_handler_compresses_all_messages_but_those_it_excepts(
    stack: ExitStack, compression: grpc.Compression
) -> None:
    def answer(request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        context.set_compression(compression)
        yield TEXT
        context.disable_next_message_compression()
        yield TEXT
        yield TEXT

    first, excepted, last = messages(serve(stack, answer))
    assert excepted == (0, TEXT)
    for flag, packed in (first, last):
        assert flag == 1
        assert zlib.decompress(packed, wbits=FORMATS[compression]) == TEXT


def test_compression_of_the_server_holds_unless_the_handler_sets_another(stack: ExitStack) -> None:
    def answer(request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        if dict(context.invocation_metadata()).get("plain"):
            context.set_compression(grpc.Compression.NoCompression)
        yield TEXT

    port = serve(stack, answer, grpc.Compression.Gzip)
    ((flag, packed),) = messages(port)
    assert (flag, zlib.decompress(packed, wbits=31)) == (1, TEXT)
    with h2.Connection(port) as connection:
        connection.call(1, PATH, b"", ("grpc-accept-encoding", "gzip"), ("plain", "1"))
        data = connection.until(h2.DATA)
    assert data is not None
    assert data.payload[0] == 0


def test_client_that_does_not_accept_it_gets_plain_messages(stack: ExitStack) -> None:
    port = serve(stack, lambda request, context: iter([TEXT]), grpc.Compression.Gzip)
    assert messages(port, "identity") == [(0, TEXT)]


def test_setting_that_comes_too_late_changes_nothing(stack: ExitStack) -> None:
    def answer(request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        yield TEXT
        context.set_compression(grpc.Compression.Gzip)
        yield TEXT

    assert messages(serve(stack, answer)) == [(0, TEXT), (0, TEXT)]


@pytest.mark.parametrize("compression", grpc.Compression)
def test_grpcio_clients_may_compress_and_are_answered(
    stack: ExitStack, compression: grpc.Compression
) -> None:
    port = serve(stack, lambda request, context: iter([request]), compression)
    channel = stack.enter_context(
        grpc.insecure_channel(f"127.0.0.1:{port}", compression=compression)
    )
    assert list(channel.unary_stream(PATH)(TEXT, timeout=SECONDS)) == [TEXT]


def test_request_that_is_too_long_when_decompressed_is_refused(stack: ExitStack) -> None:
    port = serve(stack, lambda request, context: iter([request]))
    channel = stack.enter_context(
        grpc.insecure_channel(f"127.0.0.1:{port}", compression=grpc.Compression.Gzip)
    )
    with pytest.raises(grpc.RpcError) as caught:
        list(channel.unary_stream(PATH)(b"x" * 10_001, timeout=SECONDS))
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert caught.value.details() == (
        "Received message larger than max (more than 10000 bytes when decompressed)"
    )


def test_status_details_reach_the_client_as_they_are(stack: ExitStack) -> None:
    details = bytes(range(256))

    def answer(request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        context.set_trailing_metadata([("grpc-status-details-bin", details)])
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "see the details")

    channel = stack.enter_context(grpc.insecure_channel(f"127.0.0.1:{serve(stack, answer)}"))
    with pytest.raises(grpc.RpcError) as caught:
        list(channel.unary_stream(PATH)(b"", timeout=SECONDS))
    assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert dict(caught.value.trailing_metadata()) == {"grpc-status-details-bin": details}
