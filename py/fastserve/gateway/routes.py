"""URLs of the REST API, by upstream's rules (model_servers/http_rest_api_handler.cc)."""

import re
from dataclasses import dataclass
from urllib.parse import unquote

INT64_MAX = 2**63 - 1

# As RFC 3986 has it; anything else is not a request target.
_URI = re.compile(
    r"(?:[a-zA-Z][a-zA-Z0-9+.-]*://[^/?#]*)?"
    r"((?:%[0-9A-Fa-f]{2}|[A-Za-z0-9\-._~!$&'()*+,;=:@/])*"
    r"(?:\?(?:%[0-9A-Fa-f]{2}|[A-Za-z0-9\-._~!$&'()*+,;=:@/?])*)?"
    r"(?:#(?:%[0-9A-Fa-f]{2}|[A-Za-z0-9\-._~!$&'()*+,;=:@/?])*)?)",
    re.ASCII,
)
_API = re.compile(r"/v1/.*", re.IGNORECASE | re.ASCII)
_SPEC = r"(?:(?:/versions/(?P<version>\d+))|(?:/labels/(?P<label>[^/:]+)))?"
_POST = re.compile(
    rf"/v1/models/(?P<model>[^/:]+){_SPEC}:(?P<verb>classify|regress|predict)",
    re.IGNORECASE | re.ASCII,
)
_GET = re.compile(
    rf"/v1/models(?:/(?P<model>[^/:]+))?{_SPEC}(?:/(?P<verb>metadata))?",
    re.IGNORECASE | re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Route:
    """What a URL asks for."""

    verb: str
    """predict, classify, regress, metadata or status; an upper-case verb stays as it is."""
    model: str
    version: int | None
    label: str | None


class VersionOverflow(Exception):
    """The version is a number beyond int64."""


def request_path(target: bytes) -> str | None:
    """Returns path, query and fragment of a request target; None when it is no valid URI."""
    try:
        match = _URI.fullmatch(target.decode("ascii"))
    except UnicodeDecodeError:
        return None
    return match[1] if match else None


def is_api(path: str) -> bool:
    """Whether the REST API answers for this path; anything else is a plain 404."""
    return _API.fullmatch(path) is not None


def find_route(method: str, path: str) -> Route | None:
    """Returns what is asked for; None for a malformed request. Raises VersionOverflow."""
    pattern = {"POST": _POST, "GET": _GET}.get(method)
    match = pattern.fullmatch(path) if pattern else None
    if match is None:
        return None
    verb = match["verb"] or "status"
    if method == "POST" and verb != verb.lower():
        return None
    if method == "GET" and verb != "metadata":
        verb = "status"
    version = int(match["version"]) if match["version"] else None
    if version is not None and version > INT64_MAX:
        raise VersionOverflow
    label = unquote(match["label"], errors="replace") if match["label"] else None
    return Route(verb, unquote(match["model"] or "", errors="replace"), version, label)
