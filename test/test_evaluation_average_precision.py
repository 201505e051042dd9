"""Average precision: equal to pycocotools on random scenes with crowds and void; the rules it stands on by hand."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seg_perception.evaluation.average_precision import (
    AveragePrecision,
    average_precision,
    judged,
    painted,
    ranking,
)
from seg_perception.evaluation.segments import Segments
from seg_perception.types import UNLABELLED, Instances, Mask

CLASSES = 4
THINGS = np.isin(np.arange(256), (2, 3))
HEIGHT, WIDTH = 40, 60
Scene = tuple[np.ndarray, Instances]


def scene(rng: np.random.Generator) -> Scene:
    """Truth with things, crowds and void, and detections near them, some twice, some invented, some empty."""
    truth = rng.choice(np.array([0, 1, UNLABELLED, 2], np.int32), (4, 6), p=[0.5, 0.2, 0.2, 0.1])
    truth = np.kron(truth, np.ones((10, 10), np.int32))
    boxes = []
    for number in range(1, int(rng.integers(1, 7))):
        x, y, w, h = (int(v) for v in rng.integers((0, 0, 4, 4), (WIDTH - 12, HEIGHT - 12, 12, 12)))
        truth[y : y + h, x : x + w] = number << 16 | int(rng.integers(2, 4))
        boxes.append((x, y, w, h))
    masks, labels = [], []
    for x, y, w, h in boxes * 2 + [(3, 3, 12, 8), (30, 20, 9, 9), (0, 0, 0, 0)]:
        dx, dy = (int(v) for v in rng.integers(0, 4, 2))
        masks.append(Mask(x + dx, y + dy, rng.random((max(h - dy, 0), max(w - dx, 0))) < 0.97))
        labels.append(int(rng.integers(2, 4)))
    scores = rng.choice(np.array([0.3, 0.5, 0.75, 0.9], np.float32), len(masks))
    return truth, Instances(np.zeros((len(masks), 4), np.float32), scores, np.array(labels, np.uint8), tuple(masks))


def ours(scenes: list[Scene]) -> AveragePrecision:
    parts = [
        average_precision(truth, Segments.truth(np.unique(truth), THINGS), THINGS, found, CLASSES)
        for truth, found in scenes
    ]
    return sum(parts, AveragePrecision.zero(CLASSES))


RANGES = ((0, 1e10), (0, 50), (50, 90), (90, 1e10))


def ours_within(scenes: list[Scene], low: float, high: float, depths: list[np.ndarray] | None = None) -> Any:
    """The same of what has between ``low`` and ``high`` pixels, or lies between them by its median depth."""
    total = AveragePrecision.zero(CLASSES)
    for i, (truth, found) in enumerate(scenes):
        ranked = ranking(truth, Segments.truth(np.unique(truth), THINGS), THINGS, found)
        true, given = ranked.true_area, ranked.area
        if depths is not None:
            true = np.array([np.median(depths[i][truth == number]) for number in ranked.ids])
            given = np.array([median(found.masks[row], depths[i]) for row in ranked.rows])
        total += ranked.judged(CLASSES, (true >= low) & (true <= high), (given >= low) & (given <= high))
    return total


def median(mask: Mask, depth: np.ndarray) -> float:
    height, width = mask.bits.shape
    under = depth[mask.y : mask.y + height, mask.x : mask.x + width][mask.bits]
    return float(np.median(under)) if under.size else np.nan


def theirs(scenes: list[Scene], depths: list[np.ndarray] | None = None) -> Any:
    """pycocotools' evaluation, by :data:`RANGES` of the area, or of the median of ``depths``: its area is what an
    annotation says it is.
    """
    coco = pytest.importorskip("pycocotools.coco").COCO
    coco_eval = pytest.importorskip("pycocotools.cocoeval").COCOeval
    encode = pytest.importorskip("pycocotools.mask").encode
    annotations: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []

    def entry(image: int, label: int, bits: np.ndarray, **more: Any) -> dict[str, Any]:
        code = encode(np.asfortranarray(bits.astype(np.uint8)))
        area = int(bits.sum())
        if depths is not None:
            area = float(np.median(depths[image - 1][bits])) if bits.any() else -1.0
        return {
            "image_id": image,
            "category_id": label,
            "segmentation": code,
            "area": area,
            "bbox": [0, 0, 1, 1],
            **more,
        }

    for image, (truth, found) in enumerate(scenes, start=1):
        for number in np.unique(truth).tolist():
            label = number & 0xFFFF
            # Void is a crowd of every class.
            for k in (2, 3) if label == UNLABELLED else (label,) if THINGS[label] else ():
                crowd = int(number >> 16 == 0)
                annotations.append(entry(image, k, truth == number, iscrowd=crowd, id=len(annotations) + 1))
        for mask, label, score in zip(found.masks, found.labels.tolist(), found.scores.tolist(), strict=True):
            bits = np.zeros((HEIGHT, WIDTH), np.bool_)
            bits[mask.y : mask.y + mask.bits.shape[0], mask.x : mask.x + mask.bits.shape[1]] = mask.bits
            results.append(entry(image, label, bits, score=score))
    with contextlib.redirect_stdout(io.StringIO()):
        images = [{"id": i, "height": HEIGHT, "width": WIDTH} for i in range(1, len(scenes) + 1)]
        truth_set, result_set = coco(), coco()
        truth_set.dataset = {
            "images": images,
            "annotations": annotations,
            "categories": [{"id": k, "name": str(k)} for k in (2, 3)],
        }
        truth_set.createIndex()
        result_set.dataset = truth_set.dataset | {
            "annotations": [r | {"id": i, "iscrowd": 0} for i, r in enumerate(results, start=1)]
        }
        result_set.createIndex()
        run = coco_eval(truth_set, result_set, "segm")
        run.params.areaRng = [list(limits) for limits in RANGES]
        run.evaluate()
        run.accumulate()
        run.summarize()
    return run


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_equals_pycocotools(seed: int, images: int) -> None:
    rng = np.random.default_rng(seed)
    scenes = [scene(rng) for _ in range(images)]
    found, run = ours(scenes), theirs(scenes)
    by_class = run.eval["precision"][:, :, :, 0, 2].mean(1).T
    np.testing.assert_allclose(found.by_class()[2:], np.where(by_class < 0, np.nan, by_class), rtol=0, atol=1e-12)
    np.testing.assert_allclose(
        [found.ap, found.ap50, found.ap75], np.where(run.stats[:3] < 0, np.nan, run.stats[:3]), rtol=0, atol=1e-12
    )


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.booleans())
def test_by_size_and_by_distance_equals_pycocotools(seed: int, images: int, by_depth: bool) -> None:
    rng = np.random.default_rng(seed)
    scenes = [scene(rng) for _ in range(images)]
    depths = [rng.uniform(0, 140, truth.shape) for truth, _ in scenes] if by_depth else None
    run = theirs(scenes, depths)
    for band, (low, high) in enumerate(RANGES):
        by_class = run.eval["precision"][:, :, :, band, 2].mean(1).T
        found = ours_within(scenes, low, high, depths)
        expected = np.where(by_class < 0, np.nan, by_class)
        np.testing.assert_allclose(found.by_class()[2:], expected, rtol=0, atol=1e-12)


def test_what_nobody_asks_for_is_neither_right_nor_wrong() -> None:
    # Two detections of one object out of range: the first takes it, the second is unmatched, and in range itself.
    asked = np.array([False, True])
    right, ignored = judged(np.array([[0.9, 0.6], [0.8, 0.0], [0.0, 0.7]]), np.zeros((3, 1)), asked)
    assert right[:, 0].tolist() == [True, False, False]
    assert ignored[:, 0].tolist() == [False, True, False]
    # At 0.65 the first may not have the second object any more, and takes the one that nobody asks for.
    assert right[:, 3].tolist() == [False, False, True]
    assert ignored[:, 3].tolist() == [True, False, False]
    # One that lies better in a crowd leaves the object to the next.
    right, ignored = judged(np.array([[0.6], [0.6]]), np.array([[0.7], [0.0]]), np.array([False]))
    assert ignored[:, 0].tolist() == [True, True]


def test_more_detections_than_count() -> None:
    truth = np.zeros((HEIGHT, WIDTH), np.int32)
    truth[:5, :5] = 1 << 16 | 2
    wrong = [Mask(20, 20, np.ones((3, 3), np.bool_))] * 100
    masks = (*wrong, Mask(0, 0, np.ones((5, 5), np.bool_)))
    scores = np.linspace(0.9, 0.1, 101, dtype=np.float32)
    case = [(truth, Instances(np.zeros((101, 4), np.float32), scores, np.full(101, 2, np.uint8), masks))]
    assert ours(case).ap50 == theirs(case).stats[1] == 0.0


def test_interpolation_by_hand() -> None:
    # Right, wrong, right of three asked for: precision 1 up to a recall of 1/3, 2/3 up to 2/3, 0 beyond.
    flags = np.array([True, False, True])[:, None].repeat(10, 1)
    none = np.zeros((3, 10), np.bool_)
    found = AveragePrecision(np.full(3, 2, np.uint8), np.array([0.9, 0.8, 0.7]), flags, none, np.array([0, 0, 3, 0]))
    assert found.ap50 == pytest.approx((34 * 1 + 33 * 2 / 3) / 101)
    assert np.isnan(found.by_class()[[0, 1, 3]]).all()


def test_each_true_object_is_found_once() -> None:
    iou = np.array([[0.6, 0.8], [0.55, 0.9], [0.5, 0.0]])
    right, ignored = judged(iou, np.zeros((3, 0)), np.ones(2, np.bool_))
    # At 0.5 the first takes the second object, the second takes what is left, the third finds nothing.
    assert right[:, 0].tolist() == [True, True, False]
    # At 0.75 the first takes the only object that fits either.
    assert right[:, 5].tolist() == [True, False, False]
    assert right[:, 8].tolist() == [False, True, False]
    assert not ignored.any()


def test_nothing_asked_and_nothing_found() -> None:
    assert np.isnan(AveragePrecision.zero(3).ap)
    assert np.isnan(ours([(np.zeros((HEIGHT, WIDTH), np.int32), Instances.empty())]).ap50)


def test_instances_of_a_painted_map() -> None:
    panoptic = np.zeros((6, 8), np.int32)
    panoptic[1:3, 2:5] = 7 << 16 | 3
    panoptic[2, 4] = 9 << 16 | 2
    panoptic[5, :] = 8 << 16 | 2  # has no score
    panoptic[0, 0] = 2  # has no track
    found = painted(panoptic, {7: 0.5, 9: 0.25, 4: 0.9})
    assert found.boxes.tolist() == [[2, 1, 5, 3], [4, 2, 5, 3]]
    assert found.labels.tolist() == [3, 2]
    assert found.scores.tolist() == [0.5, 0.25]
    np.testing.assert_array_equal(found.masks[0].bits, [[True, True, True], [True, True, False]])
    assert len(painted(panoptic, {})) == 0
