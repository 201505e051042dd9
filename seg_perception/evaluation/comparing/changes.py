"""What changed from one evaluated run to another: every number with its interval, and the frames that show it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from seg_perception.errors import ConfigError
from seg_perception.evaluation.comparing import bootstrap
from seg_perception.evaluation.comparing.questions import refuse_other_questions, remarks
from seg_perception.evaluation.numbers import LOWER_IS_BETTER
from seg_perception.evaluation.result import Evaluation
from seg_perception.types import Float64Array

DRAWS = 1000
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Change:
    """One number of both runs, and ``low`` and ``high``: between them the true difference is, with 95 % confidence
    (NaN where there is too little to tell).
    """

    name: str
    before: float
    after: float
    low: float
    high: float

    @property
    def delta(self) -> float:
        """After minus before; NaN where one of them has nothing to score."""
        return self.after - self.before

    @property
    def fall(self) -> float:
        """By how much it got worse, negative where it got better; infinite where there was something to score before
        and nothing is left.
        """
        if math.isnan(self.after) and not math.isnan(self.before):
            return math.inf
        return self.delta if self.name.partition("/")[0] in LOWER_IS_BETTER else -self.delta

    @property
    def verdict(self) -> str:
        """``better`` or ``worse`` where the interval says so, ``same`` where nothing changed, else ``unclear``."""
        if self.delta == 0:
            return "same"
        if self.low > 0 or self.high < 0:
            return "worse" if self.fall > 0 else "better"
        return "unclear"


@dataclass(frozen=True)
class Gate:
    """A number that must not get worse by more than ``bound``."""

    name: str
    bound: float

    @classmethod
    def parse(cls, text: str) -> Gate:
        """From ``NAME=BOUND``; raises :class:`ConfigError`."""
        name, _, bound = text.partition("=")
        try:
            gate = cls(name, float(bound or 0))
        except ValueError:
            raise ConfigError(f"--gate {text}: expected NAME=BOUND, for example pq=0.01 or iou/person=0.05") from None
        if not 0 <= gate.bound < math.inf:
            raise ConfigError(f"--gate {text}: expected a finite bound of at least 0")
        return gate


@dataclass(frozen=True)
class FrameChange:
    """One frame's mean PQ over classes in both runs; ``first`` and ``second`` are its positions."""

    first: int
    second: int
    before: float
    after: float


@dataclass(frozen=True)
class Comparison:
    """Two runs side by side: ``changes`` by name; ``losses`` and ``wins``, the frames that got worst and best, at most
    one of each block; ``blocks`` and ``unit`` say what was drawn; ``notes``, what a reader should know.
    """

    changes: Mapping[str, Change]
    losses: tuple[FrameChange, ...]
    wins: tuple[FrameChange, ...]
    frames: int
    blocks: int
    unit: str
    notes: tuple[str, ...]

    def failed(self, gates: Sequence[Gate]) -> list[tuple[Gate, Change]]:
        """The gates that this comparison does not pass; raises :class:`ConfigError` for one that has no number."""
        failed = []
        for gate in gates:
            change = self.changes.get(gate.name)
            if change is None or (math.isnan(change.before) and math.isnan(change.after)):
                known = sorted(name for name, c in self.changes.items() if not math.isnan(c.before))
                raise ConfigError(f"--gate {gate.name}: neither run has this number; there are {', '.join(known)}")
            if change.fall > gate.bound:
                failed.append((gate, change))
        return failed


def compare(
    first: Evaluation, second: Evaluation, *, seconds: float = 1.0, pictures: int = 4, times: int = DRAWS
) -> Comparison:
    """Compare the run ``second`` with ``first``, on the frames that both have. Blocks last at least ``seconds``; the
    ``pictures`` worst and best frames are named. Raises :class:`InputError` when the two do not go together.
    """
    refuse_other_questions(first, second)
    pairing = bootstrap.paired(first, second)
    blocks = bootstrap.blocks(first, pairing, seconds)
    before, after = bootstrap.numbers(first, pairing.first), bootstrap.numbers(second, pairing.second)
    weights = np.concatenate([np.ones((1, len(blocks))), bootstrap.draws(len(blocks), times)])
    sampled = [bootstrap.samples(e, b, weights) for e, b in ((first, blocks.first), (second, blocks.second))]
    changes = {}
    for name in dict.fromkeys((*before, *after)):
        values = [numbers.get(name, math.nan) for numbers in (before, after)]
        spread = _spread(*(s.get(name, np.full(len(weights), math.nan)) for s in sampled))
        if len(blocks) < 2:
            spread = math.nan, math.nan
        low, high = (values[1] - values[0] + part for part in spread)
        changes[name] = Change(name, values[0], values[1], low, high)
    losses, wins = _frames(first, second, blocks, pictures)
    notes = [*pairing.notes, *remarks(first, second, pairing, before, after)]
    if len(blocks) < 10:
        notes.append(f"only {len(blocks)} x {blocks.unit} could be drawn from: take the intervals as rough")
    return Comparison(changes, losses, wins, len(pairing.first), len(blocks), blocks.unit, tuple(notes))


def _spread(before: Float64Array, after: Float64Array) -> tuple[float, float]:
    """How far the difference is, at the ends of its interval, from that of all blocks, which comes first."""
    difference = after - before
    drawn = difference[1:][~np.isnan(difference[1:])]
    if np.isnan(difference[0]) or len(drawn) < 50:
        return math.nan, math.nan
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.percentile(drawn - difference[0], (tail, 100 - tail)).tolist()
    return low, high


def _frames(
    first: Evaluation, second: Evaluation, blocks: bootstrap.Blocks, count: int
) -> tuple[tuple[FrameChange, ...], tuple[FrameChange, ...]]:
    """The frames whose mean PQ fell and rose most, one of a block, most first."""
    quality = [_frame_quality(evaluation) for evaluation in (first, second)]
    lowest: list[FrameChange] = []
    highest: list[FrameChange] = []
    for ours, theirs in zip(blocks.first, blocks.second, strict=True):
        delta = np.nan_to_num(quality[1][theirs] - quality[0][ours])
        for found, place in ((lowest, int(delta.argmin())), (highest, int(delta.argmax()))):
            a, b = int(ours[place]), int(theirs[place])
            found.append(FrameChange(a, b, float(quality[0][a]), float(quality[1][b])))
    losses = sorted((f for f in lowest if f.after < f.before), key=lambda f: f.after - f.before)
    wins = sorted((f for f in highest if f.after > f.before), key=lambda f: f.before - f.after)
    return tuple(losses[:count]), tuple(wins[:count])


def _frame_quality(evaluation: Evaluation) -> Float64Array:
    values: Any = evaluation.frames.panoptic.pq
    there = ~np.isnan(values)
    return np.asarray(np.where(there, values, 0).sum(-1) / np.maximum(there.sum(-1), 1))
