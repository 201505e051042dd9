"""Fusion against a slow, literal reading of its rules, and each rule on its own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seg_perception.fusion import FusionConfig, fuse
from seg_perception.labels import LabelSpace
from seg_perception.types import UNLABELLED, Mask, PanopticMap, SemanticMap, Tracks

ROAD, SKY, SIGN, PERSON, CAR = range(5)
LABELS = LabelSpace.parse(
    {
        "name": "five",
        "classes": [
            {"id": ROAD, "name": "road", "kind": "stuff", "colour": [0, 0, 0], "cost": 0},
            {"id": SKY, "name": "sky", "kind": "stuff", "colour": [0, 0, 0]},
            {"id": SIGN, "name": "sign", "kind": "thing", "colour": [0, 0, 0]},
            {"id": PERSON, "name": "person", "kind": "thing", "colour": [0, 0, 0], "priority": 2},
            {"id": CAR, "name": "car", "kind": "thing", "colour": [0, 0, 0], "priority": 1},
        ],
    },
    where="test_fusion.py",
)
CONFIG = FusionConfig()


def semantic(labels: np.ndarray) -> SemanticMap:
    """A semantic map of these labels, confidence 100."""
    return SemanticMap(labels.astype(np.uint8), np.where(labels == UNLABELLED, 0, 100).astype(np.uint8))


def tracks(*rows: tuple[int, int, float, Mask], visible: Any = None) -> Tracks:
    """Tracks from (track id, label, score, mask)."""
    n = len(rows)
    boxes = [(m.x, m.y, m.x + m.bits.shape[1], m.y + m.bits.shape[0]) for *_, m in rows]
    return Tracks(
        np.array([r[0] for r in rows], np.int32),
        np.array(boxes, np.float32).reshape(n, 4),
        np.array([r[2] for r in rows], np.float32),
        np.array([r[1] for r in rows], np.uint8),
        tuple(r[3] for r in rows),
        np.zeros(n, np.int64),
        np.ones(n, np.bool_) if visible is None else np.array(visible),
    )


def full(x: int, y: int, width: int, height: int) -> Mask:
    return Mask(x, y, np.ones((height, width), np.bool_))


def literal(base: SemanticMap, things: Tracks, labels: LabelSpace, config: FusionConfig) -> PanopticMap:
    """The rules, pixel by pixel."""
    out = base.labels.copy(), base.confidence.copy(), base.labels.astype(np.int32)
    owner = np.full(base.labels.shape, -1)
    for i in sorted(range(len(things)), key=lambda i: (-things.scores[i], i)):
        if not things.visible[i]:
            continue
        mask, label = things.masks[i], int(things.labels[i])
        pixels = [(mask.y + int(v), mask.x + int(u)) for v, u in zip(*np.nonzero(mask.bits), strict=True)]
        if not labels.priorities[label]:
            pixels = [p for p in pixels if not labels.priorities[base.labels[p]]]
        free = [p for p in pixels if owner[p] < 0]
        if not free or (len(pixels) - len(free)) / len(pixels) > config.max_overlap:
            continue
        for p in free:
            owner[p] = i
            out[0][p] = label
            out[1][p] = min(max(round(float(things.scores[i]) * 255), 1), 255)
            out[2][p] = label | (int(things.track_ids[i]) << 16 if labels.things[label] else 0)
    for label in np.unique(out[0][out[0] != UNLABELLED]).tolist():
        stuff = not labels.things[label] and labels.priorities[label] == 0
        pixels = out[0] == label
        if stuff and pixels.sum() < config.least_stuff * pixels.size:
            out[0][pixels], out[1][pixels], out[2][pixels] = UNLABELLED, 0, UNLABELLED
    return PanopticMap(*out)


def check(out: PanopticMap) -> None:
    np.testing.assert_array_equal(out.panoptic & 0xFFFF, out.semantic)
    np.testing.assert_array_equal(out.confidence == 0, out.semantic == UNLABELLED)
    assert out.semantic.dtype == out.confidence.dtype == np.uint8
    assert out.panoptic.dtype == np.int32


def scene(seed: int, count: int, shape: tuple[int, int] = (24, 30)) -> tuple[SemanticMap, Tracks]:
    rng = np.random.default_rng(seed)
    base = semantic(rng.choice([ROAD, SKY, SIGN, PERSON, CAR, UNLABELLED], shape))
    rows = []
    for i in range(count):
        height, width = int(rng.integers(0, 14)), int(rng.integers(0, 14))
        x, y = int(rng.integers(0, shape[1] - width + 1)), int(rng.integers(0, shape[0] - height + 1))
        mask = Mask(x, y, rng.random((height, width)) < rng.random())
        track_id = int(rng.choice([0, i + 1, 32767 - i]))
        rows.append((track_id, int(rng.integers(0, 5)), float(rng.choice([0.0, 0.3, 0.5, rng.random()])), mask))
    return base, tracks(*rows, visible=rng.random(count) < 0.8)


@settings(deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(0, 12),
    st.sampled_from([0.0, 0.3, 0.5, 1.0]),
    st.sampled_from([0.0, 0.05, 0.1]),
)
def test_equals_the_rules_read_literally(seed: int, count: int, max_overlap: float, least_stuff: float) -> None:
    base, things = scene(seed, count)
    labels, confidence = base.labels.copy(), base.confidence.copy()
    config = FusionConfig(max_overlap, least_stuff)
    out, expected = fuse(base, things, LABELS, config), literal(base, things, LABELS, config)
    check(out)
    np.testing.assert_array_equal(out.panoptic, expected.panoptic)
    np.testing.assert_array_equal(out.confidence, expected.confidence)
    np.testing.assert_array_equal(base.labels, labels)
    np.testing.assert_array_equal(base.confidence, confidence)


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_no_priority_pixel_becomes_free_ground(seed: int) -> None:
    base, things = scene(seed, 8)
    out = fuse(base, things, LABELS, CONFIG)
    before, after = LABELS.priorities[base.labels] > 0, LABELS.priorities[out.semantic] > 0
    assert (after | ~before).all()


def test_more_instances_than_a_byte_counts() -> None:
    rows = [(i + 1, CAR, 0.9, full(4 * (i % 40), 4 * (i // 40), 4, 4)) for i in range(600)]
    out = fuse(semantic(np.full((60, 160), ROAD)), tracks(*rows), LABELS, CONFIG)
    check(out)
    assert set(np.unique(out.panoptic >> 16)) == set(range(1, 601))


def test_without_tracks_the_semantic_map_goes_through() -> None:
    base = semantic(np.array([[ROAD, CAR, UNLABELLED]]))
    out = fuse(base, Tracks.empty(), LABELS, CONFIG)
    check(out)
    assert out.panoptic.tolist() == [[ROAD, CAR, UNLABELLED]]
    assert out.confidence.tolist() == [[100, 100, 0]]
    # The answer is the caller's own: writing to it must not reach the network's buffers.
    assert not np.shares_memory(out.semantic, base.labels)
    assert not np.shares_memory(out.confidence, base.confidence)


def test_unclaimed_thing_pixels_keep_their_class_and_unlabelled_ones_can_be_claimed() -> None:
    base = semantic(np.array([[CAR, CAR, UNLABELLED, UNLABELLED, ROAD]]))
    out = fuse(base, tracks((7, CAR, 0.5, full(1, 0, 2, 1))), LABELS, CONFIG)
    check(out)
    seven = 7 << 16 | CAR
    assert out.panoptic.tolist() == [[CAR, seven, seven, UNLABELLED, ROAD]]
    assert out.confidence.tolist() == [[100, 128, 128, 0, 100]]


def test_the_better_score_is_on_top_and_the_covered_one_is_dropped() -> None:
    base = semantic(np.full((1, 10), ROAD))
    half = tracks((1, CAR, 0.6, full(2, 0, 4, 1)), (2, PERSON, 0.9, full(0, 0, 4, 1)))
    assert (fuse(base, half, LABELS, CONFIG).panoptic >> 16).tolist() == [[2, 2, 2, 2, 1, 1, 0, 0, 0, 0]]
    most = tracks((1, CAR, 0.6, full(1, 0, 4, 1)), (2, PERSON, 0.9, full(0, 0, 4, 1)))
    assert (fuse(base, most, LABELS, CONFIG).panoptic >> 16).tolist() == [[2, 2, 2, 2, 0, 0, 0, 0, 0, 0]]


def test_a_dropped_instance_holds_no_pixels() -> None:
    """What it would have covered is free for the next one."""
    base = semantic(np.full((1, 10), ROAD))
    three = tracks((1, CAR, 0.9, full(0, 0, 6, 1)), (2, CAR, 0.8, full(2, 0, 6, 1)), (3, CAR, 0.7, full(6, 0, 4, 1)))
    assert (fuse(base, three, LABELS, CONFIG).panoptic >> 16).tolist() == [[1, 1, 1, 1, 1, 1, 3, 3, 3, 3]]


def test_hidden_tracks_are_not_painted() -> None:
    base = semantic(np.full((2, 2), ROAD))
    out = fuse(base, tracks((1, CAR, 0.9, full(0, 0, 2, 2)), visible=[False]), LABELS, CONFIG)
    assert (out.panoptic == ROAD).all()


def test_a_thing_without_an_id_is_painted_at_once() -> None:
    out = fuse(semantic(np.full((1, 1), ROAD)), tracks((0, PERSON, 0.4, full(0, 0, 1, 1))), LABELS, CONFIG)
    assert out.panoptic.tolist() == [[PERSON]]


def test_an_instance_without_priority_leaves_priority_pixels_alone() -> None:
    base = semantic(np.array([[PERSON, ROAD, CAR]]))
    out = fuse(base, tracks((5, SIGN, 0.9, full(0, 0, 3, 1))), LABELS, CONFIG)
    assert out.panoptic.tolist() == [[PERSON, 5 << 16 | SIGN, CAR]]


def test_a_track_of_a_stuff_class_gets_no_id() -> None:
    out = fuse(semantic(np.full((1, 1), ROAD)), tracks((5, SKY, 0.9, full(0, 0, 1, 1))), LABELS, CONFIG)
    assert out.panoptic.tolist() == [[SKY]]


@pytest.mark.parametrize(("score", "confidence"), [(0.0, 1), (0.001, 1), (0.5, 128), (1.0, 255)])
def test_confidence_of_things_is_their_score(score: float, confidence: int) -> None:
    out = fuse(semantic(np.full((1, 1), UNLABELLED)), tracks((5, CAR, score, full(0, 0, 1, 1))), LABELS, CONFIG)
    assert out.confidence.tolist() == [[confidence]]


def test_the_largest_id_fits() -> None:
    out = fuse(semantic(np.full((1, 1), ROAD)), tracks((32767, CAR, 0.9, full(0, 0, 1, 1))), LABELS, CONFIG)
    assert out.panoptic.tolist() == [[32767 << 16 | CAR]]
    assert out.panoptic[0, 0] > 0


def test_specks_of_stuff_are_unlabelled_and_nothing_else_is() -> None:
    """Of 100 pixels: 4 of sky, 1 of a person, 1 of a sign, 1 unlabelled."""
    labels = np.full((10, 10), ROAD)
    labels[0, :4], labels[1, 0], labels[1, 1], labels[1, 2] = SKY, PERSON, SIGN, UNLABELLED
    out = fuse(semantic(labels), Tracks.empty(), LABELS, FusionConfig(least_stuff=0.05))
    check(out)
    expected = np.where(labels == SKY, UNLABELLED, labels)
    np.testing.assert_array_equal(out.semantic, expected)
    kept = fuse(semantic(labels), Tracks.empty(), LABELS, FusionConfig(least_stuff=0.04))
    np.testing.assert_array_equal(kept.semantic, labels)
