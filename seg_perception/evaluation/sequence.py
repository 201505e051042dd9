"""One sequence with truth, frame by frame, to every number at once; the results of several sequences add up."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seg_perception.errors import InputError
from seg_perception.evaluation.average_precision import AveragePrecision, Ranking, ranking
from seg_perception.evaluation.confusion import Confusion, folded, mean
from seg_perception.evaluation.identity import THRESHOLD, Moment, Tracking, tracking
from seg_perception.evaluation.panoptic import PanopticQuality, mostly_ignored, panoptic_quality
from seg_perception.evaluation.segments import Overlap, Segments, overlap
from seg_perception.evaluation.video import (
    AssociationQuality,
    association_quality,
    video_panoptic_quality,
    with_void,
)
from seg_perception.labels import LabelSpace
from seg_perception.types import UNLABELLED, Instances, Int64Array

WINDOWS = (1, 2, 3, 4)
"""Frames per tube for VPQ, as on Cityscapes-VPS."""


@dataclass(frozen=True)
class Scores:
    """Everything about one sequence, or the sum of several; ``scores + scores`` is what they score together.

    ``precision`` is None where no instances were given; ``tracking`` has an entry for every thing class, by class id;
    ``video`` is VPQ by window of :data:`WINDOWS` frames, ``association`` STQ's part about ids.
    """

    labels: LabelSpace
    frames: int
    confusion: Confusion
    panoptic: PanopticQuality
    precision: AveragePrecision | None
    tracking: Mapping[int, Tracking]
    video: Mapping[int, PanopticQuality]
    association: AssociationQuality

    def __add__(self, other: Scores) -> Scores:
        if self.labels.version != other.labels.version:
            raise InputError(
                f"scores in the label spaces '{self.labels.name}' and '{other.labels.name}' do not add up; expected one"
            )
        if (self.precision is None) != (other.precision is None):
            raise InputError("scores with and without instances do not add up; give instances for all or for none")
        return Scores(
            self.labels,
            self.frames + other.frames,
            self.confusion + other.confusion,
            self.panoptic + other.panoptic,
            self.precision + other.precision if self.precision and other.precision else None,
            {label: self.tracking[label] + other.tracking[label] for label in self.tracking},
            {window: self.video[window] + other.video[window] for window in self.video},
            self.association + other.association,
        )

    def summary(self) -> dict[str, Any]:
        """All numbers, ready for JSON: 0..1, None where there is nothing to score.

        Overall: ``frames``, ``miou``, ``pixel_accuracy``; ``pq``, ``sq``, ``rq``, the first also as ``pq_things``,
        ``pq_stuff``; ``ap``, ``ap50``, ``ap75``; ``idf1``, ``idp``, ``idr``, ``id_switches``, ``mota``, ``hota``,
        ``deta``, ``assa``; ``vpq`` (and by window ``vpq_1`` ...), ``stq``, ``aq``. Under ``classes``, by name, for
        every class that occurs: ``iou``, ``pq``, ``sq``, ``rq``, ``tp``, ``fp``, ``fn``, and for things ``ap``,
        ``ap50``, ``idf1``, ``id_switches``, ``hota``.
        """
        things = self.labels.things[: len(self.labels)]
        quality = self.panoptic.mean()
        together = sum(self.tracking.values(), Tracking.zero())
        content: dict[str, Any] = {
            "frames": self.frames,
            "miou": self.confusion.miou,
            "pixel_accuracy": self.confusion.pixel_accuracy,
            "pq": quality.pq,
            "sq": quality.sq,
            "rq": quality.rq,
            "pq_things": self.panoptic.mean(things).pq,
            "pq_stuff": self.panoptic.mean(~things).pq,
            "ap": self.precision and self.precision.ap,
            "ap50": self.precision and self.precision.ap50,
            "ap75": self.precision and self.precision.ap75,
            "idf1": together.identity.idf1,
            "idp": together.identity.idp,
            "idr": together.identity.idr,
            "id_switches": together.clear.switches,
            "mota": together.clear.mota,
            "hota": together.hota.hota,
            "deta": together.hota.deta,
            "assa": together.hota.assa,
            "vpq": mean(np.array([v.mean().pq for v in self.video.values()])),
            **{f"vpq_{window}": v.mean().pq for window, v in self.video.items()},
            "stq": self.association.stq(self.confusion),
            "aq": self.association.aq,
            "classes": self._by_class(),
        }
        cleaned: dict[str, Any] = _without_nan(content)
        return cleaned

    def table(self) -> str:
        """The summary as text for a terminal: a line per class that occurs and one for all, in percent."""
        summary = self.summary()
        columns = ("iou", "pq", "sq", "rq", "ap50", "idf1", "hota", "id_switches")
        rows = {**summary["classes"], f"all, {self.frames} frames": summary | {"iou": summary["miou"]}}
        width = max(map(len, rows))
        lines = [f"{'':{width}}" + "".join(f"{name.replace('_', ' '):>12}" for name in columns)]
        lines += [
            f"{name:{width}}" + "".join(f"{_shown(row.get(c)):>12}" for c in columns) for name, row in rows.items()
        ]
        return "\n".join(lines)

    def _by_class(self) -> dict[str, dict[str, Any]]:
        iou, panoptic = self.confusion.iou, self.panoptic
        precision = self.precision.by_class() if self.precision else None
        rows: dict[str, dict[str, Any]] = {}
        for c in self.labels.classes:
            row: dict[str, Any] = {
                "iou": float(iou[c.id]),
                **{name: float(getattr(panoptic, name)[c.id]) for name in ("pq", "sq", "rq")},
                **{name: int(getattr(panoptic, name)[c.id]) for name in ("tp", "fp", "fn")},
            }
            if math.isnan(row["iou"]) and math.isnan(row["pq"]):
                continue
            if c.id in self.tracking:
                mine = self.tracking[c.id]
                if precision is not None:
                    row |= {"ap": float(precision[c.id].mean()), "ap50": float(precision[c.id, 0])}
                row |= {"idf1": mine.identity.idf1, "id_switches": mine.clear.switches, "hota": mine.hota.hota}
            rows[c.name] = row
        return rows


class Scorer:
    """Takes the frames of one sequence in their order, and gives its :class:`Scores`.

    Truth and prediction are panoptic maps in this package's encoding (``track_id << 16 | class_id``) in the label space
    ``labels``. True things of fewer than ``min_thing`` visible pixels in a frame, and classes of stuff of fewer than
    ``min_stuff``, are void in it: nobody is asked for them, and nobody is blamed for finding them.
    """

    def __init__(self, labels: LabelSpace, *, min_thing: int = 0, min_stuff: int = 0) -> None:
        self._labels, self._min_thing, self._min_stuff = labels, min_thing, min_stuff
        self._precision: AveragePrecision | None = None
        self._pairs: list[Overlap] = []

    def add(
        self, truth: NDArray[Any], predicted: NDArray[Any], found: Instances | None = None
    ) -> tuple[Overlap, Ranking | None]:
        """Score one frame: ``truth`` and ``predicted`` ``(H, W)`` int32; ``found`` are the predicted instances with
        their scores, for average precision (:func:`average_precision.painted` makes them of a panoptic map and the
        scores by track id). Give them for every frame or for none.

        A frame that was never answered is scored by a map of 255. Returns the frame's overlap with void as -1, and what
        its instances may claim of the truth. Raises :class:`InputError` when the maps differ in size or show a class
        that the label space has not.
        """
        if self._pairs and (found is None) != (self._precision is None):
            raise InputError(
                f"frame {len(self._pairs)} comes {'without' if found is None else 'with'} instances, unlike those "
                "before it; give them for every frame or for none"
            )
        pair = overlap(truth, predicted)
        self._refuse_strangers(pair.truth, "truth")
        self._refuse_strangers(pair.predicted, "prediction")
        things = self._labels.things
        t = Segments.truth(pair.truth, things)
        t = t.without_small(pair.truth_area, things, self._min_thing, self._min_stuff)
        ranked = ranking(truth, t, things, found) if found is not None else None
        if ranked is not None:
            judged = ranked.judged(len(self._labels))
            self._precision = self._precision + judged if self._precision else judged
        self._pairs.append(with_void(pair, t))
        return self._pairs[-1], ranked

    def scores(self) -> Scores:
        """The scores of the frames so far."""
        return scored(self._labels, self._pairs, self._precision)

    def _refuse_strangers(self, ids: Int64Array, whose: str) -> None:
        labels = ids & 0xFFFF
        strange = labels[(labels >= len(self._labels)) & (labels != UNLABELLED)]
        if len(strange):
            raise InputError(
                f"frame {len(self._pairs)}: the {whose} has the class {strange[0]}, which the label space "
                f"'{self._labels.name}' ({len(self._labels)} classes) has not; is it in another label space?"
            )


def scored(labels: LabelSpace, pairs: Sequence[Overlap], precision: AveragePrecision | None = None) -> Scores:
    """The scores of one sequence from the overlaps of its frames, in their order, with void as -1 (see
    :func:`video.with_void`); ``precision`` is what was judged of its instances.
    """
    things, classes = labels.things, len(labels)
    confusion, panoptic = Confusion.zero(classes), PanopticQuality.zero(classes)
    moments: dict[int, list[Moment]] = {c.id: [] for c in labels.classes if c.kind == "thing"}
    for pair in pairs:
        t, p = Segments.truth(pair.truth, things), Segments.predicted(pair.predicted, things)
        confusion += folded(pair.pixels, t.classes, pair.predicted & 0xFFFF, classes)
        panoptic += panoptic_quality(pair, t, p, classes)
        for label, moment in _moments(pair, t, p).items():
            moments[label].append(moment)
    return Scores(
        labels,
        len(pairs),
        confusion,
        panoptic,
        precision,
        {label: tracking(frames) for label, frames in moments.items()},
        {k: video_panoptic_quality(pairs, k, things, classes) for k in WINDOWS},
        association_quality(sum(pairs, Overlap.empty()), things),
    )


def _moments(pair: Overlap, t: Segments, p: Segments) -> dict[int, Moment]:
    """One frame for the identity metrics, by thing class that has true objects or predicted ones in it. A predicted
    one that matches nothing and mostly lies in void is left out, as TrackEval's MOTS does.
    """
    iou = pair.iou(t.classes == UNLABELLED)
    forgiven = mostly_ignored(pair, t, t, p)
    t_thing, p_thing = pair.truth >> 16 > 0, pair.predicted >> 16 > 0
    frame: dict[int, Moment] = {}
    for label in np.union1d(t.classes[t_thing], p.classes[p_thing]).tolist():
        if label == UNLABELLED:
            continue
        rows = np.flatnonzero(t_thing & (t.classes == label))
        matched = (iou[rows] >= THRESHOLD).any(0)
        columns = np.flatnonzero(p_thing & (p.classes == label) & (matched | ~forgiven))
        frame[label] = Moment(pair.truth[rows], pair.predicted[columns], iou[np.ix_(rows, columns)])
    return frame


def _without_nan(value: Any) -> Any:
    """``value`` with None for every NaN, which JSON has not."""
    if isinstance(value, dict):
        return {key: _without_nan(entry) for key, entry in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value


def _shown(value: float | int | None) -> str:
    """Counts as they are, parts in percent."""
    if value is None:
        return "-"
    return f"{value}" if isinstance(value, int) else f"{100 * value:.1f}"
