"""The tables of a report, from an evaluation and its numbers; each is a piece of HTML, empty where nothing is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from seg_perception.evaluation.counts import weighted
from seg_perception.evaluation.report.words import CLASS_COLUMNS, NAMES, shown
from seg_perception.evaluation.result import Evaluation


def classes(evaluation: Evaluation, numbers: Mapping[str, Any]) -> str:
    """Every class that occurs; without a truth, what part of the pictures it has."""
    if evaluation.against == "nothing":
        return _coverage(evaluation)
    rows = numbers["classes"]
    columns = [c for c in CLASS_COLUMNS if any(row.get(c) is not None for row in rows.values())]
    pixels = weighted(evaluation.frames.pixels, np.ones(len(evaluation.frames)))
    part = pixels.true / max(int(pixels.true.sum()), 1)
    body = []
    for c in evaluation.labels.classes:
        if c.name in rows:
            cells = "".join(cell(rows[c.name].get(column)) for column in columns)
            share = f'<td data-value="{part[c.id]:.6f}">{100 * part[c.id]:.2f}</td>'
            body.append(f"<tr><td>{_swatch(c.colour)}{escape(c.name)}</td>{share}{cells}</tr>")
    heads = ["<th>class</th>", '<th title="part of all true pixels">pixels</th>']
    heads += [f'<th title="{escape(NAMES[c].long)}">{NAMES[c].short}</th>' for c in columns]
    return (
        f'<div class="scroll"><table class="sortable"><thead><tr>{"".join(heads)}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div>"
    )


def _coverage(evaluation: Evaluation) -> str:
    table = weighted(evaluation.frames.coverage, np.ones(len(evaluation.frames)))
    frames = (evaluation.frames.coverage.pixels > 0).sum(0)
    total, body = int(table.pixels.sum()), []
    entries = [(c.name, c.colour) for c in evaluation.labels.classes] + [("unlabelled", (0, 0, 0))]
    for i, (name, rgb) in enumerate(entries):
        if table.pixels[i]:
            share = table.pixels[i] / total
            sure = table.confidence[i] / table.pixels[i] / 255 if table.confidence[i] else None
            body.append(
                f"<tr><td>{_swatch(rgb)}{escape(name)}</td>{cell(float(share))}<td>{frames[i]}</td>{cell(sure)}</tr>"
            )
    return (
        '<div class="scroll"><table class="sortable"><thead><tr><th>class</th><th>percent of pixels</th><th>frames</th>'
        f"<th>mean stated confidence</th></tr></thead><tbody>{''.join(body)}</tbody></table></div>"
    )


def cell(value: float | int | None) -> str:
    """A number in its place, a part of 1 as percent with a bar behind it."""
    if value is None:
        return "<td></td>"
    if isinstance(value, int):
        return f"<td>{value}</td>"
    return f'<td class="cell" data-value="{value:.6f}" style="--part:{100 * max(value, 0.0):.1f}%">{shown(value)}</td>'


def _swatch(colour: tuple[int, int, int]) -> str:
    return f'<i class="swatch" style="background:rgb{colour}"></i>'


def groups(numbers: Mapping[str, Any]) -> str:
    """Groups of classes, by pixels."""
    rows = [
        (name, [(NAMES[n].short, row[n]) for n in ("iou", "precision", "recall", "f1")])
        for name, row in numbers["groups"].items()
        if row["iou"] is not None
    ]
    return _small("Groups, as planners ask for them", "", "group", rows)


def sizes(numbers: Mapping[str, Any]) -> str:
    """Things by their size in the image."""
    rows = [(f"{row['name']} ({_range(row, 'px')})", _found(row)) for row in numbers["sizes"] if row["true"]]
    hint = (
        "A thing counts by its true size, an invented one by its own, in pixels of the truth's image; the limits are "
        "COCO's, 32 x 32 and 96 x 96. Precision and recall at IoU 0.5."
    )
    return _small("Things by size", hint, "size", rows)


def distances(numbers: Mapping[str, Any]) -> str:
    """Pixels and things by their distance."""
    rows = [
        (_range(row, "m"), [("mIoU", row["miou"]), ("pixels right", row["pixel_accuracy"]), *_found(row)])
        for row in numbers["distances"]
        if row["pixels"]
    ]
    hint = "The first two are of the pixels at that distance, the others of the things whose median depth is."
    return _small("By distance", hint, "distance", rows)


def _found(row: Mapping[str, Any]) -> list[tuple[str, float | int | None]]:
    names = ("precision", "recall", "f1", "sq", "pq", "ap", "ap50", "ap75")
    return [("true things", row["true"]), *((NAMES[name].short, row[name]) for name in names)]


def _range(row: Mapping[str, Any], unit: str) -> str:
    return f"over {row['low']:g} {unit}" if row["high"] is None else f"{row['low']:g} to {row['high']:g} {unit}"


def _small(
    title: str, hint: str, what: str, rows: Sequence[tuple[str, Sequence[tuple[str, float | int | None]]]]
) -> str:
    """A table under its ``title``, of the columns that have a value in some row; empty without rows."""
    if not rows:
        return ""
    shown_columns = [i for i in range(len(rows[0][1])) if any(cells[i][1] is not None for _, cells in rows)]
    heads = "".join(f"<th>{escape(rows[0][1][i][0])}</th>" for i in shown_columns)
    body = "".join(
        f"<tr><td>{escape(name)}</td>{''.join(cell(cells[i][1]) for i in shown_columns)}</tr>" for name, cells in rows
    )
    return (
        f"<h3>{escape(title)}</h3>{f'<p class=hint>{escape(hint)}</p>' if hint else ''}"
        f'<div class="scroll fit"><table class="plain"><thead><tr><th>{what}</th>{heads}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def key_values(values: Mapping[str, str]) -> str:
    """Two columns."""
    rows = "".join(f"<tr><td>{escape(key)}</td><td>{escape(value)}</td></tr>" for key, value in values.items())
    return f'<table class="plain"><tbody>{rows}</tbody></table>'
