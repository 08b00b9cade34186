"""grpc.reflection: the services of this server, for tools such as grpcurl."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2

_THREADS = 8
"""Streams at a time; each keeps a thread for as long as its client likes."""

_METHOD = "ServerReflectionInfo"


def handlers(services: Iterable[str]) -> list[grpc.GenericRpcHandler]:
    """Returns the handlers of both editions; `services` are the full names to tell of."""
    names = (*services, reflection.SERVICE_NAME)
    servicer = reflection.ReflectionServicer(names)
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


class _OwnThreads:
    """A method whose calls leave the threads of other methods alone, as grpcio has it."""

    def __init__(self, behavior: Any) -> None:
        self._behavior = behavior
        self.experimental_thread_pool = ThreadPoolExecutor(_THREADS, "fastserve-reflection")

    def __call__(self, requests: Any, context: grpc.ServicerContext) -> Any:
        return self._behavior(requests, context)
