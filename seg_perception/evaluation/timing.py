"""How fast and how whole: rate, gaps, drops and latency, from stamps, receive times, diagnostics and reports."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from seg_perception.errors import InputError
from seg_perception.evaluation.sources import Key, Pictures, Source, count
from seg_perception.evaluation.sources.bags import BagPictures, BagSource, diagnostics, times

LONGEST = 10.0
"""Seconds: what lies further apart than this are two clocks, not a latency."""


@dataclass(frozen=True)
class Timing:
    """``latency``: seconds from stamp to answer, by the prediction's key, where known; ``content``: everything, ready
    for JSON; ``notes``: a sentence each.
    """

    latency: Mapping[Key, float]
    content: Mapping[str, Any]
    notes: tuple[str, ...]


def timing(prediction: Source, pictures: Pictures | None, given: float | Path | None = None) -> Timing:
    """What can be known of ``prediction``'s times. ``pictures`` are those it was made of, where a bag has them;
    ``given`` is a latency in seconds, or a JSON file of ``seg_perception listen``. Of what bag and files tell, the
    most direct counts:

    1. ``given``;
    2. the receive time of the answer after that of its picture, where one bag recorded both;
    3. the receive time after the stamp, where both come from one clock;
    4. for a bag that ``run`` wrote, the median of its report: every frame is taken to last that long.
    """
    if not isinstance(prediction.keys[0], int):
        return Timing({}, {}, ())
    stamps = np.array(prediction.keys, np.int64)
    content: dict[str, Any] = {"rate": _rate(stamps)}
    notes: list[str] = []
    if isinstance(prediction, BagSource):
        if isinstance(pictures, BagPictures):
            stamps_of_pictures = pictures.received().keys()
            dropped = len(stamps_of_pictures - set(prediction.keys))
            content |= {"pictures": len(stamps_of_pictures), "dropped": dropped}
        told = diagnostics(prediction.path)
        if told:
            content["diagnostics"] = told
    latency, source = _latency(prediction, given)
    if latency:
        values = np.array(list(latency.values()))
        p50, p95, p99 = np.percentile(values, (50, 95, 99)).tolist()
        content["latency"] = {"from": source, "p50": p50, "p95": p95, "p99": p99, "frames": len(values)}
    elif isinstance(prediction, BagSource):
        notes.append(
            "the latency is not known: the bag's receive times have nothing to do with its stamps; --latency gives it"
        )
    if content.get("dropped"):
        notes.append(f"{content['dropped']} of {count(content['pictures'], 'picture')} of the camera were not answered")
    return Timing(latency, content, tuple(notes))


def _rate(stamps: np.ndarray[Any, Any]) -> dict[str, Any]:
    """Frames per second and gaps of ``stamps`` ``(n,)`` nanoseconds."""
    steps = np.diff(stamps) / 1e9
    usual = float(np.median(steps[steps > 0])) if (steps > 0).any() else 0.0
    return {
        "frames": len(stamps),
        "seconds": float(stamps.max() - stamps.min()) / 1e9,
        "hz": 1 / usual if usual else None,
        "gaps": int(np.count_nonzero(steps > 1.5 * usual)) if usual else 0,
        "longest_gap": float(steps.max()) if len(steps) else 0.0,
        "backwards": int(np.count_nonzero(steps < 0)),
    }


def _latency(prediction: Source, given: float | Path | None) -> tuple[dict[Key, float], str]:
    if isinstance(given, Path):
        return _heard(given, prediction), given.name
    if given is not None:
        return dict.fromkeys(prediction.keys, given), "given"
    if not isinstance(prediction, BagSource):
        return {}, ""
    if prediction.facts.run:
        report = prediction.path.with_suffix(".json")
        try:
            p50 = json.loads(report.read_text(encoding="utf-8"))["milliseconds"]["frame"]["p50"] / 1e3
        except (OSError, ValueError, KeyError, TypeError):
            return {}, ""
        return dict.fromkeys(prediction.keys, p50), f"the median of {report.name}"
    answers = times(prediction.path).topics[prediction.topic]
    own = BagPictures.find(prediction.path, prediction.keys, prediction.topic)
    asked = own.received() if own is not None else {}
    by_receipt: dict[Key, float] = {s: (t - asked[s]) / 1e9 for s, t in answers.items() if s in asked}
    if len(by_receipt) == len(answers) and _plausible(by_receipt):
        return by_receipt, "receive times of pictures and answers"
    by_stamp: dict[Key, float] = {s: (t - s) / 1e9 for s, t in answers.items()}
    return (by_stamp, "receive times and stamps") if _plausible(by_stamp) else ({}, "")


def _plausible(latency: Mapping[Key, float]) -> bool:
    return all(0 < seconds < LONGEST for seconds in latency.values())


def _heard(path: Path, prediction: Source) -> dict[Key, float]:
    """Of the frames of ``prediction``: what was heard of others says nothing of it."""
    try:
        heard = {int(stamp): float(s) for stamp, s in json.loads(path.read_text(encoding="utf-8"))["latency_s"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"--latency {path}: is no file that `seg_perception listen -o` wrote ({error})") from error
    latency: dict[Key, float] = {key: heard[key] for key in prediction.keys if key in heard}
    if not latency:
        raise InputError(
            f"--latency {path}: has none of the {count(len(prediction.keys), 'frame')} of {prediction.path} among its "
            f"{len(heard)}; was it heard of another run?"
        )
    return latency
