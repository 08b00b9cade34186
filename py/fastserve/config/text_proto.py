"""Files in protobuf's text format, which every `*_file` flag names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from google.protobuf import text_format

from fastserve.errors import NOT_FOUND, ConfigError, ServingError


def read_text_proto(path: str, message_class: Any) -> Any:
    """Returns the message of `message_class` (`protos.ConfigProto`, ...) that a file holds.

    Unknown fields are errors. Raises ServingError: NOT_FOUND where there is no file,
    INVALID_ARGUMENT with the file and what is wrong in which line and column otherwise.
    """
    text = _read(path)
    message = message_class()
    try:
        text_format.Parse(text, message)
    except text_format.ParseError as error:
        cause = _cause(error, text.split("\n"))
    except RecursionError:
        cause = "messages are nested too deeply"
    else:
        return message
    name = message_class.DESCRIPTOR.full_name
    raise _invalid(path, f"Error parsing text-format {name}: {cause}")


def _cause(error: text_format.ParseError, lines: Sequence[str]) -> str:
    """Returns position and reason, without the whole line that text_format often puts between."""
    if (line := error.GetLine()) is None:
        return str(error)
    place = f"{line}:{error.GetColumn()}"
    reason = str(error).removeprefix(f"{place} : ")
    for shown in (lines[line - 1], ""):  # "" at the end of the text.
        reason = reason.removeprefix(f"'{shown}': ")
    return f"{place}: {reason}"


def _read(path: str) -> str:
    try:
        with open(path, "rb") as file:
            data = file.read()
    except FileNotFoundError:
        raise ServingError(NOT_FOUND, f"{path}; No such file or directory") from None
    except OSError as error:
        raise _invalid(path, str(error.strerror)) from None
    if not data:
        raise _invalid(path, "the file is empty")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        raise _invalid(path, f"{line}:{column}: the file is not UTF-8 text") from None


def _invalid(path: str, cause: str) -> ConfigError:
    return ConfigError(f"Invalid protobuf file: '{path}': {cause}")
