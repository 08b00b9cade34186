"""grpcio with the stubs of tensorflow-serving-api: blocking calls from threads, and asyncio."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import numpy as np
import pytest
from tensorflow_serving.apis import prediction_service_pb2_grpc

from support import slow
from support.grpc_client import Client, predict_request
from support.server import ServerProcess

CHANNELS = 16
CALLS = 40
"""On each channel."""

# Otherwise channels to one target share a connection.
OWN_CONNECTION = (("grpc.use_local_subchannel_pool", 1),)


def test_threads_with_channels_of_their_own_get_their_own_answers(server: ServerProcess) -> None:
    def ask(thread: int) -> None:
        with Client(server.grpc_port) as client:
            for x in np.arange(thread * CALLS, (thread + 1) * CALLS, dtype=np.float32):
                assert client.values("half_plus", {"x": [x]})["y"] == x / 2 + 4

    with ThreadPoolExecutor(CHANNELS) as threads:
        assert list(threads.map(ask, range(CHANNELS))) == [None] * CHANNELS


def with_stubs(server: ServerProcess, use: Callable[[list[Any]], Awaitable[None]]) -> None:
    """Lets a coroutine use many channels of one event loop, by their stubs."""

    async def run() -> None:
        async with contextlib.AsyncExitStack() as at_end:
            stubs = []
            for _ in range(CHANNELS):
                channel = grpc.aio.insecure_channel(
                    f"127.0.0.1:{server.grpc_port}", options=OWN_CONNECTION
                )
                await at_end.enter_async_context(channel)
                stubs.append(prediction_service_pb2_grpc.PredictionServiceStub(channel))
            await use(stubs)

    asyncio.run(run())


async def get_own_answers(stubs: list[Any]) -> None:
    """Calls on all channels at once."""
    values = [float(i) for i in range(len(stubs) * CALLS)]
    calls = (
        stubs[i % len(stubs)].Predict(predict_request("half_plus", {"x": [x]}), timeout=30)
        for i, x in enumerate(values)
    )
    answers = await asyncio.gather(*calls)
    assert [answer.outputs["y"].float_val[0] for answer in answers] == [x / 2 + 4 for x in values]


def test_asyncio_calls_on_many_channels_get_their_own_answers(server: ServerProcess) -> None:
    with_stubs(server, get_own_answers)


def test_asyncio_calls_end_by_deadline_error_or_cancellation_and_others_go_on(
    server: ServerProcess,
) -> None:
    async def end(stubs: list[Any]) -> None:
        late = stubs[0].Predict(slow.request(seconds=0.6), timeout=0.2)
        cancelled = stubs[0].Predict(slow.request(seconds=0.6))
        wrong = stubs[0].Predict(predict_request("nope", {"x": [1.0]}), timeout=30)
        assert await wrong.code() is grpc.StatusCode.NOT_FOUND
        # The calls before it have arrived, too.
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        await get_own_answers(stubs)
        assert await cancelled.code() is grpc.StatusCode.CANCELLED
        assert await late.code() is grpc.StatusCode.DEADLINE_EXCEEDED

    with_stubs(server, end)
