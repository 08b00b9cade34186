"""All models of the server, as REST lists them."""

from __future__ import annotations

from fastserve import protos
from fastserve.services.backend import ModelBackend
from fastserve.services.model_service import version_statuses


def model_list(backend: ModelBackend) -> protos.ModelList:
    """Returns every model with its labels and the states of its versions."""
    models = protos.ModelList()
    for info in backend.models():
        error = info.error
        models.models.add(
            name=info.name,
            version_labels=info.labels,
            model_version_status=version_statuses(info.versions),
            status=protos.StatusProto(
                error_code=error.code if error else 0,
                error_message=error.message if error else "",
            ),
        )
    return models
