"""From what was counted to the numbers: of all frames, of a choice of them, or of many weighted sums at once.

Everything that adds up over frames comes from :func:`additive`, by a flat name such as ``pq`` or ``iou/person``; what
needs the order of frames, or all detections ranked, comes from :func:`scores`. :func:`summary` is both, for JSON.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seg_perception.evaluation.confusion import ratio
from seg_perception.evaluation.counts import weighted
from seg_perception.evaluation.result import Evaluation
from seg_perception.evaluation.segments import Float64Array
from seg_perception.evaluation.sequence import Scores, scored

LOWER_IS_BETTER = frozenset({"ece", "flicker", "inconsistency", "id_switches"})
"""Of all names, before the ``/``; of every other one more is better."""


def additive(evaluation: Evaluation, weights: NDArray[Any] | None = None) -> dict[str, Float64Array]:
    """The numbers that add up over frames, by name; ``weights`` ``(F,)`` or ``(B, F)`` says how often each frame counts
    (once, if None). Values have the weights' leading shape, ``()`` or ``(B,)``; NaN where there is nothing to score.

    Means over classes: ``miou``, ``precision``, ``recall``, ``f1``, ``pq``, ``sq``, ``rq``, ``pq_things``,
    ``pq_stuff``, ``boundary_iou``, ``boundary_f1``, ``streaming_miou``. Of all pixels: ``pixel_accuracy``, ``ece``,
    ``flicker``, ``inconsistency``, ``coverage``. By class (``NAME/CLASS``): ``iou``, ``precision``, ``recall``, ``f1``, ``pq``, ``sq``, ``rq``,
    ``boundary_iou``, ``boundary_f1``, ``flicker``. By group: ``group_iou/GROUP``.
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
    numbers |= {f"group_iou/{name}": groups.iou[..., i] for i, name in enumerate(labels.groups)}
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
    """The numbers of all frames for JSON, None where there is nothing to score: ``frames``, all of :func:`additive`
    that are not by class or group, and, where they mean something, those of :func:`scores`; ``classes`` and ``groups``
    by name.
    """
    flat = {name: _plain(value) for name, value in additive(evaluation).items()}
    overall: dict[str, Any] = {"frames": len(evaluation.frames)}
    overall |= {name: value for name, value in flat.items() if "/" not in name}
    return overall


def _mean(values: Float64Array) -> Float64Array:
    """Over the last axis, of the values that are not NaN; NaN where there is none."""
    there = ~np.isnan(values)
    return ratio(np.where(there, values, 0.0).sum(-1), there.sum(-1))


def _plain(value: Float64Array) -> float | None:
    return None if np.isnan(value) else float(value)
