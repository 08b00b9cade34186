"""gRPC's interoperability service, as an ordinary grpcio servicer."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

PACKAGE = "grpc.testing"


def _compiled() -> bytes:
    """interop.proto as a FileDescriptorSet.

    A process of its own compiles it: the compiler in grpcio-tools cannot share one with TensorFlow.
    """
    folder = Path(__file__).parent
    with tempfile.TemporaryDirectory() as scratch:
        output = Path(scratch) / "descriptors.binpb"
        command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{folder}"]
        command += [f"--descriptor_set_out={output}", "interop.proto"]
        subprocess.run(command, check=True)
        return output.read_bytes()


_POOL = descriptor_pool.DescriptorPool()
for _file in descriptor_pb2.FileDescriptorSet.FromString(_compiled()).file:
    _POOL.Add(_file)

SERVICE = _POOL.FindServiceByName(f"{PACKAGE}.TestService")


def _message(name: str) -> Any:
    return message_factory.GetMessageClass(_POOL.FindMessageTypeByName(f"{PACKAGE}.{name}"))


Empty, Payload = _message("Empty"), _message("Payload")
SimpleResponse = _message("SimpleResponse")
StreamingInputCallResponse = _message("StreamingInputCallResponse")
StreamingOutputCallResponse = _message("StreamingOutputCallResponse")

ECHO_INITIAL, ECHO_TRAILING = "x-grpc-test-echo-initial", "x-grpc-test-echo-trailing-bin"


class TestServicer:
    """Does what the description of the test cases asks of a server."""

    __test__ = False  # no test of pytest's

    def EmptyCall(self, request: Any, context: grpc.ServicerContext) -> Any:
        _echo_metadata(context)
        return Empty()

    def UnaryCall(self, request: Any, context: grpc.ServicerContext) -> Any:
        _echo_metadata(context)
        _echo_status(request, context)
        return SimpleResponse(payload=_payload(request.response_size))

    def StreamingOutputCall(self, request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        _echo_metadata(context)
        yield from _responses(request)
        _echo_status(request, context)

    def StreamingInputCall(self, requests: Iterator[Any], context: grpc.ServicerContext) -> Any:
        _echo_metadata(context)
        size = sum(len(request.payload.body) for request in requests)
        return StreamingInputCallResponse(aggregated_payload_size=size)

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
        yield StreamingOutputCallResponse(payload=_payload(wanted.size))


def _payload(size: int) -> Any:
    return Payload(body=bytes(size))


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
