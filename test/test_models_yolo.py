"""YOLO-style outputs against the published rule, written plainly, and what must not get through."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seg_perception.models.decoders import yolo
from seg_perception.models.geometry import View, views
from seg_perception.models.manifest import Input
from seg_perception.types import UNLABELLED, Instances

SIZE = (320, 320)
CLASSES, COEFFICIENTS, ANCHORS, GRID = 5, 8, 300, 80
TABLE = np.append(np.arange(255), UNLABELLED).astype(np.uint8)
ALL = np.arange(CLASSES)


def outputs(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Anchors (4 + C + M, A) with clusters of boxes, and smooth prototypes (M, h, w)."""
    rng = np.random.default_rng(seed)
    centres = rng.uniform(20, 300, (30, 2))[rng.integers(0, 30, ANCHORS)] + rng.normal(0, 6, (ANCHORS, 2))
    sizes = rng.uniform(15, 120, (ANCHORS, 2))
    scores = rng.uniform(0, 1, (ANCHORS, CLASSES)) ** 4
    coefficients = rng.normal(0, 1, (ANCHORS, COEFFICIENTS))
    v, u = np.mgrid[:GRID, :GRID] / GRID
    phase = rng.uniform(0, 6.3, (COEFFICIENTS, 1, 1))
    waves = rng.uniform(-12, 12, (2, COEFFICIENTS, 1, 1))
    prototypes = np.sin(waves[0] * u + waves[1] * v + phase)
    anchors = np.concatenate([centres, sizes, scores, coefficients], axis=1).T
    return np.ascontiguousarray(anchors, np.float32), prototypes.astype(np.float32)


def view(height: int = 320, width: int = 320) -> View:
    return views(Input(name="x", size=SIZE, resize="letterbox"), height, width)[0]


def decode(anchors: np.ndarray, prototypes: np.ndarray, shown: View | None = None, **options: object) -> Instances:
    arguments = {"kept": ALL, "table": TABLE, "score": 0.25, "iou": 0.5, **options}
    kept, table = arguments.pop("kept"), arguments.pop("table")
    return yolo.decode(anchors, prototypes, shown or view(), SIZE, kept, table, **arguments)  # type: ignore[arg-type]


def iou(a: np.ndarray, b: np.ndarray) -> float:
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    area = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    return width * height / (area - width * height)


def reference_boxes(anchors: np.ndarray, score: float, limit: float) -> list[tuple[int, int]]:
    """Score threshold on the best class, then greedy suppression per class: (anchor, class), best first."""
    scores = anchors[4 : 4 + CLASSES]
    best, label = scores.max(axis=0), scores.argmax(axis=0)
    chosen: list[int] = []
    boxes = np.concatenate([anchors[:2] - anchors[2:4] / 2, anchors[:2] + anchors[2:4] / 2]).T
    for anchor in np.argsort(-best, kind="stable"):
        if best[anchor] < score:
            break
        if all(label[anchor] != label[c] or iou(boxes[anchor], boxes[c]) <= limit for c in chosen):
            chosen.append(int(anchor))
    return [(anchor, int(label[anchor])) for anchor in chosen]


def upsampled(grid: np.ndarray, size: int) -> np.ndarray:
    """Bilinear, half-pixel centres, borders clamped, in float64."""
    position = np.clip((np.arange(size) + 0.5) * len(grid) / size - 0.5, 0, len(grid) - 1)
    low = np.minimum(np.floor(position).astype(int), len(grid) - 2)
    w = position - low
    wide = grid[:, low] * (1 - w) + grid[:, low + 1] * w
    return wide[low] * (1 - w)[:, None] + wide[low + 1] * w[:, None]


@pytest.mark.parametrize("seed", range(4))
def test_equal_to_the_published_rule(seed: int) -> None:
    """Masks are compared but for the ring along the box (one prototype, 4 pixels) where the published rule cuts at the
    prototypes' resolution, and for pixels whose probability is 0.5 to the fifth digit.
    """
    anchors, prototypes = outputs(seed)
    expected = reference_boxes(anchors, 0.25, 0.5)
    found = decode(anchors, prototypes)
    at = {(round(float(s), 6), int(c)): i for i, (s, c) in enumerate(zip(found.scores, found.labels, strict=True))}
    assert len(expected) > 20
    missing = 0
    for anchor, label in expected:
        probability = 1 / (1 + np.exp(-np.tensordot(anchors[4 + CLASSES :, anchor].astype(float), prototypes, 1)))
        x, y, w, h = anchors[:4, anchor].astype(float)
        x0, y0, x1, y1 = np.clip([x - w / 2, y - h / 2, x + w / 2, y + h / 2], 0, 320)
        centre = np.arange(320) + 0.5
        row, column = (centre >= y0) & (centre < y1), (centre >= x0) & (centre < x1)
        cut = np.outer((centre >= y0 + 4) & (centre < y1 - 4), (centre >= x0 + 4) & (centre < x1 - 4))
        full = upsampled(probability, 320)
        index = at.get((round(float(anchors[4 + label, anchor]), 6), label))
        if index is None:
            assert not ((full > 0.501) & np.outer(row, column)).any()  # a thing without a pixel
            missing += 1
            continue
        np.testing.assert_allclose(found.boxes[index], [x0, y0, x1, y1], atol=1e-3)
        mask, mine = found.masks[index], np.zeros((320, 320), np.bool_)
        mine[mask.y : mask.y + mask.bits.shape[0], mask.x : mask.x + mask.bits.shape[1]] = mask.bits
        assert not mine[~np.outer(row, column)].any()
        clear = cut & (np.abs(full - 0.5) > 1e-5)
        np.testing.assert_array_equal(mine[clear], (full > 0.5)[clear])
    assert len(found) == len(expected) - missing


@settings(max_examples=30, deadline=None)
@given(height=st.integers(20, 500), width=st.integers(20, 500), seed=st.integers(0, 20))
def test_masks_and_boxes_lie_in_the_image(height: int, width: int, seed: int) -> None:
    anchors, prototypes = outputs(seed)
    found = decode(anchors, prototypes, view(height, width))
    for box, mask in zip(found.boxes, found.masks, strict=True):
        assert 0 <= box[0] <= box[2] <= width
        assert 0 <= box[1] <= box[3] <= height
        h, w = mask.bits.shape
        assert 0 <= mask.x <= mask.x + w <= width
        assert 0 <= mask.y <= mask.y + h <= height
        assert mask.bits.any()


def test_what_is_not_kept_or_void_is_ignored_before_the_best_class_is_chosen() -> None:
    anchors, prototypes = outputs(0)
    anchors[4:9, 0] = [0.9, 0.6, 0, 0, 0]
    anchors[9:, 0], prototypes = 1, np.ones_like(prototypes)  # its mask fills its box
    only = decode(anchors[:, :1], prototypes, kept=np.array([1, 2]))
    np.testing.assert_array_equal(only.labels, [1])
    np.testing.assert_allclose(only.scores, [0.6])
    void = TABLE.copy()
    void[:] = UNLABELLED
    assert len(decode(anchors, prototypes, table=void)) == 0


def test_two_classes_of_the_model_that_are_one_here_suppress_each_other() -> None:
    anchors, prototypes = outputs(0)
    pair = np.repeat(anchors[:, :1], 2, axis=1)
    pair[9:], prototypes = 1, np.ones_like(prototypes)  # their masks fill their box
    pair[4:9] = [[0.9, 0.0], [0.0, 0.8], [0, 0], [0, 0], [0, 0]]
    assert len(decode(pair, prototypes)) == 2
    assert len(decode(pair, prototypes, table=np.zeros(256, np.uint8))) == 1


@pytest.mark.parametrize("row", [0, 2, 4, 12])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_is_dropped_and_the_rest_stays(row: int, bad: float) -> None:
    anchors, prototypes = outputs(1)
    broken = anchors.copy()
    first = reference_boxes(anchors, 0.25, 0.5)[0][0]
    broken[row, first] = bad
    expected, found = decode(np.delete(anchors, first, axis=1), prototypes), decode(broken, prototypes)
    np.testing.assert_array_equal(found.boxes, expected.boxes)
    np.testing.assert_array_equal(found.scores, expected.scores)
    for mine, other in zip(found.masks, expected.masks, strict=True):
        np.testing.assert_array_equal(mine.bits, other.bits)


def test_prototypes_that_are_not_finite_give_no_things() -> None:
    anchors, prototypes = outputs(1)
    assert len(decode(anchors, np.full_like(prototypes, np.nan))) == 0


def test_nothing_above_the_threshold() -> None:
    anchors, prototypes = outputs(2)
    anchors[4:9] = 0.1
    assert len(decode(anchors, prototypes)) == 0
