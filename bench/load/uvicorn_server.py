"""The REST predict as an ASGI app on uvicorn (httptools, uvloop): the alternative to our gateway.

    python bench/load/uvicorn_server.py --model NAME --base_path DIR --port_file FILE

It calls the same native function as fastserve's own gateway, so only the HTTP side differs. Needs
the package uvicorn.
"""

from __future__ import annotations

import asyncio
from typing import Any

import asgi
import uvloop

from fastserve import _native
from fastserve.servables.runtime import load_runtime


class App:
    """POST /v1/models/NAME:predict, and nothing else."""

    def __init__(self, server: _native.Server, model: str) -> None:
        self._server = server
        self._model = model
        self._pending: dict[int, asyncio.Future[_native.RestAnswer]] = {}
        self._token = 0

    def watch(self) -> None:
        """Begins to take answers that come later."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self._server.rest_completion_fd, self._complete)

    async def __call__(self, scope: dict[str, Any], receive: asgi.Receive, send: asgi.Send) -> None:
        if scope["type"] != "http":
            return
        code, answer, *_ = await self._predict(await asgi.read_body(receive))
        await asgi.reply(send, 200 if code == 0 else 500, bytes(answer))

    async def _predict(self, body: bytes) -> _native.RestAnswer:
        self._token += 1
        answer = self._server.answer_rest(
            self._token, "predict", self._model, None, None, body, "json", False, 30.0
        )
        if answer is not None:
            return answer
        future: asyncio.Future[_native.RestAnswer] = asyncio.get_running_loop().create_future()
        self._pending[self._token] = future
        return await future

    def _complete(self) -> None:
        for token, answer in self._server.rest_completions():
            self._pending.pop(token).set_result(answer)


async def serve(app: App, options: asgi.Options) -> None:
    app.watch()
    await asgi.serve(app, options.port_file)


def main() -> None:
    options = asgi.parse_options((__doc__ or "").split("\n", 1)[0])
    native_options = _native.ServerOptions()
    native_options.grpc_addresses = ["127.0.0.1:0"]
    native_options.io_threads = 1
    native_options.worker_threads = 2
    server = _native.Server(native_options)
    server.start()
    servable = _native.Servable.load(
        load_runtime(),
        name=options.model,
        version=int(options.version_folder.name),
        path=str(options.version_folder),
        tags=["serve"],
    )
    server.publish([servable], {})
    uvloop.run(serve(App(server, options.model), options))


if __name__ == "__main__":
    main()
