"""`fastserve check-config`: what a server would make of a model config file, without a server."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Sequence

from fastserve.commands.outcome import report_failure
from fastserve.config.model_config_file import models_from_proto, read_model_config_file
from fastserve.config.models import (
    TENSORFLOW_PLATFORM,
    AllPolicy,
    ModelConfig,
    SpecificPolicy,
    Transitions,
)
from fastserve.config.platform_config_file import read_platform_config_file
from fastserve.config.server import WarmupConfig
from fastserve.sources.versions import find_versions, is_complete, list_names, select_versions


def run(arguments: Sequence[str]) -> int:
    """Prints what would be served and returns 0; 1 for a file that would be refused."""
    options = _parser().parse_args(arguments)
    return report_failure("check-config", lambda: _check(options))


def _check(options: argparse.Namespace) -> int:
    models = models_from_proto(
        read_model_config_file(options.file),
        transitions=Transitions(),
        platforms=_platforms(options.platform_config_file),
        allow_unavailable_labels=options.allow_version_labels_for_unavailable_models,
    )
    for model in models:
        print("\n".join(_described(model)))
    print(f"{options.file}: {len(models)} models, nothing that a server would refuse")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fastserve check-config",
        description="Reads a model config file as a server would, and tells which versions it "
        "would serve from what is on disk now, or why it would refuse the file.",
    )
    parser.add_argument("file", help="a ModelServerConfig in text format")
    parser.add_argument(
        "--allow_version_labels_for_unavailable_models",
        action="store_true",
        help="as the server's flag",
    )
    parser.add_argument(
        "--platform_config_file", default="", metavar="PATH", help="as the server's flag"
    )
    return parser


def _platforms(path: str) -> Collection[str]:
    """Returns the names of the server's platforms."""
    if not path:
        return (TENSORFLOW_PLATFORM,)
    return read_platform_config_file(path, gpu_memory_growth=False, warmup=WarmupConfig())


def _described(model: ModelConfig) -> list[str]:
    lines = [f"{model.name}: {_policy(model)} under {model.base_path}"]
    if model.is_remote:
        return [*lines, "  versions are looked for by a server only"]
    try:
        names = list_names(model.base_path)
    except OSError as error:
        return [*lines, f"  warning: the base path cannot be read: {error.strerror}"]
    found = find_versions(model.base_path, names, model.version_policy)
    whole = {version for version, path in found.paths.items() if is_complete(path)}
    chosen = select_versions(model.version_policy, whole)
    served = ", ".join(map(str, sorted(chosen, reverse=True))) or "none"
    lines.append(f"  versions to serve: {served}")
    lines += [f"  warning: {text}" for text in found.duplicates]
    lines += [f"  warning: version {v} is not whole" for v in sorted(found.paths.keys() - whole)]
    for label, version in sorted(model.version_labels.items()):
        missing = "" if version in chosen else " (warning: not among them)"
        lines.append(f"  label {label}: version {version}{missing}")
    return lines


def _policy(model: ModelConfig) -> str:
    policy = model.version_policy
    if isinstance(policy, AllPolicy):
        return "all versions"
    if isinstance(policy, SpecificPolicy):
        return f"versions {', '.join(map(str, sorted(policy.versions))) or '(none)'}"
    return f"the latest {policy.num_versions}"
