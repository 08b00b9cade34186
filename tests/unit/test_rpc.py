"""RpcServer on the real native server, seen by stock grpcio clients."""

import contextlib
import contextvars
import logging
import threading
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from grpc import StatusCode

from fastserve import _native
from fastserve.rpc import RpcServer

TIMEOUT_S = 20
MIB = 1 << 20


@contextlib.contextmanager
def serving(*handlers: grpc.GenericRpcHandler, max_workers: int = 4) -> Iterator[Any]:
    """Serves `handlers` and gives a channel to them."""
    with running(max_workers) as (rpc_server, native):
        rpc_server.add_generic_rpc_handlers(handlers)
        with connected(native) as channel:
            yield channel


@contextlib.contextmanager
def running(max_workers: int = 4) -> Iterator[tuple[RpcServer, _native.Server]]:
    options = _native.ServerOptions()
    options.grpc_addresses = ["127.0.0.1:0"]
    options.io_threads = 1
    options.worker_threads = 1
    native = _native.Server(options)
    rpc_server = RpcServer(native, max_workers)
    rpc_server.start()
    try:
        yield rpc_server, native
    finally:
        native.shutdown(0)
        rpc_server.stop()


@contextlib.contextmanager
def connected(native: _native.Server) -> Iterator[Any]:
    (port,) = native.start()
    unlimited = [
        ("grpc.max_receive_message_length", -1),
        ("grpc.max_send_message_length", -1),
    ]
    with grpc.insecure_channel(f"127.0.0.1:{port}", options=unlimited) as channel:
        yield channel


def handler(**methods: "grpc.RpcMethodHandler[Any, Any]") -> grpc.GenericRpcHandler:
    return grpc.method_handlers_generic_handler("test.Service", methods)


def unary(behavior: Any, **transcoding: Any) -> grpc.GenericRpcHandler:
    """A service whose only method is the unary Call, on bytes."""
    return handler(Call=grpc.unary_unary_rpc_method_handler(behavior, **transcoding))


def call(channel: Any, request: bytes = b"", **options: Any) -> Any:
    method = channel.unary_unary("/test.Service/Call")
    return method(request, timeout=TIMEOUT_S, **options)


def failure(channel: Any, request: bytes = b"", **options: Any) -> Any:
    """The error that the unary Call ends with."""
    with pytest.raises(grpc.RpcError) as caught:
        call(channel, request, **options)
    return caught.value


def status(error: Any) -> tuple[StatusCode, str]:
    return error.code(), error.details()


class TestKinds:
    def test_unary_request_gets_unary_response(self) -> None:
        with serving(unary(lambda request, context: request[::-1])) as channel:
            assert call(channel, b"abc") == b"cba"

    def test_empty_messages_are_messages(self) -> None:
        with serving(unary(lambda request, context: request)) as channel:
            assert call(channel, b"") == b""

    def test_unary_request_gets_streamed_responses(self) -> None:
        def split(request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
            yield from request.split()

        with serving(handler(Call=grpc.unary_stream_rpc_method_handler(split))) as channel:
            responses = channel.unary_stream("/test.Service/Call")(b"a b c", timeout=TIMEOUT_S)
            assert list(responses) == [b"a", b"b", b"c"]

    def test_stream_of_no_responses_ends_ok(self) -> None:
        def none(request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
            return iter(())

        with serving(handler(Call=grpc.unary_stream_rpc_method_handler(none))) as channel:
            responses = channel.unary_stream("/test.Service/Call")(b"", timeout=TIMEOUT_S)
            assert list(responses) == []
            assert responses.code() == StatusCode.OK

    def test_streamed_requests_get_unary_response(self) -> None:
        def join(requests: Iterator[bytes], context: grpc.ServicerContext) -> bytes:
            return b"+".join(requests)

        with serving(handler(Call=grpc.stream_unary_rpc_method_handler(join))) as channel:
            method = channel.stream_unary("/test.Service/Call")
            assert method(iter([b"a", b"b", b"c"]), timeout=TIMEOUT_S) == b"a+b+c"
            assert method(iter([]), timeout=TIMEOUT_S) == b""

    def test_streams_answer_each_request_before_the_next_is_sent(self) -> None:
        def echo(requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
            for request in requests:
                yield request.upper()

        answered = threading.Semaphore(1)

        def in_turns() -> Iterator[bytes]:
            for letter in "abc":
                assert answered.acquire(timeout=TIMEOUT_S)
                yield letter.encode()

        with serving(handler(Call=grpc.stream_stream_rpc_method_handler(echo))) as channel:
            received = []
            for response in channel.stream_stream("/test.Service/Call")(
                in_turns(), timeout=TIMEOUT_S
            ):
                received.append(response)
                answered.release()
            assert received == [b"A", b"B", b"C"]

    def test_messages_pass_through_the_handlers_serializers(self) -> None:
        transcoding = {"request_deserializer": bytes.decode, "response_serializer": str.encode}
        with serving(unary(lambda request, context: request + "é", **transcoding)) as channel:
            assert call(channel, b"caf") == "café".encode()


class TestHandlers:
    def test_unknown_method_is_unimplemented_without_a_message(self) -> None:
        with serving(unary(lambda request, context: request)) as channel:
            for path in ("/test.Service/Other", "/other.Service/Call", "/"):
                with pytest.raises(grpc.RpcError) as caught:
                    channel.unary_unary(path)(b"", timeout=TIMEOUT_S)
                assert status(caught.value) == (StatusCode.UNIMPLEMENTED, "")

    def test_first_generic_handler_that_knows_the_method_answers(self) -> None:
        first = unary(lambda request, context: b"first")
        second = unary(lambda request, context: b"second")
        with serving(handler(), first, second) as channel:
            assert call(channel) == b"first"

    def test_registered_handler_comes_before_generic_ones(self) -> None:
        registered: Any = grpc.unary_unary_rpc_method_handler(
            lambda request, context: b"registered"
        )
        with running() as (rpc_server, native):
            rpc_server.add_generic_rpc_handlers([unary(lambda request, context: b"generic")])
            rpc_server.add_registered_method_handlers("test.Service", {"Call": registered})
            with connected(native) as channel:
                assert call(channel) == b"registered"

    def test_generic_handler_is_given_the_method_and_the_metadata(self) -> None:
        seen = []

        class Recorder(grpc.GenericRpcHandler):
            def service(self, handler_call_details: grpc.HandlerCallDetails) -> None:
                metadata = dict(handler_call_details.invocation_metadata)
                seen.append((handler_call_details.method, metadata["key"]))

        with serving(Recorder(), unary(lambda request, context: request)) as channel:
            call(channel, metadata=[("key", "value")])
        assert seen == [("/test.Service/Call", "value")]

    def test_generic_handler_that_raises_fails_only_its_call(self) -> None:
        class Broken(grpc.GenericRpcHandler):
            def service(self, handler_call_details: grpc.HandlerCallDetails) -> None:
                if dict(handler_call_details.invocation_metadata).get("break"):
                    raise ValueError("broken")

        with serving(Broken(), unary(lambda request, context: request)) as channel:
            error = failure(channel, metadata=[("break", "yes")])
            assert status(error) == (StatusCode.UNKNOWN, "Error in service handler!")
            assert call(channel, b"x") == b"x"


class TestErrors:
    def test_exception_in_a_handler_is_unknown_and_logged(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        def fail(request: bytes, context: grpc.ServicerContext) -> bytes:
            raise ValueError("no good")

        with serving(unary(fail)) as channel, caplog.at_level(logging.ERROR):
            error = failure(channel)
        details = "Exception calling application: no good"
        assert status(error) == (StatusCode.UNKNOWN, details)
        assert 'raise ValueError("no good")' in caplog.text

    def test_exception_keeps_the_code_that_was_set_before(self) -> None:
        def fail(request: bytes, context: grpc.ServicerContext) -> bytes:
            context.set_code(StatusCode.DATA_LOSS)
            raise ValueError("no good")

        with serving(unary(fail)) as channel:
            details = "Exception calling application: no good"
            assert status(failure(channel)) == (StatusCode.DATA_LOSS, details)

    def test_exception_between_responses_comes_after_those_sent(self) -> None:
        def fail(request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
            yield b"first"
            raise ValueError("no good")

        with serving(handler(Call=grpc.unary_stream_rpc_method_handler(fail))) as channel:
            responses = channel.unary_stream("/test.Service/Call")(b"", timeout=TIMEOUT_S)
            assert next(responses) == b"first"
            with pytest.raises(grpc.RpcError) as caught:
                next(responses)
        details = "Exception iterating responses: no good"
        assert status(caught.value) == (StatusCode.UNKNOWN, details)

    def test_unprintable_exception_is_answered(self) -> None:
        class Unprintable(Exception):
            def __str__(self) -> str:
                raise RuntimeError

        def fail(request: bytes, context: grpc.ServicerContext) -> bytes:
            raise Unprintable

        with serving(unary(fail)) as channel:
            details = "Calling application raised unprintable Exception!"
            assert status(failure(channel)) == (StatusCode.UNKNOWN, details)

    def test_handler_that_exits_is_answered_and_the_server_goes_on(self) -> None:
        def leave(request: bytes, context: grpc.ServicerContext) -> bytes:
            raise SystemExit(3)

        with serving(unary(leave), max_workers=1) as channel:
            for _ in range(2):
                details = "Exception calling application: 3"
                assert status(failure(channel)) == (StatusCode.UNKNOWN, details)

    def test_request_that_does_not_parse_is_internal_without_a_message(self) -> None:
        def never(request: str, context: grpc.ServicerContext) -> bytes:
            raise AssertionError("called with a request that does not parse")

        with serving(unary(never, request_deserializer=bytes.decode)) as channel:
            assert status(failure(channel, b"\xff")) == (StatusCode.INTERNAL, "")

    def test_streamed_request_that_does_not_parse_ends_the_call(self) -> None:
        seen: list[str] = []

        def collect(requests: Iterator[str], context: grpc.ServicerContext) -> bytes:
            seen.extend(requests)
            return b"all"

        method: Any = grpc.stream_unary_rpc_method_handler(
            collect, request_deserializer=bytes.decode
        )
        with serving(handler(Call=method)) as channel, pytest.raises(grpc.RpcError) as caught:
            channel.stream_unary("/test.Service/Call")(iter([b"a", b"\xff"]), timeout=TIMEOUT_S)
        assert status(caught.value) == (StatusCode.INTERNAL, "")

    @pytest.mark.parametrize("serializer", [None, str.encode])
    def test_response_that_cannot_be_serialized_is_internal(self, serializer: Any) -> None:
        method = unary(lambda request, context: None, response_serializer=serializer)
        with serving(method) as channel:
            details = "Failed to serialize response!"
            assert status(failure(channel)) == (StatusCode.INTERNAL, details)

    def test_unary_call_without_a_request_is_refused(self) -> None:
        echo = unary(lambda request, context: request)
        with serving(echo) as channel, pytest.raises(grpc.RpcError) as caught:
            channel.stream_unary("/test.Service/Call")(iter([]), timeout=TIMEOUT_S)
        details = '"/test.Service/Call" requires exactly one request message.'
        assert status(caught.value) == (StatusCode.UNIMPLEMENTED, details)


class TestContext:
    def test_set_code_and_details_are_the_status(self) -> None:
        def fail(request: bytes, context: grpc.ServicerContext) -> bytes:
            context.set_code(StatusCode.NOT_FOUND)
            context.set_details("nichts gefunden: ä, 100 %")
            assert context.code() == StatusCode.NOT_FOUND  # type: ignore[attr-defined]
            return b""

        with serving(unary(fail)) as channel:
            assert status(failure(channel)) == (StatusCode.NOT_FOUND, "nichts gefunden: ä, 100 %")

    def test_code_that_is_none_of_grpcs_is_unknown(self) -> None:
        def fail(request: bytes, context: Any) -> bytes:
            context.set_code(5)
            return b""

        with serving(unary(fail)) as channel:
            assert failure(channel).code() == StatusCode.UNKNOWN

    def test_abort_ends_the_call_with_code_details_and_trailing_metadata(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        def fail(request: bytes, context: grpc.ServicerContext) -> bytes:
            context.set_trailing_metadata((("why", "because"),))
            context.abort(StatusCode.ABORTED, "stop")

        with serving(unary(fail)) as channel, caplog.at_level(logging.ERROR):
            error = failure(channel)
        assert status(error) == (StatusCode.ABORTED, "stop")
        assert ("why", "because") in [tuple(pair) for pair in error.trailing_metadata()]
        assert not caplog.records

    def test_abort_with_ok_is_unknown(self) -> None:
        def fail(request: bytes, context: grpc.ServicerContext) -> bytes:
            context.abort(StatusCode.OK, "fine")

        with serving(unary(fail)) as channel:
            assert status(failure(channel)) == (StatusCode.UNKNOWN, "")

    def test_abort_with_status_takes_all_of_it(self) -> None:
        class Refusal(grpc.Status):
            code = StatusCode.PERMISSION_DENIED
            details = "not you"
            trailing_metadata = (("who", "you"),)

        def fail(request: bytes, context: grpc.ServicerContext) -> bytes:
            context.abort_with_status(Refusal())

        with serving(unary(fail)) as channel:
            error = failure(channel)
        assert status(error) == (StatusCode.PERMISSION_DENIED, "not you")
        assert ("who", "you") in [tuple(pair) for pair in error.trailing_metadata()]

    def test_abort_in_a_stream_comes_after_the_responses_sent(self) -> None:
        def fail(request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
            yield b"first"
            context.abort(StatusCode.ABORTED, "stop")

        with serving(handler(Call=grpc.unary_stream_rpc_method_handler(fail))) as channel:
            responses = channel.unary_stream("/test.Service/Call")(b"", timeout=TIMEOUT_S)
            assert next(responses) == b"first"
            with pytest.raises(grpc.RpcError) as caught:
                next(responses)
        assert status(caught.value) == (StatusCode.ABORTED, "stop")

    def test_request_metadata_reaches_the_handler_in_order(self) -> None:
        sent = [("a", "1"), ("b-bin", b"\x00\xff,="), ("a", "2"), ("empty", "")]
        seen: list[tuple[str, str | bytes]] = []

        def record(request: bytes, context: grpc.ServicerContext) -> bytes:
            metadata: Any = context.invocation_metadata()
            seen.extend((entry.key, entry.value) for entry in metadata)
            return b""

        with serving(unary(record)) as channel:
            call(channel, metadata=sent)
        assert [pair for pair in seen if pair[0] in dict(sent)] == sent

    def test_initial_and_trailing_metadata_reach_the_client(self) -> None:
        initial = (("first", "1"), ("first-bin", bytes(range(256))))
        trailing = (("last", "2"), ("last-bin", b"\x00"))

        def answer(request: bytes, context: grpc.ServicerContext) -> bytes:
            context.send_initial_metadata(initial)
            context.set_trailing_metadata(trailing)
            assert context.trailing_metadata() == trailing
            return b""

        with serving(unary(answer)) as channel:
            _, ended = channel.unary_unary("/test.Service/Call").with_call(b"", timeout=TIMEOUT_S)
            assert set(initial) <= {tuple(pair) for pair in ended.initial_metadata()}
            assert set(trailing) <= {tuple(pair) for pair in ended.trailing_metadata()}

    def test_initial_metadata_arrives_before_the_first_response(self) -> None:
        arrived = threading.Event()

        def answer(request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
            context.send_initial_metadata((("early", "yes"),))
            assert arrived.wait(TIMEOUT_S)
            yield b"late"

        with serving(handler(Call=grpc.unary_stream_rpc_method_handler(answer))) as channel:
            responses = channel.unary_stream("/test.Service/Call")(b"", timeout=TIMEOUT_S)
            assert ("early", "yes") in [tuple(pair) for pair in responses.initial_metadata()]
            arrived.set()
            assert list(responses) == [b"late"]

    def test_initial_metadata_cannot_be_sent_twice(self) -> None:
        def answer(request: bytes, context: grpc.ServicerContext) -> bytes:
            context.send_initial_metadata(())
            with pytest.raises(ValueError, match="Initial metadata no longer allowed!"):
                context.send_initial_metadata(())
            return b"once"

        with serving(unary(answer)) as channel:
            assert call(channel) == b"once"

    @pytest.mark.parametrize(
        "pair", [("Upper", "x"), ("a b", "x"), ("", "x"), ("key", "a\r\nb: c"), ("key", "é")]
    )
    def test_metadata_that_no_header_can_carry_is_refused(self, pair: tuple[str, str]) -> None:
        def answer(request: bytes, context: grpc.ServicerContext) -> bytes:
            with pytest.raises(ValueError, match="metadata was invalid"):
                context.set_trailing_metadata((pair,))
            with pytest.raises(ValueError, match="metadata was invalid"):
                context.send_initial_metadata((pair,))
            return b"refused"

        with serving(unary(answer)) as channel:
            assert call(channel) == b"refused"

    def test_peer_is_the_clients_address_and_not_authenticated(self) -> None:
        def peer(request: bytes, context: grpc.ServicerContext) -> bytes:
            assert context.peer_identities() is None
            assert context.peer_identity_key() is None
            assert context.auth_context() == {}
            return context.peer().encode()

        with serving(unary(peer)) as channel:
            assert call(channel).startswith(b"ipv4:127.0.0.1:")

    def test_compression_settings_are_accepted(self) -> None:
        def answer(request: bytes, context: grpc.ServicerContext) -> bytes:
            context.set_compression(grpc.Compression.Gzip)
            context.disable_next_message_compression()
            return b"plain"

        with serving(unary(answer)) as channel:
            assert call(channel) == b"plain"

    def test_context_variables_do_not_outlive_a_call(self) -> None:
        variable = contextvars.ContextVar("variable", default=b"fresh")

        def answer(request: bytes, context: grpc.ServicerContext) -> bytes:
            seen = variable.get()
            variable.set(b"used")
            return seen

        with serving(unary(answer), max_workers=1) as channel:
            assert [call(channel), call(channel)] == [b"fresh", b"fresh"]


class TestEnd:
    def test_callback_runs_after_an_ordinary_end(self) -> None:
        ended = threading.Event()

        def answer(request: bytes, context: grpc.ServicerContext) -> bytes:
            assert context.add_callback(ended.set)
            assert context.is_active()
            return b""

        with serving(unary(answer)) as channel:
            call(channel)
            assert ended.wait(TIMEOUT_S)

    def test_callback_that_raises_is_logged_and_hurts_no_other(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        ended = threading.Event()

        def answer(request: bytes, context: grpc.ServicerContext) -> bytes:
            context.add_callback(lambda: 1 // 0)  # type: ignore[arg-type]
            context.add_callback(ended.set)
            return b""

        with serving(unary(answer)) as channel:
            call(channel)
            assert ended.wait(TIMEOUT_S)
            call(channel)
        assert "ZeroDivisionError" in caplog.text

    def test_clients_cancel_reaches_a_handler_that_waits_for_requests(self) -> None:
        started, ended = threading.Event(), threading.Event()
        active: list[bool] = []

        def wait(requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
            started.set()
            try:
                next(requests)
            except grpc.RpcError:
                active.append(context.is_active())
                raise
            finally:
                ended.set()
            yield b"never"

        never_set = threading.Event()

        def silent() -> Iterator[bytes]:
            never_set.wait(TIMEOUT_S)
            yield from ()

        with serving(handler(Call=grpc.stream_stream_rpc_method_handler(wait))) as channel:
            responses = channel.stream_stream("/test.Service/Call")(silent())
            assert started.wait(TIMEOUT_S)
            responses.cancel()
            assert ended.wait(TIMEOUT_S)
            never_set.set()
        assert active == [False]

    def test_clients_cancel_ends_a_stream_of_responses(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        closed = threading.Event()

        def endless(request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
            try:
                while True:
                    yield b"more"
            finally:
                closed.set()

        with (
            serving(handler(Call=grpc.unary_stream_rpc_method_handler(endless))) as channel,
            caplog.at_level(logging.WARNING),
        ):
            responses = channel.unary_stream("/test.Service/Call")(b"")
            assert next(responses) == b"more"
            responses.cancel()
            assert closed.wait(TIMEOUT_S)
        assert not caplog.records

    def test_callback_runs_when_the_client_cancels(self) -> None:
        started, ended = threading.Event(), threading.Event()
        answers: list[object] = []

        def wait(request: bytes, context: grpc.ServicerContext) -> bytes:
            context.add_callback(ended.set)
            started.set()
            assert ended.wait(TIMEOUT_S)
            answers.extend([context.is_active(), context.add_callback(lambda: None)])
            answered.set()
            return b"late"

        answered = threading.Event()
        with serving(unary(wait)) as channel:
            future = channel.unary_unary("/test.Service/Call").future(b"")
            assert started.wait(TIMEOUT_S)
            future.cancel()
            assert answered.wait(TIMEOUT_S)
        assert answers == [False, False]

    def test_server_side_cancel_is_seen_by_the_client(self) -> None:
        def cancel(request: bytes, context: grpc.ServicerContext) -> bytes:
            context.cancel()
            assert not context.is_active()
            return b"late"

        with serving(unary(cancel)) as channel:
            assert failure(channel).code() == StatusCode.CANCELLED

    def test_time_remaining_is_the_clients_deadline(self) -> None:
        seen: list[float | None] = []

        def record(request: bytes, context: grpc.ServicerContext) -> bytes:
            seen.append(context.time_remaining())
            return b""

        with serving(unary(record)) as channel:
            method = channel.unary_unary("/test.Service/Call")
            method(b"", timeout=TIMEOUT_S)
            method(b"")
        # Clients round the deadline up to send it in few digits.
        assert seen == [pytest.approx(TIMEOUT_S, rel=0.1), None]

    def test_deadline_ends_the_call_for_client_and_handler(self) -> None:
        ended = threading.Event()

        def wait(request: bytes, context: grpc.ServicerContext) -> bytes:
            context.add_callback(ended.set)
            assert ended.wait(TIMEOUT_S)
            assert not context.is_active()
            assert context.time_remaining() == 0
            finished.set()
            return b"late"

        finished = threading.Event()
        with serving(unary(wait)) as channel:
            with pytest.raises(grpc.RpcError) as caught:
                channel.unary_unary("/test.Service/Call")(b"", timeout=0.2)
            assert caught.value.code() == StatusCode.DEADLINE_EXCEEDED
            assert finished.wait(TIMEOUT_S)

    def test_shutdown_ends_handlers_that_wait_for_requests(self) -> None:
        started = threading.Event()
        errors: list[BaseException] = []

        def wait(requests: Iterator[bytes], context: grpc.ServicerContext) -> bytes:
            started.set()
            try:
                next(requests)
            except grpc.RpcError as error:
                errors.append(error)
            return b""

        never_set = threading.Event()

        def silent() -> Iterator[bytes]:
            never_set.wait(TIMEOUT_S)
            yield from ()

        with contextlib.ExitStack() as channels:
            with running() as (rpc_server, native):
                method: Any = grpc.stream_unary_rpc_method_handler(wait)
                rpc_server.add_generic_rpc_handlers([handler(Call=method)])
                channel = channels.enter_context(connected(native))
                future = channel.stream_unary("/test.Service/Call").future(silent())
                assert started.wait(TIMEOUT_S)
            assert len(errors) == 1
            assert future.code() != StatusCode.OK
            never_set.set()


class TestLoad:
    def test_more_calls_than_workers_are_all_answered(self) -> None:
        with serving(unary(lambda request, context: request), max_workers=2) as channel:
            method = channel.unary_unary("/test.Service/Call")
            futures = [method.future(str(i).encode(), timeout=TIMEOUT_S) for i in range(500)]
            answers = [future.result() for future in futures]
        assert answers == [str(i).encode() for i in range(500)]

    def test_handlers_run_side_by_side(self) -> None:
        together = threading.Barrier(4)

        def meet(request: bytes, context: grpc.ServicerContext) -> bytes:
            together.wait(TIMEOUT_S)
            return b"met"

        with serving(unary(meet), max_workers=4) as channel:
            method = channel.unary_unary("/test.Service/Call")
            futures = [method.future(b"", timeout=TIMEOUT_S) for _ in range(4)]
            assert [future.result() for future in futures] == [b"met"] * 4

    def test_large_messages_pass_both_ways(self) -> None:
        with serving(unary(lambda request, context: request)) as channel:
            message = bytes(range(256)) * (64 * 1024)
            assert call(channel, message) == message

    def test_writer_waits_for_a_slow_reader(self) -> None:
        total = 64
        all_sent = threading.Event()

        def produce(request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
            for i in range(total):
                yield i.to_bytes(4, "little") + bytes(MIB)
            all_sent.set()

        with serving(handler(Call=grpc.unary_stream_rpc_method_handler(produce))) as channel:
            responses = channel.unary_stream("/test.Service/Call")(b"", timeout=TIMEOUT_S)
            received = [int.from_bytes(next(responses)[:4], "little")]
            # Nobody reads meanwhile, so there is no event to wait for: the bound is the proof.
            assert not all_sent.wait(0.5)
            received += [int.from_bytes(response[:4], "little") for response in responses]
            assert received == list(range(total))
            assert all_sent.wait(TIMEOUT_S)

    def test_sender_waits_for_a_slow_handler(self) -> None:
        total = 64
        all_taken, go_on = threading.Event(), threading.Event()

        def consume(requests: Iterator[bytes], context: grpc.ServicerContext) -> bytes:
            assert go_on.wait(TIMEOUT_S)
            return str(sum(len(request) for request in requests)).encode()

        def produce() -> Iterator[bytes]:
            for _ in range(total):
                yield bytes(MIB)
            all_taken.set()

        with serving(handler(Call=grpc.stream_unary_rpc_method_handler(consume))) as channel:
            future = channel.stream_unary("/test.Service/Call").future(produce(), timeout=TIMEOUT_S)
            assert not all_taken.wait(0.5)
            go_on.set()
            assert int(future.result()) == total * MIB
