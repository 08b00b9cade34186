"""Sends recorded requests and compares answers with the recorded ones.

A recorded case is one JSON object. gRPC: `method`, `request.base64`, `code`, `message` (and
`other_messages`), `response.canonical` (maps sorted by key, also inside Any). REST: `verb`, `path`,
`headers`, `body`/`body_base64`, or `raw_base64` with the bytes of the whole request; `status`,
`response_headers`, `response`/`response_base64`, `other_responses`, `order_varies` (the order of
keys differs from run to run). REST status 0 means that the server closed the connection. A gRPC
case with `steps` is a list of such calls; one that may have to `settle` is asked again for a while.
"""

import base64
import json
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from deviations import ALSO_RIGHT
from google.protobuf.message import DecodeError, Message
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    predict_pb2,
    regression_pb2,
)

from support.rest import Answer, send

DEADLINE_S, RELOAD_DEADLINE_S, SETTLE_S = 5.0, 30.0, 20.0

#: Stands in requests for the directory of the models.
BASE = "@BASE@"

_PREDICTION, _MODEL = "/tensorflow.serving.PredictionService/", "/tensorflow.serving.ModelService/"
_RELOAD = _MODEL + "HandleReloadConfigRequest"
#: Method -> its request and response types.
MESSAGES: dict[str, tuple[type[Message], type[Message]]] = {
    _PREDICTION + "Predict": (predict_pb2.PredictRequest, predict_pb2.PredictResponse),
    _PREDICTION + "Classify": (
        classification_pb2.ClassificationRequest,
        classification_pb2.ClassificationResponse,
    ),
    _PREDICTION + "Regress": (regression_pb2.RegressionRequest, regression_pb2.RegressionResponse),
    _PREDICTION + "MultiInference": (
        inference_pb2.MultiInferenceRequest,
        inference_pb2.MultiInferenceResponse,
    ),
    _PREDICTION + "GetModelMetadata": (
        get_model_metadata_pb2.GetModelMetadataRequest,
        get_model_metadata_pb2.GetModelMetadataResponse,
    ),
    _MODEL + "GetModelStatus": (
        get_model_status_pb2.GetModelStatusRequest,
        get_model_status_pb2.GetModelStatusResponse,
    ),
    _RELOAD: (
        model_management_pb2.ReloadConfigRequest,
        model_management_pb2.ReloadConfigResponse,
    ),
}


@dataclass(frozen=True)
class Server:
    """The server that answers."""

    grpc_port: int
    rest_port: int
    models: Path
    """Where its models lie."""


def differences(case: dict[str, Any], server: Server) -> list[str]:
    """Replays one case; what differs, for a reader. Empty: the answers agree."""
    if "verb" in case:
        got = send(server.rest_port, request_bytes(case), DEADLINE_S, case["verb"])
        return _compare_rest(case, got)
    found: list[str] = []
    for i, step in enumerate(case.get("steps", [case])):
        found += [f"step {i}: {each}" for each in _step(case["id"], step, server)]
    return found


def _step(case_id: str, step: dict[str, Any], server: Server) -> list[str]:
    """Makes one call; again and again where versions are still on their way."""
    end = time.monotonic() + SETTLE_S
    while (found := _compare_grpc(case_id, step, server)) and step.get("settle"):
        if time.monotonic() > end:
            break
        time.sleep(0.05)
    return found


def _request(step: dict[str, Any], models: Path) -> bytes:
    """The bytes of a request, with the models' directory in place."""
    data = base64.b64decode(step["request"]["base64"])
    if BASE.encode() not in data:
        return data
    request = model_management_pb2.ReloadConfigRequest.FromString(data)
    for config in request.config.model_config_list.config:
        config.base_path = config.base_path.replace(BASE, str(models))
    return bytes(request.SerializeToString())


def _compare_grpc(case_id: str, step: dict[str, Any], server: Server) -> list[str]:
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        call = channel.unary_unary(step["method"])  # bytes in, bytes out: malformed on purpose
        deadline = RELOAD_DEADLINE_S if step["method"] == _RELOAD else DEADLINE_S
        code, message, response = "OK", "", None
        try:
            response = call(_request(step, server.models), timeout=deadline)
        except grpc.RpcError as e:
            code, message = e.code().name, _without_dump_prefix(e.details() or "")
    found = []
    if code != step["code"]:
        found.append(f"code: want {step['code']}, got {code}")
    wanted = (step["message"], *step.get("other_messages", []), *ALSO_RIGHT.get(case_id, ()))
    if message.replace(str(server.models), BASE) not in wanted:
        found.append(f"message: want {step['message']!r}\n         got  {message!r}")
    if response is not None and step["response"] is not None:
        ours, text = _canonical(step["method"], response)
        if ours != base64.b64decode(step["response"]["canonical"]):
            found.append(f"response: want {step['response']['text']}\n          got  {text}")
    return found


def _canonical(method: str, response: bytes) -> tuple[bytes, str]:
    """Deterministic bytes and text of a response: maps sorted, also inside Any."""
    try:
        message: Any = MESSAGES[method][1].FromString(response)
    except DecodeError:
        return response, "(does not parse)"
    if isinstance(message, get_model_metadata_pb2.GetModelMetadataResponse):
        for value in message.metadata.values():
            signatures = get_model_metadata_pb2.SignatureDefMap()
            if value.Unpack(signatures):
                value.value = signatures.SerializeToString(deterministic=True)
    return message.SerializeToString(deterministic=True), str(message)


def _without_dump_prefix(text: str) -> str:
    """`text` without the random prefix that protobuf puts before a message's dump."""
    return re.sub(r"goo\.gle/debug\w+\s+", "", text)


def request_bytes(case: dict[str, Any]) -> bytes:
    """The bytes that a REST case puts on the wire."""
    if "raw_base64" in case:
        return base64.b64decode(case["raw_base64"])
    if "body_base64" in case:
        body = base64.b64decode(case["body_base64"])
    else:
        body = case.get("body", "").encode()
    headers = {"Host": "localhost", "Connection": "close"}
    if body or case["verb"] in ("POST", "PUT", "PATCH"):
        headers["Content-Length"] = str(len(body))
    headers |= case.get("headers", {})
    first = f"{case['verb']} {case['path']} HTTP/1.1"
    lines = [first, *(f"{key}: {value}" for key, value in headers.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def _compare_rest(case: dict[str, Any], got: Answer) -> list[str]:
    want_type = case["response_headers"].get("content-type")
    found = []
    if got.status != case["status"]:
        found.append(f"status: want {case['status']}, got {got.status}")
    if got.headers.get("content-type") != want_type:
        found.append(f"content-type: want {want_type}, got {got.headers.get('content-type')}")
    if case.get("ignore_body"):
        return found
    want = _recorded_body(case)
    if not _same_body(case, want, re.sub(rb"goo\.gle/debug\w+ +", b"", got.body)):
        found.append(f"body: want {want[:1500]!r}\n      got  {got.body[:1500]!r}")
    return found


def _recorded_body(case: dict[str, Any]) -> bytes:
    if "response_base64" in case:
        return base64.b64decode(case["response_base64"])
    return str(case["response"]).encode()


def _same_body(case: dict[str, Any], want: bytes, got: bytes) -> bool:
    """Byte for byte, but for an order of keys that is not fixed."""
    if case.get("order_varies"):
        return _sorted_lines(want) == _sorted_lines(got) and _json(want) == _json(got)
    return got in (want, *(other.encode() for other in case.get("other_responses", [])))


def _sorted_lines(body: bytes) -> list[bytes]:
    return sorted(line.removesuffix(b",") for line in body.split(b"\n"))


def _json(body: bytes) -> str:
    """Key-sorted form, in which 1 and 1.0 differ. Strings may hold bytes that are no UTF-8."""
    return json.dumps(json.loads(body.decode("latin-1")), sort_keys=True)
