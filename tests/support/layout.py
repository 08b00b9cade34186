"""Laying out version directories and config files as an operator does."""

import os
import shutil
from collections.abc import Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from support.grpc_client import Client
from support.waiting import wait_until

SETTLED_S = 30.0


def publish(source: Path, base: Path, name: str) -> None:
    """Puts a version where the server looks, whole from the first moment on."""
    base.mkdir(parents=True, exist_ok=True)
    scratch = base.with_name(f"{base.name}-incoming")
    shutil.copytree(source, scratch)
    scratch.rename(base / name)


def retire(base: Path, name: str) -> None:
    """Takes a version away at once."""
    scratch = base.with_name(f"{base.name}-outgoing")
    (base / name).rename(scratch)
    shutil.rmtree(scratch)


def model_entry(name: str, base_path: Path | str, more: str = "") -> str:
    """One `config` of a model config file."""
    return (
        f'  config {{ name: "{name}" base_path: "{base_path}" '
        f'model_platform: "tensorflow" {more} }}\n'
    )


def config_text(entries: Iterable[str]) -> str:
    """A model config file."""
    return f"model_config_list {{\n{''.join(entries)}}}\n"


def write_whole(path: Path, text: str) -> None:
    """Replaces a file in one step."""
    scratch = path.with_name(f"{path.name}.new")
    scratch.write_text(text)
    scratch.rename(path)


def await_states(client: Client, model: str, states: dict[int, str]) -> None:
    """Waits until exactly these versions of a model are in these states."""

    def reached() -> bool:
        return client.states_or_none(model) == states

    wait_until(reached, SETTLED_S, f"{model} is {states}")


@contextmanager
def blocked_load(version: Path) -> Any:
    """Makes loads of a version hang until the block ends; they succeed when they are retried.

    The index of its variables is a FIFO meanwhile, which a reader cannot open without a writer.
    """
    index = version / "variables" / "variables.index"
    real = index.with_name("index.real")
    index.rename(real)
    os.mkfifo(index)
    try:
        yield
    finally:
        writer = os.open(index, os.O_RDWR)
        real.rename(index)
        os.close(writer)
