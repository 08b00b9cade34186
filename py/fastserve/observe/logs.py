"""How log lines look."""

from __future__ import annotations

import json
import logging
import sys
from datetime import datetime, timezone

_HANDLER = logging.StreamHandler(sys.stderr)


def set_up(log_format: str) -> None:
    """Lets the process log to standard error, one line an event, as "text" or "json".

    May be called again for another format.
    """
    if log_format == "json":
        _HANDLER.setFormatter(_JsonFormatter())
    else:
        _HANDLER.setFormatter(
            logging.Formatter("%(asctime)s %(levelname).1s %(name)s] %(message)s")
        )
    logging.basicConfig(level=logging.INFO, handlers=[_HANDLER])


def utc(seconds: float) -> str:
    """Returns a time since the epoch as 2026-01-31T12:00:00.000000Z."""
    when = datetime.fromtimestamp(seconds, timezone.utc)
    return when.isoformat(timespec="microseconds").replace("+00:00", "Z")


class Complaint:
    """An error that is logged when it is new, and not again each time that it is met."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._told = ""

    def tell(self, text: str) -> None:
        """Logs it, unless it is what was told last."""
        if text != self._told:
            self._told = text
            self._logger.error("%s", text)

    def withdraw(self) -> None:
        """All is well: what comes next is new."""
        self._told = ""


class _JsonFormatter(logging.Formatter):
    """One JSON object a line; a traceback is a field of it."""

    def format(self, record: logging.LogRecord) -> str:
        event = {
            "time": utc(record.created),
            "severity": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            event["exception"] = self.formatException(record.exc_info)
        return json.dumps(event)
