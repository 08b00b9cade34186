"""Calls a server through both clients of ovmsclient and prints what comes back, as one JSON object.

usage: use_ovmsclient.py GRPC_PORT REST_PORT
"""

import json
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import ovmsclient

X = {"x": np.array([1.0, 2.0, 5.0], np.float32)}
SEVERAL = {
    "a": np.array([[1.0, 2.0], [3.0, 4.0]], np.float32),
    "b": np.array([5, 7], np.int64),
    "s": np.array(["u", "v"]),
}


def plain(value: Any) -> Any:
    """An answer without arrays, and without bytes where it is text."""
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, np.ndarray):
        return (value.astype(str) if value.dtype.kind == "S" else value).tolist()
    return value


def error(call: Callable[[], object]) -> list[str]:
    try:
        call()
    except Exception as e:
        return [type(e).__name__, str(e)]
    raise AssertionError("no error")


def ask(client: Any) -> dict[str, Any]:
    steps = {"steps": np.array(600, np.int32)}
    return {
        "version_3": plain(client.predict(X, "half_plus", 3)),
        "version_1": plain(client.predict(X, "half_plus", 1)),
        "several": plain(client.predict(SEVERAL, "shapes", 1)),
        "metadata": client.get_model_metadata("shapes", 1),
        "status": client.get_model_status("half_plus", 2),
        "unknown_model": error(lambda: client.predict(X, "nope", 1)),
        "unknown_version": error(lambda: client.get_model_status("half_plus", 9)),
        "missing_input": error(lambda: client.predict(X, "shapes", 1)),
        "timeout": error(lambda: client.predict(steps, "slow", 1, timeout=0.2)),
    }


def main(grpc_port: int, rest_port: int) -> None:
    grpc_client = ovmsclient.make_grpc_client(f"127.0.0.1:{grpc_port}")
    http_client = ovmsclient.make_http_client(f"127.0.0.1:{rest_port}")
    print(json.dumps({"grpc": ask(grpc_client), "http": ask(http_client)}))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
