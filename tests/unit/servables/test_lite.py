"""What is said when TensorFlow Lite cannot be used, and how its requests are batched."""

import sys
from pathlib import Path

import pytest

from fastserve.config.server import LiteConfig
from fastserve.errors import FAILED_PRECONDITION, UNKNOWN, ServingError
from fastserve.servables.lite import FILE_NAME, batching_parameters, load_lite
from fastserve.servables.lite_model import LiteModel
from fastserve.servables.runtime import load_runtime


def load(version: Path) -> ServingError:
    with pytest.raises(ServingError) as raised:
        load_lite(load_runtime(), name="m", version=1, path=str(version), config=LiteConfig())
    return raised.value


def test_a_package_that_is_missing_is_named_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    (tmp_path / FILE_NAME).write_bytes(b"any")
    error = load(tmp_path)
    assert error.code == FAILED_PRECONDITION
    assert "pip install ai-edge-litert" in error.message


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).mkdir()
    error = load(tmp_path)
    assert (error.code, error.message) == (UNKNOWN, f"{tmp_path / FILE_NAME}; Is a directory")


@pytest.mark.parametrize(("batch_size", "per_pool", "rows"), [(0, 3, 167), (1, 2, 250), (8, 2, 8)])
def test_batches_are_of_the_models_fixed_size_or_a_share_of_500(
    batch_size: int, per_pool: int, rows: int
) -> None:
    model = LiteModel(meta_graph_def=b"", tensors=(), graph_keys=(), batch_size=batch_size)
    parameters = batching_parameters(model, 4, per_pool)
    assert parameters.max_execution_batch_size == rows
    assert (parameters.max_batch_size, parameters.max_enqueued_batches) == (500, 400)
    assert parameters.enable_large_batch_splitting
