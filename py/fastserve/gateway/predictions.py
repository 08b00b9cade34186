"""Predictions: what the native server is asked for, and the answers that it gives later."""

from __future__ import annotations

import asyncio
import itertools
from typing import Protocol, cast

from fastserve import _native
from fastserve.errors import DEADLINE_EXCEEDED, ServingError
from fastserve.gateway.connection import Done
from fastserve.gateway.media import NATIVE_TYPES
from fastserve.gateway.replies import Reply, error_reply, http_status
from fastserve.gateway.request import Body
from fastserve.gateway.routes import Route


class RestPredictor(Protocol):
    """The native server, as far as REST knows it."""

    def answer_rest(
        self,
        token: int,
        method: str,
        model: str,
        version: int | None,
        label: str | None,
        body: bytes | _native.RestBody,
        format: str,
        wants_json: bool,
        timeout_s: float | None,
        traced: bool,
    ) -> _native.RestAnswer | None:
        """Returns the answer, or None when it comes later under `token`."""

    def check_access(self, access: str, authorization: bytes) -> None:
        """Raises NativeError when a request with that `authorization` is to be refused."""

    @property
    def rest_completion_fd(self) -> int:
        """Readable when rest_completions() has something."""

    def rest_completions(self) -> list[tuple[int, _native.RestAnswer]]:
        """Takes the finished pairs of token and answer."""


class Predictions:
    """Requests that the native side answers; everything on the event loop's thread."""

    def __init__(self, predictor: RestPredictor, timeout_s: float | None) -> None:
        """`timeout_s`: how long an answer may take; None: as long as it likes."""
        self._predictor = predictor
        self._timeout_s = timeout_s
        self._tokens = itertools.count(1)
        self._pending: dict[int, tuple[Done, asyncio.TimerHandle | None]] = {}

    def start(self) -> None:
        """Has the running loop take answers."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self._predictor.rest_completion_fd, self._take_completions)

    def answer(
        self,
        route: Route,
        body_type: str,
        wants_json: bool,
        traced: bool,
        body: bytes | Body,
        *,
        done: Done,
    ) -> None:
        """Has a request answered, at once or later, but after the timeout with its error.

        `body_type` is a name of media.NATIVE_TYPES; `wants_json` overrides it for the answer;
        `traced` has the reply tell where its time went.
        """
        token = next(self._tokens)
        answer = self._predictor.answer_rest(
            token,
            route.method.value,
            route.model,
            route.version,
            route.label,
            cast("bytes | _native.RestBody", body),
            body_type,
            wants_json,
            self._timeout_s,
            traced,
        )
        if answer is not None:
            done(_reply(*answer))
            return
        timer = None
        if self._timeout_s is not None:
            loop = asyncio.get_running_loop()
            timer = loop.call_later(self._timeout_s, self._expire, token)
        self._pending[token] = (done, timer)

    def _take_completions(self) -> None:
        for token, answer in self._predictor.rest_completions():
            self._complete(token, _reply(*answer))

    def _expire(self, token: int) -> None:
        error = ServingError(DEADLINE_EXCEEDED, "Timed out waiting for notification")
        self._complete(token, error_reply(error))

    def _complete(self, token: int, reply: Reply) -> None:
        pending = self._pending.pop(token, None)
        if pending is None:
            return  # It has timed out.
        done, timer = pending
        if timer is not None:
            timer.cancel()
        done(reply)


def _reply(
    code: int,
    body: bytes | memoryview,
    body_type: str,
    hint: bytes,
    trace: _native.Trace | None,
) -> Reply:
    """Returns the native side's answer as a reply."""
    fields = b"Fastserve-Hint: %b\r\n" % hint if hint else b""
    return Reply(http_status(code), body, NATIVE_TYPES[body_type], fields=fields, trace=trace)
