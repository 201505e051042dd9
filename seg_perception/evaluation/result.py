"""What the evaluation of a run leaves: everything that was counted, frame by frame, and no picture.

``seg_perception evaluate --out FOLDER`` writes ``FOLDER/evaluation.json`` and ``FOLDER/evaluation.npz`` beside the
report; :meth:`Evaluation.save` and :meth:`Evaluation.load` are their writer and reader. Any choice of frames can be
scored again from them, exactly, without the images: that is how runs are compared.

``evaluation.json``, an object::

    format        2
    about         where it came from: see Evaluation.about
    sequences     names of the sequences (bags, or the folder), by the numbers in Frames.sequence
    against       "truth", "another model" or "nothing": see Evaluation
    video         whether frames follow each other in time, so that ids and flicker mean something
    labels        the label space both sides were brought to, as its YAML file has it
    sizes         [["small", 0, 1024], ...] pixels: the bands of Detections by size
    distances     [[0, 5], [5, 10], ...] metres: the bands of Frames.distance, and of Detections by distance
    summary       the numbers of all frames, for those who read nothing else: numbers.summary()

``evaluation.npz``, compressed: the arrays of the data classes below, each under its path, such as ``frames.stamps``,
``frames.panoptic.tp``, ``overlaps.pixels``.
"""

from __future__ import annotations

import json
import os
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar, get_type_hints

import numpy as np
from numpy.typing import NDArray

from seg_perception.errors import InputError
from seg_perception.evaluation.average_precision import THRESHOLDS, AveragePrecision
from seg_perception.evaluation.bands import DISTANCES, SIZES
from seg_perception.evaluation.boundary import Boundary
from seg_perception.evaluation.counts import Calibration, Coverage, Pixels, Stability, joined
from seg_perception.evaluation.panoptic import PanopticQuality
from seg_perception.evaluation.segments import Overlap
from seg_perception.labels import LabelSpace
from seg_perception.types import BoolArray, Float64Array, Int64Array, UInt8Array

FORMAT = 2
Against = Literal["truth", "another model", "nothing"]
JSON_FILE, ARRAY_FILE = "evaluation.json", "evaluation.npz"
PART = ".part"
"""What the name of a file or folder ends in until it is whole."""


@dataclass(frozen=True, slots=True)
class Frames:
    """F judged frames, sequence after sequence and in the order of their stamps; C classes, G groups (in the label
    space's order), D bands of :data:`DISTANCES`.

    ``sequence`` ``(F,)`` int64: the position of its sequence in :attr:`Evaluation.sequences`. ``stamps`` ``(F,)`` int64
    nanoseconds; for a folder of images that are no video, their position. ``names`` ``(F,)`` str: what the frame is
    called where it came from. ``latency`` ``(F,)`` float64 seconds from stamp to answer, NaN unknown.

    ``pixels`` by class ``(F, C)``; ``groups`` by group ``(F, G)``; ``panoptic`` ``(F, C)``; ``boundary`` ``(F, C)``;
    ``calibration`` ``(F, 256)``; ``stability`` ``(F, C)``: pixels whose truth is the class it was in the frame before;
    ``distance`` by band and class ``(F, D, C)``; ``streaming`` ``(F, C)``: the truth of this frame against the newest
    answer that was there at its stamp. Without any truth: ``coverage`` ``(F, C + 1)``, and ``consistency`` ``(F, C)``:
    pixels against the frame before, moved by the optical flow of the pictures. What is not known is all 0.
    """

    sequence: Int64Array
    stamps: Int64Array
    names: NDArray[np.str_]
    latency: Float64Array
    pixels: Pixels
    groups: Pixels
    panoptic: PanopticQuality
    boundary: Boundary
    calibration: Calibration
    stability: Stability
    distance: Pixels
    streaming: Pixels
    coverage: Coverage
    consistency: Stability

    def __len__(self) -> int:
        return len(self.stamps)


def no_counts(classes: int, groups: int) -> dict[str, Any]:
    """The tables of :class:`Frames` for a frame of which nothing is known, by name, without the axis of frames."""

    def zeros(*shape: int) -> Int64Array:
        return np.zeros(shape, np.int64)

    def pixels(*shape: int) -> Pixels:
        return Pixels(zeros(*shape), zeros(*shape), zeros(*shape))

    return {
        "pixels": pixels(classes),
        "groups": pixels(groups),
        "panoptic": PanopticQuality.zero(classes),
        "boundary": Boundary.zero(classes),
        "calibration": Calibration(zeros(256), zeros(256)),
        "stability": Stability(zeros(classes), zeros(classes)),
        "distance": pixels(len(DISTANCES), classes),
        "streaming": pixels(classes),
        "coverage": Coverage(zeros(classes + 1), zeros(classes + 1)),
        "consistency": Stability(zeros(classes), zeros(classes)),
    }


@dataclass(frozen=True, slots=True)
class Overlaps:
    """The joint histograms of true and predicted panoptic map of every frame, one row for each pair that shares pixels:
    ``frame`` (position in :class:`Frames`), ``truth`` and ``predicted`` (``track_id << 16 | class_id``, truth -1 where
    void), ``pixels``; each ``(N,)`` int64, by rising frame.
    """

    frame: Int64Array
    truth: Int64Array
    predicted: Int64Array
    pixels: Int64Array


@dataclass(frozen=True, slots=True)
class Segments:
    """The fate of every true and predicted segment of every frame, M of them; crowd and what is forgiven are left out.

    ``frame`` ``(M,)`` int64; ``truth`` and ``predicted`` ``(M,)`` int64 ids as in :class:`Overlaps`, -1 for an invented
    or a missed one; ``classes`` ``(M,)`` uint8; ``area`` ``(M,)`` int64 pixels of the true segment, or of the invented
    one; ``distance`` ``(M,)`` float64 metres, the median over it, NaN unknown; ``iou`` ``(M,)`` float64, 0 unless
    matched; ``score`` ``(M,)`` float64 of the predicted one, NaN unknown.
    """

    frame: Int64Array
    truth: Int64Array
    predicted: Int64Array
    classes: UInt8Array
    area: Int64Array
    distance: Float64Array
    iou: Float64Array
    score: Float64Array


@dataclass(frozen=True, slots=True)
class Detections:
    """The predicted instances as average precision judges them, as in
    :class:`~seg_perception.evaluation.average_precision.AveragePrecision`, but once for each of the B
    :func:`~seg_perception.evaluation.bands.bands`, in which what is outside of the band is nobody's to find: ``right``
    and ``ignored`` ``(N, B, 10)`` bool, ``wanted`` ``(F, B, C)`` int64 true objects by frame and class. ``frame``
    ``(N,)`` int64 of each. ``known`` ``()`` bool: False where the prediction has no scores; then there are none.
    """

    frame: Int64Array
    classes: UInt8Array
    scores: Float64Array
    right: BoolArray
    ignored: BoolArray
    wanted: Int64Array
    known: BoolArray


def no_detections(classes: int) -> Detections:
    """Those of one frame whose prediction has no scores."""
    flags = np.zeros((0, 1 + len(SIZES) + len(DISTANCES), len(THRESHOLDS)), np.bool_)
    wanted = np.zeros((1, flags.shape[1], classes), np.int64)
    none = np.zeros(0, np.int64)
    return Detections(none, none.astype(np.uint8), np.zeros(0), flags, flags, wanted, np.array(False))


@dataclass(frozen=True)
class Evaluation:
    """Everything of one run, or of several joined by :func:`join`. ``against`` says what it was held against, and so
    what its numbers are called: ``truth``; ``another model``, then they say how far two agree, not how good either is;
    ``nothing``, then only coverage, confidence, consistency and times mean something.

    ``about`` is ready for JSON: ``prediction`` and ``truth`` (``path``, ``kind``, ``labels``, ``frames``, and for the
    prediction ``run``: what decided its content, as its bag records it), ``matching`` (``by``, ``matched``,
    ``unanswered``, ``without_truth``, ``void`` ...), ``options``, ``notes``: a sentence for everything a reader of the
    numbers should know, and ``timing``: rates, drops and latencies.
    """

    labels: LabelSpace
    sequences: tuple[str, ...]
    video: bool
    against: Against
    about: Mapping[str, Any]
    frames: Frames
    overlaps: Overlaps
    segments: Segments
    detections: Detections

    def overlap(self, frame: int) -> Overlap:
        """The joint histogram of one frame, void as -1, as :class:`~seg_perception.evaluation.sequence.Scores` and
        :mod:`~seg_perception.evaluation.video` take it.
        """
        first, last = np.searchsorted(self.overlaps.frame, (frame, frame + 1))
        truth, rows = np.unique(self.overlaps.truth[first:last], return_inverse=True)
        predicted, columns = np.unique(self.overlaps.predicted[first:last], return_inverse=True)
        pixels = np.zeros((len(truth), len(predicted)), np.int64)
        pixels[rows, columns] = self.overlaps.pixels[first:last]
        return Overlap(truth, predicted, pixels)

    def precision(self, frames: Sequence[int] | NDArray[Any] | None = None, band: int = 0) -> AveragePrecision | None:
        """What average precision of the chosen frames (all, if None), in one of the
        :func:`~seg_perception.evaluation.bands.bands`, is made of; None where no scores are known. A frame that is
        named twice counts twice.
        """
        d = self.detections
        if not d.known:
            return None
        right, ignored, wanted = d.right[:, band], d.ignored[:, band], d.wanted[:, band]
        if frames is None:
            return AveragePrecision(d.classes, d.scores, right, ignored, wanted.sum(0))
        chosen = np.asarray(frames, np.int64)
        first, last = np.searchsorted(d.frame, chosen), np.searchsorted(d.frame, chosen, "right")
        rows = np.concatenate([np.zeros(0, np.intp), *(np.arange(a, b) for a, b in zip(first, last, strict=True))])
        return AveragePrecision(d.classes[rows], d.scores[rows], right[rows], ignored[rows], wanted[chosen].sum(0))

    def blocks(self, seconds: float = 1.0) -> list[NDArray[np.intp]]:
        """The frames in blocks that may be drawn independently: runs of one sequence that last at least ``seconds``
        (what is left at the end joins the block before it); for images that are no video, every frame alone.
        """
        positions = np.arange(len(self.frames))
        if not self.video:
            return [positions[i : i + 1] for i in positions]
        blocks: list[NDArray[np.intp]] = []
        for sequence in np.unique(self.frames.sequence):
            mine = positions[self.frames.sequence == sequence]
            stamps = self.frames.stamps[mine]
            cuts = [0]
            for i in range(1, len(mine)):
                if stamps[i] - stamps[cuts[-1]] >= seconds * 1e9:
                    cuts.append(i)
            if len(cuts) > 1 and len(mine) - cuts[-1] < cuts[-1] - cuts[-2]:
                del cuts[-1]
            blocks += np.split(mine, cuts[1:])
        return blocks

    def save(self, folder: Path) -> None:
        """Write both files into ``folder``, which is there. The JSON file of an older evaluation goes first and the new
        one comes last and whole, so that a writer who is cut off leaves no evaluation rather than halves of two. Raises
        :class:`InputError` where they cannot be written.
        """
        from seg_perception.evaluation.numbers import summary

        content = {
            "format": FORMAT,
            "about": self.about,
            "sequences": self.sequences,
            "video": self.video,
            "against": self.against,
            "labels": asdict(self.labels),
            "sizes": [[name, low, high if np.isfinite(high) else None] for name, low, high in SIZES],
            "distances": [[low, high if np.isfinite(high) else None] for low, high in DISTANCES],
            "summary": summary(self),
        }
        text = json.dumps(content, indent=1, allow_nan=False) + "\n"
        tables = {"frames": self.frames, "overlaps": self.overlaps, "segments": self.segments}
        flat = _flat(tables | {"detections": self.detections})
        unfinished = folder / f"{JSON_FILE}{PART}"
        try:
            (folder / JSON_FILE).unlink(missing_ok=True)
            np.savez_compressed(folder / ARRAY_FILE, **flat)  # type: ignore[arg-type]
            unfinished.write_text(text, encoding="utf-8")
            unfinished.replace(folder / JSON_FILE)
        except OSError as error:
            raise InputError(f"{folder}: the evaluation cannot be written into it ({error.strerror})") from error

    @classmethod
    def load(cls, folder: Path) -> Evaluation:
        """Read what :meth:`save` wrote into ``folder``; raises :class:`InputError` where it cannot be used."""
        folder = folder.parent if folder.is_file() else folder
        try:
            content = json.loads((folder / JSON_FILE).read_text(encoding="utf-8"))
            if content["format"] != FORMAT:
                raise InputError(
                    f"{folder / JSON_FILE}: is of format {content['format']}, expected {FORMAT}; evaluate the run again"
                )
            labels = LabelSpace.parse(content["labels"], where=str(folder / JSON_FILE))
            with np.load(folder / ARRAY_FILE, allow_pickle=False) as flat:
                values = {name: flat[name] for name in flat.files}
            return cls(
                labels,
                tuple(content["sequences"]),
                content["video"],
                content["against"],
                content["about"],
                _table(Frames, values, "frames"),
                _table(Overlaps, values, "overlaps"),
                _table(Segments, values, "segments"),
                _table(Detections, values, "detections"),
            )
        except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile, zlib.error) as error:
            raise InputError(
                f"{folder}: holds no evaluation that can be read ({error}); expected {JSON_FILE} and {ARRAY_FILE} as "
                "`seg_perception evaluate --out` writes them"
            ) from error


def join(parts: Sequence[Evaluation]) -> Evaluation:
    """The evaluation of several sequences as one (at least one). Its ``about`` says what all have in common, how many
    frames there are of all, and every note once, with its sequence where others do without.

    Raises :class:`InputError` when their label spaces differ, or some have scores of instances and others have not.
    """
    first = parts[0]
    for part in parts[1:]:
        if part.labels.version != first.labels.version:
            raise InputError(
                f"evaluations in the label spaces '{first.labels.name}' and '{part.labels.name}' cannot be joined; "
                "evaluate both in one (--labels)"
            )
        kinds = [(p.video, p.against, bool(p.detections.known)) for p in (part, first)]
        if kinds[0] != kinds[1]:
            raise InputError(
                f"{part.sequences[0]} and {first.sequences[0]} cannot be joined: they differ in being a video, in what "
                f"they are held against, or in having scores of instances: {kinds[0]} and {kinds[1]}"
            )
    sequences = tuple(name for part in parts for name in part.sequences)
    frames = np.cumsum([0, *(len(part.frames) for part in parts)])
    numbers = np.cumsum([0, *(len(part.sequences) for part in parts)])

    def moved(table: T, offset: int) -> T:
        return replace(table, frame=table.frame + offset)  # type: ignore[type-var,attr-defined]

    shifted = [replace(p.frames, sequence=p.frames.sequence + n) for p, n in zip(parts, numbers, strict=False)]
    tables = [
        joined([moved(getattr(p, name), k) for p, k in zip(parts, frames.tolist(), strict=False)])
        for name in ("overlaps", "segments", "detections")
    ]
    return Evaluation(first.labels, sequences, first.video, first.against, _about(parts), joined(shifted), *tables)


def _about(parts: Sequence[Evaluation]) -> Mapping[str, Any]:
    if len(parts) == 1:
        return parts[0].about
    content = {name: value for name, value in parts[0].about.items() if name != "timing"}
    for side in ("prediction", "truth"):
        told = [part.about[side] for part in parts if part.about.get(side)]
        if told:
            path = os.path.commonpath([os.path.abspath(one["path"]) for one in told])
            content[side] = _summed(told) | {"path": path}
    content["matching"] = _summed([part.about["matching"] for part in parts])
    lists = [part.about.get("notes", ()) for part in parts]
    notes = [
        note if all(note in one for one in lists) else f"{', '.join(part.sequences)}: {note}"
        for part, listed in zip(parts, lists, strict=True)
        for note in listed
    ]
    return {**content, "notes": list(dict.fromkeys(notes))}


def _summed(told: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The first of them, with the sums of what counts."""
    counts = [name for name, value in told[0].items() if type(value) is int]
    return {**told[0], **{name: sum(one[name] for one in told) for name in counts}}


T = TypeVar("T")


def _flat(tables: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    flat: dict[str, NDArray[Any]] = {}
    for name, value in tables.items():
        if is_dataclass(value):
            flat |= _flat({f"{name}.{field.name}": getattr(value, field.name) for field in fields(value)})
        else:
            flat[name] = np.asarray(value)
    return flat


def _table(kind: type[T], values: Mapping[str, NDArray[Any]], path: str) -> T:
    hints = get_type_hints(kind)
    return kind(
        *(
            _table(hints[field.name], values, f"{path}.{field.name}")
            if is_dataclass(hints[field.name])
            else values[f"{path}.{field.name}"]
            for field in fields(kind)  # type: ignore[arg-type]
        )
    )
