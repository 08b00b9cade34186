"""Which recorded cases apply to this server today, which server answers them, what differs.

The recordings come from one server with many models. Here one process serves one model (its
highest version), so cases that need several versions, labels or models side by side wait for
model config files, and cases of methods that do not exist yet wait for them.
"""

import base64
import re
import urllib.parse
from typing import Any

from case_replay import MESSAGES
from google.protobuf.message import DecodeError

#: Model name -> directory of its versions, under the models' directory.
SERVED = {
    "half_plus": "half_plus",
    "half_plus_latest": "half_plus",
    "heads": "heads",
    "identity": "identity",
    "shapes": "shapes",
    "defaults": "defaults",
    "errors": "errors",
    "strings": "strings",
    "mnist": "mnist",
    "tf2": "tf2",
    "name with space é": "strings",
    "Half_Plus": "tf2",
}

#: Answers whatever names no served model.
ANY_MODEL = "half_plus"

OLDER_VERSION = "needs an older version beside the latest"
LABEL = "needs version labels"
ALL_VERSIONS = "the answer lists versions that the latest policy does not load"
METHOD = "needs a method that does not exist yet"

#: Case id -> what it waits for.
LEFT_OUT = {
    "grpc/predict-model-spec/version-1": OLDER_VERSION,
    "grpc/predict-model-spec/latest-two-2": OLDER_VERSION,
    "grpc/predict-model-spec/label-canary": LABEL,
    "grpc/predict-model-spec/label-ghost": LABEL,
    "grpc/predict-model-spec/label-two": LABEL,
    "grpc/metadata/version": OLDER_VERSION,
    "grpc/metadata/label": LABEL,
    "grpc/metadata/ghost-label": LABEL,
    "grpc/status/half-plus": ALL_VERSIONS,
    "grpc/status/half-plus-two-latest": ALL_VERSIONS,
    "grpc/status/half-plus-picked": ALL_VERSIONS,
    "grpc/status/version-2": OLDER_VERSION,
    "grpc/status/label": ALL_VERSIONS,
    "grpc/status/label-unknown": ALL_VERSIONS,
    "grpc/status/label-ghost": ALL_VERSIONS,
    "grpc/malformed/classify-truncated": METHOD,
    "grpc/malformed/regress-garbage": METHOD,
    "grpc/malformed/multi-truncated": METHOD,
    "grpc/malformed/reload-garbage": METHOD,
    "rest/urls/version": OLDER_VERSION,
    "rest/urls/version-2": OLDER_VERSION,
    "rest/urls/version-zeros": OLDER_VERSION,
    "rest/urls/label": LABEL,
    "rest/urls/label-canary": LABEL,
    "rest/verbs/POST-classify": METHOD,
    "rest/http/accept-gzip-status": ALL_VERSIONS,
    "rest/http/header-folded": ALL_VERSIONS,
    "rest/status/half_plus": ALL_VERSIONS,
    "rest/status/half_plus_two_latest": ALL_VERSIONS,
    "rest/status/half_plus_picked": ALL_VERSIONS,
    "rest/status/version-1": OLDER_VERSION,
    "rest/status/escaped": ALL_VERSIONS,
    "rest/metadata/label-ghost": LABEL,
}

#: Case id -> why our answer is another one, on purpose.
KNOWN_DEVIATIONS: dict[str, str] = {
    "rest/http/chunked-trailer": "a trailer is read and dropped, as HTTP has it, not refused (413)",
    "rest/http/lf-only": "a line must end with CR LF: a lone LF invites request smuggling (400)",
}


def model_of(case: dict[str, Any]) -> str:
    """The served model that a case is meant for."""
    name = _rest_name(case) if "verb" in case else _grpc_name(case)
    return name if name in SERVED else ANY_MODEL


def _rest_name(case: dict[str, Any]) -> str:
    target = case.get("path") or case.get("raw_text", "").split("\r\n")[0]
    match = re.search(r"/v1/models/([^/:? ]+)", target, re.IGNORECASE)
    return urllib.parse.unquote(match[1]) if match else ""


def _grpc_name(case: dict[str, Any]) -> str:
    if case["method"] not in MESSAGES:
        return ""
    try:
        request: Any = MESSAGES[case["method"]][0].FromString(
            base64.b64decode(case["request"]["base64"])
        )
    except DecodeError:
        return ""
    return str(request.model_spec.name)
