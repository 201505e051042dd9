"""Which frames to take: the reasons take turns, near-duplicates are passed over, and chance has its own sample."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seg_perception.mining.scores import differing_bits
from seg_perception.types import Float64Array, Int64Array

AUDIT = "audit"
"""The reason of frames that were drawn by lot."""


@dataclass(frozen=True)
class Candidates:
    """F frames of all bags: ``bag`` ``(F,)`` int64 the position of their bag; ``stamps`` ``(F,)`` int64 nanoseconds;
    ``hashes`` ``(F,)`` uint64 what they look like; ``scores`` by reason, each ``(F,)`` float64.
    """

    bag: Int64Array
    stamps: Int64Array
    hashes: NDArray[np.uint64]
    scores: Mapping[str, Float64Array]

    def __len__(self) -> int:
        return len(self.stamps)


@dataclass(frozen=True)
class Choice:
    """A frame that was taken, at which ``reason``'s turn, its score there, and the part of all frames (0..1) with a
    lower one.
    """

    frame: int
    reason: str
    score: float
    above: float


def select(candidates: Candidates, count: int, gap: float, alike: int) -> list[Choice]:
    """Up to ``count`` frames. The reasons take turns, in their order; each takes its best frame that is none of the
    taken ones' near-duplicate: of the same bag within ``gap`` seconds, or of any bag and differing in at most ``alike``
    of the 64 bits of its hash. A frame is never taken for a score of 0.
    """
    free = np.ones(len(candidates), np.bool_)
    queues = {reason: _best_first(values) for reason, values in candidates.scores.items()}
    chosen: list[Choice] = []
    while queues and len(chosen) < count:
        for reason in list(queues):
            frame = next((frame for frame in queues[reason] if free[frame]), None)
            if frame is None:
                del queues[reason]
            elif len(chosen) < count:
                values = candidates.scores[reason]
                above = float(np.mean(values < values[frame]))
                chosen.append(Choice(frame, reason, float(values[frame]), above))
                free &= ~_like(candidates, frame, gap, alike)
    return chosen


def audit(keys: Sequence[str], share: float, seed: int) -> list[int]:
    """The positions, rising, of ``share`` (0..1) of the frames, rounded up, drawn by lot. A frame's lot depends on
    ``seed`` and its key alone, not on the other frames: more bags never change who is first among the old ones.
    """
    lots = [hashlib.sha256(f"{seed} {key}".encode()).hexdigest() for key in keys]
    # 2 % of 50 is one, not two because of the last bit.
    wanted = math.ceil(round(share * len(keys), 6))
    return sorted(sorted(range(len(keys)), key=lots.__getitem__)[:wanted])


def _best_first(values: Float64Array) -> Iterator[int]:
    order = np.argsort(-values, kind="stable")
    return iter(order[values[order] > 0].tolist())


def _like(candidates: Candidates, frame: int, gap: float, alike: int) -> NDArray[np.bool_]:
    """The frames that ``frame`` stands for, itself among them."""
    away = np.abs(candidates.stamps - candidates.stamps[frame])
    near = (candidates.bag == candidates.bag[frame]) & (away < gap * 1e9)
    same = differing_bits(candidates.hashes, int(candidates.hashes[frame])) <= alike
    like: NDArray[np.bool_] = near | same
    like[frame] = True
    return like
