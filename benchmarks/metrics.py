"""Metrics on arrays: ours beside panopticapi, torchmetrics, pycocotools and TrackEval, equal results, interleaved.

    python benchmarks/metrics.py [--json OUT] [--width 1280] [--height 720] [--runs 7]

All is in memory: no file is read or decoded within the time of anyone. panopticapi, which is on no package index, is
written here from its published rule, with the two calls of np.unique that its time goes to. The pair is a scene of 26
segments; the prediction has bent borders, and 1 % of its pixels are strewn at random; once with ids of 32 bits (track
and class), once with ids that fit a byte, and last both maps pure noise. AP: 30 images of 12 things; pycocotools gets
masks as RLE, made before, ours gets arrays. Identity: 300 frames of 20 tracks.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from functools import partial
from typing import Any

import cv2
import numpy as np
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from pycocotools.mask import encode
from side_by_side import OURS, Row, options, report, timed
from torchmetrics.detection import PanopticQuality as TorchPanopticQuality
from torchmetrics.functional.classification import multiclass_confusion_matrix
from trackeval.metrics import CLEAR, HOTA, Identity

from seg_perception.evaluation.average_precision import AveragePrecision, average_precision, painted
from seg_perception.evaluation.confusion import confusion
from seg_perception.evaluation.identity import Moment, tracking
from seg_perception.evaluation.panoptic import PanopticQuality, panoptic_quality
from seg_perception.evaluation.segments import Segments, overlap
from seg_perception.types import Instances

CLASSES = 19
THINGS = np.isin(np.arange(256), np.arange(11, CLASSES))
STUFF = frozenset(range(11))


def scene(width: int, height: int, things: int, seed: int) -> np.ndarray:
    """A panoptic map in this package's encoding: stuff in patches, ``things`` ellipses on it."""
    rng = np.random.default_rng(seed)
    image = cv2.resize(rng.integers(0, 11, (4, 6), dtype=np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
    image = image.astype(np.int32)
    for number in rng.permutation(np.arange(1, 30001))[:things].tolist():
        centre = int(rng.integers(0, width)), int(rng.integers(0, height))
        axes = int(rng.integers(width // 60, width // 10)), int(rng.integers(height // 40, height // 8))
        label = int(rng.integers(11, CLASSES))
        cv2.ellipse(image, centre, axes, float(rng.integers(0, 180)), 0, 360, number << 16 | label, -1)
    return image


def seen(image: np.ndarray, seed: int, strewn: float = 0.01) -> np.ndarray:
    """``image`` as a network might see it: borders bent by a few pixels, and some pixels anything."""
    rng = np.random.default_rng(seed)
    height, width = image.shape
    bend = cv2.resize(rng.normal(0, 6, (9, 16, 2)).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    v, u = np.mgrid[:height, :width].astype(np.float32)
    rows = np.clip(np.rint(v + bend[..., 0]), 0, height - 1).astype(np.intp)
    columns = np.clip(np.rint(u + bend[..., 1]), 0, width - 1).astype(np.intp)
    bent = image[rows, columns]
    noise = rng.random(image.shape) < strewn
    bent[noise] = rng.choice(image.reshape(-1), int(noise.sum()))
    return bent


def as_bytes(image: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """``image`` with the position of each id among ``ids`` instead of it, from 1 on."""
    return (np.searchsorted(ids, image) + 1).astype(np.uint8)


def ours(truth: np.ndarray, predicted: np.ndarray, meaning: Segments | None) -> PanopticQuality:
    pair = overlap(truth, predicted)
    if meaning is not None:
        return panoptic_quality(pair, meaning, meaning, CLASSES)
    segments = Segments.truth(pair.truth, THINGS), Segments.predicted(pair.predicted, THINGS)
    return panoptic_quality(pair, *segments, CLASSES)


def panopticapi(truth: np.ndarray, predicted: np.ndarray, classes: dict[int, int]) -> PanopticQuality:
    """Its single core, on maps whose void is 0, without crowds."""
    offset = 1 << 32
    found = PanopticQuality.zero(CLASSES)
    given = dict(zip(*(part.tolist() for part in np.unique(predicted, return_counts=True)), strict=True))
    joint = truth.astype(np.uint64) * np.uint64(offset) + predicted.astype(np.uint64)
    common = {
        (int(pair) // offset, int(pair) % offset): int(pixels)
        for pair, pixels in zip(*np.unique(joint, return_counts=True), strict=True)
    }
    area: dict[int, int] = {}
    for (t, _), pixels in common.items():
        area[t] = area.get(t, 0) + pixels
    matched: set[tuple[bool, int]] = set()
    for (t, p), pixels in common.items():
        if t and p and classes[t] == classes[p]:
            iou = pixels / (given[p] + area[t] - pixels - common.get((0, p), 0))
            if iou > 0.5:
                found.tp[classes[t]] += 1
                found.iou[classes[t]] += iou
                matched |= {(True, t), (False, p)}
    for t in area:
        found.fn[classes[t]] += (True, t) not in matched
    for p, pixels in given.items():
        found.fp[classes[p]] += (False, p) not in matched and common.get((0, p), 0) / pixels <= 0.5
    return found


def torch_panoptic(truth: torch.Tensor, predicted: torch.Tensor) -> float:
    """``truth``, ``predicted`` (1, H, W, 2): class and instance."""
    metric = TorchPanopticQuality(things=set(range(11, CLASSES)), stuffs=set(STUFF))
    return float(metric(predicted, truth))


def check_equal(one: PanopticQuality, other: PanopticQuality) -> None:
    for name in ("tp", "fp", "fn"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    np.testing.assert_allclose(one.iou, other.iou, rtol=0, atol=1e-9)


def panoptic_rows(width: int, height: int, runs: int) -> list[Row]:
    truth = scene(width, height, 16, 0)
    predicted = seen(truth, 1)
    ids = np.unique(truth)
    # 0 is a class here and void there: both get ids from 1 on, in the form that each takes.
    classes = {k: int(i) & 0xFFFF for k, i in enumerate(ids, start=1)}
    shifted = [image + 1 for image in (truth, predicted)]
    small = [as_bytes(image, ids) for image in (truth, predicted)]
    meaning = Segments(np.arange(1, len(ids) + 1), (ids & 0xFFFF).astype(np.uint8), np.zeros(len(ids), np.bool_))
    tensors = [
        torch.from_numpy(np.stack([image & 0xFFFF, image >> 16], -1))[None].long() for image in (truth, predicted)
    ]
    found = ours(truth, predicted, None)
    by_class = {int(i) + 1: int(i) & 0xFFFF for i in ids}
    check_equal(found, panopticapi(*shifted, by_class))
    check_equal(found, panopticapi(*small, classes))
    check_equal(found, ours(*small, meaning))
    np.testing.assert_allclose(found.mean().pq, torch_panoptic(*tensors), rtol=1e-5)
    wide: dict[str, Callable[[], object]] = {
        OURS: partial(ours, truth, predicted, None),
        "panopticapi's rule": partial(panopticapi, *shifted, by_class),
        "torchmetrics": partial(torch_panoptic, *tensors),
    }
    narrow: dict[str, Callable[[], object]] = {
        OURS: partial(ours, *small, meaning),
        "panopticapi's rule": partial(panopticapi, *small, classes),
    }
    noise = [np.random.default_rng(k).choice(ids, truth.shape) for k in (0, 1)]
    worst: dict[str, Callable[[], object]] = {
        OURS: partial(ours, *noise, None),
        "panopticapi's rule": partial(panopticapi, *(image + 1 for image in noise), by_class),
    }
    noise_bytes = [as_bytes(image, ids) for image in noise]
    worst_bytes: dict[str, Callable[[], object]] = {
        OURS: partial(ours, *noise_bytes, meaning),
        "panopticapi's rule": partial(panopticapi, *noise_bytes, classes),
    }
    case = f"{width} x {height}, {len(ids)} segments"
    return [
        {"case": f"PQ, {case}, ids of 32 bits", "ms": timed(wide, runs), "equal": True},
        {"case": f"PQ, {case}, ids in a byte", "ms": timed(narrow, runs), "equal": True},
        {"case": f"PQ, {case}, ids of 32 bits, pure noise", "ms": timed(worst, runs)},
        {"case": f"PQ, {case}, ids in a byte, pure noise", "ms": timed(worst_bytes, runs)},
    ]


def confusion_rows(width: int, height: int, runs: int) -> list[Row]:
    truth = scene(width, height, 16, 0)
    maps = [(image & 0xFF).astype(np.uint8) for image in (truth, seen(truth, 1))]
    tensors = [torch.from_numpy(image.astype(np.int64)) for image in maps]
    torch_confusion = partial(multiclass_confusion_matrix, tensors[1], tensors[0], CLASSES)
    np.testing.assert_array_equal(confusion(*maps, CLASSES).counts[:-1, :-1], torch_confusion().numpy())
    peers: dict[str, Callable[[], object]] = {
        OURS: partial(confusion, *maps, CLASSES),
        "torchmetrics": torch_confusion,
        "numpy bincount": lambda: np.bincount((maps[0].astype(np.int64) * CLASSES + maps[1]).ravel(), minlength=361),
    }
    return [{"case": f"confusion, {width} x {height}, {CLASSES} classes", "ms": timed(peers, runs), "equal": True}]


def average_precision_rows(runs: int) -> list[Row]:
    images = []
    for k in range(30):
        truth = scene(640, 360, 12, k)
        predicted = seen(truth, k, 0.0)
        tracks = np.unique(predicted >> 16)[1:].tolist()
        scores = np.random.default_rng(k).random(len(tracks)).tolist()
        segments = Segments.truth(np.unique(truth), THINGS)
        images.append((truth, segments, painted(predicted, dict(zip(tracks, scores, strict=True)))))
    truth_set, found_set = coco_sets(images)
    np.testing.assert_allclose(coco_ap(truth_set, found_set), our_ap(images), rtol=0, atol=1e-9)
    peers: dict[str, Callable[[], object]] = {
        OURS: partial(our_ap, images),
        "pycocotools": partial(coco_ap, truth_set, found_set),
    }
    return [{"case": "AP of masks, 30 images", "ms": timed(peers, runs), "equal": True}]


def our_ap(images: list[tuple[np.ndarray, Segments, Instances]]) -> float:
    total = AveragePrecision.zero(CLASSES)
    for truth, segments, found in images:
        total += average_precision(truth, segments, THINGS, found, CLASSES)
    return total.ap


def coco_sets(images: list[tuple[np.ndarray, Segments, Instances]]) -> tuple[COCO, COCO]:
    """Truth and detections as pycocotools holds them, masks in RLE."""
    truth_set, found_set = COCO(), COCO()
    common = {
        "images": [{"id": k, "height": 360, "width": 640} for k in range(len(images))],
        "categories": [{"id": k, "name": str(k)} for k in range(11, CLASSES)],
    }
    true, detected = [], []
    for k, (truth, _, found) in enumerate(images):
        for number in np.unique(truth).tolist():
            if number >> 16:
                true.append((k, number & 0xFFFF, truth == number, {}))
        for mask, label, score in zip(found.masks, found.labels.tolist(), found.scores.tolist(), strict=True):
            bits = np.zeros(truth.shape, np.bool_)
            bits[mask.y : mask.y + mask.bits.shape[0], mask.x : mask.x + mask.bits.shape[1]] = mask.bits
            detected.append((k, label, bits, {"score": score}))
    for target, entries in ((truth_set, true), (found_set, detected)):
        annotations = [
            {"id": i, "image_id": k, "category_id": c, "segmentation": encode(np.asfortranarray(bits, np.uint8)),
             "area": int(bits.sum()), "iscrowd": 0, **more}
            for i, (k, c, bits, more) in enumerate(entries, start=1)
        ]  # fmt: skip
        target.dataset = common | {"annotations": annotations}
        with contextlib.redirect_stdout(io.StringIO()):
            target.createIndex()
    return truth_set, found_set


def coco_ap(truth_set: COCO, found_set: COCO) -> float:
    run = COCOeval(truth_set, found_set, "segm")
    run.params.areaRng, run.params.areaRngLbl, run.params.maxDets = [[0, 1e10]], ["all"], [100]
    with contextlib.redirect_stdout(io.StringIO()):
        run.evaluate()
        run.accumulate()
    precision = run.eval["precision"]
    return float(precision[precision > -1].mean())


def identity_rows(runs: int) -> list[Row]:
    rng = np.random.default_rng(0)
    moments = []
    for _ in range(300):
        true = np.flatnonzero(rng.random(20) < 0.8)
        predicted = np.flatnonzero(rng.random(25) < 0.7)
        similarity = rng.random((len(true), len(predicted))) * 0.4 + 0.5 * (true[:, None] == predicted)
        moments.append(Moment(true, predicted, similarity))
    data: dict[str, Any] = {
        "gt_ids": [m.truth for m in moments], "tracker_ids": [m.predicted for m in moments],
        "similarity_scores": [m.similarity for m in moments], "num_gt_ids": 20, "num_tracker_ids": 25,
        "num_gt_dets": sum(len(m.truth) for m in moments), "num_timesteps": len(moments),
        "num_tracker_dets": sum(len(m.predicted) for m in moments),
    }  # fmt: skip
    metrics = HOTA(), Identity({"PRINT_CONFIG": False}), CLEAR({"PRINT_CONFIG": False})

    def theirs() -> list[dict[str, Any]]:
        return [metric.eval_sequence(data) for metric in metrics]

    found, (hota, identity, clear) = tracking(moments), theirs()
    np.testing.assert_allclose(
        [found.hota.hota, found.identity.idf1, found.clear.switches],
        [hota["HOTA"].mean(), identity["IDF1"], clear["IDSW"]],
    )
    peers: dict[str, Callable[[], object]] = {OURS: partial(tracking, moments), "TrackEval": theirs}
    return [{"case": "HOTA, IDF1, id switches, 300 frames of 20", "ms": timed(peers, runs), "equal": True}]


def main() -> None:
    arguments = options(__doc__, width=1280, height=720, runs=7)
    size = arguments.width, arguments.height
    rows = panoptic_rows(*size, arguments.runs) + confusion_rows(*size, arguments.runs)
    rows += average_precision_rows(arguments.runs) + identity_rows(arguments.runs)
    report("metrics", rows, arguments.json)


if __name__ == "__main__":
    main()
