"""From paths to an evaluation: what ``seg_perception evaluate`` does before it writes anything."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np

from seg_perception import __version__
from seg_perception.errors import BagError, ConfigError, InputError
from seg_perception.evaluation.matching import matched, translation
from seg_perception.evaluation.measuring import Rules, Sides, measure
from seg_perception.evaluation.result import Evaluation
from seg_perception.evaluation.sources import Depths, Facts, Key, Labelled, Pictures, Source
from seg_perception.evaluation.sources.bags import BagDepth, BagPictures, BagSource
from seg_perception.evaluation.sources.folders import FolderDepth, FolderPictures
from seg_perception.evaluation.sources.opening import open_source
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
    chosen = request.prediction, against or Side(request.prediction.path)
    to_common = [
        translation(space, common, whose=whose, overrides=side.map, void=[v for v in side.void if not v.isdigit()])
        for space, whose, side in zip(spaces, words, chosen, strict=True)
    ]
    matching = matched(prediction, other, request.max_offset)
    sides = Sides(prediction, other, (to_common[0], to_common[1]), matching)
    pictures = _pictures(request, [side.path for side in (against, request.prediction) if side is not None])
    cameras = [p for p in (request.images, *(s.path for s in chosen)) if p is not None and _is_bag(p)]
    times = timing(prediction, cameras, request.latency)
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
        depth=_depth(request, against),
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


def _is_bag(path: Path) -> bool:
    try:
        BagPictures(path)
    except (BagError, InputError):
        return False
    return True


def _pictures(request: Request, places: Sequence[Path]) -> Pictures | None:
    """The camera's pictures: where the user says, or in the truth's or the prediction's bag, or beside its folder."""
    if request.images is not None:
        return BagPictures(request.images) if _is_bag(request.images) else FolderPictures(request.images)
    for path in places:
        if _is_bag(path):
            return BagPictures(path)
        if path.is_dir() or path.suffix == ".json":
            beside = FolderPictures.beside(path)
            if beside is not None:
                return beside
    return None


def _depth(request: Request, against: Side | None) -> Depths | None:
    if request.depth is not None and Path(request.depth).is_dir():
        return FolderDepth(Path(request.depth))
    if against is None or against.path.suffix == ".json" or not _is_bag(against.path):
        return None
    return BagDepth(against.path, request.depth) if request.depth else BagDepth.find(against.path)


def _told(source: Source) -> dict[str, object]:
    return {
        "path": str(source.path),
        "kind": source.facts.kind,
        "frames": len(source.keys),
        "instances": source.facts.instances,
        "topic": source.topic if isinstance(source, BagSource) else None,
    }
