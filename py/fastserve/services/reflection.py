"""grpc.reflection: the services of this server, for tools such as grpcurl."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import FileDescriptor
from grpc_reflection.v1alpha import reflection, reflection_pb2

_THREADS = 8
"""Streams at a time; each keeps a thread for as long as its client likes."""

_METHOD = "ServerReflectionInfo"


def handlers(services: Iterable[str]) -> list[grpc.GenericRpcHandler]:
    """Returns the handlers of both editions; `services` are the full names to tell of."""
    names = (*services, reflection.SERVICE_NAME)
    servicer = reflection.ReflectionServicer(names, _Descriptors())
    # The editions v1alpha and v1 differ by the name of their package alone.
    editions = (reflection.SERVICE_NAME, "grpc.reflection.v1.ServerReflection")
    behavior = _OwnThreads(servicer.ServerReflectionInfo)
    handler = grpc.stream_stream_rpc_method_handler(
        behavior,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    return [
        grpc.method_handlers_generic_handler(edition, {_METHOD: handler}) for edition in editions
    ]


class _Descriptors:
    """protobuf's default pool, but with methods among the symbols, as in the pools of C++ and Go.

    ghz asks for a method by its name.
    """

    _pool = descriptor_pool.Default()

    def FindFileContainingSymbol(self, name: str) -> FileDescriptor:
        """Returns the file of that symbol. Raises KeyError."""
        try:
            return self._pool.FindFileContainingSymbol(name)
        except KeyError:
            return self._pool.FindMethodByName(name).containing_service.file

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pool, name)


class _OwnThreads:
    """A method whose calls leave the threads of other methods alone, as grpcio has it."""

    def __init__(self, behavior: Any) -> None:
        self._behavior = behavior
        self.experimental_thread_pool = ThreadPoolExecutor(_THREADS, "fastserve-reflection")

    def __call__(self, requests: Any, context: grpc.ServicerContext) -> Any:
        return self._behavior(requests, context)
