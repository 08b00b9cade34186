"""Keeps what a server uses that of its file: certificates, tokens."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from typing import TypeAlias, TypeVar

from fastserve.errors import ConfigError, ServingError

_LOGGER = logging.getLogger(__name__)

_POLL_S = 1.0
"""Between two looks at the file."""

_Stamp: TypeAlias = "tuple[int, int, int] | None"
T = TypeVar("T")


class WatchedFile:
    """One file, read at start and whenever it changes. Event loop's thread only."""

    def __init__(
        self,
        flag: str,
        path: str,
        what: str,
        *,
        read: Callable[[str, str], T],
        use: Callable[[T], None],
    ) -> None:
        """`what` names what it holds, in plural.

        `read` takes flag and path, and raises ServingError that names them; `use` puts what it
        returns in force, and raises ValueError that says what is wrong with it.
        """
        self._flag = flag
        self._path = path
        self._what = what
        self._apply: Callable[[], None] = lambda: use(read(flag, path))
        self._seen: _Stamp = None

    def load(self) -> None:
        """Reads the file and uses what it holds. Raises ServingError that names the file."""
        self._seen = self._stamp()
        try:
            self._apply()
        except ValueError as error:
            raise ConfigError(f"--{self._flag}={self._path}: {error}") from error

    def reload(self) -> None:
        """As load(), but what is in use stays when the file is bad; the log says why."""
        try:
            self.load()
        except ServingError as error:
            _LOGGER.error("%s stay as they were: %s", self._what, error)
        else:
            _LOGGER.info("the %s of %s are in use", self._what, self._path)

    def watch(self) -> None:
        """Reloads the file from now on when it has changed."""
        if self._stamp() != self._seen:
            self.reload()
        asyncio.get_running_loop().call_later(_POLL_S, self.watch)

    def _stamp(self) -> _Stamp:
        """Returns what differs when the file was written or replaced; None where there is none."""
        try:
            stat = os.stat(self._path)
        except OSError:
            return None
        return stat.st_ino, stat.st_mtime_ns, stat.st_size
