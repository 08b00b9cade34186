"""The frame of the commands that start a fastserve, measure it, and say whether it passes."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from .harness import BenchError
from .servers import add_fastserve_options


def command_parser(name: str, doc: str | None) -> argparse.ArgumentParser:
    """The command line of `python -m bench NAME`, which the first line of `doc` describes."""
    parser = argparse.ArgumentParser(
        prog=f"python -m bench {name}",
        description=(doc or "").split("\n", 1)[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add_fastserve_options(parser)
    return parser


def conclude(
    measure: Callable[[argparse.Namespace, Path], bool], options: argparse.Namespace
) -> int:
    """The exit status: `measure`, which gets a new folder, prints figures and says if they pass.

    0 when they do, else 1; 2 when the run could not be carried out.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="fastserve-bench-") as work:
            return 0 if measure(options, Path(work)) else 1
    except (BenchError, subprocess.SubprocessError) as error:
        print(error, file=sys.stderr)
        return 2
