"""The REST predict as an ASGI app on uvicorn (httptools, uvloop): the alternative to our gateway.

    python bench/load/uvicorn_server.py --model NAME --base_path DIR --port_file FILE

It calls the same native function as fastserve's own gateway, so only the HTTP side differs. Needs
the package uvicorn.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import uvicorn
import uvloop

from fastserve import _native
from fastserve.servables.runtime import load_runtime

Send = Callable[[dict[str, Any]], Awaitable[None]]


class App:
    """POST /v1/models/NAME:predict, and nothing else."""

    def __init__(self, server: _native.Server, model: str) -> None:
        self._server = server
        self._model = model
        self._pending: dict[int, asyncio.Future[tuple[int, bytes]]] = {}
        self._token = 0

    def watch(self) -> None:
        """Begins to take answers that come later."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self._server.json_completion_fd, self._complete)

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Send) -> None:
        if scope["type"] != "http":
            return
        body = b""
        while True:
            message = await receive()
            body += message["body"]
            if not message["more_body"]:
                break
        code, answer = await self._predict(body)
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(answer)).encode()),
        ]
        status = 200 if code == 0 else 500
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    async def _predict(self, body: bytes) -> tuple[int, bytes]:
        self._token += 1
        answer = self._server.predict_json(
            self._token, "predict", self._model, None, None, body, 30.0
        )
        if answer is not None:
            return answer
        future: asyncio.Future[tuple[int, bytes]] = asyncio.get_running_loop().create_future()
        self._pending[self._token] = future
        return await future

    def _complete(self) -> None:
        for token, code, body in self._server.json_completions():
            self._pending.pop(token).set_result((code, body))


async def serve(app: App, port_file: Path) -> None:
    config = uvicorn.Config(
        app, port=0, http="httptools", loop="uvloop", lifespan="off", log_level="warning"
    )
    server = uvicorn.Server(config)
    app.watch()
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    scratch = port_file.with_name(f"{port_file.name}.new")
    scratch.write_text(str(port))
    scratch.rename(port_file)
    await serving


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--base_path", type=Path, required=True)
    parser.add_argument("--port_file", type=Path, required=True)
    options = parser.parse_args()
    version = max(int(path.name) for path in options.base_path.iterdir() if path.name.isdigit())
    native_options = _native.ServerOptions()
    native_options.grpc_addresses = ["127.0.0.1:0"]
    native_options.io_threads = 1
    native_options.worker_threads = 2
    server = _native.Server(native_options)
    server.start()
    servable = _native.Servable.load(
        load_runtime(),
        name=options.model,
        version=version,
        path=str(options.base_path / str(version)),
        tags=["serve"],
    )
    server.publish([servable], {})
    uvloop.run(serve(App(server, options.model), options.port_file))


if __name__ == "__main__":
    main()
