"""What a URL asks for."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from enum import Enum
from typing import Final
from urllib.parse import unquote, unquote_to_bytes

from fastserve.errors import INVALID_ARGUMENT, ServingError
from fastserve.gateway.replies import DEFAULT_TYPE, Reply, error_reply, html_reply, http_status

_MAX_VERSION = 2**63 - 1

_CHARACTER = r"(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/]|%[0-9A-Fa-f]{2})"
_URI = re.compile(
    r"(?:[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*)?"
    rf"((?:/{_CHARACTER}*|\*)?(?:\?(?:{_CHARACTER}|\?)*)?(?:#(?:{_CHARACTER}|\?)*)?)"
)
"""An absolute path or a whole URI; the group is path, query and fragment."""

_VERSION_OR_LABEL = r"(?:/versions/([0-9]+)|/labels/([^/:]+))?"
_POST = re.compile(
    rf"/v1/models/([^/:]+){_VERSION_OR_LABEL}:(classify|regress|predict)", re.IGNORECASE
)
_GET = re.compile(rf"/v1/models(?:/([^/:]+))?{_VERSION_OR_LABEL}(?:/(metadata))?", re.IGNORECASE)
_GET_EXAMPLE = re.compile(
    rf"/v1/models/([^/:]+){_VERSION_OR_LABEL}/example(?:/([^/]+))?", re.IGNORECASE
)
"""Of our own: upstream has it malformed."""

_ALLOWED = frozenset(("GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"))


def _invalid(message: str) -> Reply:
    return error_reply(ServingError(INVALID_ARGUMENT, message))


MISSING_NAME: Final = _invalid("Missing model name in request.")


class Method(Enum):
    """What is asked of a model."""

    PREDICT = "predict"
    CLASSIFY = "classify"
    REGRESS = "regress"
    STATUS = "status"
    METADATA = "metadata"
    EXAMPLE = "example"
    LIST = "list"


_POST_METHODS = {
    method.value: method for method in (Method.PREDICT, Method.CLASSIFY, Method.REGRESS)
}


@dataclass(frozen=True, slots=True)
class Route:
    """A request to a model (for LIST, to all).

    Model and label hold bytes that are no UTF-8 as lone surrogates.
    """

    method: Method
    model: str = ""
    version: int | None = None
    label: str | None = None
    signature: str = ""
    """Of EXAMPLE; empty for the default one."""

    @property
    def pattern(self) -> str:
        """What all requests to run a model have as their path, as /v1/models/{model}:predict."""
        of = "/versions/{version}" if self.version is not None else ""
        of = "/labels/{label}" if self.label is not None else of
        return f"/v1/models/{{model}}{of}:{self.method.value}"

    @property
    def is_text(self) -> bool:
        """Whether model and label are UTF-8, as those of every served model are."""
        try:
            (self.model + (self.label or "")).encode()
        except UnicodeEncodeError:
            return False
        return True


@functools.lru_cache(maxsize=256)
def find_route(verb: str, target: str, origin: str = "") -> Route | Reply:
    """Returns what a request line asks for, or the reply to one that asks for nothing there is.

    `origin` is that header of an OPTIONS request, whose answer depends on nothing else.
    """
    if verb not in _ALLOWED:
        return html_reply(501)
    bare = verb == "HEAD"
    uri = _URI.fullmatch(target)
    if uri is None:
        return html_reply(400, bare=bare)
    path = uri[1]
    if path[:4].lower() != "/v1/":
        return html_reply(404, bare=bare)
    if bare:
        return Reply(400, bare=True, code=INVALID_ARGUMENT)
    if verb == "OPTIONS":
        allowed = "http://" in origin or "https://" in origin
        code = 0 if allowed else INVALID_ARGUMENT
        return Reply(http_status(code), content_type=DEFAULT_TYPE, code=code)
    return _api_route(verb, path) or _invalid(f"Malformed request: {verb} {path}")


def _api_route(verb: str, path: str) -> Route | Reply | None:
    if verb == "POST" and (match := _POST.fullmatch(path)):
        model, version, label, name = match.groups()
        # The match ignores case; the method's name does not.
        return _route(_POST_METHODS[name], model, version, label) if name in _POST_METHODS else None
    if verb == "GET" and (match := _GET.fullmatch(path)):
        if not any(match.groups()):
            return Route(Method.LIST)
        model, version, label, metadata = match.groups()
        method = Method.METADATA if metadata == "metadata" else Method.STATUS
        return _route(method, model, version, label)
    if verb == "GET" and (match := _GET_EXAMPLE.fullmatch(path)):
        model, version, label, signature = match.groups()
        return _route(Method.EXAMPLE, model, version, label, unquote(signature or ""))
    return None


def _route(
    method: Method, model: str | None, version: str | None, label: str | None, signature: str = ""
) -> Route | Reply:
    if version is not None:
        version = version.lstrip("0") or "0"
        if len(version) > len(str(_MAX_VERSION)) or int(version) > _MAX_VERSION:
            return Reply(400, code=INVALID_ARGUMENT, model=_decoded(model or ""))
    if model is None:
        return MISSING_NAME
    return Route(
        method,
        _decoded(model),
        None if version is None else int(version),
        None if label is None else _decoded(label),
        signature,
    )


def _decoded(text: str) -> str:
    return unquote_to_bytes(text).decode("utf-8", "surrogateescape")
