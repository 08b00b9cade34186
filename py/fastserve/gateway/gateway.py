"""The REST API: HTTP on one side, the native server and the model manager on the other."""

import asyncio
import contextlib
import socket
from dataclasses import dataclass

from fastserve import _native, protos
from fastserve.errors import ConfigError, ServingError
from fastserve.gateway import replies
from fastserve.gateway.connection import HttpConnection, Request
from fastserve.gateway.routes import (
    Route,
    VersionOverflow,
    find_route,
    is_api,
    request_path,
)
from fastserve.services.backend import ModelBackend
from fastserve.services.json_format import metadata_json, status_json
from fastserve.services.model_service import model_status
from fastserve.services.prediction_service import SIGNATURE_DEF, model_metadata

_INVALID_ARGUMENT, _DEADLINE_EXCEEDED, _UNIMPLEMENTED = 3, 4, 12
# libevent's default, which upstream keeps.
_IDLE_SECONDS = 50.0
_SWEEP_SECONDS = 5.0


@dataclass(slots=True)
class _Pending:
    """A predict whose answer comes later."""

    connection: HttpConnection
    request: Request
    timer: asyncio.TimerHandle | None


class Gateway:
    """Serves REST on an event loop; everything on the loop's thread."""

    def __init__(
        self,
        server: _native.Server,
        backend: ModelBackend,
        *,
        max_body_bytes: int,
        timeout_s: float | None,
    ) -> None:
        self.max_body_bytes = max_body_bytes
        self.draining = False
        self._server = server
        self._backend = backend
        self._timeout_s = timeout_s
        self._connections: set[HttpConnection] = set()
        self._pending: dict[int, _Pending] = {}
        self._tokens = 0
        self._listener: asyncio.Server | None = None
        self._sweeper: asyncio.TimerHandle | None = None

    async def start(self, host: str, port: int) -> int:
        """Listens and returns the bound port. Raises ConfigError when the port cannot be had."""
        loop = asyncio.get_running_loop()
        try:
            self._listener = await loop.create_server(
                lambda: HttpConnection(self), sock=_bind(host, port), backlog=1024
            )
        except OSError as error:
            raise ConfigError(f"cannot listen on REST port {port}: {error.strerror}") from None
        loop.add_reader(self._server.json_completion_fd, self._take_completions)
        self._sweep()
        bound: int = self._listener.sockets[0].getsockname()[1]
        return bound

    async def drain(self, grace_s: float) -> None:
        """Stops listening and waits up to `grace_s` for the requests in flight."""
        self.draining = True
        if self._listener is not None:
            self._listener.close()
        loop = asyncio.get_running_loop()
        end = loop.time() + grace_s
        while self._connections and loop.time() < end:
            for connection in [c for c in self._connections if not c.busy]:
                connection.close()
            await asyncio.sleep(0.01)

    # Handler of the connections

    def opened(self, connection: HttpConnection) -> None:
        """Keeps track of a new connection."""
        self._connections.add(connection)

    def closed(self, connection: HttpConnection) -> None:
        """Forgets a connection."""
        self._connections.discard(connection)

    def handle(self, connection: HttpConnection, request: Request) -> None:
        """Answers one request, at once or by a completion."""
        path = request_path(request.target)
        close = connection.must_close(request)
        if path is None:
            connection.answer(replies.html_reply(400, "Bad Request"), close=True)
        elif request.method not in ("GET", "POST"):
            self._answer_other_method(connection, request, path)
        elif not is_api(path):
            connection.answer(replies.html_reply(404, "Not Found"), close=True)
        else:
            try:
                self._answer_api(connection, request, path)
            except VersionOverflow:
                connection.answer(replies.reply(_INVALID_ARGUMENT, b"", close), close=close)
            except ServingError as error:
                body = replies.error_body(error.message)
                connection.answer(replies.reply(error.code, body, close), close=close)

    def _answer_api(self, connection: HttpConnection, request: Request, path: str) -> None:
        route = find_route(request.method, path)
        if route is None:
            raise ServingError(_INVALID_ARGUMENT, f"Malformed request: {request.method} {path}")
        if route.verb == "predict":
            self._predict(connection, request, route)
            return
        close = connection.must_close(request)
        body = self._describe(route).encode()
        connection.answer(replies.reply(0, body, close), close=close)

    def _describe(self, route: Route) -> str:
        if route.verb in ("classify", "regress"):
            raise ServingError(_UNIMPLEMENTED, f"{route.verb} is not supported by this server yet")
        if not route.model:
            raise ServingError(_INVALID_ARGUMENT, "Missing model name in request.")
        if route.verb == "metadata":
            metadata = protos.GetModelMetadataRequest(metadata_field=[SIGNATURE_DEF])
            _fill_spec(metadata.model_spec, route)
            return metadata_json(model_metadata(self._backend, metadata))
        status = protos.GetModelStatusRequest()
        _fill_spec(status.model_spec, route)
        return status_json(model_status(self._backend, status))

    def _answer_other_method(self, connection: HttpConnection, request: Request, path: str) -> None:
        close = connection.must_close(request)
        if request.method not in ("HEAD", "PUT", "DELETE", "PATCH", "OPTIONS"):
            connection.answer(replies.html_reply(501, "Not Implemented"), close=True)
        elif not is_api(path):
            connection.answer(replies.html_reply(404, "Not Found"), close=True)
        elif request.method == "HEAD":
            connection.answer(replies.bare_reply(400, "Bad Request", close), close=close)
        elif request.method == "OPTIONS":
            known = b"http://" in request.origin or b"https://" in request.origin
            status = (200, "OK") if known else (400, "Bad Request")
            text = "text/html; charset=ISO-8859-1"
            connection.answer(replies.http_reply(*status, text, b"", close), close=close)
        else:
            body = replies.error_body(f"Malformed request: {request.method} {path}")
            connection.answer(replies.reply(_INVALID_ARGUMENT, body, close), close=close)

    # predict

    def _predict(self, connection: HttpConnection, request: Request, route: Route) -> None:
        self._tokens += 1
        token = self._tokens
        answer = self._server.predict_json(
            token, route.model, route.version, route.label, request.body, self._timeout_s
        )
        if answer is not None:
            close = connection.must_close(request)
            connection.answer(replies.reply(*answer, close), close=close)
            return
        timer = None
        if self._timeout_s is not None:
            loop = asyncio.get_running_loop()
            timer = loop.call_later(self._timeout_s, self._expire, token)
        self._pending[token] = _Pending(connection, request, timer)

    def _take_completions(self) -> None:
        for token, code, body in self._server.json_completions():
            self._complete(token, code, body)

    def _expire(self, token: int) -> None:
        body = replies.error_body("Timed out waiting for notification")
        self._complete(token, _DEADLINE_EXCEEDED, body)

    def _complete(self, token: int, code: int, body: bytes) -> None:
        pending = self._pending.pop(token, None)
        if pending is None:
            return  # it has timed out
        if pending.timer is not None:
            pending.timer.cancel()
        close = pending.connection.must_close(pending.request)
        pending.connection.answer(replies.reply(code, body, close), close=close)

    def _sweep(self) -> None:
        """Closes connections that have been idle for long."""
        loop = asyncio.get_running_loop()
        oldest = loop.time() - _IDLE_SECONDS
        for connection in [c for c in self._connections if not c.busy]:
            if connection.last_active < oldest:
                connection.close()
        self._sweeper = loop.call_later(_SWEEP_SECONDS, self._sweep)


def _fill_spec(spec: "protos.ModelSpec", route: Route) -> None:
    spec.name = route.model
    if route.version is not None:
        spec.version.value = route.version
    elif route.label is not None:
        spec.version_label = route.label


def _bind(host: str, port: int) -> socket.socket:
    """Returns a listening socket for both families, or for IPv4 where there is no IPv6."""
    try:
        listener = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    except OSError:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        host = "0.0.0.0"
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    with contextlib.ExitStack() as on_failure:
        on_failure.callback(listener.close)
        listener.bind((host, port))
        on_failure.pop_all()
    return listener
