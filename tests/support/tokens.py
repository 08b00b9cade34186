"""Tokens, and requests that bring them, or do not."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc

from support import rest
from support.grpc_client import SECONDS, Client, predict_request
from support.layout import write_whole
from support.server import ServerProcess

CLIENT = "client-token-0123456789"
ADMIN = "admin-token-0123456789"
WRONG = "wrong-token-0123456789"

OK = grpc.StatusCode.OK
NO_TOKEN = grpc.StatusCode.UNAUTHENTICATED
DENIED = grpc.StatusCode.PERMISSION_DENIED

HOW = 'No token: send one as "authorization: Bearer TOKEN", or TOKEN alone'
UNKNOWN = 'The token in "authorization" is not known'
NOT_ADMIN = "The token is for predictions; this needs one of --admin_auth_token_file"

PREDICT = "/v1/models/identity:predict"
BODY = b'{"instances": [2.5]}'


def written(path: Path, *tokens: str) -> Path:
    """A file of tokens, replaced in one step."""
    write_whole(path, "# tokens of a test\n" + "\n".join(tokens) + "\n")
    return path


def metadata(authorization: str | None) -> tuple[tuple[str, str], ...]:
    """Of a gRPC call with that value of `authorization`; None: without."""
    return () if authorization is None else (("authorization", authorization),)


def outcome(call: Callable[[], Any]) -> tuple[grpc.StatusCode, str]:
    """Code and text of a call; a stream is read to its end."""
    try:
        answer = call()
        if hasattr(answer, "__next__"):
            list(answer)
    except grpc.RpcError as error:
        return error.code(), error.details()
    return OK, ""


def predicts(client: Client, authorization: str | None) -> grpc.StatusCode:
    """The code of a Predict."""
    request = predict_request("identity", {"x": 2.5})
    given = metadata(authorization)
    return outcome(lambda: client.prediction.Predict(request, SECONDS, given))[0]


def get(server: ServerProcess, path: str, authorization: str | None = None) -> rest.Answer:
    """The answer to a GET."""
    fields = {} if authorization is None else {"Authorization": authorization}
    return rest.send(server.rest_port, rest.request("GET", path, Connection="close", **fields))


def post(server: ServerProcess, authorization: str | None = None) -> rest.Answer:
    """The answer to a predict over REST."""
    fields = {} if authorization is None else {"Authorization": authorization}
    bytes_ = rest.request("POST", PREDICT, BODY, Connection="close", **fields)
    return rest.send(server.rest_port, bytes_)
