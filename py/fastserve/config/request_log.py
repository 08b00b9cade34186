"""Which requests of a model are written down, out of its LoggingConfig."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fastserve.errors import ConfigError

_COLLECTOR = "tfrecord"


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestLogConfig:
    """A log of requests and their answers."""

    path_prefix: str
    """Absolute; each file's name is it and the time."""
    sampling_rate: float
    """Share of the requests, from 0 to 1."""


def request_log_from_proto(model: str, config: Any) -> RequestLogConfig | None:
    """Returns what a LoggingConfig of `model` asks for; None where it names no files.

    Raises ConfigError.
    """
    collector, rate = config.log_collector_config, config.sampling_config.sampling_rate
    if collector.type not in ("", _COLLECTOR):
        raise ConfigError(
            f"log_collector_config of model {model} is of type {collector.type!r}; it must be "
            f"{_COLLECTOR}"
        )
    if not 0 <= rate <= 1:
        raise ConfigError(f"sampling_rate of model {model} is {rate:g}; it must be from 0 to 1")
    if not collector.filename_prefix:
        return None
    if not collector.filename_prefix.startswith("/"):
        raise ConfigError(
            f"filename_prefix of model {model} is {collector.filename_prefix!r}; it must be an "
            "absolute path"
        )
    return RequestLogConfig(path_prefix=collector.filename_prefix, sampling_rate=rate)
