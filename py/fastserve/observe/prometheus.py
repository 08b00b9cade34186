"""Prometheus' text format, in two dialects: its own, and that of TensorFlow Serving's page."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

Labels: TypeAlias = Sequence[tuple[str, str]]
"""Names and values, in the order in which they are shown."""


@dataclass(frozen=True, slots=True)
class HistogramSample:
    """What a histogram has counted."""

    limits: Sequence[float]
    """Upper bounds of all buckets but the last, which has none."""
    counts: Sequence[int]
    """By bucket, not cumulative; one more than there are limits."""
    sum: float


@dataclass(frozen=True, slots=True)
class Family:
    """One metric with all its series."""

    name: str
    kind: str
    """ "counter", "gauge" or "histogram"."""
    help: str = ""
    samples: list[tuple[Labels, float | HistogramSample]] = field(default_factory=list)

    def ordered(self) -> list[tuple[Labels, float | HistogramSample]]:
        """Returns the series by the values of their labels."""
        return sorted(self.samples, key=lambda sample: [value for _, value in sample[0]])


def render(families: Iterable[Family]) -> bytes:
    """Returns a page in Prometheus' text format 0.0.4, without families that have no series."""
    lines = []
    for family in families:
        if family.samples:
            lines += [
                f"# HELP {family.name} {family.help}",
                f"# TYPE {family.name} {family.kind}",
                *_sample_lines(family.name, family, upstream=False),
            ]
    return _joined(lines)


def render_as_upstream(families: Iterable[Family]) -> bytes:
    """Returns a page as TensorFlow Serving's (util/prometheus_exporter.cc).

    Families have their internal names, as /tensorflow/serving/request_count, and are shown in order
    of these; those without series have their TYPE line all the same.
    """
    lines = []
    for family in sorted(families, key=lambda family: family.name.encode()):
        name = re.sub("[^a-zA-Z0-9_]", ":", family.name)
        lines.append(f"# TYPE {name} {family.kind}")
        lines += _sample_lines(name, family, upstream=True)
    return _joined(lines)


def _joined(lines: Iterable[str]) -> bytes:
    # Names of models come from clients, and may hold bytes that are no UTF-8.
    return ("\n".join(lines) + "\n").encode("utf-8", "surrogateescape")


def _sample_lines(name: str, family: Family, *, upstream: bool) -> Iterable[str]:
    for labels, value in family.ordered():
        pairs = [f'{key}="{_escaped(text, upstream)}"' for key, text in labels]
        shown = f"{{{','.join(pairs)}}}" if pairs or upstream else ""
        if not isinstance(value, HistogramSample):
            yield f"{name}{shown} {_number(value, upstream)}"
            continue
        total = 0
        for limit, count in zip((*value.limits, None), value.counts, strict=True):
            total += count
            le = "+Inf" if limit is None else f"{limit:g}"
            bucket = ",".join([*pairs, f'le="{le}"'])
            yield f"{name}_bucket{{{bucket}}} {total}"
        yield f"{name}_sum{shown} {_number(value.sum, upstream)}"
        yield f"{name}_count{shown} {total}"


def _escaped(text: str, upstream: bool) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return escaped if upstream else escaped.replace("\n", "\\n")


def _number(value: float, upstream: bool) -> str:
    if isinstance(value, int):
        return str(value)
    return f"{value:g}" if upstream else repr(value)
