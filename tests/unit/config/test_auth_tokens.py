"""Files of tokens: what is taken, what is refused, and that no refusal shows a token."""

from pathlib import Path

import pytest

from fastserve.config.auth import MAX_TOKEN_BYTES, AuthConfig, check_token, read_tokens
from fastserve.errors import INVALID_ARGUMENT, NOT_FOUND, ServingError

GOOD = "0123456789abcdef"


def read(path: Path, content: bytes) -> tuple[str, ...]:
    path.write_bytes(content)
    return read_tokens("auth_token_file", str(path))


def test_a_token_stands_on_a_line(tmp_path: Path) -> None:
    longest = "x" * MAX_TOKEN_BYTES
    text = f"# clients\n\n{GOOD}\r\n  \n  {longest}\t\n#{GOOD}2\n{GOOD}#3=+/"
    assert read(tmp_path / "tokens", text.encode()) == (GOOD, longest, f"{GOOD}#3=+/")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "there is no token in it; it must hold one a line"),
        (b"# none\n\n \n", "there is no token in it; it must hold one a line"),
        (
            b"#\n0123456789abcde",
            "line 2: a token has 15 characters; it must have from 16 to 512, as `openssl rand -hex "
            "32` prints",
        ),
        (GOOD.encode() * 33, "line 1: a token has 528 characters; it must have from 16 to 512, "),
        *(
            (bad, "line 1: a token must be of visible ASCII characters, without spaces")
            for bad in (
                b"0123456789abcdef # comment",
                b"0123456789\0abcdef",
                b"0123456789\x7fabcdef",
                b"\xef\xbb\xbf0123456789abcdef",
                "0123456789abcd\u00e9f".encode(),
                b"\x1f\x8b\x08\x00\x00\x00\x00\x00",
                b"01234567\x0b89abcdef",
            )
        ),
    ],
)
def test_a_bad_file_is_named_with_its_line_and_not_shown(
    tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "tokens"
    with pytest.raises(ServingError) as raised:
        read(path, content)
    assert raised.value.code == INVALID_ARGUMENT
    assert raised.value.message.startswith(f"--auth_token_file={path}: {message}")
    assert "89abcde" not in str(raised.value)


def test_a_file_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(ServingError) as raised:
        read_tokens("admin_auth_token_file", str(tmp_path / "none"))
    assert raised.value.code == NOT_FOUND
    assert str(raised.value) == (
        f"NOT_FOUND: --admin_auth_token_file={tmp_path}/none: No such file or directory"
    )


def test_a_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ServingError, match="Is a directory"):
        read_tokens("auth_token_file", str(tmp_path))


def test_a_token_is_checked_without_being_shown() -> None:
    check_token(GOOD)
    with pytest.raises(ValueError, match="a token has 3 characters") as raised:
        check_token("abc")
    assert "abc" not in str(raised.value)


@pytest.mark.parametrize(
    ("config", "enabled"),
    [
        (AuthConfig(), False),
        (AuthConfig(token_file="/t"), True),
        (AuthConfig(admin_token_file="/t"), True),
    ],
)
def test_either_file_turns_authentication_on(config: AuthConfig, enabled: bool) -> None:
    assert config.enabled is enabled
