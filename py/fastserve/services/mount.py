"""Mounts a servicer without generated code."""

from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor

from fastserve import protos

_KINDS = {
    (False, False): grpc.unary_unary_rpc_method_handler,
    (False, True): grpc.unary_stream_rpc_method_handler,
    (True, False): grpc.stream_unary_rpc_method_handler,
    (True, True): grpc.stream_stream_rpc_method_handler,
}


def _method_handler(method: MethodDescriptor, behavior: Any) -> "grpc.RpcMethodHandler[Any, Any]":
    kind = _KINDS[method.client_streaming, method.server_streaming]
    request = protos.message_class(method.input_type)
    response = protos.message_class(method.output_type)
    return kind(
        behavior,
        request_deserializer=request.FromString,
        response_serializer=response.SerializeToString,
    )


def generic_handler(service: ServiceDescriptor, servicer: object) -> grpc.GenericRpcHandler:
    """Returns a handler for those methods of `service` that `servicer` has, under their names."""
    handlers = {
        method.name: _method_handler(method, getattr(servicer, method.name))
        for method in service.methods
        if hasattr(servicer, method.name)
    }
    return grpc.method_handlers_generic_handler(service.full_name, handlers)
