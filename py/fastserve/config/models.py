"""Which models are served, and which of their versions."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TypeAlias

from fastserve.errors import ConfigError

_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


@dataclass(frozen=True, slots=True, kw_only=True)
class LatestPolicy:
    """Serve the versions with the highest numbers."""

    num_versions: int = 1

    def __post_init__(self) -> None:
        if self.num_versions < 1:
            raise ConfigError(
                f"the latest policy asks for {self.num_versions} versions; it must be at least 1"
            )


VersionPolicy: TypeAlias = LatestPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """One served model."""

    name: str
    base_path: str
    """Absolute path of the directory that holds one directory a version."""
    version_policy: VersionPolicy = field(default_factory=LatestPolicy)

    def __post_init__(self) -> None:
        if not self.name:
            raise ConfigError("the model name is empty; no request could name the model")
        if _URI.match(self.base_path):
            raise ConfigError(
                f"base path {self.base_path} of model {self.name} is a URI; only paths of the "
                "local file system can be read, so mount or copy the model there"
            )
        if not self.base_path.startswith("/"):
            raise ConfigError(
                f"Expected model {self.name} to have an absolute path or URI; "
                f"got base_path()={self.base_path}"
            )
