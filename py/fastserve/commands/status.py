"""`fastserve status`: the models of a running server and the states of their versions."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from typing import Any

from fastserve import protos
from fastserve.commands.credentials import add_credentials, read_credentials
from fastserve.commands.outcome import report_failure
from fastserve.commands.remote import (
    GRPC_SERVER,
    REST_SERVER,
    GrpcServer,
    ModelChoice,
    RestServer,
)
from fastserve.commands.table import aligned
from fastserve.errors import status_text
from fastserve.services.json_format import to_json

_NOTHING = "-"


def run(arguments: Sequence[str]) -> int:
    """Prints states and returns 0; 1 when the server cannot be asked or has no such model."""
    options = _parser().parse_args(arguments)
    return report_failure("status", lambda: _status(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fastserve status",
        description="Shows all models of a running server, with versions, states, labels and "
        "errors, over its REST port; or one of them (--model) over its gRPC port, which servers "
        "of TensorFlow Serving answer too, but without labels.",
    )
    parser.add_argument(
        "--server",
        metavar="HOST:PORT",
        help=f"its REST port (default {REST_SERVER}); with --model its gRPC port (default "
        f"{GRPC_SERVER})",
    )
    parser.add_argument("--model", help="only this one, over gRPC")
    parser.add_argument("--json", action="store_true", help="print the answer as JSON")
    parser.add_argument("--timeout", type=float, default=10.0, help="seconds (default 10)")
    add_credentials(parser)
    return parser


def _status(options: argparse.Namespace) -> int:
    rows: list[tuple[str, ...]]
    credentials = read_credentials(options)
    if options.model is None:
        answer = RestServer(options.server or REST_SERVER, options.timeout, credentials).models()
        rows = [("MODEL", "VERSION", "STATE", "LABELS", "ERROR")]
        rows += (row for model in answer.models for row in _model_rows(model))
    else:
        server = GrpcServer(options.server or GRPC_SERVER, options.timeout, credentials)
        answer = server.status(ModelChoice(options.model))
        rows = [("MODEL", "VERSION", "STATE", "ERROR")]
        rows += (
            (options.model, *_state(version), _error(version.status))
            for version in answer.model_version_status
        )
    print(to_json(answer).rstrip() if options.json else "\n".join(aligned(rows)))
    return 0


def _model_rows(model: Any) -> Iterator[tuple[str, ...]]:
    """Yields a row for each version, and one for what no version stands for."""
    shown = {version.version for version in model.model_version_status}
    for version in model.model_version_status:
        labels = _labels_of(model, version.version)
        yield model.name, *_state(version), labels, _error(version.status)
    for number in sorted(set(model.version_labels.values()) - shown, reverse=True):
        yield model.name, str(number), _NOTHING, _labels_of(model, number), ""
    error = _error(model.status)
    if error or not (shown or model.version_labels):
        yield model.name, _NOTHING, _NOTHING, "", error


def _labels_of(model: Any, version: int) -> str:
    return ", ".join(sorted(label for label, v in model.version_labels.items() if v == version))


def _state(version: Any) -> tuple[str, str]:
    return str(version.version), protos.ModelVersionStatus.State.Name(version.state)


def _error(status: Any) -> str:
    if not status.error_code:
        return ""
    return " ".join(status_text(status.error_code, status.error_message).split())
