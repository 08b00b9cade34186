"""NumPy's file format, in memory."""

import io

import numpy as np


def packed(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def unpacked(data: bytes) -> np.ndarray:
    array: np.ndarray = np.load(io.BytesIO(data))
    return array
