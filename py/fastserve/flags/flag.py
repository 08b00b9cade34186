"""What a flag is, and how values of flags are read: by what raises ValueError if it cannot."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fastserve.config.server import ANY_PORT

_INTEGER = re.compile(r"\s*[+-]?[0-9]{1,19}\s*")
_FILE_MODE = re.compile(r"0?[0-7]{3}")
_TRUE, _FALSE = ("true", "1"), ("false", "0")


def integer(text: str) -> int:
    """Reads an integer, of 64 bits or a little more."""
    if not _INTEGER.fullmatch(text):
        raise ValueError("an integer")
    return int(text)


def int32(text: str) -> int:
    """Reads an integer of 32 bits."""
    if not -(2**31) <= (value := integer(text)) < 2**31:
        raise ValueError("an integer of 32 bits")
    return value


def number(text: str) -> float:
    """Reads a number."""
    try:
        return float(text)
    except ValueError:
        raise ValueError("a number") from None


def boolean(text: str) -> bool:
    """Reads true or false, in any case, or 1 or 0."""
    if text.lower() not in _TRUE + _FALSE:
        raise ValueError("true, false, 1 or 0")
    return text.lower() in _TRUE


def port(text: str) -> int:
    """Reads a port's number; ANY_PORT for `auto`."""
    try:
        return ANY_PORT if text.lower() == "auto" else integer(text)
    except ValueError:
        raise ValueError("a port's number, or auto") from None


def file_mode(text: str) -> int:
    """Reads the permissions of a file."""
    if not _FILE_MODE.fullmatch(text):
        raise ValueError("three octal digits, as 660")
    return int(text, 8)


_TYPE_NAMES: Mapping[Callable[[str], Any], str] = {
    str: "string",
    boolean: "bool",
    integer: "integer",
    int32: "int32",
    number: "number",
    port: "port",
    file_mode: "octal",
}


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag; `parse` raises ValueError with what it expects."""

    name: str
    parse: Callable[[str], Any]
    default: Any
    help: str
    aliases: tuple[str, ...] = ()
    inert: bool = False
    """Taken because TensorFlow Serving has it; without effect."""

    @property
    def is_boolean(self) -> bool:
        """Whether it may stand without a value."""
        return self.parse is boolean

    @property
    def type_name(self) -> str:
        """What it takes, in a word."""
        return _TYPE_NAMES[self.parse]
