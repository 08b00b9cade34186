"""gRPC's interoperability service, as an ordinary grpcio servicer."""

import time
from collections.abc import Iterator
from typing import Any

import grpc

protos, services = grpc.protos_and_services("conformance/interop.proto")

ECHO_INITIAL, ECHO_TRAILING = "x-grpc-test-echo-initial", "x-grpc-test-echo-trailing-bin"


class TestServicer(services.TestServiceServicer):
    """Does what the test cases' description asks of a server (UnimplementedCall: nothing)."""

    __test__ = False  # no test of pytest's

    def EmptyCall(self, request: Any, context: grpc.ServicerContext) -> Any:
        _echo_metadata(context)
        return protos.Empty()

    def UnaryCall(self, request: Any, context: grpc.ServicerContext) -> Any:
        _echo_metadata(context)
        _echo_status(request, context)
        return protos.SimpleResponse(payload=_payload(request.response_size))

    def StreamingOutputCall(self, request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        _echo_metadata(context)
        yield from _responses(request)
        _echo_status(request, context)

    def StreamingInputCall(self, requests: Iterator[Any], context: grpc.ServicerContext) -> Any:
        _echo_metadata(context)
        size = sum(len(request.payload.body) for request in requests)
        return protos.StreamingInputCallResponse(aggregated_payload_size=size)

    def FullDuplexCall(
        self, requests: Iterator[Any], context: grpc.ServicerContext
    ) -> Iterator[Any]:
        _echo_metadata(context)
        for request in requests:
            _echo_status(request, context)
            yield from _responses(request)


def _responses(request: Any) -> Iterator[Any]:
    for wanted in request.response_parameters:
        time.sleep(wanted.interval_us / 1e6)
        yield protos.StreamingOutputCallResponse(payload=_payload(wanted.size))


def _payload(size: int) -> Any:
    return protos.Payload(body=bytes(size))


def _echo_metadata(context: grpc.ServicerContext) -> None:
    sent = dict(context.invocation_metadata())
    if ECHO_INITIAL in sent:
        context.send_initial_metadata([(ECHO_INITIAL, sent[ECHO_INITIAL])])
    if ECHO_TRAILING in sent:
        context.set_trailing_metadata([(ECHO_TRAILING, sent[ECHO_TRAILING])])


def _echo_status(request: Any, context: grpc.ServicerContext) -> None:
    if code := request.response_status.code:
        by_number = {each.value[0]: each for each in grpc.StatusCode}
        context.abort(by_number[code], request.response_status.message)
