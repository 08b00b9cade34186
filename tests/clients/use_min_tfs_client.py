"""Calls a server through min-tfs-client and prints what comes back, as one JSON object.

usage: use_min_tfs_client.py GRPC_PORT
"""

import json
import sys
from typing import Any

import grpc
import numpy as np
from min_tfs_client.requests import TensorServingClient
from min_tfs_client.tensors import tensor_proto_to_ndarray

X = {"x": np.array([1.0, 2.0, 5.0], np.float32)}
SEVERAL = {
    "a": np.array([[1.0, 2.0], [3.0, 4.0]], np.float32),
    "b": np.array([5, 2**40], np.int64),
    "s": np.array(["u", "v"]),
}


def main(port: int) -> None:
    client = TensorServingClient(host="127.0.0.1", port=port)

    def predict(model: str, inputs: dict[str, np.ndarray], **more: Any) -> dict[str, Any]:
        response = client.predict_request(model, inputs, **more)
        outputs = {k: tensor_proto_to_ndarray(v).tolist() for k, v in response.outputs.items()}
        return {"version": response.model_spec.version.value, **outputs}

    def error(model: str, inputs: dict[str, np.ndarray], **more: Any) -> list[str]:
        try:
            client.predict_request(model, inputs, **more)
        except grpc.RpcError as e:
            return [e.code().name, e.details()]
        raise AssertionError("no error")

    answers = {
        "newest": predict("half_plus", X),
        "version_1": predict("half_plus", X, model_version=1),
        "several": predict("shapes", SEVERAL),
        "unknown_model": error("nope", X),
        "unknown_version": error("half_plus", X, model_version=9),
        "missing_input": error("shapes", X),
        "timeout": error("slow", {"steps": np.array(600, np.int32)}, timeout=0.2),
    }
    print(json.dumps(answers))


if __name__ == "__main__":
    main(int(sys.argv[1]))
