"""Image files become inputs of the shape that a signature states."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fastserve import protos
from fastserve.commands.images import read_image
from fastserve.commands.outcome import CommandError

GREY = np.arange(6, dtype=np.uint8).reshape(2, 3)
COLOURS = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)


@pytest.fixture
def image(tmp_path: Path) -> Any:
    """Writes pixels as a file and returns its path."""

    def write(pixels: Any, name: str = "image.png") -> str:
        path = tmp_path / name
        Image.fromarray(pixels).save(path)
        return str(path)

    return write


def shape(*dims: int) -> Any:
    return protos.TensorShapeProto(dim=[{"size": size} for size in dims])


def read(path: str, wanted: Any, *, resize: bool = False, scale: float = 1.0) -> Any:
    return read_image(path, wanted, resize=resize, scale=scale)


@pytest.mark.parametrize(
    ("wanted", "result"),
    [
        (shape(-1, 2, 3, 1), (1, 2, 3, 1)),
        (shape(-1, -1, -1, -1), (1, 2, 3, 1)),
        (shape(2, 3, 1), (2, 3, 1)),
        (shape(-1, 6), (1, 6)),
        (shape(6), (6,)),
        (protos.TensorShapeProto(unknown_rank=True), (1, 2, 3, 1)),
    ],
)
def test_pixels_take_the_shape_of_the_input(image: Any, wanted: Any, result: Any) -> None:
    array = read(image(GREY), wanted)
    assert (array.dtype, array.shape) == (np.uint8, result)
    np.testing.assert_array_equal(array.ravel(), GREY.ravel())


def test_channels_are_those_of_the_input_and_otherwise_the_image(image: Any) -> None:
    path = image(COLOURS)
    np.testing.assert_array_equal(read(path, shape(-1, -1, 4)), COLOURS)
    np.testing.assert_array_equal(read(path, shape(-1, -1, 3)), COLOURS[:, :, :3])
    np.testing.assert_array_equal(read(path, shape(-1, -1, -1)), COLOURS[:, :, :3])
    assert read(path, shape(-1, -1, 1)).shape == (2, 3, 1)


def test_values_are_scaled_on_demand(image: Any) -> None:
    array = read(image(GREY), shape(2, 3, 1), scale=0.5)
    assert array.dtype == np.float32
    np.testing.assert_array_equal(array[:, :, 0], GREY / 2)


def test_size_is_changed_on_demand_alone(image: Any) -> None:
    path = image(GREY, "image.jpg")
    assert read(path, shape(-1, 5, 4, 3), resize=True).shape == (1, 5, 4, 3)
    with pytest.raises(CommandError) as caught:
        read(path, shape(-1, 5, 4, 3))
    assert str(caught.value) == (
        f"{path} has the shape [2, 3, 3], the input [-1, 5, 4, 3] "
        "(--resize changes height and width)"
    )


@pytest.mark.parametrize(
    ("wanted", "error"),
    [
        (shape(2, 3, 2), "has the shape [2, 3, 1], the input [2, 3, 2]"),
        (shape(-1, 7), "has the shape [2, 3, 1], which does not fill the input's [-1, 7]"),
        (shape(), "has the shape [2, 3, 1], which does not fill the input's []"),
    ],
)
def test_image_that_cannot_be_the_input_is_refused(image: Any, wanted: Any, error: str) -> None:
    path = image(GREY)
    with pytest.raises(CommandError) as caught:
        read(path, wanted, resize=True)
    assert str(caught.value) == f"{path} {error}"


def test_file_that_is_no_image_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "image.png"
    path.write_text("text")
    with pytest.raises(CommandError, match=f"cannot identify image file '{path}'"):
        read(str(path), shape(1))


def test_missing_pillow_is_named(image: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    path = image(GREY)
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(CommandError, match=r"needs Pillow \(pip install 'fastserve\[images\]'\)"):
        read(path, shape(6))
