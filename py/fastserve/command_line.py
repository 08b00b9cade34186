"""Reads the words of a command line, and says what there is to write."""

from __future__ import annotations

import difflib
import json
import logging
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fastserve.errors import ConfigError
from fastserve.flags.flag import Flag
from fastserve.flags.table import GROUPS

_LOGGER = logging.getLogger(__name__)

COMMANDS: Mapping[str, str] = {
    "check-config": "what a server would make of a model config file",
    "inspect": "the versions, signatures and files of a model",
    "predict": "send one request from files to a running server",
    "status": "the models of a running server and their states",
    "warmup": "write a file of warm-up requests from live traffic",
}
"""What the first word may ask for instead of serving: modules of fastserve.commands."""

_FLAGS: Mapping[str, Flag] = {
    name: flag for flags in GROUPS.values() for flag in flags for name in (flag.name, *flag.aliases)
}

_HELP_COLUMNS = 80


def parse_flags(arguments: Sequence[str]) -> dict[str, Any]:
    """Returns every flag's value by its name. The last of repeated flags counts.

    Takes `--flag=value` and `--flag value`; a boolean is never followed by its value. Warns of
    flags that have no effect. Raises ConfigError.
    """
    values = {flag.name: flag.default for flag in _FLAGS.values()}
    inert: set[str] = set()
    rest = iter(arguments)
    for argument in rest:
        word, has_value, text = argument.partition("=")
        flag = _find(word, argument)
        if flag.inert:
            inert.add(flag.name)
        if not has_value:
            text = "true" if flag.is_boolean else _following(word, rest)
        try:
            values[flag.name] = flag.parse(text)
        except ValueError as expected:
            raise ConfigError(
                f"Couldn't interpret value {text} for flag {word[2:]}: it must be {expected}"
            ) from None
    for name in sorted(inert):
        _LOGGER.warning("--%s has no effect: %s", name, _FLAGS[name].help)
    return values


def differing_from_default(values: Mapping[str, Any]) -> list[str]:
    """Returns the names of the flags whose values are not what they are when left out."""
    return [name for name, value in values.items() if value != _FLAGS[name].default]


def _following(word: str, rest: Iterable[str]) -> str:
    for text in rest:
        return text
    raise ConfigError(f"{word} needs a value, as {word}=VALUE")


def _find(word: str, argument: str) -> Flag:
    if not word.startswith("--"):
        raise ConfigError(f"unknown argument: {argument} (flags begin with --; see --help)")
    if (flag := _FLAGS.get(word[2:])) is not None:
        return flag
    near = difflib.get_close_matches(word[2:], _FLAGS, n=1)
    hint = f"did you mean --{near[0]}?" if near else "see --help"
    raise ConfigError(f"unknown argument: {argument} ({hint})")


def help_text() -> str:
    """Returns what --help prints: each flag with its default and type."""
    lines = ["usage: python -m fastserve [--flag=value ...]"]
    lines += [f"       python -m fastserve {name} ...    {what}" for name, what in COMMANDS.items()]
    lines += [
        "",
        *_wrapped(
            "A flag is shown with its default and its type. --flag=value and --flag value are the "
            "same; a bool alone is true. Of repeated flags the last one counts."
        ),
    ]
    for title, flags in GROUPS.items():
        lines += ["", f"{title}:"]
        for flag in flags:
            lines += [_headline(flag), *_wrapped(flag.help, indent=6)]
    return "\n".join(lines)


def _headline(flag: Flag) -> str:
    default = json.dumps(flag.default)
    names = ", ".join(f"--{name}={default}" for name in (flag.name, *flag.aliases))
    return f"  {names}  ({flag.type_name})"


def _wrapped(text: str, indent: int = 0) -> list[str]:
    margin = " " * indent
    return textwrap.wrap(
        text,
        _HELP_COLUMNS,
        initial_indent=margin,
        subsequent_indent=margin,
        break_long_words=False,
        break_on_hyphens=False,
    )
