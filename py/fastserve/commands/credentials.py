"""The token that a command shows a server."""

from __future__ import annotations

import argparse
import os

from fastserve.commands.outcome import CommandError
from fastserve.config.auth import check_token, read_tokens

VARIABLE = "FASTSERVE_AUTH_TOKEN"

_FLAG = "auth_token_file"


def add_token_file(parser: argparse.ArgumentParser) -> None:
    """Adds the flag that names a file of tokens."""
    parser.add_argument(
        f"--{_FLAG}",
        metavar="FILE",
        help="a file as the server has it, whose first token is sent; without it the token in the "
        f"environment variable {VARIABLE}, if there is one",
    )


def authorization(options: argparse.Namespace) -> dict[str, str]:
    """Returns the header fields, in lower case, that carry the token; none without a token.

    Raises CommandError or ServingError, without the token, when it cannot be one.
    """
    if options.auth_token_file is not None:
        return _bearer(read_tokens(_FLAG, options.auth_token_file)[0])
    token = os.environ.get(VARIABLE, "")
    if not token:
        return {}
    try:
        check_token(token)
    except ValueError as error:
        raise CommandError(f"{VARIABLE}: {error}") from None
    return _bearer(token)


def _bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}
