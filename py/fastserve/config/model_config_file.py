"""Which models to serve, out of a ModelServerConfig: of a file, or of a request to reload."""

from __future__ import annotations

import functools
import logging
from typing import Any

from fastserve import protos
from fastserve.config.models import (
    AllPolicy,
    LatestPolicy,
    ModelConfig,
    SpecificPolicy,
    Transitions,
    VersionPolicy,
    check_unique,
)
from fastserve.config.text_proto import read_text_proto
from fastserve.errors import FAILED_PRECONDITION, ConfigError, ServingError

_LOGGER = logging.getLogger(__name__)

_PLATFORM = "tensorflow"
_MODEL_TYPE_TENSORFLOW = 1


def read_model_config_file(path: str) -> protos.ModelServerConfig:
    """Returns what a file in text format holds; raises ServingError as read_text_proto() does."""
    return read_text_proto(path, protos.ModelServerConfig)


def check_transition(old: protos.ModelServerConfig, new: protos.ModelServerConfig) -> None:
    """Raises ServingError where `new` may not follow `old`, an empty one before the first.

    A list of models gives way to another list only: to an empty one, but not to a file that names
    none by mistake.
    """
    kind = "model_config_list"
    if old.WhichOneof("config") is not None and not (old.HasField(kind) and new.HasField(kind)):
        raise ServingError(
            FAILED_PRECONDITION,
            "Cannot transition to requested config. It is only legal to transition from one "
            "ModelConfigList to another.",
        )


def models_from_proto(
    config: protos.ModelServerConfig,
    *,
    transitions: Transitions,
    allow_unavailable_labels: bool = False,
) -> tuple[ModelConfig, ...]:
    """Returns the models that `config` lists, none where it is empty. Raises ServingError.

    `allow_unavailable_labels`: a label may be for a version that the model's own policy leaves out.
    """
    if config.HasField("custom_model_config"):
        raise ConfigError(
            "ModelServer does not yet support custom model config; list the models in "
            "model_config_list"
        )
    listed = config.model_config_list.config
    check_unique(model.name for model in listed)
    models = tuple(_model(model, transitions) for model in listed)
    for model in listed:
        _check_platform(model)
    if not allow_unavailable_labels:
        for made in models:
            _check_labels(made)
    if logged := [model.name for model in listed if model.HasField("logging_config")]:
        _warn_once(f"logging_config of {', '.join(logged)} has no effect: requests are not logged")
    return models


def _model(model: Any, transitions: Transitions) -> ModelConfig:
    made = ModelConfig(
        name=model.name,
        base_path=model.base_path,
        version_policy=_version_policy(model),
        version_labels=dict(model.version_labels),
        transition=transitions.of(model.name),
    )
    for label, version in made.version_labels.items():
        if version < 0:
            raise ConfigError(
                f"label {label} of model {made.name} is for version {version}; versions are 0 or "
                "more"
            )
    return made


def _check_platform(model: Any) -> None:
    """Raises ConfigError, in the words of model_servers/server_core.cc."""
    fields = "ModelServerConfig::model_type (deprecated)", "ModelServerConfig::model_platform"
    if model.model_type and model.model_platform:
        raise ConfigError(
            f"Illegal setting both {fields[0]} and {fields[1]}, model name is {model.name}"
        )
    if not model.model_type and not model.model_platform:
        raise ConfigError(
            f"Illegal setting neither {fields[0]} nor {fields[1]}, model name is {model.name}"
        )
    if model.model_platform and model.model_platform != _PLATFORM:
        raise ConfigError(
            f"Model {model.name} requests unsupported platform {model.model_platform}"
        )
    if model.model_type:
        if model.model_type != _MODEL_TYPE_TENSORFLOW:
            raise ConfigError(
                f"ModelServerConfig::model_type choice {model.model_type} not supported."
            )
        _warn_once(
            f"model {model.name} sets model_type, which is deprecated; set model_platform: "
            f"'{_PLATFORM}' instead"
        )


def _version_policy(model: Any) -> VersionPolicy:
    policy = model.model_version_policy
    choice = policy.WhichOneof("policy_choice")
    if choice == "all":
        return AllPolicy()
    if choice == "specific":
        versions = frozenset(policy.specific.versions)
        if versions and min(versions) < 0:
            raise ConfigError(
                f"the specific policy of model {model.name} lists version {min(versions)}; "
                "versions are 0 or more"
            )
        return SpecificPolicy(versions)
    return LatestPolicy(num_versions=policy.latest.num_versions or 1)


def _check_labels(model: ModelConfig) -> None:
    policy = model.version_policy
    if not isinstance(policy, SpecificPolicy):
        return
    for label, version in model.version_labels.items():
        if version not in policy.versions:
            raise ServingError(
                FAILED_PRECONDITION,
                f"Request to assign label to version {version} of model {model.name}, which is "
                f"not currently available for inference: label {label} is for a version that the "
                "model's own specific policy does not list",
            )


@functools.lru_cache(maxsize=1024)
def _warn_once(text: str) -> None:
    """Logs a warning that would come again whenever the file is polled."""
    _LOGGER.warning("%s", text)
