"""What the ASGI gateways of the benchmark share: uvicorn as it is set up for speed."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import uvicorn

Send = Callable[[dict[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[dict[str, Any]]]


@dataclass(frozen=True)
class Options:
    """What each gateway is started with."""

    model: str
    version_folder: Path
    """Of the highest version."""
    port_file: Path


class App(Protocol):
    """An ASGI app."""

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None: ...


def parse_options(description: str) -> Options:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--model", required=True)
    parser.add_argument("--base_path", type=Path, required=True)
    parser.add_argument("--port_file", type=Path, required=True)
    options = parser.parse_args()
    versions = [path for path in options.base_path.iterdir() if path.name.isdigit()]
    highest = max(versions, key=lambda path: int(path.name))
    return Options(options.model, highest, options.port_file)


async def read_body(receive: Receive) -> bytes:
    """Reads one request's body."""
    pieces = []
    while True:
        message = await receive()
        pieces.append(message["body"])
        if not message["more_body"]:
            return b"".join(pieces)


async def reply(send: Send, status: int, body: bytes) -> None:
    """Sends JSON."""
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def serve(app: App, port_file: Path) -> None:
    """Serves on a free port, which it tells through a file, until the process is stopped."""
    config = uvicorn.Config(
        app, port=0, http="httptools", loop="uvloop", lifespan="off", log_level="warning"
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    scratch = port_file.with_name(f"{port_file.name}.new")
    scratch.write_text(str(port))
    scratch.rename(port_file)
    await serving
