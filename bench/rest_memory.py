"""What a large REST request costs in memory while it is in flight.

    python -m bench rest_memory [--sizes 64K 1M 10M] [--kinds floats ...]

For each kind and size of body a server is started, warmed up with small requests of the same kind,
and sent that one body; the answer is one number. The figure is the growth of the server's resident
memory, at its peak, without the tensor itself, in bytes per byte of the body.
"""

from __future__ import annotations

import argparse
import base64
import http.client
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .command import command_parser, conclude
from .harness import ROOT, BenchError, Server, resident_kib, run_script
from .servers import fastserve_command

MODEL = "short_answer"
LIMIT = 2.5
"""Bytes of memory per byte of the body, at most."""

WARM_UP_REQUESTS = 5
WARM_UP_BYTES = 4096
UNITS = {"K": 2**10, "M": 2**20}


@dataclass(frozen=True)
class Body:
    """A request's body, and how large the tensor in it is."""

    text: bytes
    tensor_bytes: int


def floats(size: int) -> Body:
    """One row of values in [0, 1) with all their digits."""
    values = np.random.default_rng(7).random(max(1, size // 12), np.float32)
    row = ", ".join(f"{value:.9g}" for value in values)
    return Body(f'{{"instances": [[{row}]]}}'.encode(), 4 * values.size)


def pixels(size: int) -> Body:
    """Three levels of lists of small integers."""
    values = np.random.default_rng(7).integers(0, 256, (max(1, size // (100 * 16)), 100, 3))
    return Body(json.dumps({"instances": values.tolist()}).encode(), 4 * values.size)


def digits(size: int) -> Body:
    """One digit after another, without a space: the most numbers that a body can hold."""
    values = np.random.default_rng(7).integers(0, 10, max(1, size // 2))
    row = ",".join(map(str, values.tolist()))
    body = f'{{"signature_name":"int64","instances":[[{row}]]}}'
    return Body(body.encode(), 8 * values.size)


def named(size: int) -> Body:
    """Many rows that are objects."""
    values = np.random.default_rng(7).random((max(1, size // 60), 4), np.float32)
    rows = ", ".join(
        '{"x": [' + ", ".join(f"{value:.9g}" for value in row) + "]}" for row in values
    )
    return Body(f'{{"instances": [{rows}]}}'.encode(), 4 * values.size)


def packed(size: int) -> Body:
    """One string in base64."""
    data = b"letters " * max(1, size * 3 // 4 // 8)
    text = base64.b64encode(data).decode()
    return Body(
        json.dumps({"signature_name": "string", "instances": [{"b64": text}]}).encode(), len(data)
    )


KINDS: Mapping[str, Callable[[int], Body]] = {
    kind.__name__: kind for kind in (floats, pixels, digits, named, packed)
}


def post(server: Server, body: Body) -> None:
    """Sends a body and reads the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", server.ports[-1], timeout=60)
    try:
        connection.request("POST", f"/v1/models/{MODEL}:predict", body.text)
        answer = connection.getresponse()
        if answer.status != 200:
            raise BenchError(f"status {answer.status}: {answer.read(1000)!r}")
    finally:
        connection.close()


def growth(server: Server, make: Callable[[int], Body], size: int) -> tuple[int, Body]:
    """The most that resident memory grows by over one request, in bytes, and its body."""
    for _ in range(WARM_UP_REQUESTS):
        post(server, make(WARM_UP_BYTES))
    body = make(size)
    before = resident_kib(server.pid)
    Path(f"/proc/{server.pid}/clear_refs").write_text("5")  # the peak starts anew
    post(server, body)
    return 1024 * (resident_kib(server.pid, "VmHWM") - before), body


def parse_size(text: str) -> int:
    """Bytes of "64K", "10M" or a plain number."""
    return int(text[:-1]) * UNITS[text[-1]] if text[-1] in UNITS else int(text)


def measure(options: argparse.Namespace, work: Path) -> bool:
    """Prints a line for each body. Whether every figure keeps to the limit."""
    print("| body | bytes | tensor | growth | per byte of the body, without the tensor |")
    print("|---|--:|--:|--:|--:|")
    base_path = work / MODEL
    script = ROOT / "bench" / "load" / "short_answer_model.py"
    run_script(script, "--out", str(base_path))
    flags = [f"--model_name={MODEL}", f"--model_base_path={base_path}", *options.fastserve_flag]
    port_file = work / "ports"
    command = fastserve_command(options.python, port_file, flags)
    highest = 0.0
    for kind in options.kinds:
        for size in map(parse_size, options.sizes):
            with Server("fastserve", command, work / "log", port_file) as server:
                grown, body = growth(server, KINDS[kind], size)
            figure = (grown - body.tensor_bytes) / len(body.text)
            highest = max(highest, figure)
            sizes = f"{len(body.text):,} | {body.tensor_bytes:,} | {grown:,}"
            print(f"| {kind} | {sizes} | {figure:.2f} |", flush=True)
    passed = highest <= LIMIT
    print(f"\nat most {LIMIT} allowed, {highest:.2f} reached: {'yes' if passed else 'NO'}")
    return passed


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = command_parser("rest_memory", __doc__)
    parser.add_argument("--sizes", nargs="+", default=["64K", "1M", "10M"])
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> int:
    """0 when every figure keeps to the limit, else 1; 2 when the run could not be carried out."""
    return conclude(measure, parse(arguments))
