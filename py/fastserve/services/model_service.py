"""tensorflow.serving.ModelService: the states of a model's versions, and a new configuration."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias

import grpc

from fastserve import protos
from fastserve.errors import INVALID_ARGUMENT, NOT_FOUND, ServingError
from fastserve.observe import serving_page
from fastserve.services.backend import ModelBackend, VersionStatus
from fastserve.services.status import abort

SERVICE_NAME = "tensorflow.serving.ModelService"


_RELOAD_THREADS = 8

Reload: TypeAlias = Callable[[protos.ModelServerConfig], None]
"""Puts a configuration into force and waits for its new models; raises ServingError."""


def model_status(
    backend: ModelBackend, request: protos.GetModelStatusRequest
) -> protos.GetModelStatusResponse:
    """Answers GetModelStatus: the version asked for, or all of them with the highest first.

    A version label in the model spec is ignored. Raises ServingError.
    """
    if not request.HasField("model_spec"):
        raise ServingError(INVALID_ARGUMENT, "Missing ModelSpec")
    spec = request.model_spec
    statuses = backend.model_version_states(spec.name)
    if spec.HasField("version"):
        version = spec.version.value
        statuses = [status for status in statuses if status.version == version]
        missing = f"Could not find version {version} of model {spec.name}"
    else:
        missing = f"Could not find any versions of model {spec.name}"
    if not statuses:
        raise ServingError(NOT_FOUND, missing)
    return protos.GetModelStatusResponse(model_version_status=version_statuses(statuses))


def version_statuses(statuses: Sequence[VersionStatus]) -> list[protos.ModelVersionStatus]:
    """Returns the states of versions as messages, the highest version first."""
    return [
        protos.ModelVersionStatus(
            version=status.version,
            state=status.state,
            # Set, even where both fields have their defaults: JSON shows it.
            status=protos.StatusProto(
                error_code=status.error_code, error_message=status.error_message
            ),
        )
        for status in sorted(statuses, key=lambda status: status.version, reverse=True)
    ]


class ModelServicer:
    """The service over gRPC."""

    def __init__(self, backend: ModelBackend, reload: Reload) -> None:
        self._backend = backend
        self.HandleReloadConfigRequest = _ReloadMethod(reload)

    def GetModelStatus(
        self, request: protos.GetModelStatusRequest, context: grpc.ServicerContext
    ) -> protos.GetModelStatusResponse:
        """Answers with the states of a model's versions."""
        try:
            return model_status(self._backend, request)
        except ServingError as error:
            abort(context, error)


class _ReloadMethod:
    """HandleReloadConfigRequest. It may take as long as models take to load."""

    def __init__(self, reload: Reload) -> None:
        self._reload = reload
        # Threads apart, as grpcio has it: calls that wait for models leave the others theirs.
        self.experimental_thread_pool = ThreadPoolExecutor(_RELOAD_THREADS, "fastserve-reload")

    def __call__(
        self, request: protos.ReloadConfigRequest, context: grpc.ServicerContext
    ) -> protos.ReloadConfigResponse:
        before = serving_page.counter_values(request.metric_names)
        try:
            if request.config.WhichOneof("config") != "model_config_list":
                raise ServingError(
                    INVALID_ARGUMENT,
                    "ServerModelConfig type not supported by HandleReloadConfigRequest. "
                    "Only ModelConfigList is currently supported",
                )
            self._reload(request.config)
        except ServingError as error:
            abort(context, error)
        response = protos.ReloadConfigResponse()
        response.status.SetInParent()
        for name, value in serving_page.counter_values(request.metric_names).items():
            response.metric.add(name=name, int64_value_increase=value - before[name])
        return response
