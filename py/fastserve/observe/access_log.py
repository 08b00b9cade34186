"""The access log: one line for each request, written by a thread of its own."""

from __future__ import annotations

import json
import logging
import re
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TextIO

from fastserve import _native
from fastserve.config.observe import STDERR
from fastserve.errors import CODE_NAMES, ConfigError
from fastserve.observe import instruments
from fastserve.observe.logs import utc
from fastserve.observe.snapshot import METHODS

_LOGGER = logging.getLogger(__name__)

_MAX_WAITING = 65536
"""Entries of the control plane that wait to be written; more are dropped."""

_FLUSH_S = 0.2

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One request that has ended."""

    time: str
    protocol: str
    """grpc or rest"""
    method: str
    """Predict; of RPCs that are not native the full path, of REST verb and target."""
    status: str
    """Name of the gRPC code, or the HTTP status."""
    seconds: float
    model: str = ""
    version: str = ""
    signature: str = ""
    bytes_in: int = 0
    bytes_out: int = 0
    peer: str = ""
    trace_id: str = ""
    """Out of the request's traceparent (W3C Trace Context)."""

    def as_json(self) -> str:
        """Returns the entry as one line of JSON."""
        return json.dumps(asdict(self))

    def as_text(self) -> str:
        """Returns the entry as one line of key=value pairs, without empty ones."""
        fields = (f"{k}={_quoted(v)}" for k, v in asdict(self).items() if k != "time" and v != "")
        return f"{self.time} {' '.join(fields)}"


def _quoted(value: object) -> str:
    text = f"{value:.6f}" if isinstance(value, float) else str(value)
    return text if re.fullmatch(r"[!#-~]+", text) else json.dumps(text)


def trace_id(traceparent: str) -> str:
    """Returns the trace's id; "" where the header is none by its specification."""
    match = _TRACEPARENT.fullmatch(traceparent)
    return match[1] if match and match[1].strip("0") else ""


class AccessLog:
    """Writes entries as they come. `record` and `write_now` from any thread."""

    def __init__(self, path: str, *, as_json: bool) -> None:
        """Opens the file. Raises ConfigError."""
        self._line: Callable[[Entry], str] = Entry.as_json if as_json else Entry.as_text
        self._waiting: deque[Entry] = deque()
        self._lock = threading.Lock()
        self._file = _open(path)
        _native.enable_access_log()
        threading.Thread(target=self._run, name="fastserve-access-log", daemon=True).start()

    def record(
        self,
        protocol: str,
        method: str,
        status: str,
        seconds: float,
        *,
        peer: str,
        traceparent: str = "",
        bytes_in: int = 0,
        bytes_out: int = 0,
    ) -> None:
        """Takes a request that Python has answered; never waits for the file."""
        if len(self._waiting) >= _MAX_WAITING:
            instruments.access_log_dropped.add()
            return
        self._waiting.append(
            Entry(
                time=utc(time.time()),
                protocol=protocol,
                method=method,
                status=status,
                seconds=seconds,
                bytes_in=bytes_in,
                bytes_out=bytes_out,
                peer=peer,
                trace_id=trace_id(traceparent),
            )
        )

    def write_now(self, timeout_s: float = 0.0) -> None:
        """Writes what has come so far; waits up to `timeout_s` for a native call."""
        with self._lock:
            entries = [_native_entry(*each) for each in _native.take_access_log(timeout_s)]
            while self._waiting:
                entries.append(self._waiting.popleft())
            try:
                self._file.writelines(f"{self._line(entry)}\n" for entry in entries)
                self._file.flush()
            except OSError as error:
                instruments.access_log_dropped.add(amount=len(entries))
                _LOGGER.error("cannot write the access log: %s", error.strerror)

    def _run(self) -> None:
        while True:
            self.write_now(_FLUSH_S)


def _open(path: str) -> TextIO:
    if path == STDERR:
        return sys.stderr
    try:
        return open(path, "a", encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise ConfigError(f"cannot write --access_log={path}: {error.strerror}") from error


def _native_entry(
    ended: float,
    method: int,
    code: int,
    seconds: float,
    bytes_in: int,
    bytes_out: int,
    model: str,
    version: str,
    signature: str,
    peer: str,
    traceparent: str,
) -> Entry:
    return Entry(
        time=utc(ended),
        protocol="grpc",
        method=METHODS[method],
        status=CODE_NAMES[code],
        seconds=seconds,
        model=model,
        version=version,
        signature=signature,
        bytes_in=bytes_in,
        bytes_out=bytes_out,
        peer=peer,
        trace_id=trace_id(traceparent),
    )
