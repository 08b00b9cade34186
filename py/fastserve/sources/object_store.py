"""Versions as directories in an object store, read by fsspec and its drivers."""

from __future__ import annotations

import importlib
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastserve.config.models import VersionPolicy
from fastserve.errors import FAILED_PRECONDITION, ServingError
from fastserve.sources import staging
from fastserve.sources.versions import MAIN_FILES, find_versions, select_versions

_LOGGER = logging.getLogger(__name__)

_TAGS = ("ETag", "etag", "md5Hash", "crc32c", "LastModified", "updated")
"""Where drivers tell what changes with an object's content."""

Listing = Mapping[str, tuple[int, str]]
"""Name below the version's -> size and tag of every object."""


class ObjectStore:
    """The versions below one URI, such as s3://bucket/models/mnist.

    Credentials and endpoints are those that the driver finds by itself: environment variables,
    configuration files, the machine's role.
    """

    def __init__(self, uri: str) -> None:
        """Raises ServingError when fsspec or the scheme's driver is not installed."""
        try:
            fsspec = importlib.import_module("fsspec")
            self._files, self._root = fsspec.core.url_to_fs(uri)
        except ImportError as error:
            raise ServingError(
                FAILED_PRECONDITION,
                f"{uri} cannot be read without a driver ({error}): pip install 'fastserve[remote]'",
            ) from error
        self._seen: dict[str, Listing] = {}
        self._looked = False

    def stage(self, folder: Path, policy: VersionPolicy) -> None:
        """Makes `folder` hold the versions that the policy wants.

        A version is taken up when two looks in a row find the same in it; the first look takes what
        it finds. Raises what the driver raises, mostly OSError.
        """
        self._files.invalidate_cache()
        names = [os.fsencode(entry.rstrip("/").rpartition("/")[2]) for entry in self._entries()]
        paths = find_versions("", sorted(names), policy).paths
        trusting, self._looked = not self._looked, True
        whole: dict[int, str] = {}
        before, self._seen = self._seen, {}
        for version, name in paths.items():
            listing = self._list(name)
            if MAIN_FILES.isdisjoint(listing):
                continue
            self._seen[name] = listing
            if trusting or before.get(name) == listing or self._is_staged(folder, name):
                whole[version] = name
        wanted = {whole[version] for version in select_versions(policy, whole)}
        for name in sorted(wanted):
            self._fetch(folder, name)
        if len(whole) == len(self._seen):  # Nothing there is still being written.
            for name in staging.staged(folder) - wanted:
                staging.remove(folder, name)

    def _path(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}"

    def _is_staged(self, folder: Path, name: str) -> bool:
        note = staging.read_note(folder, name)
        return (folder / name).is_dir() and note == _as_json(self._seen[name])

    def _entries(self) -> list[str]:
        return list(self._files.ls(self._root, detail=False))

    def _list(self, name: str) -> Listing:
        root = self._path(name)
        found: Mapping[str, Any] = self._files.find(root, detail=True)
        return {
            path[path.index(root) + len(root) + 1 :]: (int(info["size"]), _tag(info))
            for path, info in found.items()
        }

    def _fetch(self, folder: Path, name: str) -> None:
        """Stages one version, unless what is staged is what the store has."""
        if self._is_staged(folder, name):
            return
        listing = self._seen[name]
        with staging.scratch(folder) as scratch:
            version = scratch / name
            for path, (size, _) in listing.items():
                target = version / path
                target.parent.mkdir(parents=True, exist_ok=True)
                self._files.get_file(f"{self._path(name)}/{path}", str(target))
                if (came := target.stat().st_size) != size:
                    raise OSError(f"{name}/{path} came as {came} bytes, not {size}")
            if self._list(name) != listing:
                raise OSError(f"version {name} changed while it was read")
            staging.put(folder, name, version)
        staging.write_note(folder, name, _as_json(listing))
        _LOGGER.info("Staged version %s of %s", name, self._root)


def _tag(info: Mapping[str, Any]) -> str:
    return next((str(info[key]) for key in _TAGS if info.get(key)), "")


def _as_json(listing: Listing) -> dict[str, list[Any]]:
    return {path: list(value) for path, value in listing.items()}
