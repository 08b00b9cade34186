"""Exports the small SavedModels of the tests and benchmarks.

usage: python tests/models/export_models.py [--megabytes N] DIR [NAME ...]      no name: all of them

Writes DIR/<name>/<version>/. All are deterministic. --megabytes is the size of `big`.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Collection, Mapping
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import numpy as np
import tensorflow as tf  # type: ignore[import-untyped]

Signatures = Mapping[str, Callable[..., Mapping[str, tf.Tensor]]]

#: Every dtype that a TensorProto carries and an identity op takes, and variant.
DTYPES: Mapping[str, tf.DType] = {
    dtype.name: dtype
    for dtype in (
        *(tf.float16, tf.bfloat16, tf.float32, tf.float64, tf.complex64, tf.complex128),
        *(tf.int8, tf.int16, tf.int32, tf.int64, tf.uint8, tf.uint16, tf.uint32, tf.uint64),
        *(tf.qint8, tf.quint8, tf.qint16, tf.quint16, tf.qint32, tf.bool, tf.string, tf.variant),
        *(tf.dtypes.experimental.int4, tf.dtypes.experimental.uint4),
        *(tf.dtypes.experimental.float8_e5m2, tf.dtypes.experimental.float8_e4m3fn),
    )
}


Serve = TypeVar("Serve", bound=Callable[..., Mapping[str, tf.Tensor]])


def spec(name: str, shape: list[int | None] | None, dtype: tf.DType = tf.float32) -> tf.TensorSpec:
    return tf.TensorSpec(shape, dtype, name=name)


def served(*inputs: tf.TensorSpec) -> Callable[[Serve], Serve]:
    """Makes a function of these inputs a graph that can be exported as a signature."""
    decorate: Callable[[Serve], Serve] = tf.function(input_signature=inputs)
    return decorate


class HalfPlus(tf.Module):  # type: ignore[misc]
    """y = x / 2 + offset, the classic; the offset tells versions apart."""

    def __init__(self, offset: float) -> None:
        super().__init__()
        self.half = tf.Variable(0.5)
        self.offset = tf.Variable(offset)

    def signatures(self) -> Signatures:
        @served(spec("x", [None]))
        def serve(x: tf.Tensor) -> Mapping[str, tf.Tensor]:
            return {"y": x * self.half + self.offset}

        return {"serving_default": serve}


class Perceptron(tf.Module):  # type: ignore[misc]
    """images [?,784] -> scores [?,10] over two hidden layers of 512."""

    def __init__(self) -> None:
        super().__init__()
        random = np.random.default_rng(1)
        widths = (784, 512, 512, 10)
        self.layers = [
            (
                tf.Variable(random.normal(0, rows**-0.5, (rows, columns)).astype(np.float32)),
                tf.Variable(np.zeros(columns, np.float32)),
            )
            for rows, columns in pairwise(widths)
        ]

    def signatures(self) -> Signatures:
        @served(spec("images", [None, 784]))
        def serve(images: tf.Tensor) -> Mapping[str, tf.Tensor]:
            hidden = images
            for weights, bias in self.layers[:-1]:
                hidden = tf.nn.relu(tf.matmul(hidden, weights) + bias)
            weights, bias = self.layers[-1]
            return {"scores": tf.matmul(hidden, weights) + bias}

        return {"predict_images": serve, "serving_default": serve}


class Image(tf.Module):  # type: ignore[misc]
    """image [?,224,224,3] -> the same: 600 KB in, 600 KB out, no work."""

    def signatures(self) -> Signatures:
        @served(spec("image", [None, 224, 224, 3]))
        def serve(image: tf.Tensor) -> Mapping[str, tf.Tensor]:
            return {"image": tf.identity(image)}

        return {"serving_default": serve}


class Identity(tf.Module):  # type: ignore[misc]
    """x -> y = x of any shape: a signature a dtype, under its name; serving_default is float32."""

    def signatures(self) -> Signatures:
        def make(dtype: tf.DType) -> Callable[..., Mapping[str, tf.Tensor]]:
            @served(spec("x", None, dtype))
            def serve(x: tf.Tensor) -> Mapping[str, tf.Tensor]:
                return {"y": tf.identity(x)}

            return serve

        by_dtype = {name: make(dtype) for name, dtype in DTYPES.items()}
        return {**by_dtype, "serving_default": by_dtype["float32"]}


class Multi(tf.Module):  # type: ignore[misc]
    """a, b, s, scale (default 1) -> total = scale * row sums of a; next = b + 1; echo = s."""

    def signatures(self) -> Signatures:
        one = tf.constant(1.0)

        @served(
            spec("a", [None, 2]),
            spec("b", [None], tf.int64),
            spec("s", [None], tf.string),
            spec("scale", []),
        )
        def serve(
            a: tf.Tensor, b: tf.Tensor, s: tf.Tensor, scale: tf.Tensor = one
        ) -> Mapping[str, tf.Tensor]:
            total = scale * tf.reduce_sum(a, axis=1)
            return {"total": total, "next": b + 1, "echo": tf.identity(s)}

        return {"serving_default": serve}


class Big(tf.Module):  # type: ignore[misc]
    """row (scalar) -> value: an element of variables that fill `megabytes` MiB of memory."""

    def __init__(self, megabytes: int) -> None:
        super().__init__()
        self.rows = tf.Variable(tf.random.stateless_uniform([megabytes, 1 << 18], seed=(1, 2)))

    def signatures(self) -> Signatures:
        @served(spec("row", [], tf.int32))
        def serve(row: tf.Tensor) -> Mapping[str, tf.Tensor]:
            return {"value": self.rows[row, 0]}

        return {"serving_default": serve}


class Rows(tf.Module):  # type: ignore[misc]
    """x [?,?] -> y = 2 x, and the number of rows that were run together, once a row.

    A negative x fails the run. Other signatures: strings; outputs that cannot be cut into rows.
    """

    def signatures(self) -> Signatures:
        def size(x: tf.Tensor) -> tf.Tensor:
            return tf.fill([tf.shape(x)[0]], tf.shape(x)[0])

        @served(spec("x", [None, None]))
        def serve(x: tf.Tensor) -> Mapping[str, tf.Tensor]:
            with tf.control_dependencies([tf.debugging.assert_non_negative(x, "x is negative")]):
                return {"y": 2 * x, "size": size(x)}

        @served(spec("x", [None, None], tf.string))
        def strings(x: tf.Tensor) -> Mapping[str, tf.Tensor]:
            return {"y": tf.strings.upper(x), "size": size(x)}

        @served(spec("x", [None]))
        def total(x: tf.Tensor) -> Mapping[str, tf.Tensor]:
            return {"y": tf.reduce_sum(x)}

        @served(spec("x", [None]))
        def twice(x: tf.Tensor) -> Mapping[str, tf.Tensor]:
            return {"y": tf.concat([x, x], 0)}

        @served(spec("a", [None]), spec("b", [None]))
        def two(a: tf.Tensor, b: tf.Tensor) -> Mapping[str, tf.Tensor]:
            return {"y": a + b, "difference": a - b}

        return {
            "serving_default": serve,
            "strings": strings,
            "total": total,
            "twice": twice,
            "two": two,
        }


def do_steps(steps: tf.Tensor) -> tf.Tensor:
    """Computes for about 1 ms a step, and gives how many were done."""
    matrix = tf.eye(160) * 0.5

    def step(done: tf.Tensor, product: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        for _ in range(12):
            product = tf.matmul(product, matrix) + matrix
        return done + 1, product

    done, product = tf.while_loop(lambda i, _: i < steps, step, (0, matrix))
    return done + tf.cast(tf.reduce_min(product) * 0, tf.int32)


class Slow(tf.Module):  # type: ignore[misc]
    """steps (scalar) -> how many steps of pure computation were done; a step takes about 1 ms."""

    def signatures(self) -> Signatures:
        @served(spec("steps", [], tf.int32))
        def serve(steps: tf.Tensor) -> Mapping[str, tf.Tensor]:
            return {"done": do_steps(steps)}

        return {"serving_default": serve}


class Devices(tf.Module):  # type: ignore[misc]
    """x [?] -> where its parts ran, once a row: a variable, what is made in a function of its own
    and what names a GPU; line: of an asset, by x; run: how many this session has had so far.

    The signature slow: as Slow, and where.
    """

    def __init__(self) -> None:
        super().__init__()
        self.variable = tf.Variable(0.5)
        self.runs = tf.Variable(0)
        self.folder = tempfile.TemporaryDirectory()  # until it has been exported
        lines = Path(self.folder.name, "lines.txt")
        lines.write_text("zero\none\n")
        by_number = tf.lookup.TextFileInitializer(
            *(str(lines), tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER),
            *(tf.string, tf.lookup.TextFileIndex.WHOLE_LINE),
        )
        self.lines = tf.lookup.StaticHashTable(by_number, "none")

    def signatures(self) -> Signatures:
        def where(resource: tf.Tensor) -> tf.Tensor:
            # The op gives the device that it runs on, which is that of the resource.
            return tf.raw_ops.IteratorGetDevice(resource=resource)

        @tf.function(experimental_attributes={"_noinline": True})  # type: ignore[misc]
        def where_made(name: str) -> tf.Tensor:
            return where(tf.raw_ops.VarHandleOp(dtype=tf.float32, shape=[], shared_name=name))

        @served(spec("x", [None], tf.int64))
        def serve(x: tf.Tensor) -> Mapping[str, tf.Tensor]:
            with tf.device("/device:GPU:0"):
                on_gpu = where_made("named")
            parts = {
                "variable": where(self.variable.handle),
                "made": where_made("made"),
                "on_gpu": on_gpu,
                "run": self.runs.assign_add(1),
            }
            by_row = {alias: tf.fill(tf.shape(x), part) for alias, part in parts.items()}
            return {**by_row, "line": self.lines.lookup(x)}

        @served(spec("steps", [], tf.int32))
        def slow(steps: tf.Tensor) -> Mapping[str, tf.Tensor]:
            return {"done": do_steps(steps), "variable": where(self.variable.handle)}

        return {"serving_default": serve, "slow": slow}


class Compiled(tf.Module):  # type: ignore[misc]
    """y = 2 x + 1, which XLA has to compile."""

    def signatures(self) -> Signatures:
        @tf.function(input_signature=[spec("x", [None])], jit_compile=True)  # type: ignore[misc]
        def serve(x: tf.Tensor) -> Mapping[str, tf.Tensor]:
            return {"y": 2.0 * x + 1.0}

        return {"serving_default": serve}


MODELS: Mapping[str, Callable[[], tf.Module]] = {
    "half_plus_two/1": lambda: HalfPlus(2.0),
    "half_plus_two/2": lambda: HalfPlus(3.0),
    "half_plus_two/3": lambda: HalfPlus(4.0),
    "mnist_mlp/1": Perceptron,
    "image_identity/1": Image,
    "identity/1": Identity,
    "multi/1": Multi,
    "rows/1": Rows,
    "slow/1": Slow,
    "compiled/1": Compiled,
    "devices/1": Devices,
}


def export(module: tf.Module, path: Path) -> None:
    """Writes the SavedModel `path`, a version directory."""
    tf.saved_model.save(module, str(path), module.signatures())


def export_all(directory: Path, names: Collection[str] = (), megabytes: int = 16) -> None:
    """Exports every version of the named models, or of all."""
    models: dict[str, Callable[[], tf.Module]] = {**MODELS, "big/1": lambda: Big(megabytes)}
    unknown = set(names) - {path.split("/")[0] for path in models}
    if unknown:
        raise SystemExit(f"no such model: {', '.join(sorted(unknown))}")
    for path, make in models.items():
        if not names or path.split("/")[0] in names:
            export(make(), directory / path)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("directory", type=Path, metavar="DIR")
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--megabytes", type=int, default=16)
    options = parser.parse_args()
    export_all(options.directory, options.names, options.megabytes)


if __name__ == "__main__":
    main()
