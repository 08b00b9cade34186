"""What a gRPC connection that has made a call and is idle costs the server in memory.

python -m bench idle_connections [--connections 5000]
"""

from __future__ import annotations

import argparse
import contextlib
import resource
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from .command import command_parser, conclude
from .harness import ROOT, BenchError, Server, resident_kib, run_script
from .servers import fastserve_command

MODEL = "short_answer"
LIMIT_KIB = 16.0
"""Of resident memory a connection, at most."""

WARM_UP_CONNECTIONS = 200
OTHER_FILES = 500
"""That a process may have open beside its connections."""

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = b"\0\0\0\4\0\0\0\0\0"
SETTINGS_ACK = b"\0\0\0\4\1\0\0\0\0"
HEADERS, END_STREAM_AND_HEADERS = 1, 0x5


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """A frame of HTTP/2."""
    head = len(payload).to_bytes(3, "big") + bytes((kind, flags))
    return head + stream.to_bytes(4, "big") + payload


def header_block(path: str) -> bytes:
    """The fields of a gRPC call, as HPACK's literals that are kept in its table."""
    fields = {
        ":method": "POST",
        ":scheme": "http",
        ":path": path,
        ":authority": "localhost",
        "te": "trailers",
        "content-type": "application/grpc",
        "user-agent": "bench",
    }
    return b"".join(
        b"\x40" + bytes([len(key)]) + key.encode() + bytes([len(value)]) + value.encode()
        for key, value in fields.items()
    )


def call_and_stay(port: int) -> socket.socket:
    """A connection that has been answered a call, if only that there is no such method."""
    call = frame(HEADERS, END_STREAM_AND_HEADERS, 1, header_block("/bench.None/None"))
    client = socket.create_connection(("127.0.0.1", port), timeout=30)
    client.sendall(PREFACE + SETTINGS + SETTINGS_ACK + call)
    received = b""
    while b"grpc-status" not in received and b"\x01\x05\0\0\0\1" not in received:
        piece = client.recv(4096)
        if not piece:
            raise BenchError("the server has closed the connection")
        received += piece
    return client


@contextmanager
def idle_connections(port: int, count: int) -> Iterator[None]:
    """Holds `count` of them open."""
    with ExitStack() as stack:
        for _ in range(count):
            stack.enter_context(contextlib.closing(call_and_stay(port)))
        yield


def allow_files(count: int) -> None:
    """Lets this process and those that it starts have so many files open."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most != resource.RLIM_INFINITY and most < count:
        raise BenchError(f"{count} open files are needed and {most} allowed: ulimit -Hn {count}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (count, most))


def kib_each(options: argparse.Namespace, work: Path) -> float:
    """KiB of resident memory a connection."""
    allow_files(options.connections + OTHER_FILES)
    base_path = work / MODEL
    run_script(ROOT / "bench" / "load" / "short_answer_model.py", "--out", str(base_path))
    flags = [f"--model_name={MODEL}", f"--model_base_path={base_path}", *options.fastserve_flag]
    flags.append("--tensorflow_intra_op_parallelism=1")  # no second session meanwhile
    flags.append(f"--grpc_max_connections={options.connections + OTHER_FILES}")
    command = fastserve_command(options.python, work / "ports", flags)
    with Server("fastserve", command, work / "log", work / "ports") as server:
        with idle_connections(server.port, WARM_UP_CONNECTIONS):
            pass
        before = resident_kib(server.pid)
        with idle_connections(server.port, options.connections):
            return (resident_kib(server.pid) - before) / options.connections


def measure(options: argparse.Namespace, work: Path) -> bool:
    """Prints the figure. Whether a connection keeps to the limit."""
    figure = kib_each(options, work)
    passed = figure <= LIMIT_KIB
    print(
        f"{options.connections} connections: {figure:.1f} KiB each, "
        f"at most {LIMIT_KIB:.0f} allowed: {'yes' if passed else 'NO'}"
    )
    return passed


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = command_parser("idle_connections", __doc__)
    parser.add_argument("--connections", type=int, default=5000)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> int:
    """0 when a connection keeps to the limit, else 1; 2 when the run could not be carried out."""
    return conclude(measure, parse(arguments))
