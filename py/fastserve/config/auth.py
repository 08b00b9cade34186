"""Tokens that clients prove with who they are, and the files that hold them."""

from __future__ import annotations

from dataclasses import dataclass

from fastserve.errors import NOT_FOUND, ConfigError, ServingError

MIN_TOKEN_BYTES = 16
MAX_TOKEN_BYTES = 512
"""As much as the native side has room for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthConfig:
    """Who may call; with neither file, anybody may."""

    token_file: str = ""
    """Tokens for predictions; "": these need none."""
    admin_token_file: str = ""
    """Tokens for administration, and for predictions too; "": there is no administration."""

    @property
    def enabled(self) -> bool:
        """Whether any call needs a token."""
        return bool(self.token_file or self.admin_token_file)


def check_token(token: str) -> None:
    """Raises ValueError, without the token, when a text cannot be one."""
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise ValueError("a token must be of visible ASCII characters, without spaces")
    if not MIN_TOKEN_BYTES <= len(token) <= MAX_TOKEN_BYTES:
        raise ValueError(
            f"a token has {len(token)} characters; it must have from {MIN_TOKEN_BYTES} to "
            f"{MAX_TOKEN_BYTES}, as `openssl rand -hex 32` prints"
        )


def read_tokens(flag: str, path: str) -> tuple[str, ...]:
    """Returns the tokens of the file at `path`, given by --`flag`; at least one.

    One stands on a line; empty lines and those that begin with # do not count. Raises ServingError
    that names the file and the line, and shows nothing of it: NOT_FOUND where there is no file,
    INVALID_ARGUMENT otherwise.
    """
    where = f"--{flag}={path}"
    try:
        with open(path, "rb") as file:
            # Any byte is a character; check_token() refuses those that do not belong there.
            lines = file.read().decode("latin-1").split("\n")
    except FileNotFoundError:
        raise ServingError(NOT_FOUND, f"{where}: No such file or directory") from None
    except OSError as error:
        raise ConfigError(f"{where}: {error.strerror}") from None
    tokens = []
    for number, line in enumerate(lines, 1):
        token = line.strip(" \t\r")
        if not token or token.startswith("#"):
            continue
        try:
            check_token(token)
        except ValueError as error:
            raise ConfigError(f"{where}: line {number}: {error}") from None
        tokens.append(token)
    if not tokens:
        raise ConfigError(f"{where}: there is no token in it; it must hold one a line")
    return tuple(tokens)
