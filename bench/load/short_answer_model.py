"""Writes a model that takes tensors of any shape and answers one number.

python bench/load/short_answer_model.py --out DIR
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

import tensorflow as tf  # type: ignore[import-untyped]


class ShortAnswer(tf.Module):  # type: ignore[misc]
    """x -> size: how many elements, of float32 (serving_default), int64 or string."""

    @tf.function  # type: ignore[untyped-decorator]
    def count(self, x: tf.Tensor) -> Mapping[str, tf.Tensor]:
        return {"size": tf.reshape(tf.size(x), [1])}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    model = ShortAnswer()
    signatures = {
        name: model.count.get_concrete_function(tf.TensorSpec(None, dtype, name="x"))
        for name, dtype in (
            ("serving_default", tf.float32),
            ("int64", tf.int64),
            ("string", tf.string),
        )
    }
    tf.saved_model.save(model, str(options.out / "1"), signatures)


if __name__ == "__main__":
    main()
