"""Pictures as inline SVG: bars and lines. Colours are CSS variables that the page defines."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .scenarios import SERVERS

WIDTH, HEIGHT = 560, 300
LEFT, RIGHT, TOP, BOTTOM = 74, 14, 12, 42
BAR, GAP, LABEL = 20, 7, 190


def colour(subject: str) -> str:
    """The CSS colour of a subject: one for each server, a lighter one for its variants."""
    family, _, variant = subject.partition(" ")
    name = f"var(--{family if family in SERVERS else 'session'})"
    return f"color-mix(in srgb, {name} 55%, var(--page))" if variant else name


def number(value: float) -> str:
    """Short, with three digits that count: 12.3, 1,230, 12.3k, 1.23M."""
    for limit, unit in ((1e6, "M"), (1e4, "k")):
        if abs(value) >= limit:
            scaled = value / (1e6 if unit == "M" else 1e3)
            return f"{scaled:.3g}{unit}" if scaled < 1000 else f"{scaled:,.0f}{unit}"
    return f"{value:,.0f}" if abs(value) >= 100 or value == 0 else f"{value:.3g}"


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One bar; the subject gives the colour."""

    subject: str
    value: float
    label: str = ""
    """Beside the bar; the subject's name when empty."""
    hint: str = ""


def bars(title: str, items: Sequence[Bar]) -> str:
    """A figure of horizontal bars from zero, each with its number."""
    height = len(items) * (BAR + GAP) + GAP
    longest = max((bar.value for bar in items), default=0) or 1
    room = WIDTH - LABEL - 70
    parts = []
    for i, bar in enumerate(items):
        top = GAP + i * (BAR + GAP)
        width = max(1.0, bar.value / longest * room)
        label = html.escape(bar.label or bar.subject)
        hint = html.escape(bar.hint or f"{label}: {bar.value:,.2f}")
        parts.append(
            f'<g><title>{hint}</title><text x="{LABEL - 8}" y="{top + 15}" class="end">{label}'
            f'</text><rect x="{LABEL}" y="{top}" width="{width:.1f}" height="{BAR}" rx="2" '
            f'style="fill:{colour(bar.subject)}"/><text x="{LABEL + width + 6:.1f}" '
            f'y="{top + 15}" class="value">{number(bar.value)}</text></g>'
        )
    return _figure(title, "", "".join(parts), height)


@dataclass(frozen=True, kw_only=True)
class Series:
    """A line; the subject gives the colour."""

    subject: str
    points: Sequence[tuple[float, float]]
    label: str = ""
    dashed: bool = False
    steps: bool = False
    """Whether the line is a curve of many points, which are not marked."""


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How an axis maps values to [0, 1], and where it has ticks."""

    label: str
    place: Callable[[float], float]
    ticks: Sequence[tuple[float, str]]


def linear(label: str, values: Sequence[float]) -> Scale:
    """From zero to a round number above the largest value."""
    high = max(values, default=1.0) or 1.0
    step = 10 ** math.floor(math.log10(high))
    step *= next(s for s in (0.2, 0.5, 1, 2) if high / (step * s) <= 6 or s == 2)
    top = math.ceil(high / step - 1e-9) * step
    ticks = [(i * step, number(i * step)) for i in range(round(top / step) + 1)]
    return Scale(label=label, place=lambda value: value / top, ticks=ticks)


def duration(microseconds: float) -> str:
    """Like 20 us, 5 ms, 1 s."""
    for limit, unit in ((1e6, "s"), (1e3, "ms")):
        if microseconds >= limit:
            return f"{microseconds / limit:.3g} {unit}"
    return f"{microseconds:.3g} us"


def logarithmic(
    label: str, values: Sequence[float], show: Callable[[float], str] = number
) -> Scale:
    """Between the nearest of 1, 2, 5, 10, ... around the values, which are above zero."""
    low, high = min(values, default=1.0), max(values, default=10.0)
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    marks = [m * 10.0**d for d in decades for m in (1, 2, 5)]
    bottom = max(m for m in marks if m <= low * (1 + 1e-9))
    top = min(m for m in [*marks, marks[-1] * 2] if m >= high and m > bottom)
    shown = [m for m in marks if bottom <= m <= top]
    if len(shown) > 9:
        shown = [m for m in shown if math.log10(m).is_integer()]
    span = math.log(top / bottom)
    return Scale(
        label=label,
        place=lambda value: math.log(max(value, bottom) / bottom) / span,
        ticks=[(mark, show(mark)) for mark in shown],
    )


def nines(label: str, most: int = 4) -> Scale:
    """Shares from 0 up, where each further nine takes the same room."""

    def place(share: float) -> float:
        return min(1.0, -math.log10(max(1 - share, 10.0**-most)) / most)

    marks = (0.0, 0.5, *(1 - 10.0**-n for n in range(1, most + 1)))
    return Scale(label=label, place=place, ticks=[(mark, f"{100 * mark:.4g}%") for mark in marks])


def lines(title: str, x: Scale, y: Scale, series: Sequence[Series]) -> str:
    """A figure of lines with a legend."""
    wide, high = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def at(point: tuple[float, float]) -> tuple[float, float]:
        return LEFT + x.place(point[0]) * wide, TOP + (1 - y.place(point[1])) * high

    parts = []
    for value, text in y.ticks:
        _, level = at((0.0, value))
        parts.append(
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{level:.1f}" y2="{level:.1f}" '
            f'class="grid"/><text x="{LEFT - 6}" y="{level + 4:.1f}" class="end">{text}</text>'
        )
    for value, text in x.ticks:
        place, _ = at((value, 0.0))
        parts.append(
            f'<line x1="{place:.1f}" x2="{place:.1f}" y1="{TOP}" y2="{TOP + high}" class="grid"/>'
            f'<text x="{place:.1f}" y="{HEIGHT - BOTTOM + 16}" class="middle">{text}</text>'
        )
    parts.append(
        f'<text x="{LEFT + wide / 2}" y="{HEIGHT - 6}" class="middle axis">{html.escape(x.label)}'
        f'</text><text transform="translate(13 {TOP + high / 2}) rotate(-90)" '
        f'class="middle axis">{html.escape(y.label)}</text>'
    )
    for one in series:
        parts.append(_line(one, [at(point) for point in one.points]))
    return _figure(title, _legend(series), "".join(parts), HEIGHT)


def _line(series: Series, places: Sequence[tuple[float, float]]) -> str:
    style = f"stroke:{colour(series.subject)}"
    dash = ' stroke-dasharray="5 4"' if series.dashed else ""
    points = " ".join(f"{px:.1f},{py:.1f}" for px, py in places)
    name = html.escape(series.label or series.subject)
    drawn = f'<polyline points="{points}" style="{style}"{dash}><title>{name}</title></polyline>'
    if series.steps:
        return drawn
    for (px, py), (vx, vy) in zip(places, series.points, strict=True):
        hint = f"{name}: {number(vy)} at {number(vx)}"
        drawn += (
            f'<circle cx="{px:.1f}" cy="{py:.1f}" r="3.5" style="fill:{colour(series.subject)}">'
            f"<title>{hint}</title></circle>"
        )
    return drawn


def _legend(series: Sequence[Series]) -> str:
    keys = []
    for one in series:
        kind = "dashed" if one.dashed else "solid"
        keys.append(
            f'<span><i style="border-top:3px {kind} {colour(one.subject)}"></i>'
            f"{html.escape(one.label or one.subject)}</span>"
        )
    return f'<div class="legend">{"".join(keys)}</div>'


def _figure(title: str, legend: str, drawing: str, height: int) -> str:
    name = html.escape(title)
    return (
        f'<figure><figcaption>{name}</figcaption>{legend}<svg viewBox="0 0 {WIDTH} {height}" '
        f'role="img" aria-label="{name}">{drawing}</svg></figure>'
    )
