"""`fastserve predict`: one request to a running server, from files."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import ml_dtypes
import numpy as np

from fastserve.commands import tensors
from fastserve.commands.credentials import add_credentials, read_credentials
from fastserve.commands.outcome import CommandError, report_failure
from fastserve.commands.predict_inputs import (
    check_complete,
    input_info,
    inputs_from_json,
    read_input,
    read_json,
)
from fastserve.commands.remote import (
    GRPC_SERVER,
    REST_SERVER,
    GrpcServer,
    ModelChoice,
    RestServer,
    Server,
)
from fastserve.commands.tensors import Array
from fastserve.services.example_request import DEFAULT_SIGNATURE

_NPY = ".npy"


def run(arguments: Sequence[str]) -> int:
    """Prints or saves the outputs and returns 0; 1 when there are none, with the reason."""
    options = _parser().parse_args(arguments)
    return report_failure("predict", lambda: _predict(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fastserve predict",
        description="Sends one Predict request to a running server, of fastserve or TensorFlow "
        "Serving, and prints the outputs as JSON. The server is asked for the signature first, so "
        "values get the dtypes that it takes.",
        epilog="Files of inputs: .npy; .png, .jpg or .jpeg for a numeric input (needs Pillow); "
        "any file for a string input, which gets its bytes.",
    )
    parser.add_argument(
        "--server",
        metavar="HOST:PORT",
        help=f"its gRPC port (default {GRPC_SERVER}), or with --rest its REST port (default "
        f"{REST_SERVER})",
    )
    parser.add_argument("--rest", action="store_true", help="ask over REST instead of gRPC")
    parser.add_argument("--model", required=True, help="the model's name")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--version", type=int, help="a version (default: the one served by default)")
    which.add_argument("--label", help="the version that has this label")
    parser.add_argument("--signature", help=f"its name (default {DEFAULT_SIGNATURE})")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--input",
        action="append",
        metavar="NAME=FILE",
        help="an input and the file of its value; once for each input",
    )
    source.add_argument(
        "--json",
        metavar="FILE",
        help="a body as for the REST API, with 'instances' or 'inputs'; - is standard input",
    )
    parser.add_argument(
        "--resize", action="store_true", help="resize an image to the size that its input takes"
    )
    parser.add_argument(
        "--scale",
        type=float,
        default=1.0,
        help="factor for the values of an image, which are 0 to 255 (default 1)",
    )
    parser.add_argument(
        "--output",
        metavar="PATH",
        help="save instead of print: a file for a single output when it ends in .npy, otherwise a "
        "directory that gets OUTPUT.npy for each",
    )
    parser.add_argument("--timeout", type=float, default=60.0, help="seconds (default 60)")
    add_credentials(parser)
    return parser


def _predict(options: argparse.Namespace) -> int:
    body = {} if options.json is None else read_json(options.json)
    model = ModelChoice(options.model, options.version, options.label)
    server = _server(options)
    signatures = server.signatures(model)
    name = options.signature or body.get("signature_name") or DEFAULT_SIGNATURE
    if name not in signatures:
        raise CommandError(
            f"{model.name} has no signature called {name}; there are: "
            f"{', '.join(sorted(signatures))}"
        )
    signature = signatures[name]
    inputs = inputs_from_json(body, signature) if body else _inputs(options, signature)
    check_complete(signature, inputs)
    outputs = server.predict(model, name, signature, inputs)
    if options.output is not None:
        for path in _save(outputs, Path(options.output)):
            print(path)
        return 0
    values = {
        alias: tensors.to_json(array, as_base64=alias.endswith("_bytes"))
        for alias, array in outputs.items()
    }
    print(json.dumps({"outputs": values}))
    return 0


def _server(options: argparse.Namespace) -> Server:
    credentials = read_credentials(options)
    if options.rest:
        return RestServer(options.server or REST_SERVER, options.timeout, credentials)
    return GrpcServer(options.server or GRPC_SERVER, options.timeout, credentials)


def _inputs(options: argparse.Namespace, signature: Any) -> dict[str, Array]:
    inputs: dict[str, Array] = {}
    for assignment in options.input:
        alias, is_assigned, path = assignment.partition("=")
        if not is_assigned or alias in inputs:
            problem = "comes twice" if is_assigned else "is not NAME=FILE"
            raise CommandError(f"--input {assignment} {problem}")
        info = input_info(signature, alias)
        inputs[alias] = read_input(alias, path, info, resize=options.resize, scale=options.scale)
    return inputs


def _save(outputs: Mapping[str, Array], target: Path) -> list[Path]:
    """Writes .npy files, and returns their paths."""
    if target.suffix == _NPY:
        if len(outputs) != 1:
            raise CommandError(
                f"--output {target} is one file, but the outputs are {', '.join(outputs)}; name a "
                "directory"
            )
        paths = [target]
    else:
        target.mkdir(parents=True, exist_ok=True)
        paths = [target / f"{quote(alias, safe=' ')}{_NPY}" for alias in outputs]
    for path, (alias, array) in zip(paths, outputs.items(), strict=True):
        np.save(path, _storable(alias, array), allow_pickle=False)
    return paths


def _storable(alias: str, array: Array) -> Array:
    """Returns an array of a dtype that .npy knows: narrow ones become float32 or int8."""
    if array.dtype == np.object_:
        if any(value.endswith(b"\0") for value in array.ravel()):
            raise CommandError(
                f"output {alias} has strings that end in a zero byte, which .npy files do not keep"
            )
        return array.astype(np.bytes_)
    if array.dtype in (ml_dtypes.int4, ml_dtypes.uint4):
        return array.astype(np.int8)
    if array.dtype.kind == "V" or array.dtype.name.startswith("float8"):
        return array.astype(np.float32)
    return array
