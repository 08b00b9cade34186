"""Image files as inputs of models. Needs Pillow, which is an extra."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from fastserve.commands.outcome import CommandError
from fastserve.commands.tensors import Array

SUFFIXES: Final = (".png", ".jpg", ".jpeg")

_MODES: Final = {1: "L", 3: "RGB", 4: "RGBA"}
"""Pillow's mode for a number of channels."""


def read_image(path: str, shape: Any, *, resize: bool, scale: float) -> Array:
    """Returns an image as an array of the shape that an input has, a TensorShapeProto.

    That is [height, width, channels], or the same behind a batch dimension (of 1 then), or any
    other one with as many elements. Values are 0 to 255, times `scale`: floats unless it is 1. With
    `resize` the image takes on the height and width that are asked for. Raises CommandError.
    """
    dims = [dim.size for dim in shape.dim]
    asked = tuple(dims[-3:]) if len(dims) in (3, 4) else (-1, -1, -1)
    array = _pixels(path, asked, resize=resize)
    if any(wanted not in (-1, size) for wanted, size in zip(asked, array.shape, strict=True)):
        hint = "" if resize else " (--resize changes height and width)"
        raise CommandError(f"{path} has the shape {list(array.shape)}, the input {dims}{hint}")
    if scale != 1:
        array = (array * scale).astype(np.float32)
    if len(dims) == 3:
        return array
    if len(dims) == 4 or shape.unknown_rank:
        return array[np.newaxis]
    wanted = [1 if size < 0 else size for size in dims]
    if math.prod(wanted) != array.size:
        text = f"{path} has the shape {list(array.shape)}, which does not fill the input's {dims}"
        raise CommandError(text)
    return array.reshape(wanted)


def _pixels(path: str, asked: tuple[int, ...], *, resize: bool) -> Array:
    """Returns [height, width, channels] in bytes; -1 asks for what the image has itself."""
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError:
        raise CommandError(
            f"{path} is an image for a numeric input, which needs Pillow (pip install "
            "'fastserve[images]'); only a string input takes the file's bytes as they are"
        ) from None
    height, width, channels = asked
    try:
        with Image.open(path) as opened:
            own = "L" if opened.mode in ("1", "L") else "RGB"
            image = opened.convert(_MODES.get(channels, own))
    except (UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise CommandError(str(error)) from None
    if resize and -1 not in (height, width):
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    array = np.asarray(image)
    return array[:, :, np.newaxis] if array.ndim == 2 else array
