"""Compares what a run reached with the targets of its scenarios."""

from __future__ import annotations

from collections.abc import Sequence

from .report import Cell, Verdict
from .scenarios import Base, Target

FIGURES = {
    "per_s": "answers/s",
    "cpu_us": "us of server CPU an answer",
    "p50": "us p50",
    "p90": "us p90",
    "p99": "us p99",
    "p999": "us p99.9",
}


def judge(targets: Sequence[Target], cells: Sequence[Cell]) -> tuple[Verdict, ...]:
    """Every target that the cells can speak on; the others are left out."""
    by_name = {(cell.load, cell.subject): cell for cell in cells}
    judged = (_judge(target, by_name) for target in targets)
    return tuple(verdict for verdict in judged if verdict is not None)


def _judge(target: Target, cells: dict[tuple[str, str], Cell]) -> Verdict | None:
    cell = cells.get((target.load, target.subject))
    if cell is None:
        return None
    value = cell.median(target.figure)
    unit = FIGURES[target.figure]
    reached = f"{value:,.2f}"
    if target.of is not None:
        base = _base(target, target.of)
        other = cells.get((base.load, base.subject))
        if other is None or other.median(base.figure) == 0:
            return None
        against = other.median(base.figure)
        reached = f"{value / against:.2f} x ({value:,.2f} against {against:,.2f})"
        value /= against
        unit = f"x {FIGURES[base.figure]} of {base.subject} {base.load}"
    bound, limit = "at most", target.at_most
    if limit is None:
        bound, limit = "at least", target.at_least
    assert limit is not None
    said = FIGURES[target.figure] + ": " if target.of is not None else ""
    note = f" ({target.note})" if target.note else ""
    trouble = "" if cell.sustained else ", but answers fell behind what was offered"
    if cell.total("answers") == 0:
        trouble += ", but nothing was answered"
    if errors := cell.total("errors"):
        trouble += f", but with {errors:,} errors"
    met = value <= limit if target.at_most is not None else value >= limit
    return Verdict(
        target=f"{target.subject} {target.load}: {said}{bound} {limit:,g} {unit}{note}",
        reached=reached + trouble,
        met=met and not trouble,
    )


def _base(target: Target, base: Base) -> Base:
    """What the target compares with, in full."""
    return Base(
        subject=base.subject or target.subject,
        load=base.load or target.load,
        figure=base.figure or target.figure,
    )
