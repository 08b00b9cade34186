"""The REST API: HTTP on one side, the native server and the model manager on the other."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import logging
import os
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeVar

from fastserve import _native, protos
from fastserve.config.server import RestConfig
from fastserve.errors import (
    INTERNAL,
    INVALID_ARGUMENT,
    NOT_FOUND,
    ConfigError,
    ServingError,
)
from fastserve.gateway.accept import admits_gzip, admits_json, prefers_json
from fastserve.gateway.access import refusal
from fastserve.gateway.compression import compressed, unpacked
from fastserve.gateway.connection import Done, HttpConnection
from fastserve.gateway.limits import Limits
from fastserve.gateway.media import NATIVE_TYPES, body_format
from fastserve.gateway.pages import Page
from fastserve.gateway.predictions import Predictions, RestPredictor
from fastserve.gateway.replies import (
    HTML,
    Reply,
    cors_fields,
    error_reply,
    without_body,
)
from fastserve.gateway.request import Body, Request
from fastserve.gateway.routes import MISSING_NAME, Method, Route, find_route
from fastserve.observe.access_log import AccessLog
from fastserve.services.backend import ModelBackend
from fastserve.services.example_request import example_request
from fastserve.services.json_format import metadata_json, status_json, to_json
from fastserve.services.model_list import model_list
from fastserve.services.model_service import model_status
from fastserve.services.prediction_service import SIGNATURE_DEF, model_metadata

if TYPE_CHECKING:
    from fastserve.observe.traces import Traces

_LOGGER = logging.getLogger(__name__)

_FAULT = "The server failed to answer; its log says why"

_INLINE_PACKED_BYTES = 16 * 2**10
"""Unpacking a longer body would hold up the event loop for longer than a thread hop costs."""

_READ_BYTES = 32 * 2**10
"""At most, at once from a socket."""

_MIN_GZIP_BYTES = 1024
"""A shorter reply is not worth the work."""

_INLINE_GZIP_BYTES = 16 * 2**10
"""Compressing a longer reply would hold up the event loop for longer than a thread hop costs."""

_SWEEP_S = 5.0
"""At most, between two looks for connections whose clients are idle or slow for too long."""

_DRAIN_POLL_S = 0.01

_HANDSHAKE_S = 10.0
"""How long a client may take for the handshake of TLS."""

_DESCRIBING = frozenset((Method.STATUS, Method.METADATA, Method.EXAMPLE, Method.LIST))
"""What is answered without the native side."""

_LEFT_OPEN_S = 0.5
"""Without traffic, while draining."""

T = TypeVar("T")


class Gateway:
    """Serves REST on an event loop; everything on the loop's thread.

    Predictions are the native side's. What else takes a while is done on the loop's executor.
    """

    def __init__(
        self,
        predictor: RestPredictor,
        backend: ModelBackend,
        *,
        config: RestConfig,
        pages: Mapping[str, Page],
        authenticate: bool = False,
        access_log: AccessLog | None = None,
        traces: Traces | None = None,
    ) -> None:
        """`pages` are by path, and hide no path of the API.

        `authenticate`: only requests that `predictor` gives access are answered.
        """
        self.max_body_bytes = config.max_body_bytes
        self.read_buffer = memoryview(bytearray(_READ_BYTES))
        self.draining = False
        self.cors = cors_fields(authorization=authenticate) if config.cors else b""
        self._authenticate = authenticate
        self._config = config
        self._limits = Limits(config.header_timeout_s, config.body_timeout_s, config.idle_timeout_s)
        self._predictor = predictor
        self._predictions = Predictions(predictor, config.timeout_s)
        self._backend = backend
        self._pages = pages
        self.access_log = access_log
        self.traces = traces
        self.server_timing = config.server_timing
        self._connections: set[HttpConnection] = set()
        self._listener: asyncio.Server | None = None
        self._tls: ssl.SSLContext | None = None

    async def start(self) -> int:
        """Listens and returns the bound port. Raises ConfigError when it cannot be had."""
        port = max(0, self._config.port)
        try:
            self._listener = await self._listen(_bind(port))
        except OSError as error:
            raise ConfigError(
                f"cannot listen on --rest_api_port={port}: {error.strerror}"
            ) from error
        self._predictions.start()
        self._sweep()
        bound: int = self._listener.sockets[0].getsockname()[1]
        return bound

    @property
    def connections(self) -> int:
        """Open connections."""
        return len(self._connections)

    def use_tls(self, context: ssl.SSLContext) -> None:
        """Lets new connections speak TLS; those that are open stay as they are."""
        self._tls = context
        if self._listener is not None:
            asyncio.get_running_loop().create_task(self._listen_anew(self._listener))

    async def _listen(self, bound: socket.socket) -> asyncio.Server:
        return await asyncio.get_running_loop().create_server(
            lambda: HttpConnection(self),
            sock=bound,
            backlog=1024,
            ssl=self._tls,
            ssl_handshake_timeout=_HANDSHAKE_S if self._tls else None,
        )

    async def _listen_anew(self, before: asyncio.Server) -> None:
        """Puts a listener of the same socket in the place of `before`: no client is refused."""
        anew = await self._listen(socket.socket(fileno=os.dup(before.sockets[0].fileno())))
        before.close()
        if self.draining or self._listener is not before:
            anew.close()
        else:
            self._listener = anew

    async def drain(self, grace_s: float) -> None:
        """Stops listening and waits up to `grace_s` for the requests in flight.

        Answers from now on tell the client to close. A connection that has just been in use is left
        open for a moment: its client may have sent the next request already.
        """
        self.draining = True
        if self._listener is not None:
            self._listener.close()
        loop = asyncio.get_running_loop()
        begun = loop.time()
        while self._connections and loop.time() < begun + grace_s:
            used_after = loop.time() - _LEFT_OPEN_S
            idle = [c for c in self._connections if not c.busy and not c.receiving]
            for connection in idle:
                if connection.last_active < used_after:
                    connection.close()
            await asyncio.sleep(_DRAIN_POLL_S)

    # Handler of the connections

    def opened(self, connection: HttpConnection) -> None:
        """Keeps track of a new connection."""
        self._connections.add(connection)

    def closed(self, connection: HttpConnection) -> None:
        """Forgets a connection."""
        self._connections.discard(connection)

    def make_body(self, request: Request) -> Body:
        """Returns room for a body that does not come all at once."""
        body_type = "json" if request.gzip else body_format(request.content_type)
        return _native.RestBody(body_type, request.declared_size)

    def refusal(self, request: Request) -> Reply | None:
        """Returns the answer to a request without a token that opens what it asks for."""
        if not self._authenticate:
            return None
        return refusal(request, self._pages, self._predictor.check_access)

    def handle(self, request: Request, done: Done) -> None:
        """Has a request answered, at once or later."""
        if (refusal := request.refusal) is not None:
            # One without a code is of HTTP, not of the API: no request for a model.
            (_counted("", done) if refusal.code else done)(refusal)
            return
        if self._config.gzip_replies and admits_gzip(request.accept_encoding):
            done = self._compressing(done)
        route = find_route(request.verb, request.target.decode("latin-1"), request.origin)
        if isinstance(route, Reply):
            self._answer_beside_api(request, route, done)
        elif not route.is_text:
            _counted(route.model, done)(error_reply(_unknown_model(route)))
        elif route.method is Method.LIST and not admits_json(request.accept):
            _counted(route.model, done)(MISSING_NAME)  # As upstream, which has no list, says.
        elif route.method in _DESCRIBING:
            done = _counted(route.model, done)
            self._beside(functools.partial(self._describe, route), done, done)
        else:
            self._predict(route, request, done)

    def _compressing(self, done: Done) -> Done:
        """Returns `done`, but with the reply compressed where that is worth it."""

        def compress(reply: Reply) -> None:
            if len(reply.body) < _MIN_GZIP_BYTES:
                done(reply)
            elif len(reply.body) < _INLINE_GZIP_BYTES:
                done(compressed(reply))
            else:
                self._beside(functools.partial(compressed, reply), done, done)

        return compress

    def _answer_beside_api(self, request: Request, refusal: Reply, done: Done) -> None:
        """Answers with a page, where there is one, or with the refusal."""
        path, query = request.split_target()
        page = self._pages.get(path)
        if page is None or refusal.status == 501:  # A verb that is not known.
            is_of_api = refusal.content_type != HTML
            (_counted(refusal.model, done) if is_of_api else done)(refusal)
            return

        def show(reply: Reply) -> None:
            done(without_body(reply) if request.verb == "HEAD" else reply)

        self._beside(functools.partial(page.show, path, query), show, show)

    # Predictions

    def _predict(self, route: Route, request: Request, done: Done) -> None:
        body_type = body_format(request.content_type)
        if body_type != "json" and route.method is not Method.PREDICT:
            text = (
                f":{route.method.value} takes JSON, not {NATIVE_TYPES[body_type].decode()}; only "
                ":predict does"
            )
            _counted(route.model, done)(error_reply(ServingError(INVALID_ARGUMENT, text)))
            return
        rather_json = body_type == "npy" and prefers_json(request.accept, NATIVE_TYPES["npy"])
        if self.traces is not None and _native.is_traced(request.traceparent):
            request.traced_as = route.pattern
        traced = self.server_timing or request.traced_as != ""
        answer = functools.partial(
            self._predictions.answer, route, body_type, rather_json, traced, done=done
        )
        # The native side has it from here on, and may drop it sooner than the request ends.
        body, request.body = request.body, b""
        if not request.gzip:
            answer(body)
        elif len(body) <= _INLINE_PACKED_BYTES:
            answer(unpacked(body, body_type))
        else:
            unpack = functools.partial(unpacked, body, body_type)
            self._beside(unpack, answer, _counted(route.model, done))

    # What other threads do

    def _beside(self, task: Callable[[], T], then: Callable[[T], None], done: Done) -> None:
        """Runs a task on another thread, and `then` with its result on the loop's.

        A task that raises is a fault of the server: it is logged, and `done` with what the client
        is told of it.
        """

        def finish(future: asyncio.Future[T]) -> None:
            if future.cancelled():
                return  # with the loop, and all connections
            if error := future.exception():
                _LOGGER.error("a REST request could not be answered", exc_info=error)
                done(error_reply(ServingError(INTERNAL, _FAULT)))
            else:
                then(future.result())

        asyncio.get_running_loop().run_in_executor(None, task).add_done_callback(finish)

    def _describe(self, route: Route) -> Reply:
        """Returns what is told of models without running one."""
        try:
            return Reply(200, self._description(route).encode())
        except ServingError as error:
            return error_reply(error)

    def _description(self, route: Route) -> str:
        if route.method is Method.LIST:
            return to_json(model_list(self._backend))
        if route.method is Method.EXAMPLE:
            return example_request(
                self._backend, route.model, route.version, route.label, route.signature
            )
        if route.method is Method.METADATA:
            request = protos.GetModelMetadataRequest(metadata_field=[SIGNATURE_DEF])
            _fill_spec(request.model_spec, route)
            return metadata_json(model_metadata(self._backend, request))
        status = protos.GetModelStatusRequest()
        _fill_spec(status.model_spec, route)
        return status_json(model_status(self._backend, status))

    def _sweep(self) -> None:
        """Ends connections whose clients are idle or slow for too long."""
        for connection in list(self._connections):
            connection.look(self._limits)
        shortest = min(s for s in (*dataclasses.astuple(self._limits), 4 * _SWEEP_S) if s > 0)
        asyncio.get_running_loop().call_later(shortest / 4, self._sweep)


def _counted(model: str, done: Done) -> Done:
    """Returns `done`, but counting the request, which the native side does not see."""
    begun = time.monotonic()

    def count(reply: Reply) -> None:
        seconds = time.monotonic() - begun
        _native.record_rest(model.encode(errors="surrogateescape"), reply.code, seconds)
        done(reply)

    return count


def _unknown_model(route: Route) -> ServingError:
    """Returns the error of a request whose model's name or label is no text, as every one is."""
    # What a client sent is echoed.
    return ServingError(NOT_FOUND, f"Servable not found for request: Latest({route.model})")


def _fill_spec(spec: protos.ModelSpec, route: Route) -> None:
    spec.name = route.model
    if route.version is not None:
        spec.version.value = route.version
    elif route.label is not None:
        spec.version_label = route.label


def _bind(port: int) -> socket.socket:
    """Returns a bound socket for both families, or for IPv4 where there is no IPv6."""
    with contextlib.ExitStack() as on_failure:
        try:
            listener = on_failure.enter_context(socket.socket(socket.AF_INET6, socket.SOCK_STREAM))
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            host = "::"
        except OSError:
            listener = on_failure.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
            host = "0.0.0.0"
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        on_failure.pop_all()
    return listener
