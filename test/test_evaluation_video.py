"""VPQ and STQ: the papers' definitions, worked by hand on small videos and pixel by pixel on random ones."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from seg_perception.evaluation.confusion import Confusion, confusion
from seg_perception.evaluation.panoptic import panoptic_quality
from seg_perception.evaluation.segments import Overlap, Segments, overlap
from seg_perception.evaluation.video import AssociationQuality, association_quality, video_panoptic_quality, with_void
from seg_perception.types import UNLABELLED

CLASSES = 4
THINGS = np.isin(np.arange(256), (2, 3))
A, B, C = 1 << 16 | 2, 2 << 16 | 2, 3 << 16 | 2
IDS = st.sampled_from([0, 1, UNLABELLED, 2, A, B, 1 << 16 | 3])


def videos(frames: int) -> st.SearchStrategy[np.ndarray]:
    return hnp.arrays(np.int32, (frames, 2, 6), elements=IDS)


def overlaps(truth: np.ndarray, predicted: np.ndarray) -> list[Overlap]:
    pairs = [overlap(t, p) for t, p in zip(truth, predicted, strict=True)]
    return [with_void(pair, Segments.truth(pair.truth, THINGS)) for pair in pairs]


def test_vpq_by_hand() -> None:
    # Thing A keeps its pixels for three frames; the prediction calls it A, A, B.
    truth = np.array([[[0, 0, A, A]]] * 3)
    predicted = np.array([[[0, 0, A, A]], [[0, 0, A, A]], [[0, 0, B, B]]])
    pairs = overlaps(truth, predicted)
    one, two, three = (video_panoptic_quality(pairs, k, THINGS, CLASSES) for k in (1, 2, 3))
    assert one.mean().pq == 1.0
    # Windows of two: A is whole in the first; in the second neither tube has more than half of it.
    assert (two.tp[2], two.fp[2], two.fn[2]) == (1, 2, 1)
    assert two.mean().pq == pytest.approx((1 + 1 / (1 + 1 + 0.5)) / 2)
    # One window of three: A's tube has 4 of 6 pixels, B's is invented.
    assert (three.tp[2], three.fp[2], three.fn[2]) == (1, 1, 0)
    assert three.mean().pq == pytest.approx((1 + 4 / 6 / 1.5) / 2)


def test_a_short_sequence_is_one_window() -> None:
    pairs = overlaps(np.array([[[0, A]]]), np.array([[[0, A]]]))
    assert video_panoptic_quality(pairs, 4, THINGS, CLASSES).tp.tolist() == [1, 0, 1, 0]


@given(videos(3), videos(3), st.integers(1, 3))
def test_vpq_is_pq_of_the_windows_laid_side_by_side(truth: np.ndarray, predicted: np.ndarray, window: int) -> None:
    found = video_panoptic_quality(overlaps(truth, predicted), window, THINGS, CLASSES)
    parts = []
    for first in range(3 - window + 1):
        pair = overlap(np.hstack(truth[first : first + window]), np.hstack(predicted[first : first + window]))
        segments = Segments.truth(pair.truth, THINGS), Segments.predicted(pair.predicted, THINGS)
        parts.append(panoptic_quality(pair, *segments, CLASSES))
    for name in ("tp", "fp", "fn", "iou"):
        np.testing.assert_allclose(getattr(found, name), sum(getattr(part, name) for part in parts), atol=1e-12)


def test_stq_by_hand() -> None:
    # A, four pixels a frame for two frames, is called A in the first and B in the second: two tracks of IoU 4/8 share
    # half of it each, AQ 1/2 * 1/2 + 1/2 * 1/2. C, two pixels a frame, is found all the time.
    truth = np.array([[[0, 0, A, A, A, A, C, C]]] * 2)
    predicted = truth.copy()
    predicted[1, 0, 2:6] = B
    found = association_quality(sum(overlaps(truth, predicted), Overlap.empty()), THINGS)
    assert found.tracks == 2
    assert found.aq == pytest.approx((1 / 2 + 1) / 2)
    semantic = confusion((truth & 255).astype(np.uint8), (predicted & 255).astype(np.uint8), CLASSES)
    assert semantic.miou == 1.0
    assert found.stq(semantic) == pytest.approx(np.sqrt(0.75))


def test_association_does_not_ask_for_the_class() -> None:
    truth, predicted = np.array([[[A, A]]]), np.array([[[1 << 16 | 3] * 2]])
    assert association_quality(overlaps(truth, predicted)[0], THINGS).aq == 1.0


def test_void_and_crowd_count_for_no_track() -> None:
    truth = np.array([[[A, A, UNLABELLED, 2, 0]]])
    assert association_quality(overlaps(truth, np.array([[[A, A, A, A, 0]]]))[0], THINGS).aq == 1.0
    assert association_quality(overlaps(truth, np.array([[[A, A, A, A, A]]]))[0], THINGS).aq == pytest.approx(2 / 3)
    # A track id 0 names no track.
    assert association_quality(overlaps(truth, np.array([[[2, 2, 2, 2, 2]]]))[0], THINGS).aq == 0.0


@given(videos(3), videos(3))
def test_association_quality_is_its_definition(truth: np.ndarray, predicted: np.ndarray) -> None:
    found = association_quality(sum(overlaps(truth, predicted), Overlap.empty()), THINGS)
    tracks: dict[int, set[int]] = defaultdict(set)
    tubes: dict[int, set[int]] = defaultdict(set)
    for pixel, (t, p) in enumerate(zip(truth.ravel().tolist(), predicted.ravel().tolist(), strict=True)):
        if t == UNLABELLED or t == 2:
            continue
        if t >> 16:
            tracks[t].add(pixel)
        if p >> 16:
            tubes[p].add(pixel)
    qualities = [sum(len(g & p) * len(g & p) / len(g | p) for p in tubes.values()) / len(g) for g in tracks.values()]
    assert found.tracks == len(tracks)
    assert found.quality == pytest.approx(sum(qualities))


def test_sequences_add_up() -> None:
    total = AssociationQuality(1.5, 2) + AssociationQuality(0.5, 2) + AssociationQuality()
    assert total.aq == 0.5
    assert np.isnan(AssociationQuality().stq(Confusion.zero(2)))
