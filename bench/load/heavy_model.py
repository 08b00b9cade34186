"""Writes a model that takes time to load: 100 variables of 1 MiB, 300 operations on them.

python bench/load/heavy_model.py --out DIR [--megabytes 100]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import tensorflow as tf  # type: ignore[import-untyped]

WIDTH = 512


def export(path: Path, megabytes: int) -> None:
    """x [?,512] -> y [?,512]: layer after layer of multiply, add and relu."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        x = tf.compat.v1.placeholder(tf.float32, [None, WIDTH], name="x")
        y = x
        for layer in range(megabytes):
            shape = [WIDTH, WIDTH]
            initial = tf.random.stateless_uniform(shape, seed=(layer, 1), minval=-0.05, maxval=0.05)
            weights = tf.compat.v1.get_variable(f"weights_{layer}", initializer=initial)
            y = tf.nn.relu(tf.matmul(y, weights) + 0.1)
        session.run(tf.compat.v1.global_variables_initializer())
        tf.compat.v1.saved_model.simple_save(session, str(path), {"x": x}, {"y": y})


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--megabytes", type=int, default=100)
    options = parser.parse_args()
    export(options.out, options.megabytes)


if __name__ == "__main__":
    main()
