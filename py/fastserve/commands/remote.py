"""A running server, as the commands see it: over gRPC or REST."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import grpc
from google.protobuf import json_format

from fastserve import protos
from fastserve.commands import tensors
from fastserve.commands.credentials import Credentials
from fastserve.commands.outcome import CommandError
from fastserve.commands.tensors import Array
from fastserve.services import model_service, prediction_service
from fastserve.services.example_request import model_path

GRPC_SERVER = "localhost:8500"
REST_SERVER = "localhost:8501"

_UNLIMITED = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """Which version of which model; neither version nor label: the one served by default."""

    name: str
    version: int | None = None
    label: str | None = None


class Server(Protocol):
    """What can be asked of a server over either protocol. Every method raises CommandError."""

    def signatures(self, model: ModelChoice) -> Mapping[str, Any]:
        """Returns the SignatureDefs of a model by their names."""
        ...

    def predict(
        self, model: ModelChoice, name: str, signature: Any, inputs: Mapping[str, Array]
    ) -> dict[str, Array]:
        """Returns the outputs of the signature called `name` for inputs of its dtypes."""
        ...


class GrpcServer:
    """A server's gRPC port."""

    def __init__(self, address: str, timeout_s: float, credentials: Credentials) -> None:
        """`address` is what grpcio takes (`host:port`, `unix:/path`), `timeout_s` for each call."""
        self._address = address
        self._timeout_s = timeout_s
        self._credentials = credentials

    def signatures(self, model: ModelChoice) -> Mapping[str, Any]:
        """As Server has it."""
        request = protos.GetModelMetadataRequest(
            model_spec=_spec(model), metadata_field=[prediction_service.SIGNATURE_DEF]
        )
        response = self._call(prediction_service.SERVICE_NAME, "GetModelMetadata", request)
        signatures = protos.SignatureDefMap()
        response.metadata[prediction_service.SIGNATURE_DEF].Unpack(signatures)
        return _named(signatures)

    def predict(
        self, model: ModelChoice, name: str, signature: Any, inputs: Mapping[str, Array]
    ) -> dict[str, Array]:
        """As Server has it."""
        request = protos.PredictRequest(model_spec=_spec(model))
        request.model_spec.signature_name = name
        for alias, array in inputs.items():
            proto = tensors.to_proto(array, signature.inputs[alias].dtype)
            request.inputs[alias].CopyFrom(proto)
        response = self._call(prediction_service.SERVICE_NAME, "Predict", request)
        return {
            alias: tensors.from_proto(f"output {alias}", proto)
            for alias, proto in sorted(response.outputs.items())
        }

    def status(self, model: ModelChoice) -> Any:
        """Returns a model's GetModelStatusResponse."""
        request = protos.GetModelStatusRequest(model_spec=_spec(model))
        return self._call(model_service.SERVICE_NAME, "GetModelStatus", request)

    def _call(self, service: str, method: str, request: Any) -> Any:
        response_class = protos.message_class(
            protos.service(service).methods_by_name[method].output_type
        )
        metadata = tuple(self._credentials.fields.items())
        with open_channel(self._address, self._credentials) as channel:
            call = channel.unary_unary(
                f"/{service}/{method}",
                request_serializer=type(request).SerializeToString,
                response_deserializer=response_class.FromString,
            )
            try:
                return call(request, timeout=self._timeout_s, metadata=metadata)
            except grpc.RpcError as error:
                text = f"{self._address}: {error.code().name}: {error.details()}"
                raise CommandError(text) from None


class RestServer:
    """A server's HTTP port."""

    def __init__(self, address: str, timeout_s: float, credentials: Credentials) -> None:
        """`address` is `host:port`. `timeout_s` is for each wait for the server."""
        self._address = address
        self._timeout_s = timeout_s
        self._headers = {"Accept": "application/json", **credentials.fields}
        self._tls = credentials.tls

    def signatures(self, model: ModelChoice) -> Mapping[str, Any]:
        """As Server has it."""
        metadata = self._call("GET", f"{_path(model)}/metadata", "metadata")
        signatures = protos.SignatureDefMap()
        json_format.ParseDict(
            metadata[prediction_service.SIGNATURE_DEF], signatures, ignore_unknown_fields=True
        )
        return _named(signatures)

    def predict(
        self, model: ModelChoice, name: str, signature: Any, inputs: Mapping[str, Array]
    ) -> dict[str, Array]:
        """As Server has it."""
        values = {alias: tensors.to_json(array) for alias, array in inputs.items()}
        body = json.dumps({"signature_name": name, "inputs": values}).encode()
        outputs = self._call("POST", f"{_path(model)}:predict", "outputs", body)
        if len(signature.outputs) == 1:
            outputs = dict.fromkeys(signature.outputs, outputs)
        return {
            alias: tensors.from_json(f"output {alias}", value, signature.outputs[alias].dtype)
            for alias, value in sorted(outputs.items())
        }

    def models(self) -> Any:
        """Returns the server's ModelList."""
        models = {"models": self._call("GET", "/v1/models", "models")}
        return json_format.ParseDict(models, protos.ModelList(), ignore_unknown_fields=True)

    def _call(self, verb: str, path: str, member: str, body: bytes | None = None) -> Any:
        """Returns that member of the answer."""
        connection = self._connection()
        try:
            connection.request(verb, path, body, self._headers)
            response = connection.getresponse()
            text = response.read()
        except OSError as error:
            raise CommandError(f"{self._address}: {error}") from None
        except http.client.HTTPException:
            reason = "the answer is not HTTP; is this the server's REST port?"
            raise CommandError(f"{self._address}: {reason}") from None
        finally:
            connection.close()
        answer = _json_object(text)
        if response.status != http.client.OK:
            status = f"{response.status} {response.reason}"
            raise CommandError(f"{self._address}: {status}: {answer.get('error', '')}")
        if member not in answer:
            raise CommandError(f"{self._address}: this is no answer of a model server")
        return answer[member]

    def _connection(self) -> http.client.HTTPConnection:
        if self._tls is None:
            return http.client.HTTPConnection(self._address, timeout=self._timeout_s)
        return http.client.HTTPSConnection(
            self._address, timeout=self._timeout_s, context=self._tls.context
        )


def open_channel(address: str, credentials: Credentials) -> grpc.Channel:
    """Returns a channel to a gRPC port, for messages of any length; tokens go with the calls."""
    if credentials.tls is None:
        return grpc.insecure_channel(address, options=_UNLIMITED)
    return grpc.secure_channel(address, credentials.tls.channel, options=_UNLIMITED)


def _json_object(text: bytes) -> dict[str, Any]:
    """Returns a JSON object; an empty one for what is none. Strings of models may be any bytes."""
    try:
        value = json.loads(text.decode("utf-8", "surrogateescape"))
    except json.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}


def _spec(model: ModelChoice) -> Any:
    spec = protos.ModelSpec(name=model.name)
    if model.version is not None:
        spec.version.value = model.version
    if model.label is not None:
        spec.version_label = model.label
    return spec


def _path(model: ModelChoice) -> str:
    return model_path(model.name, model.version, model.label)


def _named(signatures: Any) -> Mapping[str, Any]:
    return dict(signatures.signature_def)
