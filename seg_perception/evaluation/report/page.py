"""The page: what an evaluation found, in the order in which a person asks."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from seg_perception.errors import InputError
from seg_perception.evaluation.confusion import taken_for
from seg_perception.evaluation.counts import weighted
from seg_perception.evaluation.evaluating import Evaluated
from seg_perception.evaluation.numbers import confusion_matrix, per_frame, summary
from seg_perception.evaluation.report import charts, pictures
from seg_perception.evaluation.report.words import CLASS_COLUMNS, HEADLINES, NAMES, SUBJECT, TRUTHLESS, shown
from seg_perception.evaluation.result import Evaluation
from seg_perception.evaluation.sources import Key
from seg_perception.types import UInt8Array

FILM_FRAMES = 150
FILM_QUALITY = 60
FILM_BYTES = 8_000_000
"""The film is thinned until it is no larger: a page has to be mailed."""
WORST, WORST_CLASSES = 3, 10
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
"""The browser itself sees to it that the page asks for nothing."""
SMALL = 0.002
"""Part of a frame that a class must have for the frame to be that class's worst."""


@dataclass(frozen=True)
class Worst:
    """A frame to show: its position, why, and of which class the errors are drawn (None: of all)."""

    frame: int
    why: str
    label: int | None = None


def write_report(path: Path, evaluated: Evaluated) -> None:
    """Write the page; raises :class:`InputError` where the file cannot be written."""
    try:
        path.write_text(page(evaluated), encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from error


def page(evaluated: Evaluated) -> str:
    """The whole page as HTML, with nothing outside of it."""
    evaluation = evaluated.evaluation
    numbers = summary(evaluation)
    film, panels = _pictures(evaluated, worst_frames(evaluation))
    held = evaluation.against != "nothing"
    sections = [
        ("time", "Over time" if evaluation.video else "Frame by frame", "Each frame scored alone.",
         charts.over_time(evaluation) if held else ""),
        ("film", "Film", "What was perceived; the arrow keys move the slider when it has the focus.", film),
        ("classes", "Classes", "Percent, but for id switches. A click on a head sorts.",
         _class_table(evaluation, numbers)),
        ("groups", "Groups, sizes, distances", "", _parts(evaluation, numbers)),
        ("confusion", "What is taken for what",
         "Rows are the truth and sum to 100 percent; green is right, red is wrong. The pointer tells each cell.",
         _confusion(evaluation) if held else ""),
        ("precision", "Precision and recall", "", _precision(evaluation) if held else ""),
        ("calibration", "Confidence", "Is it as often right as it says?" if held else "",
         _confidence(evaluation, held)),
        ("consistency", "Consistency in time",
         "Part of the pixels that change class from one frame to the next, after the picture's own motion "
         "(optical flow) was taken out. It needs no truth, and says nothing about being right.",
         charts.consistency(evaluation)),
        ("latency", "Latency, rate and drops", "", _times(evaluation)),
        ("ids", "Ids over time", "", charts.tracks(evaluation)),
        ("worst", "Worst frames" if held else "Least consistent frames", "", panels),
        ("made", "How this was made", "", _made(evaluation)),
    ]  # fmt: skip
    there = [section for section in sections if section[3]]
    name = Path(evaluation.about["prediction"]["path"]).name
    style, script = (files(__package__).joinpath(n).read_text(encoding="utf-8") for n in ("style.css", "script.js"))
    links = "".join(f'<a href="#{anchor}">{escape(title)}</a>' for anchor, title, _, _ in there)
    body = "".join(
        f'<section id="{anchor}"><h2>{escape(title)}</h2>{f"<p class=hint>{escape(hint)}</p>" if hint else ""}{content}'
        "</section>"
        for anchor, title, hint, content in there
    )
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(name)}</title>'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">'
        f"<style>{style}</style></head><body><header>{_head(evaluation, numbers, name)}</header><nav>{links}</nav>"
        f"<main>{body}</main><footer>seg_perception {escape(evaluation.about['seg_perception'])}; beside this page "
        f"evaluation.json has the numbers and evaluation.npz what was counted in every frame.</footer>"
        f"<script>{script}</script></body></html>"
    )


def worst_frames(evaluation: Evaluation) -> list[Worst]:
    """The frames to look at first: by each metric of a frame, and for the worst classes the one where it fails most;
    neighbours in a video look alike, so those chosen are apart.
    """
    if evaluation.against == "nothing":
        table = evaluation.frames.consistency
        part = table.changed.sum(-1) / np.maximum(table.compared.sum(-1), 1)
        said = [f"{100 * value:.1f} % of the pixels change" for value in part]
        return [
            Worst(i, said[i]) for i in _apart(np.argsort(-part, kind="stable"), len(part), 2 * WORST) if part[i] > 0
        ]
    found = []
    for name in ("miou", "pq"):
        values = per_frame(evaluation)[name]
        order = np.argsort(np.where(np.isnan(values), np.inf, values), kind="stable")
        chosen = [i for i in _apart(order, len(values), WORST) if not np.isnan(values[i])]
        found += [Worst(i, f"lowest {NAMES[name].short}: {100 * values[i]:.1f}") for i in chosen]
    total = weighted(evaluation.frames.pixels, np.ones(len(evaluation.frames)))
    by_class, pixels = evaluation.frames.pixels.iou, evaluation.frames.pixels
    enough = pixels.true >= SMALL * pixels.true.sum(1, keepdims=True)
    for label in np.argsort(np.where(np.isnan(total.iou), np.inf, total.iou), kind="stable")[:WORST_CLASSES].tolist():
        values = np.where(enough[:, label], by_class[:, label], np.inf)
        if np.isfinite(values).any():
            i, of = int(np.argmin(values)), evaluation.labels.classes[label].name
            found.append(
                Worst(i, f"{of}: IoU {100 * values[i]:.1f} in this frame, {100 * total.iou[label]:.1f} in all", label)
            )
    return found


def _apart(order: Iterable[int], total: int, most: int) -> list[int]:
    """The first ``most`` of ``order`` that are not close to one before them."""
    chosen: list[int] = []
    for i in order:
        if len(chosen) < most and all(abs(int(i) - j) > total / 20 for j in chosen):
            chosen.append(int(i))
    return chosen


def _pictures(evaluated: Evaluated, worst: Sequence[Worst]) -> tuple[str, str]:
    """The film and the panels of the worst frames, from one pass over the frames."""
    evaluation, sides = evaluated.evaluation, evaluated.sides
    keys: list[Key] = [int(n) if sides.matching.pairs and isinstance(sides.matching.pairs[0][0], int) else str(n)
                       for n in evaluation.frames.names]  # fmt: skip
    number = {key: i for i, key in enumerate(keys)}
    filmed = set(np.unique(np.linspace(0, len(keys) - 1, min(FILM_FRAMES, len(keys))).round().astype(int)).tolist())
    at, quality = charts.seconds(evaluation), per_frame(evaluation)
    frames: list[dict[str, Any]] = []
    shown_frames: dict[int, list[str]] = {}
    for look in pictures.looks(evaluated, {keys[i] for i in filmed | {w.frame for w in worst}}):
        i = number[look.key]
        overlay = pictures.drawn(look.picture, look.predicted, evaluation.labels)
        if i in filmed:
            when = f"{at[i]:.2f} s" if evaluation.video else str(look.key)
            scored = [f"{NAMES[n].short} {100 * v[i]:.1f}" for n, v in quality.items() if not np.isnan(v[i])]
            frames.append({"at": float(at[i]), "picture": pictures.data_uri(overlay, FILM_QUALITY),
                           "said": ", ".join([f"{i + 1} of {len(keys)}", when, *scored])})  # fmt: skip
        if any(w.frame == i for w in worst):
            shown_frames[i] = _panels(evaluation, look, overlay, [w for w in worst if w.frame == i])
    return _film(frames, evaluation.video), "".join(
        shown_frames[w.frame].pop(0) for w in worst if w.frame in shown_frames
    )


def _panels(evaluation: Evaluation, look: pictures.Look, overlay: UInt8Array, worst: Sequence[Worst]) -> list[str]:
    """A figure for each of ``worst``, which are of one frame."""
    figures = []
    for entry in worst:
        if evaluation.against == "nothing":
            panels = [("camera", look.picture), ("prediction", overlay)]
        else:
            other = "truth" if evaluation.against == "truth" else "other model"
            true = pictures.drawn(look.picture, look.true, evaluation.labels)
            panels = [("prediction", overlay), (other, true), ("error", pictures.errors(look, entry.label))]
        colours = _error_key(entry.label) if evaluation.against != "nothing" else ""
        images = "".join(
            f'<img loading="lazy" alt="{name}" src="{pictures.data_uri(image)}">' for name, image in panels
        )
        names = " | ".join(name for name, _ in panels)
        said = f"<b>{escape(entry.why)}</b>, {_when(evaluation, entry.frame)} <span class=hint>{names}</span> {colours}"
        figures.append(f'<figure><figcaption>{said}</figcaption><div class="panels">{images}</div></figure>')
    return figures


def _when(evaluation: Evaluation, frame: int) -> str:
    name = escape(str(evaluation.frames.names[frame]))
    return (
        f'<span title="stamp {name}">at {charts.seconds(evaluation)[frame]:.2f} s</span>' if evaluation.video else name
    )


def _error_key(label: int | None) -> str:
    kinds = [("wrong", "error-any")] if label is None else [("missed", "error-missed"), ("invented", "error-invented")]
    return "".join(f'<span class="key"><i class="swatch {kind}"></i>{name} </span>' for name, kind in kinds)


def _film(frames: Sequence[dict[str, Any]], video: bool) -> str:
    while len(frames) > 1 and sum(len(frame["picture"]) for frame in frames) > FILM_BYTES:
        frames = frames[::2]
    if not frames:
        return ""
    ends = [*(frame["at"] for frame in frames[1:]), frames[-1]["at"]]
    content = [
        {"picture": f["picture"], "said": f["said"], "lasts": round(end - f["at"], 3) if video else 1.0}
        for f, end in zip(frames, ends, strict=True)
    ]
    data = json.dumps(content).replace("</", "<\\/")
    return (
        f'<div class="film"><img alt="overlay"><div class="controls"><button>Play</button>'
        f'<input type="range" min="0" max="{len(frames) - 1}" value="0" aria-label="frame"><output></output></div>'
        f'<script type="application/json">{data}</script></div>'
    )


def _head(evaluation: Evaluation, numbers: Mapping[str, Any], name: str) -> str:
    about, other = evaluation.about, evaluation.about["truth"]
    against = f" against {_named(other['path'], name)} ({other['kind']})" if other else ""
    models = ", ".join(str(m.get("model", "?")) for m in about["prediction"]["run"].get("models", ()))
    facts = [
        f"{numbers['frames']} frames",
        f"label space '{evaluation.labels.name}', {len(evaluation.labels)} classes",
        *([f"models: {models}"] if models else []),
    ]
    notes = "".join(f"<li>{escape(note)}</li>" for note in about["notes"])
    known = [n for n in HEADLINES if numbers.get(n) is not None and (evaluation.against != "nothing" or n in TRUTHLESS)]
    tiles = "".join(_tile(n, numbers) for n in known) + _latency_tile(evaluation)
    listed = f"<ul class=notes>{notes}</ul>" if notes else ""
    return (
        f"<h1>{escape(SUBJECT[evaluation.against])}: {escape(name)}</h1>"
        f'<p class="sub">{escape("; ".join([name + against, *facts]))}</p>{listed}<div class="tiles">{tiles}</div>'
    )


def _named(path: str, taken: str) -> str:
    """The file's name, with its folder where the name is ``taken``."""
    found = Path(path)
    return f"{found.parent.name}/{found.name}" if found.name == taken else found.name


def _tile(name: str, numbers: Mapping[str, Any]) -> str:
    value = numbers[name]
    unit = "" if isinstance(value, int) else " <small>%</small>"
    more = ""
    if name == "pq":
        parts = [(n, numbers[n]) for n in ("pq_things", "pq_stuff") if numbers.get(n) is not None]
        more = " " + ", ".join(f"{NAMES[n].short} {shown(v)}" for n, v in parts) + "."
    said = f"<span>{NAMES[name].short}</span><em>{NAMES[name].long}.{more}</em>"
    return f"<div class=tile><b>{shown(value)}{unit}</b>{said}</div>"


def _latency_tile(evaluation: Evaluation) -> str:
    told = evaluation.about.get("timing", {}).get("latency")
    if not told:
        return ""
    p50, p95 = 1000 * told["p50"], 1000 * told["p95"]
    more = f"95 % within {p95:.1f} ms; " if p95 > p50 else ""
    return (
        f"<div class=tile><b>{p50:.1f} <small>ms</small></b><span>latency, median</span><em>{more}"
        f"{escape(str(told['from']))}.</em></div>"
    )


def _class_table(evaluation: Evaluation, numbers: Mapping[str, Any]) -> str:
    if evaluation.against == "nothing":
        return _coverage_table(evaluation)
    rows = numbers["classes"]
    columns = [c for c in CLASS_COLUMNS if any(row.get(c) is not None for row in rows.values())]
    pixels = weighted(evaluation.frames.pixels, np.ones(len(evaluation.frames)))
    part = pixels.true / max(int(pixels.true.sum()), 1)
    body = []
    for c in evaluation.labels.classes:
        if c.name in rows:
            cells = "".join(_cell(rows[c.name].get(column)) for column in columns)
            share = f'<td data-value="{part[c.id]:.6f}">{100 * part[c.id]:.2f}</td>'
            body.append(f"<tr><td>{_swatch(c.colour)}{escape(c.name)}</td>{share}{cells}</tr>")
    heads = ["<th>class</th>", '<th title="part of all true pixels">pixels</th>']
    heads += [f'<th title="{escape(NAMES[c].long)}">{NAMES[c].short}</th>' for c in columns]
    return (
        f'<div class="scroll"><table class="sortable"><thead><tr>{"".join(heads)}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div>"
    )


def _coverage_table(evaluation: Evaluation) -> str:
    table = weighted(evaluation.frames.coverage, np.ones(len(evaluation.frames)))
    frames = (evaluation.frames.coverage.pixels > 0).sum(0)
    total, body = int(table.pixels.sum()), []
    entries = [(c.name, c.colour) for c in evaluation.labels.classes] + [("unlabelled", (0, 0, 0))]
    for i, (name, rgb) in enumerate(entries):
        if table.pixels[i]:
            share = table.pixels[i] / total
            sure = table.confidence[i] / table.pixels[i] / 255 if table.confidence[i] else None
            body.append(
                f"<tr><td>{_swatch(rgb)}{escape(name)}</td>{_cell(float(share))}<td>{frames[i]}</td>{_cell(sure)}</tr>"
            )
    return (
        '<div class="scroll"><table class="sortable"><thead><tr><th>class</th><th>percent of pixels</th><th>frames</th>'
        f"<th>mean stated confidence</th></tr></thead><tbody>{''.join(body)}</tbody></table></div>"
    )


def _cell(value: float | int | None) -> str:
    if value is None:
        return "<td></td>"
    if isinstance(value, int):
        return f"<td>{value}</td>"
    return f'<td class="cell" data-value="{value:.6f}" style="--part:{100 * max(value, 0.0):.1f}%">{shown(value)}</td>'


def _swatch(colour: tuple[int, int, int]) -> str:
    return f'<i class="swatch" style="background:rgb{colour}"></i>'


def _parts(evaluation: Evaluation, numbers: Mapping[str, Any]) -> str:
    if evaluation.against == "nothing":
        return ""
    tables = []
    groups = [(name, [("IoU", value)]) for name, value in numbers["groups"].items() if value is not None]
    if groups:
        tables.append(_small("Groups, as planners ask for them", "group", groups))
    sizes = [(f"{row['name']} ({_range(row, 'px')})", _found(row)) for row in numbers["sizes"] if row["true"]]
    if sizes:
        tables.append(_small("Things by size", "size", sizes))
    far = [
        (_range(row, "m"), [("mIoU", row["miou"]), ("pixels right", row["pixel_accuracy"]), *_found(row)])
        for row in numbers["distances"]
        if row["pixels"]
    ]
    if far:
        tables.append(_small("By distance", "distance", far))
    return "".join(tables)


def _found(row: Mapping[str, Any]) -> list[tuple[str, float | int | None]]:
    return [
        ("true things", row["true"]),
        *((NAMES[n].short, row[n]) for n in ("precision", "recall", "f1", "sq", "pq")),
    ]


def _range(row: Mapping[str, Any], unit: str) -> str:
    return f"over {row['low']:g} {unit}" if row["high"] is None else f"{row['low']:g} to {row['high']:g} {unit}"


def _small(title: str, what: str, rows: Sequence[tuple[str, Sequence[tuple[str, float | int | None]]]]) -> str:
    heads = "".join(f"<th>{escape(name)}</th>" for name, _ in rows[0][1])
    body = "".join(
        f"<tr><td>{escape(name)}</td>{''.join(_cell(value) for _, value in cells)}</tr>" for name, cells in rows
    )
    return (
        f'<h3>{escape(title)}</h3><table class="plain"><thead><tr><th>{what}</th>{heads}</tr></thead>'
        f"<tbody>{body}</tbody></table>"
    )


def _confusion(evaluation: Evaluation) -> str:
    names = [c.name for c in evaluation.labels.classes]
    drawn, worst = charts.confusion(evaluation), taken_for(confusion_matrix(evaluation), names, 12)
    items = "".join(f"<li>{100 * part:.1f} % of {escape(a)} taken for {escape(b)}</li>" for a, b, part in worst)
    listed = f"<div><h3>Most often taken for something else</h3><ol>{items}</ol></div>" if worst else ""
    return f'<div class="beside">{drawn}{listed}</div>' if drawn else ""


def _precision(evaluation: Evaluation) -> str:
    drawn = [
        ("Pixels of each class", charts.pixel_precision_recall(evaluation)),
        ("Things ranked by score, at IoU 0.5", charts.precision_recall_curves(evaluation)),
    ]
    parts = "".join(f"<div><h3>{title}</h3>{content}</div>" for title, content in drawn if content)
    return f'<div class="pair">{parts}</div>' if parts else ""


def _confidence(evaluation: Evaluation, held: bool) -> str:
    drawn = charts.reliability(evaluation) if held else ""
    stated = charts.stated_confidence(evaluation)
    return drawn + (f"<h3>Stated confidence by class</h3>{stated}" if stated and not held else "")


def _times(evaluation: Evaluation) -> str:
    timing = evaluation.about.get("timing", {})
    if not timing:
        return ""
    rate = timing["rate"]
    facts = [
        f"{rate['frames']} answers in {rate['seconds']:.1f} s of stamps"
        + (f", {rate['hz']:.2f} Hz" if rate["hz"] else ""),
        f"{rate['gaps']} gaps, the longest {rate['longest_gap']:.2f} s" if rate["gaps"] else "no gaps",
    ]
    if rate["backwards"]:
        facts.append(f"time goes back {rate['backwards']} times")
    if "pictures" in timing:
        facts.append(f"{timing['dropped']} of the camera's {timing['pictures']} pictures have no answer")
    told = "".join(
        f"<details><summary>diagnostics: {escape(name)}</summary>{_pairs(values)}</details>"
        for name, values in timing.get("diagnostics", {}).items()
    )
    return f"<p>{escape('; '.join(facts))}.</p>{charts.latency(evaluation)}{told}"


def _pairs(values: Mapping[str, str]) -> str:
    rows = "".join(f"<tr><td>{escape(key)}</td><td>{escape(value)}</td></tr>" for key, value in values.items())
    return f'<table class="plain"><tbody>{rows}</tbody></table>'


def _made(evaluation: Evaluation) -> str:
    about = evaluation.about
    parts: list[tuple[str, Any]] = [
        ("Matching", about["matching"]), ("Rules", about["options"]), ("Prediction", about["prediction"]),
        ("Truth", about["truth"]),
    ]  # fmt: skip
    dumped = [(name, escape(json.dumps(content, indent=1, ensure_ascii=False))) for name, content in parts if content]
    return "".join(f"<details><summary>{name}</summary><pre>{text}</pre></details>" for name, text in dumped)
