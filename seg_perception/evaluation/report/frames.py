"""The film, and the frames to look at first: answer, truth and error side by side."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np

from seg_perception.evaluation.counts import weighted
from seg_perception.evaluation.evaluating import Evaluated
from seg_perception.evaluation.numbers import per_frame
from seg_perception.evaluation.report import charts, pictures
from seg_perception.evaluation.report.words import NAMES
from seg_perception.evaluation.result import Evaluation
from seg_perception.evaluation.sources import Key
from seg_perception.types import UInt8Array

FILM_FRAMES = 150
FILM_QUALITY = 60
FILM_BYTES = 8_000_000
"""The film is thinned until it is no larger: a page has to be mailed."""
WORST, WORST_CLASSES = 3, 10
SMALL = 0.002
"""Part of a frame that a class must have for the frame to be that class's worst."""


@dataclass(frozen=True)
class Worst:
    """A frame to show: its position, why, and of which class the errors are drawn (None: of all)."""

    frame: int
    why: str
    label: int | None = None


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


def film_and_panels(evaluated: Evaluated, worst: Sequence[Worst]) -> tuple[str, str]:
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
