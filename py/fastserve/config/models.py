"""Which models are served, which of their versions, and how one version follows another."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TypeAlias

from fastserve.config.request_log import RequestLogConfig
from fastserve.errors import ConfigError

TENSORFLOW_PLATFORM = "tensorflow"
"""The platform of a model that flags name, and the only one without a platform config file."""

_URI = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_REMOTE_SCHEMES = ("s3", "gs", "oss", "http", "https")


@dataclass(frozen=True, slots=True, kw_only=True)
class LatestPolicy:
    """Serve the versions with the highest numbers."""

    num_versions: int = 1

    def __post_init__(self) -> None:
        if self.num_versions < 1:
            raise ConfigError(
                f"the latest policy asks for {self.num_versions} versions; it must be at least 1"
            )


@dataclass(frozen=True, slots=True)
class AllPolicy:
    """Serve every version there is."""


@dataclass(frozen=True, slots=True)
class SpecificPolicy:
    """Serve these versions, as far as they are there."""

    versions: frozenset[int]


VersionPolicy: TypeAlias = LatestPolicy | AllPolicy | SpecificPolicy


class TransitionPolicy(Enum):
    """In which order new versions come and old ones go."""

    AVAILABILITY_PRESERVING = "availability_preserving"
    """A new version serves before an old one leaves: both are in memory for a while."""
    RESOURCE_PRESERVING = "resource_preserving"
    """Old versions leave before a new one is loaded: nothing serves for a while."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transitions:
    """The transition policy of every model, by its name."""

    default: TransitionPolicy = TransitionPolicy.AVAILABILITY_PRESERVING
    exceptions: Mapping[str, TransitionPolicy] = field(default_factory=dict)
    """Model name -> policy."""

    @classmethod
    def parse(cls, text: str) -> Transitions:
        """Reads a default and exceptions, as `availability_preserving,big=resource_preserving`.

        Either may be missing. Raises ConfigError.
        """
        policies: dict[str, TransitionPolicy] = {}
        for entry in text.split(","):
            model, equals, name = entry.rpartition("=")
            try:
                policy = TransitionPolicy(name)
            except ValueError:
                raise _bad_transitions(text, f"{name!r} is no policy") from None
            if equals and not model:
                raise _bad_transitions(text, f"{entry} names no model")
            if model in policies:
                what = f"model {model} is" if model else "the default is"
                raise _bad_transitions(text, f"{what} there twice")
            policies[model] = policy
        default = policies.pop("", TransitionPolicy.AVAILABILITY_PRESERVING)
        return cls(default=default, exceptions=policies)

    def of(self, model_name: str) -> TransitionPolicy:
        """Returns the policy of one model."""
        return self.exceptions.get(model_name, self.default)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """One served model."""

    name: str
    base_path: str
    """Absolute path, or URI, of what holds one directory a version."""
    platform: str = TENSORFLOW_PLATFORM
    """Which of the server's PlatformConfigs it is loaded by."""
    version_policy: VersionPolicy = field(default_factory=LatestPolicy)
    version_labels: Mapping[str, int] = field(default_factory=dict)
    """Label -> version."""
    transition: TransitionPolicy = TransitionPolicy.AVAILABILITY_PRESERVING
    request_log: RequestLogConfig | None = None
    """Which requests are written down; None: none."""

    def __post_init__(self) -> None:
        if not self.name:
            raise ConfigError("the model name is empty; no request could name the model")
        uri = _URI.match(self.base_path)
        if uri and uri[1] not in _REMOTE_SCHEMES:
            raise ConfigError(
                f"base path {self.base_path} of model {self.name} is a URI of a kind that cannot "
                f"be read; it may be one of {', '.join(_REMOTE_SCHEMES)}, or a path"
            )
        if not uri and not self.base_path.startswith("/"):
            raise ConfigError(
                f"Expected model {self.name} to have an absolute path or URI; "
                f"got base_path()={self.base_path}"
            )

    @property
    def is_remote(self) -> bool:
        """Whether the base path is a URI, whose versions are staged before they are loaded."""
        return _URI.match(self.base_path) is not None


def check_unique(names: Iterable[str]) -> None:
    """Raises ConfigError where two models have one name."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ConfigError(f"Illegal to list model {name} multiple times in config list")
        seen.add(name)


def _bad_transitions(text: str, cause: str) -> ConfigError:
    names = " or ".join(policy.value for policy in TransitionPolicy)
    return ConfigError(
        f"--version_transition_policy is {text!r}: {cause}; it must be {names}, with exceptions "
        "as in availability_preserving,big=resource_preserving"
    )
