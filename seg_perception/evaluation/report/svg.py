"""Small charts as inline SVG. Colours are classes of the page's style sheet, so that light and dark both fit."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT = 520, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 14, 12, 36


class Line(NamedTuple):
    """One line of a chart: its name, points, the CSS class of its colour, and whether points are marked."""

    name: str
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    kind: str
    dots: bool = False


class Axis(NamedTuple):
    """What an axis shows: label, range, and how its ticks are written (``%`` for percent, else a format)."""

    label: str
    low: float
    high: float
    form: str = "g"


def chart(lines: Sequence[Line], x: Axis, y: Axis, *, extra: str = "", width: int = WIDTH, height: int = HEIGHT) -> str:
    """Lines over a grid. ``extra`` is SVG drawn beneath them. Gaps (NaN) break a line."""
    plot = _Plot(x, y, width, height)
    body = [plot.frame(), extra]
    for line in lines:
        for piece in _pieces(line.x, line.y):
            points = " ".join(f"{plot.x(a):.1f},{plot.y(b):.1f}" for a, b in piece)
            title = f"<title>{escape(line.name)}</title>"
            body.append(f'<polyline class="line {line.kind}" points="{points}">{title}</polyline>')
            if line.dots or len(piece) == 1:
                dot = f'<circle class="dot {line.kind}" r="2.5"'
                body += [f'{dot} cx="{plot.x(a):.1f}" cy="{plot.y(b):.1f}"/>' for a, b in piece]
    return _svg("".join(body), width, height)


def bars(edges: NDArray[np.float64], counts: NDArray[np.float64], x: Axis, label: str, *, kind: str = "c0") -> str:
    """A histogram: ``counts`` ``(n,)`` between ``edges`` ``(n + 1,)``."""
    top = float(counts.max()) if len(counts) and counts.max() > 0 else 1.0
    plot = _Plot(x, Axis(label, 0.0, top), WIDTH, HEIGHT)
    body = [plot.frame()]
    for low, high, value in zip(edges[:-1], edges[1:], counts, strict=True):
        left, right, upper = plot.x(low), plot.x(high), plot.y(value)
        title = f"{low:.4g} to {high:.4g} {x.label}: {value:g}"
        body.append(
            f'<rect class="bar {kind}" x="{left + 0.5:.1f}" y="{upper:.1f}" width="{max(right - left - 1, 0.5):.1f}" '
            f'height="{plot.y(0) - upper:.1f}"><title>{escape(title)}</title></rect>'
        )
    return _svg("".join(body), WIDTH, HEIGHT)


def scatter(points: Sequence[tuple[float, float, float, str, str]], x: Axis, y: Axis) -> str:
    """Points ``(x, y, radius, name, colour)``. Names are written where there is room, those of the lowest points first;
    all are shown under the pointer.
    """
    width, height = WIDTH, 400
    plot = _Plot(x, y, width - 70, height)  # the good ones are at the right edge, and want their names beside them
    places = [(plot.x(a), plot.y(b), radius) for a, b, radius, _, _ in points]
    body = [plot.frame()]
    for (cx, cy, radius), (a, b, _, name, colour) in zip(places, points, strict=True):
        title = f"<title>{escape(name)}: {x.label} {100 * a:.1f}, {y.label} {100 * b:.1f}</title>"
        body.append(
            f'<circle class="spot" cx="{cx:.1f}" cy="{cy:.1f}" r="{radius:.1f}" fill="{colour}">{title}</circle>'
        )
    taken = [(cx - r, cy - r, cx + r, cy + r) for cx, cy, r in places]
    for number in sorted(range(len(points)), key=lambda i: points[i][0] + points[i][1]):
        (cx, cy, radius), name = places[number], points[number][3]
        length = 6.4 * len(name)
        beside, within = (cx + radius + 3, cx - radius - 3 - length), cx - length / 2
        spots = *((left, cy + 3.5) for left in beside), (within, cy - radius - 4), (within, cy + radius + 11)
        for left, base in spots:
            box = left, base - 9, left + length, base + 2
            inside = left > _LEFT and box[2] < width and box[1] > 0 and box[3] < height - _BOTTOM
            if inside and all(box[2] < o[0] or o[2] < box[0] or box[3] < o[1] or o[3] < box[1] for o in taken):
                taken.append(box)
                body.append(_text("name", left, base, name))
                break
    return _svg("".join(body), width, height)


def matrix(values: NDArray[np.float64], rows: Sequence[str], columns: Sequence[str]) -> str:
    """A heat map of ``values`` ``(R, C)`` 0..1, rows and columns named; the diagonal in another colour."""
    count = max(len(rows), len(columns))
    cell = 34 if count <= 12 else 24 if count <= 24 else 15 if count <= 60 else 12
    font = min(12, max(9, cell - 3))
    left = 12 + round(0.58 * font * max(map(len, rows), default=1))
    top = 14 + round(0.5 * font * max(map(len, columns), default=1))
    overhang = round(0.3 * font * max(map(len, columns), default=1)) + 8  # of the last column's name
    width, height = left + cell * len(columns) + overhang, top + cell * len(rows) + 4
    body = []
    for i, name in enumerate(rows):
        y = top + cell * i
        body.append(_text("tick end", left - 6, y + cell / 2 + font / 3, name, f'font-size="{font}"'))
        body.append(f'<line class="grid" x1="{left}" x2="{width - overhang}" y1="{y}" y2="{y}"/>')
    for j, name in enumerate(columns):
        x = left + cell * j + cell / 2 + font / 3
        turned = f'font-size="{font}" transform="rotate(-60 {x:.1f} {top - 6})"'
        body.append(_text("tick", x, top - 6, name, turned))
    for i, j in zip(*(index.tolist() for index in np.nonzero(values >= 0.0005)), strict=True):
        part = float(values[i, j])
        kind = "right" if rows[i] == columns[j] else "wrong"
        x, y = left + cell * j, top + cell * i
        title = f"{100 * part:.1f} % of {rows[i]} predicted as {columns[j]}"
        body.append(
            f'<rect class="{kind}" x="{x}" y="{y}" width="{cell - 1}" height="{cell - 1}" '
            f'fill-opacity="{max(0.06, part**0.5):.2f}"><title>{escape(title)}</title></rect>'
        )
        if cell >= 24 and part >= 0.005:
            dark = " strong" if part > 0.35 else ""
            body.append(_text(f"value{dark}", x + cell / 2, y + cell / 2 + 3.5, f"{100 * part:.0f}"))
    # A heat map keeps its size: the page scrolls it rather than making it too small to read.
    return f'<svg class="fixed" width="{width}" height="{height}" viewBox="0 0 {width} {height}">{"".join(body)}</svg>'


class Span(NamedTuple):
    """A stretch of a row: from, to, CSS class or colour, and what is said under the pointer."""

    start: float
    end: float
    colour: str
    title: str


def rows(named: Sequence[tuple[str, Sequence[Span]]], x: Axis) -> str:
    """Horizontal bars, a row for each name."""
    left, line, width = 150, 16, 900
    height = line * len(named) + _TOP + _BOTTOM
    scale = (width - left - _RIGHT) / ((x.high - x.low) or 1.0)
    body = []
    for value in ticks(x.low, x.high):
        at = left + (value - x.low) * scale
        body.append(f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="{_TOP}" y2="{height - _BOTTOM}"/>')
        body.append(_text("tick middle", at, height - _BOTTOM + 15, f"{value:{x.form}}"))
    body.append(_text("label", (left + width) / 2, height - 4, x.label))
    for i, (name, spans) in enumerate(named):
        y = _TOP + line * i
        body.append(_text("tick end", left - 8, y + 11, name))
        for span in spans:
            start = left + (span.start - x.low) * scale
            paint = f'fill="{span.colour}"' if span.colour.startswith("#") else f'class="{span.colour}"'
            body.append(
                f'<rect {paint} x="{start:.1f}" y="{y + 2}" width="{max((span.end - span.start) * scale, 1):.1f}" '
                f'height="{line - 5}"><title>{escape(span.title)}</title></rect>'
            )
    return _svg("".join(body), width, height)


def legend(entries: Sequence[tuple[str, str]]) -> str:
    """Names with the CSS class of their colour."""
    return "".join(f'<span class="key"><i class="swatch {kind}"></i>{escape(name)}</span>' for name, kind in entries)


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """At most about ``most`` round numbers from ``low`` to ``high``."""
    span = high - low
    if not span > 0:
        return [low]
    step = 10 ** np.floor(np.log10(span / most))
    step = next(step * factor for factor in (1, 2, 5, 10, 20) if span / (step * factor) <= most)
    first = np.ceil(low / step - 1e-9)
    return [float(step * k) + 0.0 for k in np.arange(first, high / step + 1e-9)]  # no -0


class _Plot:
    """The place of a chart: from values to pixels."""

    def __init__(self, x: Axis, y: Axis, width: int, height: int) -> None:
        self._x, self._y, self._width, self._height = x, y, width, height

    def x(self, value: float) -> float:
        part = (value - self._x.low) / ((self._x.high - self._x.low) or 1.0)
        return float(_LEFT + part * (self._width - _LEFT - _RIGHT))

    def y(self, value: float) -> float:
        part = (value - self._y.low) / ((self._y.high - self._y.low) or 1.0)
        return float(self._height - _BOTTOM - part * (self._height - _TOP - _BOTTOM))

    def frame(self) -> str:
        """Grid, ticks and labels."""
        left, right, floor = _LEFT, self._width - _RIGHT, self._height - _BOTTOM
        body = []
        for value in ticks(self._y.low, self._y.high, 5):
            y = self.y(value)
            body.append(f'<line class="grid" x1="{left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
            body.append(_text("tick end", left - 6, y + 3.5, _written(value, self._y.form)))
        for value in ticks(self._x.low, self._x.high):
            x = self.x(value)
            body.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{floor}" y2="{floor + 4}"/>')
            body.append(_text("tick middle", x, floor + 16, _written(value, self._x.form)))
        middle = floor / 2 + 6
        body.append(_text("label", (left + right) / 2, self._height - 4, self._x.label))
        body.append(_text("label", 12, middle, self._y.label, f'transform="rotate(-90 12 {middle:.0f})"'))
        return "".join(body)


def _text(kind: str, x: float, y: float, words: str, more: str = "") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" {more}>{escape(words)}</text>'


def _written(value: float, form: str) -> str:
    return f"{100 * value:g}" if form == "%" else f"{value:{form}}"


def _pieces(x: NDArray[np.float64], y: NDArray[np.float64]) -> list[list[tuple[float, float]]]:
    pieces: list[list[tuple[float, float]]] = [[]]
    for a, b in zip(x.tolist(), y.tolist(), strict=True):
        if np.isnan(b):
            pieces.append([])
        else:
            pieces[-1].append((a, b))
    return [piece for piece in pieces if piece]


def _svg(body: str, width: int, height: int) -> str:
    return f'<svg viewBox="0 0 {width} {height}" style="max-width:{width}px" role="img">{body}</svg>'
