"""`fastserve warmup record`: writes warm-up requests from a running server's traffic."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import grpc

from fastserve import protos
from fastserve.commands.credentials import add_credentials, read_credentials
from fastserve.commands.outcome import CommandError, report_failure
from fastserve.commands.remote import open_channel
from fastserve.servables.warmup import MAX_RECORDS, requests_path, write_warmup_file

_METHOD = "/fastserve.RequestCapture/CapturePredict"


def run(arguments: Sequence[str]) -> int:
    """Records requests into a file and returns the exit status."""
    options = _parser().parse_args(arguments)
    return report_failure("warmup record", lambda: _record(options))


def _record(options: argparse.Namespace) -> int:
    output = Path(options.output)
    path = requests_path(output) if output.is_dir() else output
    print(f"waiting for requests to {options.model} on {options.server}", file=sys.stderr)
    try:
        count = write_warmup_file(path, _captured(options))
    except grpc.RpcError as error:
        raise CommandError(_reason(error, options.server)) from None
    print(f"{path}: {count} requests")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fastserve warmup",
        description=__doc__,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    actions = parser.add_subparsers(required=True, metavar="record")
    record = actions.add_parser(
        "record",
        help="write a file of warm-up requests from live traffic",
        description="Writes Predict requests that a running server gets as a file of warm-up "
        "requests. The server must have been started with --enable_request_capture.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    record.add_argument("--server", default="localhost:8500", help="its gRPC port")
    record.add_argument("--model", required=True, help="whose requests")
    record.add_argument(
        "--output",
        required=True,
        help="a version directory, whose warm-up file is written or replaced, or a file",
    )
    record.add_argument("--count", type=_count, default=100, help="how many, at the most")
    record.add_argument("--seconds", type=float, default=60.0, help="how long, at the most")
    add_credentials(record)
    return parser


def _count(text: str) -> int:
    count = int(text)
    if not 1 <= count <= MAX_RECORDS:
        raise argparse.ArgumentTypeError(f"it must be from 1 to {MAX_RECORDS}")
    return count


def _captured(options: argparse.Namespace) -> Iterator[bytes]:
    """Yields requests until there are enough of them, or the time is up and there are some."""
    request = protos.CaptureRequest(model=options.model, limit=options.count)
    credentials = read_credentials(options)
    metadata = tuple(credentials.fields.items())
    taken = 0
    with open_channel(options.server, credentials) as channel:
        call = channel.unary_stream(
            _METHOD,
            request_serializer=protos.CaptureRequest.SerializeToString,
            response_deserializer=protos.CapturedRequest.FromString,
        )
        try:
            for captured in call(request, timeout=options.seconds, metadata=metadata):
                taken += 1
                yield captured.predict_request
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.DEADLINE_EXCEEDED or not taken:
                raise


def _reason(error: grpc.RpcError, server: str) -> str:
    if error.code() is grpc.StatusCode.UNIMPLEMENTED:
        return f"{server} was not started with --enable_request_capture"
    if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
        return "no request came in that time"
    return f"{server}: {error.code().name}: {error.details()}"
