"""From a saved evaluation back to its frames: pictures, truth and prediction, where they still are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seg_perception.errors import InputError
from seg_perception.evaluation.evaluating import Evaluated, find_pictures
from seg_perception.evaluation.matching import Sides, Translation, matched, translation
from seg_perception.evaluation.result import Evaluation
from seg_perception.evaluation.sources import Key, Source
from seg_perception.evaluation.sources.opening import open_source
from seg_perception.labels import LabelSpace


def reopened(evaluation: Evaluation) -> Evaluated:
    """The sources of an evaluation of one run. Raises :class:`InputError`, :class:`BagError` or :class:`ConfigError`
    where one of them, or its label space, is not there any more, and where there was no truth.
    """
    about = evaluation.about
    if about["truth"] is None:
        raise InputError(f"{about['prediction']['path']}: was evaluated without truth")
    prediction, truth = (_source(about[side], truth=side == "truth") for side in ("prediction", "truth"))
    to_common = (
        _translation(prediction, about["prediction"], evaluation.labels, "prediction"),
        _translation(truth, about["truth"], evaluation.labels, "truth"),
    )
    sides = Sides(prediction, truth, to_common, matched(prediction, truth, about["options"]["max_offset"]))
    return Evaluated(evaluation, sides, find_pictures(prediction, truth))


def key(evaluation: Evaluation, frame: int) -> Key:
    """What the frame at that position is called in its truth: its stamp, or its name."""
    name, stamp = str(evaluation.frames.names[frame]), int(evaluation.frames.stamps[frame])
    return stamp if name == str(stamp) else name


def _source(told: Mapping[str, Any], *, truth: bool) -> Source:
    labels = LabelSpace.load(told["labels"]["name"])
    return open_source(Path(told["path"]), truth=truth, topic=told["topic"], labels=labels)


def _translation(source: Source, told: Mapping[str, Any], common: LabelSpace, whose: str) -> Translation:
    becomes: Mapping[str, str | None] = told["labels"]["classes"]
    return translation(
        source.labels or common,
        common,
        whose=whose,
        overrides={name: target for name, target in becomes.items() if target is not None},
        void=[name for name, target in becomes.items() if target is None],
    )
