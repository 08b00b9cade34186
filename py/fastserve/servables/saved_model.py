"""Reads the main file of a SavedModel, without TensorFlow."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError

from fastserve import protos
from fastserve.config.text_proto import read_text_proto
from fastserve.errors import DATA_LOSS, NOT_FOUND, UNIMPLEMENTED, ServingError

BINARY, TEXT, CHUNKED = "saved_model.pb", "saved_model.pbtxt", "saved_model.cpb"


def main_file(directory: str | os.PathLike[str]) -> Path | None:
    """Returns the file that TensorFlow would load from a version directory; None: there is none."""
    candidates = (Path(directory, name) for name in (BINARY, CHUNKED, TEXT))
    return next((path for path in candidates if path.is_file()), None)


def read_saved_model(directory: str | os.PathLike[str], *, max_bytes: int | None = None) -> Any:
    """Returns the SavedModel of a version directory, its graphs included.

    That holds the GIL: None for a file larger than `max_bytes`. Raises ServingError that names the
    file.
    """
    path = main_file(directory)
    if path is None:
        raise ServingError(NOT_FOUND, f"{directory} holds neither {BINARY} nor {TEXT}")
    if path.name == CHUNKED:
        raise ServingError(UNIMPLEMENTED, f"{path} is in chunks, which only TensorFlow reads")
    try:
        if max_bytes is not None and path.stat().st_size > max_bytes:
            return None
        if path.name == TEXT:
            return read_text_proto(str(path), protos.SavedModel)
        return protos.SavedModel.FromString(path.read_bytes())
    except DecodeError as error:
        raise ServingError(DATA_LOSS, f"{path} is not a SavedModel: {error}") from None
    except OSError as error:
        raise ServingError(NOT_FOUND, f"{path}: {error.strerror}") from None
