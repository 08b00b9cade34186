"""Which models to serve, out of a ModelServerConfig: of a file, or of a request to reload."""

from __future__ import annotations

import functools
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from fastserve import protos
from fastserve.config.models import (
    TENSORFLOW_PLATFORM,
    AllPolicy,
    LatestPolicy,
    ModelConfig,
    SpecificPolicy,
    Transitions,
    VersionPolicy,
    check_unique,
)
from fastserve.config.request_log import request_log_from_proto
from fastserve.config.text_proto import read_text_proto
from fastserve.errors import FAILED_PRECONDITION, ConfigError, ServingError

_LOGGER = logging.getLogger(__name__)

_MODEL_TYPE_TENSORFLOW = 1


def read_model_config_file(path: str) -> protos.ModelServerConfig:
    """Returns what a file in text format holds; raises ServingError as read_text_proto() does."""
    return read_text_proto(path, protos.ModelServerConfig)


def single_model_config(name: str, base_path: str) -> protos.ModelServerConfig:
    """Returns what the flags --model_name and --model_base_path stand for."""
    config = protos.ModelServerConfig()
    config.model_config_list.config.add(
        name=name, base_path=base_path, model_platform=TENSORFLOW_PLATFORM
    )
    return config


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
    platforms: Collection[str] = (TENSORFLOW_PLATFORM,),
    present_platforms: Mapping[str, str] | None = None,
    allow_unavailable_labels: bool = False,
) -> tuple[ModelConfig, ...]:
    """Returns the models that `config` lists, none where it is empty. Raises ServingError.

    `platforms`: those that the server has. `present_platforms`: model -> platform of the
    configuration that this one is to follow. `allow_unavailable_labels`: a label may be for a
    version that the model's own policy leaves out.
    """
    if config.HasField("custom_model_config"):
        raise ConfigError(
            "ModelServer does not yet support custom model config; list the models in "
            "model_config_list"
        )
    listed = config.model_config_list.config
    check_unique(model.name for model in listed)
    models = tuple(_model(model, transitions) for model in listed)
    models = tuple(
        replace(made, platform=_platform(model)) for made, model in zip(models, listed, strict=True)
    )
    _check_platforms(models, platforms, present_platforms or {})
    if not allow_unavailable_labels:
        for made in models:
            _check_labels(made)
    for model, made in zip(listed, models, strict=True):
        if model.HasField("logging_config") and made.request_log is None:
            _warn_once(
                f"logging_config of {made.name} has no effect: it has no filename_prefix in a "
                "log_collector_config"
            )
    return models


def _model(model: Any, transitions: Transitions) -> ModelConfig:
    made = ModelConfig(
        name=model.name,
        base_path=model.base_path,
        version_policy=_version_policy(model),
        version_labels=dict(model.version_labels),
        transition=transitions.of(model.name),
        request_log=request_log_from_proto(model.name, model.logging_config),
    )
    for label, version in made.version_labels.items():
        if version < 0:
            raise ConfigError(
                f"label {label} of model {made.name} is for version {version}; versions are 0 or "
                "more"
            )
    return made


def _platform(model: Any) -> str:
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
    if not model.model_type:
        return str(model.model_platform)
    if model.model_type != _MODEL_TYPE_TENSORFLOW:
        raise ConfigError(f"ModelServerConfig::model_type choice {model.model_type} not supported.")
    _warn_once(
        f"model {model.name} sets model_type, which is deprecated; set model_platform: "
        f"'{TENSORFLOW_PLATFORM}' instead"
    )
    return TENSORFLOW_PLATFORM


def _check_platforms(
    models: Sequence[ModelConfig], platforms: Collection[str], present: Mapping[str, str]
) -> None:
    """Raises ConfigError, in the words and order of model_servers/server_core.cc."""
    for model in models:
        if (old := present.get(model.name, model.platform)) != model.platform:
            raise ConfigError(
                f"Illegal to change a model's platform. For model {model.name} platform was {old} "
                f"and new platform requested is {model.platform}"
            )
    for model in models:
        if model.platform not in platforms:
            raise ConfigError(f"Model {model.name} requests unsupported platform {model.platform}")


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
