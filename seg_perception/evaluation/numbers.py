"""From what was counted to the numbers: of all frames, of a choice of them, or of many weighted sums at once.

Everything that adds up over frames comes from :func:`additive`, by a flat name such as ``pq`` or ``iou/person``; what
needs the order of frames, or all detections ranked, comes from :func:`scores`. :func:`summary` is both, for JSON.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seg_perception.evaluation.bands import BY_DISTANCE, BY_SIZE, DISTANCES, SIZES, bands
from seg_perception.evaluation.confusion import Confusion, ratio
from seg_perception.evaluation.counts import weighted
from seg_perception.evaluation.result import Evaluation
from seg_perception.evaluation.sequence import Scores, scored
from seg_perception.types import Float64Array

LOWER_IS_BETTER = frozenset({"ece", "flicker", "inconsistency", "id_switches"})
"""Of all names, before the ``/``; of every other one more is better."""

GROUP_KINDS = ("iou", "precision", "recall", "f1")
"""What is said of a group's pixels."""

COUNTS = frozenset({"id_switches"})
"""Numbers that count; all others are parts, 0..1."""


def additive(evaluation: Evaluation, weights: NDArray[Any] | None = None) -> dict[str, Float64Array]:
    """The numbers that add up over frames, by name; ``weights`` ``(F,)`` or ``(B, F)`` says how often each frame counts
    (once, if None). Values have the weights' leading shape, ``()`` or ``(B,)``; NaN where there is nothing to score.

    Means over classes: ``miou``, ``precision``, ``recall``, ``f1``, ``pq``, ``sq``, ``rq``, ``pq_things``,
    ``pq_stuff``, ``boundary_iou``, ``boundary_f1``, ``streaming_miou``. Of all pixels: ``pixel_accuracy``, ``ece``,
    ``flicker``, ``inconsistency``, ``coverage``. By class (``NAME/CLASS``): ``iou``, ``precision``, ``recall``, ``f1``,
    ``pq``, ``sq``, ``rq``, ``boundary_iou``, ``boundary_f1``, ``flicker``. By group: ``group_iou/GROUP``,
    ``group_precision``, ``group_recall``, ``group_f1``.
    """
    frames, labels = evaluation.frames, evaluation.labels
    weights = np.ones(len(frames)) if weights is None else np.asarray(weights, np.float64)
    things = labels.things[: len(labels)]
    pixels, panoptic = weighted(frames.pixels, weights), weighted(frames.panoptic, weights)
    boundary, stability = weighted(frames.boundary, weights), weighted(frames.stability, weights)
    consistency = weighted(frames.consistency, weights)
    by_class = {
        **{name: getattr(pixels, name) for name in ("iou", "precision", "recall", "f1")},
        **{name: getattr(panoptic, name) for name in ("pq", "sq", "rq")},
        "boundary_iou": boundary.iou,
        "boundary_f1": boundary.f1,
        "flicker": stability.flicker,
    }
    numbers: dict[str, Float64Array] = {
        "miou": _mean(by_class["iou"]),
        "pixel_accuracy": pixels.accuracy,
        **{name: _mean(by_class[name]) for name in ("precision", "recall", "f1", "pq", "sq", "rq")},
        "pq_things": _mean(by_class["pq"][..., things]),
        "pq_stuff": _mean(by_class["pq"][..., ~things]),
        "boundary_iou": _mean(by_class["boundary_iou"]),
        "boundary_f1": _mean(by_class["boundary_f1"]),
        "ece": weighted(frames.calibration, weights).error(),
        "flicker": ratio(stability.changed.sum(-1), stability.compared.sum(-1)),
        "inconsistency": ratio(consistency.changed.sum(-1), consistency.compared.sum(-1)),
        "coverage": weighted(frames.coverage, weights).labelled,
        "streaming_miou": _mean(weighted(frames.streaming, weights).iou),
    }
    for name, values in by_class.items():
        numbers |= {f"{name}/{c.name}": values[..., c.id] for c in labels.classes}
    groups = weighted(frames.groups, weights)
    for kind in GROUP_KINDS:
        values = getattr(groups, kind)
        numbers |= {f"group_{kind}/{name}": values[..., i] for i, name in enumerate(labels.groups)}
    return numbers


def scores(evaluation: Evaluation, blocks: Sequence[NDArray[Any]] | None = None) -> Scores:
    """Everything of :class:`~seg_perception.evaluation.sequence.Scores`: identity, HOTA, VPQ, STQ and average precision
    as well. Each of ``blocks`` (positions of frames, in their order) counts as a sequence of its own, as often as it is
    listed; None: the evaluation's sequences.
    """
    if blocks is None:
        blocks = [np.flatnonzero(evaluation.frames.sequence == i) for i in range(len(evaluation.sequences))]
    parts = [
        scored(evaluation.labels, [evaluation.overlap(int(i)) for i in block], evaluation.precision(block))
        for block in blocks
    ]
    return sum(parts[1:], parts[0])


def summary(evaluation: Evaluation) -> dict[str, Any]:
    """The numbers of all frames for JSON, None where there is nothing to score: ``frames``; the overall ones of
    :func:`additive` and, where the frames are held against something, of :func:`scores` (identity and time only for a
    video); ``classes`` and ``groups`` by name; ``sizes`` and ``distances`` of :func:`by_size`, :func:`by_distance`.
    """
    flat = {name: _plain(value) for name, value in additive(evaluation).items()}
    overall: dict[str, Any] = {"frames": len(evaluation.frames)}
    overall |= {name: value for name, value in flat.items() if "/" not in name}
    classes: dict[str, dict[str, Any]] = {c.name: {} for c in evaluation.labels.classes}
    groups: dict[str, dict[str, Any]] = {name: {} for name in evaluation.labels.groups}
    for name, value in flat.items():
        kind, _, of = name.partition("/")
        if of:
            into, name = (groups, kind.removeprefix("group_")) if kind.startswith("group_") else (classes, kind)
            into[of][name] = value
    if evaluation.against != "nothing":
        whole = scores(evaluation).summary()
        for content, more in ((overall, whole), *((classes[name], row) for name, row in whole["classes"].items())):
            content |= {name: more[name] for name in _ranked(evaluation) if name in more}
    return {
        **overall,
        "classes": {name: row for name, row in classes.items() if any(v is not None for v in row.values())},
        "groups": groups,
        "sizes": by_size(evaluation),
        "distances": by_distance(evaluation),
    }


def _ranked(evaluation: Evaluation) -> tuple[str, ...]:
    """The names of :meth:`Scores.summary` that :func:`additive` does not have and that mean something here."""
    instances = bool(evaluation.detections.known)
    ap = ("ap", "ap50", "ap75") if instances else ()
    identity = ("idf1", "idp", "idr", "id_switches", "mota", "hota", "deta", "assa")
    video = ("vpq", "vpq_1", "vpq_2", "vpq_3", "vpq_4", "stq", "aq")
    return (*ap, "tp", "fp", "fn", *((*identity, *video) if evaluation.video and _things_asked(evaluation) else ()))


def _things_asked(evaluation: Evaluation) -> bool:
    """Whether any true thing was told apart from the others: else identity is not a question."""
    return bool((evaluation.overlaps.truth >> 16 > 0).any())


def by_size(evaluation: Evaluation) -> list[dict[str, Any]]:
    """How well things are found, all classes together, by the size of the true one (of an invented one: its own):
    ``name``, ``low`` and ``high`` pixels, ``true`` (how many), ``precision``, ``recall``, ``f1`` (which is RQ), ``sq``,
    ``pq`` at IoU 0.5; ``ap``, ``ap50``, ``ap75``, the mean over classes, None where no scores are known.
    """
    limits = [{"name": name, "low": low, "high": _end(high)} for name, low, high in SIZES]
    return [limit | row for limit, row in zip(limits, _found(evaluation, BY_SIZE), strict=True)]


def by_distance(evaluation: Evaluation) -> list[dict[str, Any]]:
    """The same by distance in metres, and ``miou``, ``pixel_accuracy`` and ``pixels`` of everything at that distance;
    empty where no depth is known. Things whose distance is not known are in none of them.
    """
    pixels = weighted(evaluation.frames.distance, np.ones(len(evaluation.frames)))
    if not pixels.true.any():
        return []
    limits = [{"low": low, "high": _end(high)} for low, high in DISTANCES]
    true, miou, accuracy = pixels.true.sum(-1), _mean(pixels.iou), pixels.accuracy
    every = [
        {"pixels": int(true[i]), "miou": _plain(miou[i]), "pixel_accuracy": _plain(accuracy[i])}
        for i in range(len(DISTANCES))
    ]
    found = _found(evaluation, BY_DISTANCE)
    return [limit | row | more for limit, row, more in zip(limits, every, found, strict=True)]


def _end(high: float) -> float | None:
    """The upper limit of a band, None where it has none: JSON knows no infinity."""
    return None if np.isinf(high) else high


def _found(evaluation: Evaluation, chosen: range) -> list[dict[str, Any]]:
    """How well the things of each of the ``chosen`` bands are found. What does not belong to the band is neither asked
    for nor held against the prediction.
    """
    segments, rows = evaluation.segments, []
    members = bands(segments.area, segments.distance) & evaluation.labels.things[segments.classes]
    for band in chosen:
        mine = members[band]
        true, given = segments.truth[mine] >= 0, segments.predicted[mine] >= 0
        tp, iou = int((true & given).sum()), float(segments.iou[mine].sum())
        f1 = ratio(tp, tp + 0.5 * int((true ^ given).sum()))
        sq = ratio(iou, tp)
        precision = evaluation.precision(band=band)
        values: dict[str, Any] = {
            "precision": ratio(tp, given.sum()), "recall": ratio(tp, true.sum()), "f1": f1, "sq": sq, "pq": sq * f1,
        }  # fmt: skip
        values |= {name: getattr(precision, name) if precision else np.nan for name in ("ap", "ap50", "ap75")}
        rows.append({"true": int(true.sum())} | {name: _plain(value) for name, value in values.items()})
    return rows


def confusion_matrix(evaluation: Evaluation) -> Confusion:
    """Of all frames."""
    rows = evaluation.overlaps
    labels = [np.minimum(ids & 0xFFFF, len(evaluation.labels)) for ids in (rows.truth, rows.predicted)]
    size = len(evaluation.labels) + 1
    sums = np.bincount(labels[0] * size + labels[1], rows.pixels, size * size)
    return Confusion(sums.astype(np.int64).reshape(size, size))


def per_frame(evaluation: Evaluation) -> dict[str, Float64Array]:
    """``miou``, ``pq`` and ``pixel_accuracy`` of every frame alone, ``(F,)`` each, NaN where there is nothing to
    score.
    """
    frames = evaluation.frames
    quality = {"miou": _mean(frames.pixels.iou), "pq": _mean(frames.panoptic.pq)}
    return {**quality, "pixel_accuracy": frames.pixels.accuracy}


def _mean(values: Float64Array) -> Float64Array:
    """Over the last axis, of the values that are not NaN; NaN where there is none."""
    there = ~np.isnan(values)
    return ratio(np.where(there, values, 0.0).sum(-1), there.sum(-1))


def _plain(value: Float64Array) -> float | None:
    return None if np.isnan(value) else float(value)
