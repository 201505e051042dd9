"""Which prediction belongs to which truth, and both in one label space: the only place where that is decided.

Whatever does not fit is counted and said in a sentence; no number stands on frames that went missing in silence.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from seg_perception.errors import ConfigError, InputError
from seg_perception.evaluation.sources import Key, Labelled, Source, count
from seg_perception.labels import LabelSpace, remap
from seg_perception.types import UNLABELLED, Int32Array, UInt8Array


@dataclass(frozen=True)
class Matching:
    """Frames of two sources, brought together.

    ``pairs``: key of the truth and of its prediction, in the truth's order; ``unanswered``: true frames without a
    prediction; ``spare``: predictions without a true frame. ``offset``: the largest distance of two stamps that were
    matched, nanoseconds.
    """

    pairs: tuple[tuple[Key, Key], ...]
    unanswered: tuple[Key, ...]
    spare: tuple[Key, ...]
    offset: int = 0

    def notes(self, prediction: Source, truth: Source) -> list[str]:
        """What a reader of the numbers has to know, a sentence each."""
        total = len(self.pairs) + len(self.unanswered)
        found = []
        if self.unanswered:
            found.append(
                f"{count(len(self.unanswered), 'true frame', 'has', 'have')} no prediction, of {total} "
                f"({_rates(prediction, truth)}{_some(self.unanswered)})"
            )
        if self.spare:
            found.append(
                f"{count(len(self.spare), 'prediction', 'has', 'have')} no true frame, of {len(prediction.keys)}, and "
                f"{'is' if len(self.spare) == 1 else 'are'} not scored ({_rates(prediction, truth)}{_some(self.spare)})"
            )
        if self.offset:
            found.append(f"stamps were matched that differ by up to {self.offset / 1e6:.1f} ms")
        return found


def matched(prediction: Source, truth: Source, max_offset: float = 0.0) -> Matching:
    """Pair the frames of two sources by stamp (the nearest within ``max_offset`` seconds) or by name.

    Raises :class:`InputError` when one goes by stamps and the other by names, when one is empty, and when they have no
    frame in common.
    """
    for source in (prediction, truth):
        if not source.keys:
            raise InputError(f"{source.path}: is empty: no {source.facts.kind}; there is nothing to score")
    stamps = [isinstance(source.keys[0], int) for source in (prediction, truth)]
    if stamps[0] != stamps[1]:
        stamped, named = (prediction, truth) if stamps[0] else (truth, prediction)
        raise InputError(
            f"{stamped.path} goes by stamps ({len(stamped.keys)}) and {named.path} by names ({len(named.keys)}, such "
            f"as '{named.keys[0]}'); name the files by their stamps in nanoseconds"
        )
    found = _by_stamp(prediction.keys, truth.keys, max_offset) if stamps[0] else _by_name(prediction.keys, truth.keys)
    if not found.pairs:
        raise InputError(
            f"none of the {count(len(prediction.keys), 'frame')} of {prediction.path} is one of the {len(truth.keys)} "
            f"of {truth.path} ({_apart(prediction.keys, truth.keys)}); was it made of other data?"
        )
    return found


def _by_name(predicted: Sequence[Key], true: Sequence[Key]) -> Matching:
    given, asked = set(predicted), set(true)
    return Matching(
        tuple((key, key) for key in true if key in given),
        tuple(key for key in true if key not in given),
        tuple(key for key in predicted if key not in asked),
    )


def _by_stamp(predicted: Sequence[Key], true: Sequence[Key], max_offset: float) -> Matching:
    """Every true stamp takes the nearest free predicted one, exact ones first."""
    exact = _by_name(predicted, true)
    if max_offset <= 0 or not exact.unanswered:
        return exact
    free = np.array(sorted(int(key) for key in exact.spare), np.int64)
    pairs, taken = dict(exact.pairs), set[int]()
    for key in exact.unanswered:
        near = free[np.abs(free - int(key)) <= max_offset * 1e9]
        near = near[np.argsort(np.abs(near - int(key)), kind="stable")]
        nearest = next((int(stamp) for stamp in near if int(stamp) not in taken), None)
        if nearest is not None:
            pairs[key] = nearest
            taken.add(nearest)
    ordered = tuple((key, pairs[key]) for key in true if key in pairs)
    return Matching(
        ordered,
        tuple(key for key in true if key not in pairs),
        tuple(key for key in exact.spare if key not in taken),
        max(abs(int(t) - int(p)) for t, p in ordered) if ordered else 0,
    )


def frames(
    prediction: Source, truth: Source, matching: Matching, keys: Collection[Key] | None = None
) -> Iterator[tuple[Labelled, Labelled | None]]:
    """Every true frame (of ``keys``, if given) with its prediction, None where it has none, in the truth's order."""
    wanted = set(truth.keys if keys is None else keys)
    answers = {true: answer for true, answer in matching.pairs if true in wanted}
    given = prediction.read(set(answers.values()))
    early: dict[Key, Labelled] = {}
    for true in truth.read(wanted):
        answer = answers.get(true.key)
        while answer is not None and answer not in early:
            following = next(given, None)
            if following is None:
                raise InputError(f"{prediction.path}: frame {answer} was there and cannot be read any more")
            early[following.key] = following
        yield true, early.pop(answer) if answer is not None else None


@dataclass(frozen=True)
class Translation:
    """From one source's classes to those of ``target``: ``table`` ``(256,)`` uint8; ``never``: the classes of the
    target that nothing is translated to.
    """

    source: LabelSpace
    target: LabelSpace
    table: UInt8Array
    never: tuple[str, ...]

    def __call__(self, panoptic: Int32Array, whose: str) -> Int32Array:
        """``panoptic`` ``(H, W)`` in the classes of the target: ids of things stay, stuff has none. Raises
        :class:`InputError` for a class that the source's label space has not.
        """
        _refuse_strangers(panoptic, self.source, whose)
        classes = self.table[np.minimum(panoptic & 0xFFFF, UNLABELLED)].astype(np.int32)
        translated: Int32Array = np.where(self.target.things[classes], panoptic & ~0xFFFF | classes, classes)
        return translated

    def content(self) -> dict[str, Any]:
        """For JSON: the label spaces, and what each class becomes."""
        names = [c.name for c in self.target.classes]
        becomes = {c.name: names[self.table[c.id]] if self.table[c.id] != UNLABELLED else None
                   for c in self.source.classes}  # fmt: skip
        return {"name": self.source.name, "version": self.source.version, "classes": becomes}


def translation(
    source: LabelSpace,
    target: LabelSpace,
    *,
    whose: str,
    overrides: Mapping[str, str] | None = None,
    void: Collection[str] = (),
) -> Translation:
    """How the classes of ``source`` are called in ``target``: the same, or by name and ancestor, as models' are (see
    :func:`seg_perception.labels.remap`); ``overrides`` come before, ``void`` are unlabelled. Raises
    :class:`ConfigError` that names the classes without a home.
    """
    if source.version == target.version and not overrides and not void:
        return Translation(target, target, _identity(len(target)), ())
    names = [c.name for c in source.classes]
    try:
        table = remap(source, names, target, overrides=overrides, void=void, where=f"{whose} in '{source.name}'")
    except ConfigError as error:
        raise ConfigError(f"{error} (--{whose}-map CLASS=TARGET, --{whose}-void CLASS, --labels SPACE)") from error
    there = set(table[: len(source)].tolist())
    return Translation(source, target, table, tuple(c.name for c in target.classes if c.id not in there))


@dataclass(frozen=True)
class Sides:
    """Both sources, how their classes are called in the common label space, and which frames belong together.
    ``instances``: whether things are told apart on both; else their ids are left away, and nothing that needs them is
    scored.
    """

    prediction: Source
    truth: Source
    to_common: tuple[Translation, Translation]
    matching: Matching

    @property
    def labels(self) -> LabelSpace:
        """The common label space."""
        return self.to_common[0].target

    @property
    def instances(self) -> bool:
        """See the class."""
        return self.prediction.facts.instances and self.truth.facts.instances

    @property
    def video(self) -> bool:
        """Whether frames follow each other in time."""
        return self.truth.facts.video

    def maps(
        self, keys: Collection[Key] | None = None
    ) -> Iterator[tuple[Key, Int32Array, Labelled | None, Int32Array | None]]:
        """Every true frame, or those of ``keys``: its key, the truth in the common space, and the prediction, as it
        came and in the common space, None where there is none.
        """
        for true, given in frames(self.prediction, self.truth, self.matching, keys):
            predicted = self._common(given, 0) if given is not None else None
            yield true.key, self._common(true, 1), given, predicted

    def _common(self, frame: Labelled, side: int) -> Int32Array:
        source = (self.prediction, self.truth)[side]
        translated = self.to_common[side](frame.panoptic, f"{source.path}: frame {frame.key}")
        return translated if self.instances else translated & 0xFFFF


def _identity(classes: int) -> UInt8Array:
    table = np.arange(256, dtype=np.uint8)
    table[classes:] = UNLABELLED
    return table


def _refuse_strangers(panoptic: Int32Array, labels: LabelSpace, whose: str) -> None:
    classes = panoptic & 0xFFFF
    strange = (classes >= len(labels)) & (classes != UNLABELLED)
    if strange.any():
        found = np.unique(classes[strange])
        raise InputError(
            f"{whose} has {count(int(strange.sum()), 'pixel')} of {count(len(found), 'class id')} such as {found[0]}, "
            f"which the label space '{labels.name}' ({len(labels)} classes, 0..{len(labels) - 1}) has not: is it in "
            "another space (--prediction-labels, --truth-labels), or unlabelled (--truth-void)?"
        )


def _rates(prediction: Source, truth: Source) -> str:
    """The two rates where both go by stamps and they differ; else nothing."""
    hertz = [_rate(source.keys) for source in (prediction, truth)]
    if None in hertz or abs(hertz[0] / hertz[1] - 1) < 0.05:  # type: ignore[operator]
        return ""
    return f"the prediction comes at {hertz[0]:.3g} Hz, the truth at {hertz[1]:.3g} Hz; "


def _rate(keys: Sequence[Key]) -> float | None:
    stamps = np.array([key for key in keys if isinstance(key, int)], np.float64)
    steps = np.diff(stamps)
    steps = steps[steps > 0]
    return 1e9 / float(np.median(steps)) if len(steps) else None


def _some(keys: Sequence[Key]) -> str:
    return f"the first is {keys[0]}"


def _apart(predicted: Sequence[Key], true: Sequence[Key]) -> str:
    if isinstance(predicted[0], str) or isinstance(true[0], str):
        return f"'{predicted[0]}' ... and '{true[0]}' ..."
    nearest = min(abs(int(p) - int(t)) for p in predicted[:1000] for t in (true[0], true[-1]))
    return f"stamps {predicted[0]} ... and {true[0]} ..., at best {nearest / 1e9:.3f} s apart at the ends"
