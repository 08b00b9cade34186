"""Fuzzes a parser of the control plane: whatever the bytes of a file, a result or a ServingError.

usage: python python_fuzz.py TARGET SECONDS CRASHES INPUT...

Tries every INPUT, then inputs made from them until SECONDS are over. One that fails is written into
the folder CRASHES, and named with the error. TARGET is a key of TARGETS.
"""

import logging
import re
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from google.protobuf import text_format

from fastserve import protos
from fastserve.config.model_config_file import models_from_proto
from fastserve.config.models import Transitions
from fastserve.config.text_proto import read_text_proto
from fastserve.errors import ServingError
from fastserve.servables.tfrecord import read_records, write_records


def read_config(path: Path) -> None:
    """A model config file; what it holds can be written and read again, and is what was written."""
    config = read_text_proto(str(path), protos.ModelServerConfig)
    path.write_text(text_format.MessageToString(config) or "#", encoding="utf-8")
    assert read_text_proto(str(path), protos.ModelServerConfig) == config
    models = models_from_proto(config, transitions=Transitions(), allow_unavailable_labels=True)
    assert [model.name for model in models] == [m.name for m in config.model_config_list.config]


def read_tfrecord(path: Path) -> None:
    """A file of warm-up requests; whole records that are written again make the same file."""
    data = path.read_bytes()
    records = list(read_records(path))
    write_records(path, records)
    assert data.startswith(path.read_bytes())


TARGETS: dict[str, Callable[[Path], None]] = {
    "model_config": read_config,
    "tfrecord": read_tfrecord,
}


def variant(inputs: Sequence[bytes], random: Random) -> bytes:
    """An input with bytes or words changed, or put together from two. `inputs`: none is empty."""
    data = random.choice(inputs)
    for _ in range(random.randint(1, 6)):
        begin = random.randint(0, len(data))
        end = begin + random.randint(0, 12)
        other = random.choice(inputs)
        words = re.findall(rb"\w+|\W", other)
        new = random.choice(
            (
                b"",
                random.randbytes(random.randint(1, 8)),
                data[begin:end] * random.choice((2, 2, 2000)),
                random.choice(words),
                other[begin : begin + random.randint(0, 100)],
            )
        )
        data = data[:begin] + new + data[end:]
    return data


def main(target: str, seconds: str, crashes: str, *files: str) -> int:
    logging.disable()
    inputs = [Path(file).read_bytes() for file in files]
    seeds = [data for data in inputs if data]
    random = Random(0)
    end = time.monotonic() + float(seconds)
    tried = refused = 0
    with TemporaryDirectory() as scratch:
        path = Path(scratch) / "input"
        while tried < len(inputs) or time.monotonic() < end:
            data = inputs[tried] if tried < len(inputs) else variant(seeds, random)
            path.write_bytes(data)
            tried += 1
            try:
                TARGETS[target](path)
            except ServingError:
                refused += 1
            except Exception:
                traceback.print_exc()
                crash = Path(crashes) / f"{target}-crash-{tried}"
                crash.write_bytes(data)
                print(f"the input is in {crash}")
                return 1
    print(f"{target}: tried {tried} inputs, {refused} of them were refused")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
