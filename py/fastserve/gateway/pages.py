"""Pages beside the API: metrics and probes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from fastserve.gateway.replies import METRICS, TEXT, Reply
from fastserve.observe import own_page, serving_page


class Access(Enum):
    """What a request is for, which decides whose token opens it; values are the native side's."""

    OPEN = ""
    """Nobody's."""
    PREDICT = "predict"
    ADMINISTER = "administer"


@dataclass(frozen=True, slots=True)
class Page:
    """Something to read beside the API."""

    show: Callable[[str, str], Reply]
    """Takes path and query of a request; may take milliseconds. Any thread."""
    access: Access


def metrics_page(
    connections: Callable[[], Mapping[str, int]], ready: Callable[[], Mapping[str, bool]]
) -> Page:
    """Returns the page of fastserve's own metrics."""

    def page(_path: str, _query: str) -> Reply:
        return Reply(200, own_page.page(connections(), ready()), METRICS)

    return Page(page, Access.ADMINISTER)


def _serving_metrics(path: str, query: str) -> Reply:
    """TensorFlow Serving's page of metrics (model_servers/http_server.cc)."""
    if query:
        text = f"Unexpected path: {path}{query}. Should be {path}"
        return Reply(400, text.encode("latin-1"), TEXT)
    return Reply(200, serving_page.page(), TEXT)


SERVING_METRICS_PAGE: Final = Page(_serving_metrics, Access.ADMINISTER)

ALIVE_PAGE: Final = Page(lambda _path, _query: Reply(200, b"ok\n", TEXT), Access.OPEN)
"""Says that the process answers."""


def ready_page(ready: Callable[[], Mapping[str, bool]], draining: Callable[[], bool]) -> Page:
    """Returns the page that says whether requests should be sent here, and why not."""

    def page(_path: str, _query: str) -> Reply:
        problems = ["the server is shutting down"] if draining() else []
        problems += [
            f"model {model} has no version that serves"
            for model, is_ready in ready().items()
            if not is_ready
        ]
        if problems:
            return Reply(503, "".join(f"{each}\n" for each in problems).encode(), TEXT)
        return Reply(200, b"ok\n", TEXT)

    return Page(page, Access.OPEN)
