"""What the control plane counts: loads, unloads and warm-ups. Any thread."""

from __future__ import annotations

import bisect
import threading
from collections.abc import Sequence

from fastserve.observe.prometheus import HistogramSample, Labels


class Counter:
    """Counts by the values of its labels."""

    def __init__(self, *labels: str) -> None:
        self._labels = labels
        self._lock = threading.Lock()
        self._counts: dict[tuple[str, ...], int] = {}

    def add(self, *values: str, amount: int = 1) -> None:
        """Adds to the series of these label values."""
        with self._lock:
            self._counts[values] = self._counts.get(values, 0) + amount

    def total(self) -> int:
        """Returns the sum over all series."""
        with self._lock:
            return sum(self._counts.values())

    def samples(self) -> list[tuple[Labels, float | HistogramSample]]:
        """Returns every series."""
        with self._lock:
            return [(self._named(values), count) for values, count in self._counts.items()]

    def _named(self, values: tuple[str, ...]) -> Labels:
        return list(zip(self._labels, values, strict=True))


class Histogram:
    """A histogram by the values of its labels; bounds of buckets are exclusive."""

    def __init__(self, limits: Sequence[float], *labels: str) -> None:
        self._limits = limits
        self._labels = labels
        self._lock = threading.Lock()
        self._series: dict[tuple[str, ...], tuple[list[int], list[float]]] = {}

    def record(self, value: float, *values: str) -> None:
        """Takes a value into the series of these label values."""
        with self._lock:
            empty: tuple[list[int], list[float]] = ([0] * (len(self._limits) + 1), [0.0])
            counts, total = self._series.setdefault(values, empty)
            counts[bisect.bisect_right(self._limits, value)] += 1
            total[0] += value

    def samples(self) -> list[tuple[Labels, float | HistogramSample]]:
        """Returns every series."""
        with self._lock:
            return [
                (
                    list(zip(self._labels, values, strict=True)),
                    HistogramSample(self._limits, tuple(counts), total[0]),
                )
                for values, (counts, total) in self._series.items()
            ]


def exponential(first: float, growth: float, count: int) -> tuple[float, ...]:
    """Returns `count` bounds: first, first * growth, first * growth^2, ..."""
    return tuple(first * growth**i for i in range(count))


LOAD_LIMITS = exponential(0.01, 2, 16)
"""Seconds."""

model_loads = Counter("model", "outcome")
"""Attempts to load a version; the outcome is OK or the name of a code."""
load_seconds = Histogram(LOAD_LIMITS, "model")
"""Of loads that went well, warm-up included."""
unload_seconds = Histogram(LOAD_LIMITS, "model")
"""From the decision to unload a version until its memory is free."""
rest_refused = Counter("status")
"""Requests over REST that the gateway did not take, but for those without a token: they are
counted natively."""
access_log_dropped = Counter()
"""Entries of the control plane; those of native calls are counted natively."""
request_log_dropped = Counter()
"""Requests that could not be written; those that came too fast are counted natively."""
traces_dropped = Counter()
"""Traced requests over REST that came too fast; those over gRPC are counted natively."""
warmup_micros = Histogram(exponential(10, 1.8, 33), "model_path", "status")
warmup_records = Counter("model_path", "status")
