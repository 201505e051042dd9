"""COCO panoptic: a JSON file with the segments of every image, and a folder of PNG files whose colours are ids."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from seg_perception.errors import ConfigError, InputError
from seg_perception.evaluation.segments import numbered
from seg_perception.evaluation.sources import Facts, Key, Labelled, count
from seg_perception.evaluation.sources.folders import name_of, numbered_tracks, read_png
from seg_perception.labels import LabelClass, LabelSpace
from seg_perception.types import UNLABELLED, Int32Array

CATEGORY_FILES = ("categories.json", "panoptic_coco_categories.json")


class CocoFolder:
    """``path`` is the JSON file; its PNG files lie in the folder of the same name, or beside it.

    Categories come from the file itself, or from ``categories.json`` beside it; their names are looked up in
    ``labels``, in the shipped ``coco_panoptic``, or make a label space of their own. A crowd has no instances: it gets
    track id 0. A segment's ``score``, where results have it, is kept. Raises :class:`InputError` for files that do not
    belong together.
    """

    def __init__(self, path: Path, labels: LabelSpace | None = None) -> None:
        self.path = path
        content = _json(path)
        try:
            entries = content["annotations"]
            self._annotations = {name_of(entry["file_name"]): entry for entry in entries}
            categories = content.get("categories") or _categories_beside(path)
            self.labels: LabelSpace | None = labels or _space(categories, path)
            self._classes = {int(c["id"]): self.labels.id(c["name"]) for c in categories}
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise InputError(f"{path}: is not COCO panoptic ({type(error).__name__}: {error})") from error
        self._folder = next((f for f in (path.with_suffix(""), path.parent) if any(f.glob("*.png"))), path.parent)
        self.keys: list[Key] = sorted(self._annotations)
        if not self.keys:
            raise InputError(f"{path}: is empty: no annotations in it")
        if len(self.keys) < len(entries):
            raise InputError(
                f"{path}: lists {count(len(entries), 'annotation')} of only {count(len(self.keys), 'frame')}; expected "
                "one of each"
            )
        scores, segments = _scores(self._annotations.values(), path)
        self._scored = scores == segments
        some = f"{path.name}: {scores} of {count(segments, 'segment')} have a score; none of them is taken"
        self.facts = Facts("COCO panoptic", False, True, notes=(some,) if 0 < scores < segments else ())

    def read(self, keys: Collection[Key]) -> Iterator[Labelled]:
        """See :class:`~seg_perception.evaluation.sources.Source`."""
        for key in self.keys:
            if key in keys:
                yield self._frame(str(key), self._annotations[str(key)])

    def _frame(self, key: str, entry: Mapping[str, Any]) -> Labelled:
        file = self._folder / str(entry["file_name"])
        rgb = read_png(file.with_suffix(".png"))
        if rgb.ndim != 3:
            raise InputError(f"{file}: has one channel, expected the three of COCO's ids, R + 256 G + 65536 B")
        ids, index = numbered((rgb.astype(np.int32) @ np.array([1, 256, 65536], np.int32)).reshape(-1))
        tracks = dict(zip(ids.tolist(), numbered_tracks(file, ids).tolist(), strict=True))
        info = {int(s["id"]): s for s in entry["segments_info"]}
        strange = sorted(set(ids.tolist()) - set(info) - {0})
        if strange:
            raise InputError(
                f"{file}: shows {count(len(strange), 'id')} that {self.path.name} does not list, such as {strange[0]}"
            )
        unseen = sorted(set(info) - set(ids.tolist()))
        if unseen:
            raise InputError(
                f"{file}: shows nothing of {count(len(unseen), 'segment')} that {self.path.name} lists, such as "
                f"{unseen[0]}"
            )
        values = [self._value(file, tracks[i], info[i]) if i in info else UNLABELLED for i in ids.tolist()]
        panoptic: Int32Array = np.array(values, np.int32)[index].reshape(rgb.shape[:2])
        scores = {tracks[i]: float(info[i]["score"]) for i in ids.tolist() if i in info} if self._scored else None
        return Labelled(key, panoptic, None, scores)

    def _value(self, file: Path, track: int, segment: Mapping[str, Any]) -> int:
        category = int(segment["category_id"])
        if category not in self._classes:
            raise InputError(f"{file}: category {category} of a segment is none of {self.path.name}'s categories")
        label, space = self._classes[category], self.labels
        thing = space is not None and bool(space.things[label]) and not segment.get("iscrowd", 0)
        return (track if thing else 0) << 16 | label


def _scores(annotations: Iterable[Mapping[str, Any]], path: Path) -> tuple[int, int]:
    """How many segments have a score, and how many there are; raises :class:`InputError` for one that is no number."""
    segments = [segment for entry in annotations for segment in entry["segments_info"]]
    scores = [segment["score"] for segment in segments if "score" in segment]
    wrong = [score for score in scores if not isinstance(score, int | float) or not math.isfinite(score)]
    if wrong:
        raise InputError(f"{path}: {len(wrong)} of {count(len(scores), 'score')} are no numbers, such as {wrong[0]!r}")
    return len(scores), len(segments)


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as JSON ({error})") from error


def _categories_beside(path: Path) -> Any:
    for name in CATEGORY_FILES:
        if (path.parent / name).is_file():
            return _json(path.parent / name)
    raise InputError(f"{path}: lists no categories, and there is no {CATEGORY_FILES[0]} beside it")


def _space(categories: Any, path: Path) -> LabelSpace:
    """The shipped space, if it has every name; else one made of the categories."""
    shipped = LabelSpace.load("coco_panoptic")
    try:
        for category in categories:
            shipped.id(category["name"])
        return shipped
    except ConfigError:
        content = [
            LabelClass(
                i, c["name"], "thing" if c.get("isthing", 1) else "stuff", tuple(c.get("color", (128, 128, 128)))
            )
            for i, c in enumerate(categories)
        ]
        return LabelSpace(path.stem, tuple(content))
