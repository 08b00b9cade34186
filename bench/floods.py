"""How others are served while one client floods the gRPC port, and what that costs the server.

    python -m bench floods [--seconds 5] [--kinds rapid_reset ping ...]

Each flood is one process that sends as fast as it is let, and comes back at once when it is cut
off. Before it and beside it the same modest load is put on the server, in an open loop.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import itertools
import multiprocessing
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path

from .command import command_parser, conclude
from .harness import PREDICT_PATH, Load, LoadResult, Server, resident_kib, run_load
from .idle_connections import PREFACE, SETTINGS, SETTINGS_ACK, frame, header_block
from .soak import VersionedModel, serving

DATA, HEADERS, PRIORITY, RST_STREAM, PING, CONTINUATION = 0, 1, 2, 3, 6, 9
END_STREAM, END_HEADERS = 0x1, 0x4
BLOCK = 1000
"""Frames that are sent in one go."""
CALLS = 200
"""Of a connection that does not take its answers."""
HOARDED = 20
"""Such connections at a time."""
MOST_TIMES = 2.0
"""By which the others' p99 may grow."""
LOAD = Load(connections=4, streams=8, rate=500.0, arrival="constant")


def hello(window: int = 65535) -> bytes:
    """What a client sends first; `window`: of each stream, for answers."""
    settings = b"\0\4" + window.to_bytes(4, "big")
    return PREFACE + frame(4, 0, 0, settings) + SETTINGS_ACK


def call(stream: int, body: bytes) -> bytes:
    """A whole Predict."""
    message = b"\0" + len(body).to_bytes(4, "big") + body
    head = frame(HEADERS, END_HEADERS, stream, header_block(PREDICT_PATH))
    return head + frame(DATA, END_STREAM, stream, message)


@functools.cache
def resets() -> Sequence[bytes]:
    """Calls that are cancelled as soon as they have begun: more than a connection may have."""
    block = header_block(PREDICT_PATH)
    return [
        b"".join(
            frame(HEADERS, END_HEADERS, stream, block) + frame(RST_STREAM, 0, stream, b"\0\0\0\x08")
            for stream in range(first, first + 2 * BLOCK, 2)
        )
        for first in range(1, 100 * BLOCK, 2 * BLOCK)
    ]


def repeated(data: bytes, first: bytes = b"") -> Callable[[], Iterable[bytes]]:
    """The same frame over and over, after `first`."""
    return lambda: itertools.chain([first], itertools.repeat(data * BLOCK))


STREAMS_OF_FRAMES: Mapping[str, Callable[[], Iterable[bytes]]] = {
    "rapid_reset": resets,
    "ping": repeated(frame(PING, 0, 0, bytes(8))),
    "settings": repeated(SETTINGS),
    "priority": repeated(frame(PRIORITY, 0, 1, b"\0\0\0\3\0")),
    "continuation": repeated(frame(CONTINUATION, 0, 1), first=frame(HEADERS, 0, 1)),
}
WINDOWS: Mapping[str, int] = {"zero_window": 0, "slow_read": 2**31 - 1}
KINDS = (*STREAMS_OF_FRAMES, *WINDOWS)


def flood(kind: str, port: int, body: bytes, cuts: Synchronized[int]) -> None:
    """Floods until the process is ended; `cuts` counts connections that the server has ended."""
    calls = b"".join(call(stream, body) for stream in range(1, 2 * CALLS, 2))
    while True:
        with contextlib.suppress(OSError):
            if kind in WINDOWS:
                hoard(port, hello(WINDOWS[kind]) + calls)
            else:
                with socket.create_connection(("127.0.0.1", port)) as client:
                    client.sendall(hello())
                    for block in STREAMS_OF_FRAMES[kind]():
                        client.sendall(block)
        cuts.value += 1


def hoard(port: int, calls: bytes) -> None:
    """Asks for many answers on many connections and takes none, for a second."""
    with contextlib.ExitStack() as stack:
        for _ in range(HOARDED):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            client.sendall(calls)
        time.sleep(1.0)


@contextmanager
def flooding(kind: str, server: Server, body: bytes) -> Iterator[list[int]]:
    """A flood beside the block. After it, the list has how many connections were cut off."""
    context = multiprocessing.get_context("spawn")
    cuts = context.Value("q", 0)
    process = context.Process(target=flood, args=(kind, server.port, body, cuts), daemon=True)
    process.start()
    counted: list[int] = []
    try:
        yield counted
    finally:
        process.kill()
        process.join()
        counted.append(cuts.value)


def row(kind: str, before: LoadResult, beside: LoadResult, grown_kib: int, cuts: int) -> str:
    """One line of the table."""
    cores = [result.server_cpu_us_per_ok * result.ok_per_s / 1e6 for result in (before, beside)]
    p99 = [result.latency_us["p99"] for result in (before, beside)]
    return (
        f"| {kind} | {p99[0]:,.0f} | {p99[1]:,.0f} | {p99[1] / p99[0]:.1f} | {beside.error_count} "
        f"| {cores[0]:.2f} | {cores[1]:.2f} | {grown_kib / 1024:.1f} | {cuts} |"
    )


def measure(options: argparse.Namespace, work: Path) -> bool:
    """Prints the table. Whether no request failed and no p99 grew too much."""
    print(
        "| flood | p99 us before | beside it | times | errors | server cores before | beside it "
        "| grown MiB | cut off |"
    )
    print("|---|--:|--:|--:|--:|--:|--:|--:|--:|")
    passed = True
    model = VersionedModel(1, work)
    exchange = model.exchange(1)
    body = exchange.body.read_bytes()
    with serving(model, options, work) as server:
        for kind in options.kinds:
            load = {"port": server.port, "seconds": options.seconds, "pids": server.pids}
            before = run_load(exchange, LOAD, **load)
            resident = resident_kib(server.pid)
            with flooding(kind, server, body) as cuts:
                beside = run_load(exchange, LOAD, **load)
            grown = resident_kib(server.pid) - resident
            print(row(kind, before, beside, grown, cuts[0]), flush=True)
            errors = before.error_count + beside.error_count
            times = beside.latency_us["p99"] / before.latency_us["p99"]
            passed = passed and errors == 0 and times <= MOST_TIMES
    print(f"\nno errors, and p99 at most {MOST_TIMES} times as long: {'yes' if passed else 'NO'}")
    return passed


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = command_parser("floods", __doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> int:
    """0 when others were served well beside every flood, else 1; 2 when it could not be run."""
    return conclude(measure, parse(arguments))
