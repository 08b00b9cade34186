"""tensorflow.serving.PredictionService: the part of it that is not answered natively."""

import grpc

from fastserve import protos
from fastserve.errors import INVALID_ARGUMENT, ServingError
from fastserve.services.backend import ModelBackend
from fastserve.services.status import abort

SERVICE_NAME = "tensorflow.serving.PredictionService"

SIGNATURE_DEF = "signature_def"
"""The only metadata field there is."""


def model_metadata(
    backend: ModelBackend, request: protos.GetModelMetadataRequest
) -> protos.GetModelMetadataResponse:
    """Answers GetModelMetadata; the request is checked before the model is looked up.

    Raises ServingError.
    """
    if not request.HasField("model_spec"):
        raise ServingError(INVALID_ARGUMENT, "Missing ModelSpec")
    if not request.metadata_field:
        raise ServingError(
            INVALID_ARGUMENT, "GetModelMetadataRequest must specify at least one metadata_field"
        )
    for field in request.metadata_field:
        if field != SIGNATURE_DEF:
            raise ServingError(INVALID_ARGUMENT, f"Metadata field {field} is not supported")
    spec = request.model_spec
    if not spec.name:
        raise ServingError(INVALID_ARGUMENT, "ModelSpec has no name specified.")
    version = spec.version.value if spec.HasField("version") else None
    label = spec.version_label if spec.HasField("version_label") else None
    servable = backend.find_servable(spec.name, version, label)
    response = protos.GetModelMetadataResponse()
    response.model_spec.name = servable.name
    response.model_spec.version.value = servable.version
    # The bytes are a serialized SignatureDefMap already: packing needs no parse.
    entry = response.metadata[SIGNATURE_DEF]
    entry.type_url = f"type.googleapis.com/{protos.SignatureDefMap.DESCRIPTOR.full_name}"
    entry.value = servable.signature_def_map
    return response


class PredictionServicer:
    """The service over gRPC, without the methods that native code takes."""

    def __init__(self, backend: ModelBackend) -> None:
        self._backend = backend

    def GetModelMetadata(
        self, request: protos.GetModelMetadataRequest, context: grpc.ServicerContext
    ) -> protos.GetModelMetadataResponse:
        """Answers with the signatures of a model."""
        try:
            return model_metadata(self._backend, request)
        except ServingError as error:
            abort(context, error)
