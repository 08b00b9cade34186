"""Runs grpcio servicers on the native server.

`RpcServer` answers the RPCs that no native method takes. It has the methods that generated
`add_XServicer_to_server(servicer, server)` functions call, so grpcio servicers, those of
grpcio-health-checking and grpcio-reflection among them, work on it unchanged, in all four kinds.

Codes, texts and the rules of ServicerContext are those of grpcio's synchronous server, except where
TensorFlow Serving's clients see gRPC's C++ server instead: a method without a handler is
UNIMPLEMENTED, and a request that does not parse is INTERNAL, both with an empty message.
"""

import contextvars
import logging
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple, NoReturn, TypeAlias

import grpc

from fastserve import _native
from fastserve.errors import code_name
from fastserve.observe.access_log import AccessLog

_LOGGER = logging.getLogger(__name__)

_OK = grpc.StatusCode.OK.value[0]
_CANCELLED = grpc.StatusCode.CANCELLED.value[0]
_UNKNOWN = grpc.StatusCode.UNKNOWN.value[0]
_UNIMPLEMENTED = grpc.StatusCode.UNIMPLEMENTED.value[0]
_INTERNAL = grpc.StatusCode.INTERNAL.value[0]

_METADATA_KEY = re.compile(r"[0-9a-z_.-]+")
_METADATA_TEXT = re.compile(r"[ -~]*")

Metadata: TypeAlias = Iterable[tuple[str, str | bytes]]
MethodHandler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"


class _Metadatum(NamedTuple):
    """One header field, as grpcio gives it."""

    key: str
    value: str | bytes


@dataclass
class _CallDetails(grpc.HandlerCallDetails):
    """What a generic handler chooses a method's handler by."""

    method: str
    invocation_metadata: tuple[_Metadatum, ...]


class _CallEnded(grpc.RpcError):
    """Raised into a handler that goes on with a call which needs no more answer."""


def _checked(metadata: Metadata | None) -> tuple[_Metadatum, ...]:
    """Returns `metadata` as it goes to the wire; ValueError where HTTP/2 could not carry it."""
    checked = []
    for key, value in metadata or ():
        text = value.decode("latin-1") if isinstance(value, bytes) else value
        if not _METADATA_KEY.fullmatch(key) or not (
            key.endswith("-bin") or _METADATA_TEXT.fullmatch(text)
        ):
            raise ValueError(f"metadata was invalid: {(key, value)!r}")
        checked.append(_Metadatum(key, value))
    return tuple(checked)


class _Context(grpc.ServicerContext):
    """One call as its handler sees it, and the state that decides how it ends.

    Any thread. What the server itself uses is `receive`, `send`, `finish`, `terminate`, `aborted`.
    """

    def __init__(
        self,
        call: _native.RpcCall,
        metadata: tuple[_Metadatum, ...],
        access_log: AccessLog | None = None,
    ) -> None:
        self._call = call
        self._access_log = access_log
        self._begun = time.monotonic()
        self._ended_code = _CANCELLED
        self._metadata = metadata
        self._lock = threading.Lock()
        self._callbacks: list[Callable[[], None]] | None = []
        self._code: object = None
        self._details: bytes | None = None
        self._trailing: tuple[_Metadatum, ...] | None = None
        self._initial_allowed = True
        self._finished = False
        self._compress_next = True
        self.aborted = False

    # The call's end.

    def finish(self, code: int, details: str) -> None:
        """Ends the call; a code or details that the handler has set replace those given."""
        if self._code is not None:
            is_status = isinstance(self._code, grpc.StatusCode)
            code = self._code.value[0] if is_status else _UNKNOWN  # type: ignore[attr-defined]
        if self._details is not None:
            details = self._details.decode("utf-8", "replace")
        self._end(code, details, self._trailing or ())

    def _end(self, code: int, details: str, trailing: tuple[_Metadatum, ...]) -> None:
        with self._lock:
            if self._finished:
                return
            self._finished = True
        self._ended_code = code
        self._call.finish(code, details, trailing)

    def terminate(self) -> None:
        """Runs the callbacks, once the call is done."""
        if self._access_log is not None:
            self._log(self._access_log)
        with self._lock:
            callbacks, self._callbacks = self._callbacks, None
        for callback in callbacks or ():
            try:
                callback()
            except Exception:
                _LOGGER.exception("Exception calling callback!")

    def _log(self, access_log: AccessLog) -> None:
        traces = [value for key, value in self._metadata if key == "traceparent"]
        access_log.record(
            "grpc",
            self._call.path,
            code_name(self._ended_code),
            time.monotonic() - self._begun,
            peer=self._call.peer,
            traceparent=str(traces[0]) if traces else "",
        )

    # Messages.

    def receive(self) -> bytes | None:
        """Returns the next request message, None after the last; _CallEnded when it is too late."""
        if self._finished:
            raise _CallEnded
        try:
            return self._call.receive()
        except _native.NativeError as error:
            raise _CallEnded from error

    def send(self, message: bytes) -> None:
        """Sends a response message; _CallEnded when it is too late."""
        if self._finished:
            raise _CallEnded
        self._initial_allowed = False
        compress, self._compress_next = self._compress_next, True
        try:
            self._call.send_message(message, compress)
        except _native.NativeError as error:
            raise _CallEnded from error

    def send_initial_metadata(self, initial_metadata: Metadata) -> None:
        checked = _checked(initial_metadata)
        if not self.is_active():
            raise _CallEnded
        with self._lock:
            if not self._initial_allowed:
                raise ValueError("Initial metadata no longer allowed!")
            self._initial_allowed = False
        self._call.send_initial_metadata(checked)

    # The status to come.

    def set_code(self, code: grpc.StatusCode) -> None:
        self._code = code

    def code(self) -> Any:
        return self._code

    def set_details(self, details: str | bytes) -> None:
        self._details = details.encode() if isinstance(details, str) else details

    def details(self) -> bytes | None:
        return self._details

    def set_trailing_metadata(self, trailing_metadata: Metadata) -> None:
        self._trailing = _checked(trailing_metadata)

    def trailing_metadata(self) -> Any:
        return self._trailing

    def abort(self, code: grpc.StatusCode, details: str | bytes) -> NoReturn:
        if code == grpc.StatusCode.OK:
            _LOGGER.error("abort() called with StatusCode.OK; returning UNKNOWN")
            code, details = grpc.StatusCode.UNKNOWN, ""
        self.set_code(code)
        self.set_details(details)
        self.aborted = True
        raise Exception(f"the call was aborted with {code}")

    def abort_with_status(self, status: grpc.Status) -> NoReturn:
        self.set_trailing_metadata(status.trailing_metadata or ())
        self.abort(status.code, status.details)

    # The call itself.

    def is_active(self) -> bool:
        return not self._finished and self._call.is_active()

    # None means "no deadline", as grpc.RpcContext documents; the stubs leave that out.
    def time_remaining(self) -> float | None:  # type: ignore[override]
        return self._call.time_remaining()

    def cancel(self) -> bool:
        self._end(_CANCELLED, "CANCELLED", ())
        return True

    def add_callback(self, callback: Callable[[], None]) -> bool:
        with self._lock:
            if self._callbacks is None:
                return False
            self._callbacks.append(callback)
            return True

    def invocation_metadata(self) -> Any:
        return self._metadata

    def peer(self) -> str:
        return self._call.peer

    # The transport does not authenticate its peers.

    def peer_identities(self) -> None:
        return None

    def peer_identity_key(self) -> None:
        return None

    def auth_context(self) -> Mapping[str, Any]:
        return {}

    def set_compression(self, compression: grpc.Compression) -> None:
        with self._lock:
            if self._initial_allowed:  # Later it would have no effect, and grpcio says nothing.
                self._call.set_compression(int(compression))

    def disable_next_message_compression(self) -> None:
        self._compress_next = False


class _Exchange:
    """Carries one call through its handler, on a pool's thread."""

    def __init__(self, context: _Context, path: str, handler: MethodHandler) -> None:
        self._context = context
        self._path = path
        self._handler = handler
        streaming = (handler.request_streaming, handler.response_streaming)
        self.behavior: Any = {
            (False, False): handler.unary_unary,
            (False, True): handler.unary_stream,
            (True, False): handler.stream_unary,
            (True, True): handler.stream_stream,
        }[streaming]

    def run(self) -> None:
        """Answers the call, whatever the handler does."""
        try:
            streaming = self._handler.request_streaming
            request = self._requests() if streaming else self._single_request()
            if not self._handler.response_streaming:
                self._send(self.behavior(request, self._context))
                self._context.finish(_OK, "")
            elif getattr(self.behavior, "experimental_non_blocking", False):
                # grpcio's way of streaming without a thread: the handler keeps the callback.
                self.behavior(request, self._context, self._send_later)
            else:
                self._stream(self.behavior(request, self._context))
        except _CallEnded:
            self._context.finish(_CANCELLED, "")  # Usually it is done already.
        except BaseException as error:  # Even SystemExit must not leave a client waiting.
            self._fail("Exception calling application", error)

    def _stream(self, responses: Iterable[Any]) -> None:
        try:
            for response in responses:
                self._send(response)
        except _CallEnded:
            raise
        except BaseException as error:
            self._fail("Exception iterating responses", error)
        else:
            self._context.finish(_OK, "")

    def _fail(self, what: str, error: BaseException) -> None:
        if self._context.aborted:
            self._context.finish(_UNKNOWN, "RPC Aborted")
            return
        try:
            details = f"{what}: {error}"
        except Exception:
            details = "Calling application raised unprintable Exception!"
        _LOGGER.error("%s: %s", self._path, details, exc_info=error)
        self._context.finish(_UNKNOWN, details)

    # Requests.

    def _requests(self) -> Iterator[Any]:
        while (message := self._context.receive()) is not None:
            yield self._parse(message)

    def _single_request(self) -> Any:
        message = self._context.receive()
        if message is None:
            details = f'"{self._path}" requires exactly one request message.'
            self._context.finish(_UNIMPLEMENTED, details)
            raise _CallEnded
        return self._parse(message)

    def _parse(self, message: bytes) -> Any:
        deserializer = self._handler.request_deserializer
        try:
            return message if deserializer is None else deserializer(message)
        except Exception as error:
            _LOGGER.debug("%s: a request does not parse", self._path, exc_info=True)
            self._context.finish(_INTERNAL, "")
            raise _CallEnded from error

    # Responses.

    def _send(self, response: Any) -> None:
        serializer = self._handler.response_serializer
        try:
            message = response if serializer is None else serializer(response)
            if message is None:
                raise TypeError("a handler returned no response")
        except Exception as error:
            _LOGGER.exception("%s: Exception serializing message!", self._path)
            self._context.finish(_INTERNAL, "Failed to serialize response!")
            raise _CallEnded from error
        self._context.send(message)

    def _send_later(self, response: Any) -> None:
        """Sends a response, or ends the call if there is none. Any thread."""
        try:
            if response is None:
                self._context.finish(_OK, "")
            else:
                self._send(response)
        except _CallEnded:
            pass


class RpcServer:
    """Mounts grpcio servicers on a native server.

    Handlers are added before `start`. Each call occupies one of `max_workers` threads while its
    handler runs; further calls wait. A call's callbacks run on the dispatching thread.
    """

    def __init__(
        self,
        server: _native.Server,
        max_workers: int = 16,
        *,
        access_log: AccessLog | None = None,
        compression: grpc.Compression | None = None,
    ) -> None:
        """`compression` is that of grpc.server(): of responses whose handler sets none itself.

        None leaves it to the native server's options.
        """
        self._server = server
        self._access_log = access_log
        self._compression = compression
        self._generic: list[grpc.GenericRpcHandler] = []
        self._registered: dict[str, MethodHandler] = {}
        self._pool = ThreadPoolExecutor(max_workers, thread_name_prefix="fastserve-rpc")
        self._dispatcher = threading.Thread(
            target=self._dispatch, name="fastserve-rpc-dispatch", daemon=True
        )

    def add_generic_rpc_handlers(
        self, generic_rpc_handlers: Iterable[grpc.GenericRpcHandler]
    ) -> None:
        """As grpc.Server: the first handler that knows a method answers it."""
        self._generic.extend(generic_rpc_handlers)

    def add_registered_method_handlers(
        self, service_name: str, method_handlers: Mapping[str, MethodHandler]
    ) -> None:
        """As grpc.Server: these methods come before those of generic handlers."""
        for method, handler in method_handlers.items():
            self._registered[f"/{service_name}/{method}"] = handler

    def start(self) -> None:
        """Begins to take calls from the native server, which may start before or after."""
        self._dispatcher.start()

    def stop(self) -> None:
        """Waits for the handlers that still run. Only after the native server's shutdown()."""
        if self._dispatcher.is_alive():
            self._dispatcher.join()
        self._pool.shutdown()

    def _dispatch(self) -> None:
        contexts: dict[_native.RpcCall, _Context] = {}
        while (event := self._server.next_call()) is not None:
            call, started = event
            if started:
                contexts[call] = self._begin(call)
            else:
                contexts.pop(call).terminate()

    def _begin(self, call: _native.RpcCall) -> _Context:
        metadata = tuple(_Metadatum(*pair) for pair in call.metadata)
        context = _Context(call, metadata, self._access_log)
        if self._compression is not None:
            context.set_compression(self._compression)
        try:
            handler = self._find(_CallDetails(call.path, metadata))
            if handler is None:
                context.finish(_UNIMPLEMENTED, "")
            else:
                self._submit(_Exchange(context, call.path, handler))
        except Exception:
            _LOGGER.exception("%s: Exception servicing handler", call.path)
            context.finish(_UNKNOWN, "Error in service handler!")
        return context

    def _submit(self, exchange: _Exchange) -> None:
        pool = getattr(exchange.behavior, "experimental_thread_pool", None) or self._pool
        # A context of its own, so that one call's context variables do not reach the next.
        pool.submit(contextvars.Context().run, exchange.run)

    def _find(self, details: _CallDetails) -> "MethodHandler | None":
        if (registered := self._registered.get(details.method)) is not None:
            return registered
        for generic in self._generic:
            if (handler := generic.service(details)) is not None:
                return handler
        return None
