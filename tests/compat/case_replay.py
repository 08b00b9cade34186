"""Sends recorded requests and compares answers with the recorded ones.

A recorded case is one JSON object. gRPC: `method`, `request.base64`, `code`, `message` (and
`other_messages`), `response.canonical` (maps sorted by key, also inside Any). REST: `verb`, `path`,
`headers`, `body`/`body_base64`, or `raw_base64` with the bytes of the whole request; `status`,
`response_headers`, `response`/`response_base64`, `other_responses`, `order_varies` (the order of
keys differs from run to run). REST status 0 means that the server closed the connection.
"""

import base64
import json
import re
from typing import Any

import grpc
from google.protobuf.message import DecodeError, Message
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    predict_pb2,
)

from support.rest import Answer, send

DEADLINE_S = 5.0

#: Case id -> texts that the same request gets from TensorFlow itself on other machines.
ALSO_RIGHT: dict[str, tuple[str, ...]] = {
    # oneDNN's MatMul, which TensorFlow takes on CPUs with instructions for neural networks.
    "grpc/predict-shapes/mnist-flat": ("In[0] ndims must be >= 2\n\t [[{{node scores}}]]",),
}

_PREDICTION, _MODEL = "/tensorflow.serving.PredictionService/", "/tensorflow.serving.ModelService/"
#: Method -> its request and response types.
MESSAGES: dict[str, tuple[type[Message], type[Message]]] = {
    _PREDICTION + "Predict": (predict_pb2.PredictRequest, predict_pb2.PredictResponse),
    _PREDICTION + "GetModelMetadata": (
        get_model_metadata_pb2.GetModelMetadataRequest,
        get_model_metadata_pb2.GetModelMetadataResponse,
    ),
    _MODEL + "GetModelStatus": (
        get_model_status_pb2.GetModelStatusRequest,
        get_model_status_pb2.GetModelStatusResponse,
    ),
}


def differences(case: dict[str, Any], grpc_port: int, rest_port: int) -> list[str]:
    """Replays one case; what differs, for a reader. Empty: the answers agree."""
    if "verb" in case:
        return _compare_rest(case, send(rest_port, request_bytes(case), DEADLINE_S, case["verb"]))
    return _compare_grpc(case, grpc_port)


def _compare_grpc(case: dict[str, Any], port: int) -> list[str]:
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.unary_unary(case["method"])  # bytes in, bytes out: malformed on purpose
        code, message, response = "OK", "", None
        try:
            response = call(base64.b64decode(case["request"]["base64"]), timeout=DEADLINE_S)
        except grpc.RpcError as e:
            code, message = e.code().name, _without_dump_prefix(e.details() or "")
    found = []
    if code != case["code"]:
        found.append(f"code: want {case['code']}, got {code}")
    if message not in (
        case["message"],
        *case.get("other_messages", []),
        *ALSO_RIGHT.get(case["id"], ()),
    ):
        found.append(f"message: want {case['message']!r}\n         got  {message!r}")
    if response is not None and case["response"] is not None:
        ours, text = _canonical(case["method"], response)
        if ours != base64.b64decode(case["response"]["canonical"]):
            found.append(f"response: want {case['response']['text']}\n          got  {text}")
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
    want = _recorded_body(case)
    if not _same_body(case, want, got.body):
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
