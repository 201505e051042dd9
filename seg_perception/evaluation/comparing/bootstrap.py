"""How sure a difference between two runs is: their numbers on many draws of blocks of frames, the same draws for both.

Frames of a video are not independent, so what is drawn is whole bags, or blocks of at least a second (a paired cluster
bootstrap: Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, ch. 8 and 13).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seg_perception.errors import InputError
from seg_perception.evaluation.confusion import mean, ratio
from seg_perception.evaluation.counts import stacked, weighted
from seg_perception.evaluation.identity import ClearCounts, HotaCounts, IdentityCounts
from seg_perception.evaluation.numbers import additive, scores
from seg_perception.evaluation.result import Evaluation
from seg_perception.evaluation.sequence import Scores
from seg_perception.types import Float64Array, Int64Array

ENOUGH_BAGS = 12
"""From so many bags on they are drawn themselves; of fewer, blocks: a handful of draws says little about spread."""

RANKED_DRAWS = 200
"""Average precision, which ranks all detections anew, is computed for so many draws at most."""

Numbers = Mapping[str, float]
Samples = Mapping[str, Float64Array]


@dataclass(frozen=True)
class Pairing:
    """The frames that two evaluations have in common: their positions in each, ``(F,)`` int64, by rising position in
    the first; ``notes`` says how many only one of them has.
    """

    first: Int64Array
    second: Int64Array
    notes: tuple[str, ...] = ()


def paired(first: Evaluation, second: Evaluation) -> Pairing:
    """The frames of one sequence, stamp and name, in both. Raises :class:`InputError` when there is none, and when the
    label spaces differ.
    """
    if first.labels.version != second.labels.version:
        raise InputError(
            f"one run was evaluated in '{first.labels.name}' ({first.labels.version}), the other in "
            f"'{second.labels.name}' ({second.labels.version}); evaluate both with one --labels"
        )
    keys = [_keys(evaluation, first.sequences) for evaluation in (first, second)]
    places = {key: place for place, key in enumerate(keys[1])}
    common = [(place, places[key]) for place, key in enumerate(keys[0]) if key in places]
    counts = [len(those) - len(common) for those in keys]
    if not common:
        raise InputError(
            f"the runs have no frame in common: {len(keys[0])} of {', '.join(first.sequences[:3])} ... and "
            f"{len(keys[1])} of {', '.join(second.sequences[:3])} ...; evaluate both on the same bags"
        )
    notes = () if not any(counts) else (
        f"compared on {len(common)} frames that both runs have; {counts[0]} more are in the first only, {counts[1]} in "
        "the second only",
    )  # fmt: skip
    positions = np.array(common, np.int64).T
    return Pairing(positions[0], positions[1], notes)


def _keys(evaluation: Evaluation, called: Sequence[str]) -> list[tuple[str, int, str]]:
    # A single bag may be called otherwise by each run.
    names = called if len(evaluation.sequences) == len(called) == 1 else evaluation.sequences
    f = evaluation.frames
    return [(names[s], t, n) for s, t, n in zip(f.sequence.tolist(), f.stamps.tolist(), f.names.tolist(), strict=True)]


@dataclass(frozen=True)
class Blocks:
    """What is drawn: positions of frames, block by block, in the first evaluation and in the second; ``unit`` says in
    words what a block is.
    """

    first: tuple[Int64Array, ...]
    second: tuple[Int64Array, ...]
    unit: str

    def __len__(self) -> int:
        return len(self.first)


def blocks(first: Evaluation, pairing: Pairing, seconds: float = 1.0) -> Blocks:
    """Bags where there are at least :data:`ENOUGH_BAGS`, runs of at least ``seconds`` where not, single images where
    they are no video.
    """
    sequence = first.frames.sequence
    if first.video and len(np.unique(sequence[pairing.first])) >= ENOUGH_BAGS:
        pieces, unit = [np.flatnonzero(sequence == s) for s in np.unique(sequence)], "bag"
    else:
        pieces = first.blocks(seconds)
        unit = f"block of {seconds:g} s" if first.video else "image"
    kept = [piece[np.isin(piece, pairing.first)] for piece in pieces]
    ours = tuple(np.asarray(piece, np.int64) for piece in kept if len(piece))
    return Blocks(ours, tuple(pairing.second[np.searchsorted(pairing.first, piece)] for piece in ours), unit)


def draws(count: int, times: int, seed: int = 0) -> NDArray[np.float64]:
    """``(times, count)``: how often each of ``count`` blocks is in each draw, with replacement."""
    return np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), times).astype(np.float64)


def numbers(evaluation: Evaluation, frames: Int64Array) -> dict[str, float]:
    """Every number of the chosen frames by its flat name: those of :func:`~seg_perception.evaluation.numbers.additive`,
    and ``idf1``, ``hota``, ``ap`` ... overall and by class, as ``idf1/person``.
    """
    weights = np.zeros(len(evaluation.frames))
    weights[frames] = 1
    found = {name: float(value) for name, value in additive(evaluation, weights).items()}
    sequence = evaluation.frames.sequence[frames]
    parts = [frames[sequence == s] for s in np.unique(sequence)]
    if _has_order(evaluation):
        one = np.ones((1, len(parts)))
        counted = [scores(evaluation, [part]) for part in parts]
        found |= {name: float(value[0]) for name, value in _ordered(counted, one, found["miou"]).items()}
    return found | {
        name: float(value[0]) for name, value in _ranked(evaluation, parts, np.ones((1, len(parts)))).items()
    }


def samples(
    evaluation: Evaluation, chosen: Sequence[Int64Array], weights: NDArray[np.float64]
) -> dict[str, Float64Array]:
    """The same numbers for each row of ``weights`` ``(B, N)``, which says how often each of the N ``chosen`` blocks
    counts; ``(B,)`` each. Ids last no longer than a block, here.
    """
    found = additive(_by_block(evaluation, chosen), weights)
    if _has_order(evaluation):
        found |= _ordered([scores(evaluation, [block]) for block in chosen], weights, found["miou"])
    return found | _ranked(evaluation, chosen, weights)


def _has_order(evaluation: Evaluation) -> bool:
    return evaluation.video and bool(len(evaluation.overlaps.frame))


def _by_block(evaluation: Evaluation, chosen: Sequence[Int64Array]) -> Evaluation:
    """The evaluation with one frame for each block, in which all that was counted in it is summed."""
    members = np.zeros((len(chosen), len(evaluation.frames)))
    for row, block in enumerate(chosen):
        members[row, block] = 1
    values = {field.name: getattr(evaluation.frames, field.name) for field in fields(evaluation.frames)}
    summed: dict[str, Any] = {
        name: weighted(value, members) if is_dataclass(value) else value[[block[0] for block in chosen]]
        for name, value in values.items()
    }
    return replace(evaluation, frames=replace(evaluation.frames, **summed))


def _ordered(parts: Sequence[Scores], weights: NDArray[np.float64], miou: Any) -> dict[str, Float64Array]:
    """What needs the frames' order: ids over time, VPQ and STQ."""
    labels = parts[0].labels
    found: dict[str, Float64Array] = {}
    every: list[Float64Array] = []
    for label in parts[0].tracking:
        counts = np.stack([_flat(part.tracking[label]) for part in parts])
        every.append(weights @ counts)
        if counts.any():
            found |= {
                f"{name}/{labels.classes[label].name}": values for name, values in _tracked(every[-1], False).items()
            }
    if every:
        found |= _tracked(np.sum(every, axis=0), True)
    windows = [weighted(stacked([part.video[window] for part in parts]), weights).pq for window in parts[0].video]
    by_window = np.array([[mean(row) for row in window] for window in windows])
    found["vpq"] = np.asarray(by_window.mean(0))
    association = np.array([[part.association.quality, part.association.tracks] for part in parts])
    quality, tracks = (weights @ association).T
    found["aq"] = ratio(quality, tracks)
    found["stq"] = np.sqrt(found["aq"] * miou)
    return found


def _flat(tracking: Any) -> Float64Array:
    """A :class:`Tracking`'s counts in one row."""
    i, c, h = tracking.identity, tracking.clear, tracking.hota
    return np.concatenate(
        [[i.tp, i.fp, i.fn, c.tp, c.fp, c.fn, c.switches], h.tp, h.fp, h.fn, h.association, h.similarity]
    )


def _tracked(rows: Float64Array, overall: bool) -> dict[str, Float64Array]:
    """The numbers of each of these rows."""
    found: dict[str, list[float]] = {}
    for row in rows:
        identity, clear = IdentityCounts(*row[:3]), ClearCounts(*row[3:7])
        hota = HotaCounts(*np.split(row[7:], 5))
        values = {"idf1": identity.idf1, "hota": hota.hota, "id_switches": float(clear.switches)}
        if overall:
            values |= {"mota": clear.mota, "deta": hota.deta, "assa": hota.assa}
        for name, value in values.items():
            found.setdefault(name, []).append(value)
    return {name: np.array(values) for name, values in found.items()}


def _ranked(
    evaluation: Evaluation, chosen: Sequence[Int64Array], weights: NDArray[np.float64]
) -> dict[str, Float64Array]:
    """Average precision of the first :data:`RANKED_DRAWS` draws, NaN for the others; nothing without scores."""
    if not evaluation.detections.known:
        return {}
    classes = evaluation.labels.classes
    table = np.full((len(weights), len(classes), 10), np.nan)
    for i, row in enumerate(weights[:RANKED_DRAWS].astype(int)):
        drawn = [block for block, times in zip(chosen, row, strict=True) for _ in range(times)]
        precision = evaluation.precision(np.concatenate(drawn))
        if precision is not None:
            table[i] = precision.by_class()
    found = {f"ap/{c.name}": table[:, c.id].mean(-1) for c in classes if c.kind == "thing"}
    picked = {"ap": table.mean(-1), "ap50": table[..., 0], "ap75": table[..., 5]}
    return found | {name: np.array([mean(row) for row in values]) for name, values in picked.items()}
