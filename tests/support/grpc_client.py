"""The official stubs of TensorFlow Serving, with a shorter way to write a Predict."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import grpc
import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

UNLIMITED = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))
SECONDS = 30.0


def predict_request(
    model: str,
    inputs: Mapping[str, Any],
    *,
    signature: str = "",
    version: int | None = None,
    label: str | None = None,
    outputs: Iterable[str] = (),
) -> predict_pb2.PredictRequest:
    """A request; inputs are TensorProtos or what make_tensor_proto takes."""
    request = predict_pb2.PredictRequest(output_filter=outputs)
    request.model_spec.name = model
    request.model_spec.signature_name = signature
    if version is not None:
        request.model_spec.version.value = version
    if label is not None:
        request.model_spec.version_label = label
    for alias, value in inputs.items():
        is_proto = hasattr(value, "SerializeToString")
        request.inputs[alias].CopyFrom(value if is_proto else tf.make_tensor_proto(value))
    return request


class Client:
    """Both services of one server, over one channel, with TLS if `credentials` are given."""

    def __init__(
        self, target: int | str, credentials: grpc.ChannelCredentials | None = None
    ) -> None:
        """`target`: a port of the loopback interface, or what grpcio takes as such."""
        address = f"127.0.0.1:{target}" if isinstance(target, int) else target
        # A subchannel of its own: channels to one target otherwise share a connection.
        options = (*UNLIMITED, ("grpc.use_local_subchannel_pool", 1))
        if credentials is None:
            self.channel = grpc.insecure_channel(address, options=options)
        else:
            self.channel = grpc.secure_channel(address, credentials, options=options)
        self.prediction = prediction_service_pb2_grpc.PredictionServiceStub(self.channel)
        self.model = model_service_pb2_grpc.ModelServiceStub(self.channel)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.channel.close()

    def predict(
        self, model: str, inputs: Mapping[str, Any], *, seconds: float = SECONDS, **spec: Any
    ) -> predict_pb2.PredictResponse:
        return self.prediction.Predict(predict_request(model, inputs, **spec), timeout=seconds)

    def values(self, model: str, inputs: Mapping[str, Any], **spec: Any) -> dict[str, np.ndarray]:
        """The outputs of a Predict as arrays."""
        response = self.predict(model, inputs, **spec)
        return {alias: tf.make_ndarray(proto) for alias, proto in response.outputs.items()}

    def status(
        self, model: str, version: int | None = None
    ) -> get_model_status_pb2.GetModelStatusResponse:
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = model
        if version is not None:
            request.model_spec.version.value = version
        return self.model.GetModelStatus(request, timeout=SECONDS)

    def states(self, model: str) -> dict[int, str]:
        """Version -> name of its state."""
        names = get_model_status_pb2.ModelVersionStatus.State.Name
        return {s.version: names(s.state) for s in self.status(model).model_version_status}

    def states_or_none(self, model: str) -> dict[int, str] | None:
        """As states(); None for a model without versions."""
        try:
            return self.states(model)
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.NOT_FOUND:
                raise
            return None

    def reload(self, config: str) -> None:
        """HandleReloadConfigRequest with a config in text format."""
        request = model_management_pb2.ReloadConfigRequest()
        text_format.Parse(config, request.config)
        self.model.HandleReloadConfigRequest(request, timeout=SECONDS)

    def metadata(
        self, model: str, version: int | None = None, fields: Iterable[str] = ("signature_def",)
    ) -> get_model_metadata_pb2.GetModelMetadataResponse:
        request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=fields)
        request.model_spec.name = model
        if version is not None:
            request.model_spec.version.value = version
        return self.prediction.GetModelMetadata(request, timeout=SECONDS)


def failure(call: Callable[[], object]) -> tuple[grpc.StatusCode, str]:
    """Code and text of a call that must fail."""
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value.code(), caught.value.details()
