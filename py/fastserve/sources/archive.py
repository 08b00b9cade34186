"""Versions in one archive behind a web address."""

from __future__ import annotations

import logging
import shutil
import tarfile
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from fastserve.config.models import VersionPolicy
from fastserve.sources import staging
from fastserve.sources.versions import (
    find_versions,
    is_complete,
    list_names,
    select_versions,
)

_LOGGER = logging.getLogger(__name__)

_NOTE = "archive"
_CONDITIONS = {"ETag": "If-None-Match", "Last-Modified": "If-Modified-Since"}
"""What an answer tells of a state -> how a request asks for another one only."""
_TIMEOUT_S = 60.0


class Archive:
    """A tar archive, compressed or not, of version directories; of one SavedModel, as version 1.

    The directories may be at its top or in a folder there. It is fetched again when the server says
    that it is another one.
    """

    def __init__(self, url: str) -> None:
        self._url = url

    def stage(self, folder: Path, policy: VersionPolicy) -> None:
        """Makes `folder` hold the versions that the policy wants.

        Raises OSError for an answer that is not the archive, tarfile.TarError for a broken one.
        """
        note = staging.read_note(folder, _NOTE) or {}
        is_staged = note.get("policy") == repr(policy) and staging.staged(folder)
        conditions = note["conditions"] if is_staged else {}
        request = urllib.request.Request(self._url, headers=conditions)
        with staging.scratch(folder) as scratch:
            try:
                conditions = _download(request, scratch / "archive")
            except urllib.error.HTTPError as error:
                if error.code == 304:
                    return
                raise
            content = scratch / "content"
            with tarfile.open(scratch / "archive") as archive:
                archive.extractall(content, filter="data")
            versions = _versions(content, policy)
            if not versions:
                raise FileNotFoundError("the archive holds no version that is wanted")
            for name, path in versions.items():
                staging.put(folder, name, path)
        for name in staging.staged(folder) - versions.keys():
            staging.remove(folder, name)
        staging.write_note(folder, _NOTE, {"policy": repr(policy), "conditions": conditions})
        _LOGGER.info("Staged %s: versions %s", self._url, ", ".join(sorted(versions)))


def _download(request: urllib.request.Request, target: Path) -> dict[str, str]:
    """Writes a body to `target`; returns the headers of a request for another one than this."""
    with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer, target.open("wb") as file:
        shutil.copyfileobj(answer, file)
        length = answer.headers.get("Content-Length")
        if length is not None and file.tell() != int(length):
            raise OSError(f"the archive came as {file.tell()} bytes, not {length}")
        return {
            condition: answer.headers[header]
            for header, condition in _CONDITIONS.items()
            if header in answer.headers
        }


def _versions(content: Path, policy: VersionPolicy) -> Mapping[str, Path]:
    """Returns the wanted versions of what was unpacked: name -> path."""
    entries = list(content.iterdir())
    if is_complete(str(content)):
        return {"1": content}
    found = find_versions(str(content), list_names(str(content)), policy).paths
    whole = {number: Path(path) for number, path in found.items() if is_complete(path)}
    if not whole and len(entries) == 1 and entries[0].is_dir():
        return _versions(entries[0], policy)
    return {whole[number].name: whole[number] for number in select_versions(policy, whole)}
