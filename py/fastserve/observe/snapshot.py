"""What the data plane has counted, as the pages of metrics read it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from fastserve import _native
from fastserve.errors import CODE_NAMES
from fastserve.observe.instruments import exponential
from fastserve.observe.prometheus import HistogramSample

Data: TypeAlias = tuple[Sequence[int], int]
"""Counts by bucket, and the sum of the values."""

METHODS = ("", "Predict", "Classify", "Regress", "MultiInference")
PROTOCOLS = ("grpc", "rest")

LATENCY_LIMITS_NS = exponential(10_000, 1.8, 33)


@dataclass(frozen=True, slots=True)
class Requests:
    """Requests that have everything but size and time in common."""

    model: str
    version: str
    """Empty, as the signature, where none was found."""
    signature: str
    method: str
    """One of METHODS; "" for what is not a run, or was not understood."""
    protocol: str
    code: str
    latency: Data
    """ns"""
    bytes_in: int
    bytes_out: int

    @property
    def count(self) -> int:
        """How many there were."""
        return sum(self.latency[0])


@dataclass(frozen=True, slots=True)
class Runs:
    """Runs of the session that have everything but time in common."""

    model: str
    version: str
    signature: str
    method: str
    latency: Data
    """ns"""


@dataclass(frozen=True, slots=True)
class Batches:
    """Batches of one version."""

    model: str
    version: str
    queued: Data
    """ns"""
    rows: Data
    padding: int
    """Rows."""


@dataclass(frozen=True, slots=True)
class Replica:
    """One of several replicas of one version."""

    model: str
    version: str
    device: str
    runs: int
    """That it has begun."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything at one moment; retired is what was counted of versions that are gone."""

    requests: Sequence[Requests]
    retired_requests: Sequence[Requests]
    runs: Sequence[Runs]
    retired_runs: Sequence[Runs]
    batches: Sequence[Batches]
    replicas: Sequence[Replica]
    native: dict[str, Any]
    """All of _native.read_metrics()."""


def read() -> Snapshot:
    """Reads the data plane's metrics. Any thread; takes milliseconds when series are many."""
    native = _native.read_metrics()
    return Snapshot(
        requests=_requests(native["requests"]),
        retired_requests=_requests(native["retired_requests"]),
        runs=_runs(native["runs"]),
        retired_runs=_runs(native["retired_runs"]),
        batches=[Batches(*row) for row in native["batching"]],
        replicas=[Replica(*row) for row in native["replicas"]],
        native=native,
    )


def _requests(rows: Iterable[tuple[Any, ...]]) -> list[Requests]:
    return [
        Requests(
            *(model, version, signature, METHODS[method], PROTOCOLS[protocol], CODE_NAMES[code]),
            *rest,
        )
        for model, version, signature, method, protocol, code, *rest in rows
    ]


def _runs(rows: Iterable[tuple[Any, ...]]) -> list[Runs]:
    return [
        Runs(model, version, signature, METHODS[method], latency)
        for model, version, signature, method, latency in rows
    ]


def histogram(data: Data, limits: Sequence[float], scale: float = 1) -> HistogramSample:
    """Returns a sample whose limits and sum are divided by `scale`."""
    counts, total = data
    return HistogramSample([limit / scale for limit in limits], counts, total / scale)


class Merged(defaultdict[tuple[str, ...], Data]):
    """Histograms added up by key."""

    def __init__(self) -> None:
        super().__init__(lambda: ((), 0))

    def add(self, key: tuple[str, ...], data: Data) -> None:
        """Adds one to those of its key."""
        counts, total = self[key]
        merged = [a + b for a, b in zip(counts, data[0], strict=True)] if counts else data[0]
        self[key] = (merged, total + data[1])
