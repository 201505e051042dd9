"""From paths to an evaluation: what ``seg_perception evaluate`` does before it writes anything."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np

from seg_perception import __version__
from seg_perception.errors import BagError, ConfigError, InputError
from seg_perception.evaluation.matching import Sides, matched, translation
from seg_perception.evaluation.measuring import Rules, measure
from seg_perception.evaluation.result import Evaluation
from seg_perception.evaluation.sources import Depths, Facts, Key, Labelled, Pictures, Source
from seg_perception.evaluation.sources.bags import BagDepth, BagPictures, BagSource
from seg_perception.evaluation.sources.folders import FolderDepth, FolderPictures
from seg_perception.evaluation.sources.opening import is_bag, open_source
from seg_perception.evaluation.timing import timing
from seg_perception.labels import LabelSpace
from seg_perception.types import UNLABELLED


@dataclass(frozen=True)
class Side:
    """One of the two things that are compared: where it is, which ``topic`` of a bag is meant, in which label space it
    is where it does not say so itself, what its classes become (``map``: class -> class of the common space), and
    which of them are unlabelled (``void``: names, or ids of a plain folder).
    """

    path: Path
    topic: str | None = None
    labels: str | None = None
    map: Mapping[str, str] = field(default_factory=dict)
    void: tuple[str, ...] = ()


@dataclass(frozen=True)
class Request:
    """What is to be evaluated: ``prediction`` against ``truth``; or against ``other``, another model's answers; or
    against nothing. ``labels`` names the common label space (the truth's, if None). ``depth`` is a topic of the truth's
    bag or a folder, ``images`` a bag or a folder; both are looked for where None. ``latency``: seconds, or a file that
    ``listen`` wrote. ``max_offset``: seconds between stamps that belong together.
    """

    prediction: Side
    truth: Side | None = None
    other: Side | None = None
    labels: str | None = None
    rules: Rules = field(default_factory=Rules)
    max_offset: float = 0.0
    depth: str | None = None
    images: Path | None = None
    latency: float | Path | None = None


@dataclass(frozen=True)
class Evaluated:
    """An evaluation with what it was made of, for those who want to look at frames."""

    evaluation: Evaluation
    sides: Sides
    pictures: Pictures | None

    @property
    def damage(self) -> str | None:
        """Why it is not of all the frames that there were: where reading a bag had to end; None if it is of all."""
        return self.sides.prediction.facts.damage or self.sides.truth.facts.damage


def evaluate(request: Request) -> Evaluated:
    """Evaluate one run. Raises :class:`InputError`, :class:`BagError` or :class:`ConfigError` with one sentence, with
    counts, when the two do not fit together.
    """
    if request.truth is not None and request.other is not None:
        raise ConfigError("a run is evaluated against a truth or against another model's answers, not both at once")
    prediction = _open(request.prediction, truth=False)
    against = request.truth or request.other
    other: Source = _Nothing(prediction) if against is None else _open(against, truth=request.truth is not None)
    spaces, notes = _spaces(prediction, other, request)
    common = LabelSpace.load(request.labels) if request.labels else spaces[1]
    words = "prediction", "truth"
    chosen = request.prediction, against or request.prediction
    to_common = [
        translation(space, common, whose=whose, overrides=side.map, void=[v for v in side.void if not v.isdigit()])
        for space, whose, side in zip(spaces, words, chosen, strict=True)
    ]
    matching = matched(prediction, other, request.max_offset)
    sides = Sides(prediction, other, (to_common[0], to_common[1]), matching)
    pictures = find_pictures(prediction, other, request.images)
    times = timing(prediction, pictures, request.latency)
    about = {
        "seg_perception": __version__,
        "prediction": {**_told(prediction), "labels": to_common[0].content(), "run": prediction.facts.run},
        "truth": None if against is None else {**_told(other), "labels": to_common[1].content()},
        "options": {**asdict(request.rules), "max_offset": request.max_offset},
        "timing": times.content,
        "notes": [*notes, *times.notes],
    }
    evaluation = measure(
        sides,
        request.rules,
        against="truth" if request.truth else "another model" if request.other else "nothing",
        depth=_depth(request, other) if against is not None else None,
        pictures=pictures,
        latency=times.latency,
        about=about,
    )
    return Evaluated(evaluation, sides, pictures)


class _Nothing:
    """The truth that nobody knows: unlabelled everywhere, for every frame of the prediction."""

    def __init__(self, prediction: Source) -> None:
        self._prediction = prediction
        self.path, self.labels, self.keys = prediction.path, prediction.labels, prediction.keys
        self.facts = Facts("nothing", prediction.facts.video, prediction.facts.instances)

    def read(self, keys: Collection[Key]) -> Iterator[Labelled]:
        for frame in self._prediction.read(keys):
            yield replace(frame, panoptic=np.full_like(frame.panoptic, UNLABELLED), confidence=None, scores=None)


def _open(side: Side, *, truth: bool) -> Source:
    labels = LabelSpace.load(side.labels) if side.labels else None
    void = [int(v) for v in side.void if v.isdigit()]
    return open_source(side.path, truth=truth, topic=side.topic, labels=labels, void=void)


def _spaces(prediction: Source, other: Source, request: Request) -> tuple[tuple[LabelSpace, LabelSpace], list[str]]:
    """The label space of each; who does not say is taken to be in the other's, or in the one asked for."""
    fallback = prediction.labels or other.labels or (LabelSpace.load(request.labels) if request.labels else None)
    if fallback is None:
        raise ConfigError(
            f"neither {prediction.path} nor {other.path} says in which label space it is; say it with "
            "--prediction-labels and --truth-labels"
        )
    silent = [
        f"the {whose} does not say in which label space it is; it is taken to be in '{fallback.name}'"
        for source, whose in ((prediction, "prediction"), (other, "truth"))
        if source.labels is None
    ]
    return (prediction.labels or fallback, other.labels or fallback), silent


def find_pictures(prediction: Source, other: Source, images: Path | None = None) -> Pictures | None:
    """The camera's pictures of the frames of ``other``: in the bag or folder ``images``, or else in the bag of either
    source, or beside its folder. Raises :class:`BagError` or :class:`InputError` where ``images`` has none of them.
    """
    near = prediction.topic if isinstance(prediction, BagSource) else ""
    if images is not None:
        if not is_bag(images):
            files = FolderPictures(images)
            if not files.any_of(other.keys):
                raise InputError(f"--images {images}: has no picture with the name of a frame of {other.path}")
            return files
        found = BagPictures.find(images, other.keys, near)
        if found is None:
            raise BagError(f"--images {images}: has no pictures with the stamps of {other.path}")
        return found
    for path in (other.path, prediction.path):
        pictures = BagPictures.find(path, other.keys, near) if is_bag(path) else FolderPictures.beside(path)
        if pictures is not None:
            return pictures
    return None


def _depth(request: Request, other: Source) -> Depths | None:
    if request.depth is not None and Path(request.depth).is_dir():
        return FolderDepth(Path(request.depth))
    if not is_bag(other.path):
        if request.depth is not None:
            raise ConfigError(f"--depth {request.depth}: is no folder, and {other.path} is no bag with such a topic")
        return None
    return BagDepth(other.path, request.depth) if request.depth else BagDepth.find(other.path)


def _told(source: Source) -> dict[str, object]:
    return {
        "path": str(source.path),
        "kind": source.facts.kind,
        "frames": len(source.keys),
        "instances": source.facts.instances,
        "topic": source.topic if isinstance(source, BagSource) else None,
    }
