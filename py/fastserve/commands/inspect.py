"""`fastserve inspect`: what a model's directory holds, without TensorFlow and without a server."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from fastserve.commands.outcome import FAILED, CommandError, report_failure
from fastserve.commands.table import aligned, size_text
from fastserve.commands.tensors import type_name
from fastserve.config import batching
from fastserve.config.models import LatestPolicy
from fastserve.errors import ServingError
from fastserve.servables.saved_model import BINARY, CHUNKED, TEXT, main_file, read_saved_model
from fastserve.servables.warmup import requests_path
from fastserve.sources.versions import find_versions, is_complete, list_names, parse_version

_FILES: Final = {
    "saved_model": (BINARY, TEXT, CHUNKED),
    "tflite": ("model.tflite",),
    "warmup_requests": (str(requests_path("")),),
    "batching_parameters": (batching.MODEL_FILE,),
    "saved_model_config": ("assets.extra/saved_model_config.pb",),
}
"""What a server may read of a version besides variables and assets; any of several names."""


@dataclass(frozen=True, slots=True)
class _File:
    name: str
    bytes: int


@dataclass(frozen=True, slots=True)
class _Tensor:
    """One input or output."""

    dtype: str
    shape: list[int] | None
    """-1 where a dimension is not known; None where the rank is not."""
    tensor: str
    """Its name in the graph; empty for one that is not a dense tensor."""
    has_default: bool = False


@dataclass(frozen=True, slots=True)
class _Signature:
    method: str
    inputs: Mapping[str, _Tensor]
    outputs: Mapping[str, _Tensor]


@dataclass(frozen=True, slots=True)
class _MetaGraph:
    tags: list[str]
    tensorflow_version: str
    signatures: Mapping[str, _Signature]


@dataclass(slots=True)
class _Version:
    """One version directory, as it is shown."""

    version: int | None
    """None where the directory's name is no number."""
    path: str
    bytes: int
    """Of all files."""
    variables_bytes: int
    files: Mapping[str, _File | None]
    assets: list[_File]
    meta_graphs: list[_MetaGraph] = field(default_factory=list)
    error: str | None = None
    """Why the signatures cannot be told."""


def run(arguments: Sequence[str]) -> int:
    """Prints what there is; returns 1 when the directory, or a version in it, cannot be read."""
    options = _parser().parse_args(arguments)
    return report_failure("inspect", lambda: _inspect(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fastserve inspect",
        description="Tells what a model's directory holds: versions, signatures with dtypes and "
        "shapes, tags, sizes, and the files that a server reads beside the model. TensorFlow is "
        "not needed.",
    )
    parser.add_argument(
        "directory", help="a base path, which holds a directory for each version, or one version"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    return parser


def _inspect(options: argparse.Namespace) -> int:
    versions = [_version(number, path) for number, path in _version_paths(options.directory)]
    if options.json:
        print(json.dumps({"versions": [dataclasses.asdict(each) for each in versions]}, indent=1))
    else:
        print("\n\n".join("\n".join(_lines(version)) for version in versions))
    return FAILED if any(version.error for version in versions) else 0


# Reading


def _version_paths(directory: str) -> list[tuple[int | None, str]]:
    """Returns number and path of a directory that is a version, or else of those in it."""
    if not os.path.isdir(directory):
        raise CommandError(f"{directory} is not a directory")
    if is_complete(directory):
        name = os.path.basename(os.path.abspath(directory))
        return [(parse_version(os.fsencode(name)), directory)]
    paths = find_versions(directory, list_names(directory), LatestPolicy()).paths
    if not paths:
        raise CommandError(
            f"{directory} holds neither a model ({BINARY}, ...) nor versions (1, 2, ...)"
        )
    return sorted(paths.items(), reverse=True)


def _version(number: int | None, path: str) -> _Version:
    root = Path(path)
    sizes = {file: file.stat().st_size for file in sorted(root.rglob("*")) if file.is_file()}
    version = _Version(
        version=number,
        path=path,
        bytes=sum(sizes.values()),
        variables_bytes=sum(sizes[file] for file in _below(root / "variables", sizes)),
        files={key: _first(root, names, sizes) for key, names in _FILES.items()},
        assets=[
            _File(str(file.relative_to(root / "assets")), sizes[file])
            for file in _below(root / "assets", sizes)
        ],
    )
    if main_file(root) is None and version.files["tflite"] is not None:
        return version
    try:
        saved_model = read_saved_model(path)
    except ServingError as error:
        version.error = str(error)
    else:
        version.meta_graphs = [_meta_graph(graph) for graph in saved_model.meta_graphs]
    return version


def _below(folder: Path, files: Mapping[Path, int]) -> Iterator[Path]:
    return (file for file in files if folder in file.parents)


def _first(root: Path, names: Sequence[str], sizes: Mapping[Path, int]) -> _File | None:
    return next((_File(name, sizes[root / name]) for name in names if root / name in sizes), None)


def _meta_graph(graph: Any) -> _MetaGraph:
    return _MetaGraph(
        tags=list(graph.meta_info_def.tags),
        tensorflow_version=graph.meta_info_def.tensorflow_version,
        signatures={
            name: _Signature(
                method=signature.method_name,
                inputs=_tensors(signature.inputs, signature.defaults),
                outputs=_tensors(signature.outputs, {}),
            )
            for name, signature in sorted(graph.signature_def.items())
        },
    )


def _tensors(infos: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, _Tensor]:
    return {
        alias: _Tensor(
            dtype=type_name(info.dtype),
            shape=None
            if info.tensor_shape.unknown_rank
            else [dim.size for dim in info.tensor_shape.dim],
            tensor=info.name,
            has_default=alias in defaults,
        )
        for alias, info in sorted(infos.items())
    }


# Showing


def _lines(version: _Version) -> Iterator[str]:
    number = "" if version.version is None else f"version {version.version}, "
    yield f"{version.path}: {number}{size_text(version.bytes)}"
    found = [file for file in version.files.values() if file is not None]
    rows = [(file.name, size_text(file.bytes)) for file in found]
    if version.variables_bytes:
        rows.append(("variables", size_text(version.variables_bytes)))
    rows += ((f"assets/{file.name}", size_text(file.bytes)) for file in version.assets)
    yield from aligned(rows, "  ")
    absent = [
        os.path.basename(names[0]) for key, names in _FILES.items() if version.files[key] is None
    ]
    if absent:
        yield f"  without {', '.join(absent)}"
    if version.error:
        yield f"  error: {version.error}"
    for graph in version.meta_graphs:
        written = graph.tensorflow_version or "(unknown)"
        yield f"  tags {', '.join(graph.tags) or '(none)'}; written by TensorFlow {written}"
        for name, signature in graph.signatures.items():
            yield f"    signature {name}: {signature.method or '(no method)'}"
            yield from aligned(_rows(signature), "      ")


def _rows(signature: _Signature) -> Iterator[tuple[str, ...]]:
    for kind, tensors in (("input", signature.inputs), ("output", signature.outputs)):
        for alias, tensor in tensors.items():
            name = tensor.tensor or "(not a dense tensor)"
            default = "has a default" if tensor.has_default else ""
            yield kind, alias, tensor.dtype, _shape_text(tensor.shape), name, default


def _shape_text(shape: Sequence[int] | None) -> str:
    if shape is None:
        return "any shape"
    return f"[{', '.join('?' if size < 0 else str(size) for size in shape)}]"
