"""`python -m bench [run] ...`, `python -m bench COMMAND ...`; each has --help."""

from __future__ import annotations

import importlib
import sys

COMMANDS = (
    "run",
    "soak",
    "lifecycle",
    "rest_memory",
    "idle_connections",
    "floods",
    "render",
)


def main() -> int:
    """The exit status of the command that the first word names, or of `run`."""
    command, *arguments = sys.argv[1:] or ["run"]
    if command not in COMMANDS:
        command, arguments = "run", sys.argv[1:]
    module = importlib.import_module(f"bench.{command}")
    return int(module.main(arguments))


if __name__ == "__main__":
    sys.exit(main())
