"""A comparison in words and tables, for a terminal and for the page."""

from __future__ import annotations

import math
from collections.abc import Iterator

from seg_perception.evaluation.comparing.changes import Change, Comparison
from seg_perception.evaluation.numbers import COUNTS
from seg_perception.evaluation.report.words import HEADLINES, NAMES

CLASS_COLUMNS = ("iou", "pq", "ap", "hota", "idf1")
"""What is said of each class, where it is known."""

MARKS = {"better": "+", "worse": "-", "unclear": "?", "same": " "}


def told(before: str, after: str, comparison: Comparison) -> Iterator[str]:
    """The comparison for a terminal, in percent: the numbers, the classes, and what a reader should know."""
    changes = comparison.changes
    yield (
        f"{after} compared with {before}: {comparison.frames} frames, percent; 95 % intervals from "
        f"{comparison.blocks} x {comparison.unit}"
    )
    yield f"{'':16}{'before':>9}{'after':>9}{'change':>9}   interval"
    for name in HEADLINES:
        change = changes.get(name)
        if change is not None and not math.isnan(change.before):
            yield (
                f"{NAMES[name].short:16}{shown(change, change.before):>9}{shown(change, change.after):>9}"
                f"{shown(change, change.delta, '+'):>9} {MARKS[change.verdict]} {interval(change)}"
            )
    rows = list(by_class(comparison))
    if rows:
        width = max(len(name) for name, _ in rows)
        yield f"{'':{width}}" + "".join(f"{NAMES[column].short:>14}" for column in CLASS_COLUMNS)
    for name, row in rows:
        cells = (f"{shown(c, c.delta, '+')} {MARKS[c.verdict]}" if c else "" for c in row)
        yield f"{name:{width}}" + "".join(f"{cell:>14}" for cell in cells)
    yield "+ better, - worse, ? it may be chance"
    for note in comparison.notes:
        yield f"note: {note}"


def by_class(comparison: Comparison) -> Iterator[tuple[str, list[Change | None]]]:
    """The classes that occur, each with its changes by :data:`CLASS_COLUMNS`."""
    names = [name.partition("/")[2] for name in comparison.changes if name.startswith("iou/")]
    for name in names:
        row = [comparison.changes.get(f"{column}/{name}") for column in CLASS_COLUMNS]
        known = [c if c is not None and not (math.isnan(c.before) and math.isnan(c.after)) else None for c in row]
        if any(known):
            yield name, known


def shown(change: Change, value: float, sign: str = "") -> str:
    """A value of that change: a count as it is, a part in percent."""
    if math.isnan(value):
        return "–"
    return f"{value:{sign}.0f}" if change.name.partition("/")[0] in COUNTS else f"{100 * value:{sign}.1f}"


def interval(change: Change) -> str:
    """The change's interval in words of :func:`shown`."""
    if math.isnan(change.low) or change.verdict == "same":
        return ""
    return f"[{shown(change, change.low, '+')}, {shown(change, change.high, '+')}]"
