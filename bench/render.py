"""Writes a run's Markdown and HTML again from its JSON file: `python -m bench render FILE`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from . import page, report


def main(arguments: Sequence[str]) -> int:
    """Prints the paths of the files that it wrote, beside the one given."""
    parser = argparse.ArgumentParser(prog="python -m bench render", description=__doc__)
    parser.add_argument("file", type=Path)
    file = parser.parse_args(arguments).file
    run = report.RunReport.parse(file.read_text())
    for path in report.save(run, file.parent, page.html(run)):
        print(path)
    return 0
