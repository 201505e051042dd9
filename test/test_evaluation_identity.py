"""Identity metrics: worked by hand, and equal to TrackEval (to itself where it is installed, else to what it said)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seg_perception.evaluation.identity import Moment, Tracking, tracking


def moment(true: list[int], predicted: list[int], similarity: Any) -> Moment:
    shape = len(true), len(predicted)
    return Moment(np.array(true, np.int64), np.array(predicted, np.int64), np.array(similarity, float).reshape(shape))


def sequence(seed: int, frames: int = 30) -> list[Moment]:
    """Objects that come and go, followed by tracks that lose them, take each other's place and see ghosts."""
    rng = np.random.default_rng(seed)
    follows = rng.permutation(6)
    found = []
    for _ in range(frames):
        if rng.random() < 0.2:
            a, b = rng.integers(0, 6, 2)
            follows[[a, b]] = follows[[b, a]]
        true = np.flatnonzero(rng.random(6) < 0.7)
        seen = true[rng.random(len(true)) < 0.8]
        predicted = np.append(follows[seen] + 100, rng.choice([200, 201], int(rng.integers(0, 2))))
        similarity = rng.random((len(true), len(predicted))) * 0.6
        for column, number in enumerate(seen):
            similarity[np.searchsorted(true, number), column] = 0.4 + 0.6 * rng.random()
        found.append(Moment(true.astype(np.int64) * 7, predicted.astype(np.int64), similarity))
    return found


def reference(moments: list[Moment]) -> dict[str, Any]:
    """TrackEval's HOTA, Identity and CLEAR of one sequence."""
    metrics = pytest.importorskip("trackeval").metrics
    truths, tracks = (
        np.unique(np.concatenate([np.zeros(0, np.int64), *(getattr(m, name) for m in moments)]))
        for name in ("truth", "predicted")
    )
    data = {
        "gt_ids": [np.searchsorted(truths, m.truth) for m in moments],
        "tracker_ids": [np.searchsorted(tracks, m.predicted) for m in moments],
        "similarity_scores": [m.similarity for m in moments],
        "num_gt_ids": len(truths),
        "num_tracker_ids": len(tracks),
        "num_gt_dets": sum(len(m.truth) for m in moments),
        "num_tracker_dets": sum(len(m.predicted) for m in moments),
        "num_timesteps": len(moments),
    }
    parts = metrics.HOTA(), metrics.Identity({"PRINT_CONFIG": False}), metrics.CLEAR({"PRINT_CONFIG": False})
    return {type(part).__name__: (part, part.eval_sequence(data)) for part in parts}


def assert_equal(found: Tracking, expected: dict[str, Any]) -> None:
    identity, clear, hota = (expected[name] for name in ("Identity", "CLEAR", "HOTA"))
    assert (found.identity.tp, found.identity.fp, found.identity.fn) == tuple(
        int(identity[name]) for name in ("IDTP", "IDFP", "IDFN")
    )
    assert (found.clear.tp, found.clear.fp, found.clear.fn, found.clear.switches) == tuple(
        int(clear[name]) for name in ("CLR_TP", "CLR_FP", "CLR_FN", "IDSW")
    )
    for name, key in (("tp", "HOTA_TP"), ("fp", "HOTA_FP"), ("fn", "HOTA_FN")):
        np.testing.assert_array_equal(getattr(found.hota, name), hota[key])
    pairs = [
        (found.identity.idf1, identity["IDF1"]),
        (found.identity.idp, identity["IDP"]),
        (found.identity.idr, identity["IDR"]),
        (found.clear.mota, clear["MOTA"]),
        (found.hota.hota, np.mean(hota["HOTA"])),
        (found.hota.deta, np.mean(hota["DetA"])),
        (found.hota.assa, np.mean(hota["AssA"])),
    ]
    # Where there is nothing to score TrackEval says 0.
    for ours, theirs in pairs:
        assert np.nan_to_num(ours) == pytest.approx(theirs, abs=1e-12)


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 30))
def test_equals_trackeval(seed: int, frames: int) -> None:
    moments = sequence(seed, frames)
    expected = reference(moments)
    assert_equal(tracking(moments), {name: result for name, (_, result) in expected.items()})


@settings(deadline=None)
@given(st.lists(st.integers(0, 2**32 - 1), min_size=2, max_size=3))
def test_sequences_add_up_to_trackevals_combined(seeds: list[int]) -> None:
    sequences = [sequence(seed, 10) for seed in seeds]
    each = [reference(moments) for moments in sequences]
    combined = {
        name: each[0][name][0].combine_sequences({str(k): part[name][1] for k, part in enumerate(each)})
        for name in each[0]
    }
    assert_equal(sum((tracking(moments) for moments in sequences), Tracking.zero()), combined)


@pytest.mark.parametrize(
    ("seed", "counts", "switches", "scores"),
    [  # by TrackEval 1.3.0, for machines that have it not
        (0, (56, 63, 70), 31, (0.332509451059, 0.479648270871, 0.23322788451)),
        (1, (71, 43, 48), 12, (0.476748166041, 0.527377525125, 0.432654098979)),
        (2, (79, 44, 50), 22, (0.457893794209, 0.513222545346, 0.409955717974)),
    ],
)
def test_equals_what_trackeval_said(
    seed: int, counts: tuple[int, int, int], switches: int, scores: tuple[float, float, float]
) -> None:
    found = tracking(sequence(seed))
    assert (found.identity.tp, found.identity.fp, found.identity.fn) == counts
    assert found.clear.switches == switches
    assert (found.hota.hota, found.hota.deta, found.hota.assa) == pytest.approx(scores, abs=1e-9)


def test_a_switch_by_hand() -> None:
    # Object 1 is followed by 10 for three frames, then by 11; in the third frame nobody sees it.
    moments = [
        moment([1], [10], [0.9]),
        moment([1], [10], [0.9]),
        moment([1], [], []),
        moment([1], [10], [0.9]),
        moment([1], [11], [0.9]),
    ]
    found = tracking(moments)
    assert found.clear.switches == 1
    assert (found.clear.tp, found.clear.fp, found.clear.fn) == (4, 0, 1)
    assert found.clear.mota == pytest.approx((4 - 0 - 1) / 5)
    # 10 explains three of five; 11's one detection is wrong.
    assert (found.identity.tp, found.identity.fp, found.identity.fn) == (3, 1, 2)
    assert found.identity.idf1 == pytest.approx(3 / (3 + 0.5 + 1))
    # 18 of the 19 alphas are 0.9 or below. DetA 4/5; AssA (3 * 3/5 + 1 * 1/5) / 4.
    parts = 18 / 19
    assert found.hota.deta == pytest.approx(parts * 4 / 5)
    assert found.hota.assa == pytest.approx(parts * (3 * 3 / 5 + 1 / 5) / 4)
    assert found.hota.hota == pytest.approx(parts * np.sqrt(4 / 5 * 0.5))


def test_a_pair_of_the_frame_before_is_kept_while_it_can_be() -> None:
    # In the second frame 11 fits better, but 10 still fits.
    moments = [moment([1], [10], [0.9]), moment([1], [10, 11], [0.5, 0.9])]
    assert tracking(moments).clear.switches == 0
    moments = [moment([1], [10], [0.9]), moment([1], [10, 11], [0.4, 0.9])]
    assert tracking(moments).clear.switches == 1


def test_nothing_to_find_and_nothing_found() -> None:
    found = tracking([moment([], [], [])])
    for value in (found.identity.idf1, found.identity.idr, found.clear.mota, found.hota.hota, found.hota.assa):
        assert np.isnan(value)


@given(st.integers(0, 2**32 - 1), st.permutations(range(6)))
def test_names_do_not_matter(seed: int, names: list[int]) -> None:
    moments = sequence(seed, 8)
    renamed = [Moment(np.array(names)[m.truth // 7], m.predicted, m.similarity) for m in moments]
    found, other = tracking(moments), tracking(renamed)
    assert (found.identity, found.clear.tp) == (other.identity, other.clear.tp)
    assert found.hota.hota == pytest.approx(other.hota.hota, nan_ok=True)
