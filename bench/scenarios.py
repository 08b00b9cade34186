"""Scenario files: a model, the loads on it, the servers that carry them, and what is aimed at.

bench/README.md lists the keys. One that is unknown or of the wrong type is an error that names it.
"""

from __future__ import annotations

import fnmatch
import sys
import types
import typing
from collections.abc import Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from .harness import BenchError, Load

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FOLDER = Path(__file__).parent / "scenarios"
SERVERS = (
    "echo",
    "fastserve",
    "tensorflow_model_server",
    "grpcio",
    "pytriton",
    "ray",
    "uvicorn",
    "python",
)
"""In the order of tables and pictures; the session loops come last."""


@dataclass(frozen=True, kw_only=True)
class LoadSpec:
    """A load of a scenario: closed by default, open when it has a rate or a share of capacity."""

    connections: int
    in_flight: int = 1
    """Calls at a time on each connection; in an open loop, at most."""
    rate: float | None = None
    """Requests a second."""
    capacity: float | None = None
    """Share of the most answers a second that the same subject gave in a closed loop."""
    arrival: str = "poisson"
    beside: bool = False
    """Together with the scenario's load on another model."""

    @property
    def closed(self) -> bool:
        """Whether calls in flight, not a rate, set the pace."""
        return self.rate is None and self.capacity is None

    @property
    def label(self) -> str:
        """The name of the load in tables and targets."""
        if self.capacity is not None:
            text = f"{self.capacity:.0%} open"
        elif self.rate is not None:
            text = f"{self.rate:g}/s open"
        else:
            text = f"{self.connections}x{self.in_flight}"
        if not self.closed and self.arrival != "poisson":
            text += f" {self.arrival}"
        return text + (" beside" if self.beside else "")

    def load(self, capacity: float | None) -> Load:
        """What the generator does, for a subject of that capacity in answers a second."""
        rate = self.rate
        if self.capacity is not None:
            assert capacity, "known before a share of it is asked for"
            rate = round(self.capacity * capacity, 3)
        return Load(
            connections=self.connections, streams=self.in_flight, rate=rate, arrival=self.arrival
        )


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One way to start fastserve, and tensorflow_model_server, which takes the same flags."""

    name: str = ""
    flags: tuple[str, ...] = ()
    batching_parameters: str = ""
    """Text of a --batching_parameters_file."""
    own: bool = False
    """With flags that tensorflow_model_server does not have, so that it has no such variant."""
    environment: dict[str, str] | None = None


@dataclass(frozen=True, kw_only=True)
class SessionSpec:
    """A bare loop of TF_SessionRun."""

    batch: int = 1
    """Requests that are run together."""
    callers: int = 1

    @property
    def name(self) -> str:
        """The subject's name."""
        batch = f" batch {self.batch}" if self.batch > 1 else ""
        return f"session{batch}" + (f" {self.callers} callers" if self.callers > 1 else "")


@dataclass(frozen=True, kw_only=True)
class Beside:
    """A closed load on another model of the same server."""

    model: str
    connections: int
    in_flight: int = 1
    tolerance: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Base:
    """What a target compares with; what is left out is as in the target itself."""

    subject: str = ""
    load: str = ""
    figure: str = ""


@dataclass(frozen=True, kw_only=True)
class Target:
    """A bound on a figure (a field of Measurement), or on its ratio to another one."""

    load: str
    figure: str
    subject: str = "fastserve"
    at_most: float | None = None
    at_least: float | None = None
    of: Base | None = None
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One model and how hard it is driven."""

    model: str
    loads: tuple[LoadSpec, ...]
    name: str = ""
    """The file's name, without its ending."""
    description: str = ""
    gpu: bool = False
    """It needs a GPU; a run takes it only when it is named."""
    tolerance: float = 0.0
    """For float answers; 0 where the model's arithmetic is exact."""
    row_shape: tuple[int, ...] = ()
    """Of the request's tensor; else one row of what the signature says, 1 for unknown extents."""
    rest: bool = False
    servers: tuple[str, ...] = SERVERS
    variants: tuple[Variant, ...] = (Variant(),)
    sessions: tuple[SessionSpec, ...] = ()
    beside: Beside | None = None
    targets: tuple[Target, ...] = ()


T = TypeVar("T")


def _build(kind: type[T], table: Any, where: str) -> T:
    """A dataclass from a TOML table."""
    if not isinstance(table, dict):
        raise BenchError(f"{where}: a table is needed, not {table!r}")
    types_ = typing.get_type_hints(kind)
    if unknown := set(table) - set(types_):
        raise BenchError(f"{where}: unknown {', '.join(sorted(unknown))}; known: {sorted(types_)}")
    required = {f.name for f in fields(kind) if f.default is MISSING}  # type: ignore[arg-type]
    if missing := required - set(table):
        raise BenchError(f"{where}: {', '.join(sorted(missing))} is missing")
    values = {key: _value(types_[key], value, f"{where}.{key}") for key, value in table.items()}
    return kind(**values)


def _value(kind: Any, value: Any, where: str) -> Any:
    if isinstance(kind, types.UnionType):
        (kind,) = (choice for choice in kind.__args__ if choice is not types.NoneType)
    if hasattr(kind, "__dataclass_fields__"):
        return _build(kind, value, where)
    origin = typing.get_origin(kind)
    if origin is tuple and isinstance(value, list):
        inner = typing.get_args(kind)[0]
        return tuple(_value(inner, item, f"{where}[{i}]") for i, item in enumerate(value))
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not (origin or kind):
        raise BenchError(f"{where}: {getattr(kind, '__name__', kind)} is needed, not {value!r}")
    return value


def read(path: Path) -> Scenario:
    """The scenario of a file. A load's `capacity` or `rate` may be a list: one load for each."""
    try:
        table = tomllib.loads(path.read_text())
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise BenchError(f"{path}: {error}") from None
    table["loads"] = [one for load in table.get("loads", []) for one in _each(load)]
    scenario = _build(Scenario, {"name": path.stem, **table}, path.name)
    _check(scenario, path.name)
    return scenario


def _each(load: dict[str, Any]) -> list[dict[str, Any]]:
    for key in ("capacity", "rate"):
        if isinstance(load.get(key), list):
            return [{**load, key: value} for value in load[key]]
    return [load]


def _check(scenario: Scenario, where: str) -> None:
    labels = [load.label for load in scenario.loads]
    if len(set(labels)) != len(labels) or not labels:
        raise BenchError(f"{where}: loads must differ, and there must be one: {labels}")
    if unknown := set(scenario.servers) - set(SERVERS):
        raise BenchError(f"{where}: unknown servers {sorted(unknown)}; known: {SERVERS}")
    if any(load.beside for load in scenario.loads) and scenario.beside is None:
        raise BenchError(f"{where}: a load is beside another one, but there is no [beside]")
    for load in scenario.loads:
        if load.arrival not in ("poisson", "constant"):
            raise BenchError(f"{where}: arrival is poisson or constant, not {load.arrival!r}")
        if load.rate is not None and load.capacity is not None:
            raise BenchError(f"{where}: a load has a rate or a capacity, not both")
    if any(x.capacity for x in scenario.loads) and not any(x.closed for x in scenario.loads):
        raise BenchError(f"{where}: a share of capacity needs a closed load, which measures it")
    for target in scenario.targets:
        if (target.at_most is None) == (target.at_least is None):
            raise BenchError(f"{where}: a target has either at_most or at_least")
        for label in (target.load, target.of.load if target.of else ""):
            if label and label not in labels:
                raise BenchError(f"{where}: a target is on {label!r}, but the loads are {labels}")


def choose(wanted: Sequence[str]) -> tuple[Scenario, ...]:
    """The scenarios of these names, patterns or files; without any, the default ones."""
    known = {path.stem: path for path in sorted(FOLDER.glob("*.toml"))}
    if not wanted:
        return tuple(s for s in map(read, known.values()) if not s.gpu)
    chosen: dict[Path, None] = {}
    for word in wanted:
        if word.endswith(".toml"):
            paths = [Path(word)]
        else:
            paths = [known[name] for name in fnmatch.filter(known, word)]
        if not paths:
            raise BenchError(f"no scenario {word}; there are {', '.join(known)}")
        chosen.update(dict.fromkeys(paths))
    return tuple(map(read, chosen))
