"""Which requests are refused for want of a token."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

from fastserve import _native
from fastserve.errors import UNAUTHENTICATED, ServingError
from fastserve.gateway.pages import Access, Page
from fastserve.gateway.replies import Reply, error_reply, without_body
from fastserve.gateway.request import Request


def refusal(
    request: Request, pages: Mapping[str, Page], check: Callable[[str, bytes], None]
) -> Reply | None:
    """Returns the answer to a request without a token that opens what it asks for.

    The request's header is all that is looked at. `check` is _native.Server.check_access().
    """
    access = _access(request, pages)
    if access is Access.OPEN:
        return None
    try:
        check(access.value, request.authorization)
    except _native.NativeError as error:
        reply = error_reply(ServingError(error.code, error.message))
        if error.code == UNAUTHENTICATED:  # RFC 9110, section 15.5.2, and RFC 6750.
            reply = dataclasses.replace(reply, fields=b"WWW-Authenticate: Bearer\r\n")
        return without_body(reply) if request.verb == "HEAD" else reply
    return None


def _access(request: Request, pages: Mapping[str, Page]) -> Access:
    if (page := pages.get(request.split_target()[0])) is not None:
        return page.access
    # Browsers ask without a token what a page may send, and are told the same of every path.
    return Access.OPEN if request.verb == "OPTIONS" else Access.PREDICT
