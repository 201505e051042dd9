"""Panoptic quality: worked by hand, and equal to the published rule, crowd and void included, on random maps and on
COCO's sample; where panopticapi and torchmetrics are installed, to them as well.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from seg_perception.evaluation.panoptic import PanopticQuality, panoptic_quality
from seg_perception.evaluation.segments import Segments, overlap

CLASSES = 3
Info = dict[int, tuple[int, bool]]
"""Class and whether it is a crowd, by segment id; 0 is void."""


def oracle(truth: np.ndarray, predicted: np.ndarray, true: Info, given_: Info, classes: int) -> PanopticQuality:
    """The rule segment by segment, in the words of its paper and of panopticapi."""
    common = Counter(zip(truth.ravel().tolist(), predicted.ravel().tolist(), strict=True))
    area, own = Counter(truth.ravel().tolist()), Counter(predicted.ravel().tolist())
    total = PanopticQuality.zero(classes)
    matched: set[tuple[str, int]] = set()
    for (t, p), pixels in common.items():
        if t in true and p in given_ and not true[t][1] and true[t][0] == given_[p][0]:
            iou = pixels / (area[t] + own[p] - pixels - common[0, p])
            if iou > 0.5:
                total.iou[true[t][0]] += iou
                total.tp[true[t][0]] += 1
                matched |= {("true", t), ("given", p)}
    crowds = {label: t for t, (label, crowd) in true.items() if crowd}
    for t, (label, crowd) in true.items():
        total.fn[label] += ("true", t) not in matched and not crowd
    for p, (label, _) in given_.items():
        ignored = common[0, p] + (common[crowds[label], p] if label in crowds else 0)
        total.fp[label] += ("given", p) not in matched and ignored / own[p] <= 0.5
    return total


def segments(info: Info) -> Segments:
    ids, classes, crowd = list(info), [c for c, _ in info.values()], [crowd for _, crowd in info.values()]
    return Segments(np.array(ids, np.int64), np.array(classes, np.uint8), np.array(crowd, np.bool_))


def ours(truth: np.ndarray, predicted: np.ndarray, true: Info, given_: Info, classes: int) -> PanopticQuality:
    return panoptic_quality(overlap(truth, predicted), segments(true), segments(given_), classes)


def assert_equal(one: PanopticQuality, other: PanopticQuality) -> None:
    for name in ("tp", "fp", "fn"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
    np.testing.assert_allclose(one.iou, other.iou, rtol=0, atol=1e-9)


@st.composite
def cases(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, Info, Info]:
    """A prediction that copies most of the truth, under ids of its own, so that segments do match."""
    shape = draw(hnp.array_shapes(min_dims=2, max_dims=2, min_side=2, max_side=9))
    truth = draw(hnp.arrays(np.int32, shape, elements=st.sampled_from([0, 1, 2, 7 << 16, 2**31 - 1])))
    names = np.array([0, 3, 4, 5, 1 << 20], np.int32)
    predicted = draw(st.permutations(names))
    same = np.array(predicted, np.int32)[np.unique(truth, return_inverse=True)[1].reshape(shape)]
    other = draw(hnp.arrays(np.int32, shape, elements=st.sampled_from(names.tolist())))
    changed = draw(hnp.arrays(np.bool_, shape, elements=st.sampled_from([False, False, False, True])))
    predicted_map = np.where(changed, other, same)
    label = st.integers(0, CLASSES - 1)
    true = {int(i): (draw(label), draw(st.sampled_from([False, False, True]))) for i in np.unique(truth) if i}
    given_ = {int(i): (draw(label), False) for i in np.unique(predicted_map) if i}
    return truth, predicted_map, true, given_


def test_worked_by_hand() -> None:
    # Stuff 0 with IoU 4/6, thing 1 twice: IoU 3/4 with void left out of the union, and missed; one invented of class 2.
    truth = np.array([[1, 1, 1, 1, 1, 1], [2, 2, 2, 2, 0, 0], [3, 3, 3, 3, 3, 3]])
    predicted = np.array([[1, 1, 1, 1, 9, 9], [5, 5, 5, 9, 5, 5], [9, 9, 0, 0, 0, 0]])
    true = {1: (0, False), 2: (1, False), 3: (1, False)}
    found = ours(truth, predicted, true, {1: (0, False), 5: (1, False), 9: (2, False)}, CLASSES)
    assert (found.tp.tolist(), found.fp.tolist(), found.fn.tolist()) == ([1, 1, 0], [0, 0, 1], [0, 1, 0])
    np.testing.assert_allclose(found.iou, [4 / 6, 3 / 4, 0])
    np.testing.assert_allclose(found.pq, [4 / 6, 0.75 / 1.5, 0])
    np.testing.assert_allclose(found.sq, [4 / 6, 0.75, 0])
    np.testing.assert_allclose(found.rq, [1, 1 / 1.5, 0])
    assert found.mean().pq == pytest.approx((4 / 6 + 0.5) / 3)
    assert found.mean(np.array([False, True, True])) == pytest.approx((0.25, 0.375, 1 / 3))


@given(cases())
def test_equals_the_rule(case: tuple[np.ndarray, np.ndarray, Info, Info]) -> None:
    assert_equal(ours(*case, CLASSES), oracle(*case, CLASSES))


@given(cases(), cases())
def test_frames_add_up(
    one: tuple[np.ndarray, np.ndarray, Info, Info], other: tuple[np.ndarray, np.ndarray, Info, Info]
) -> None:
    total = ours(*one, CLASSES) + ours(*other, CLASSES)
    for name in ("iou", "tp", "fp", "fn"):
        parts = [getattr(ours(*case, CLASSES), name) for case in (one, other)]
        np.testing.assert_array_equal(getattr(total, name), parts[0] + parts[1])


def test_invented_in_void_or_in_a_crowd_of_its_class_is_forgiven() -> None:
    truth = np.array([[0, 0, 0, 1, 1, 1, 2, 2, 2]])
    predicted = np.array([[5, 5, 5, 5, 5, 6, 6, 6, 7]])
    true = {1: (0, True), 2: (1, True)}
    for label, fp in ((0, [0, 1, 0]), (1, [0, 0, 0])):
        # 5: 3 of 5 in void. 6: 2 of 3 in the crowd of class 1, 1 of 3 in that of class 0. 7: class 1, in its crowd.
        found = ours(truth, predicted, true, {5: (2, False), 6: (label, False), 7: (1, False)}, CLASSES)
        expected = [1, 0, 0] if label == 0 else fp
        assert found.fp.tolist() == expected
        assert found.fn.tolist() == [0, 0, 0]


def test_of_several_crowds_the_last_listed_counts() -> None:
    truth, predicted = np.array([[1, 1, 1, 2]]), np.array([[5, 5, 5, 5]])
    for order, fp in (((1, 2), 1), ((2, 1), 0)):
        case = truth, predicted, dict.fromkeys(order, (0, True)), {5: (0, False)}
        assert ours(*case, 1).fp.tolist() == [fp]
        assert_equal(ours(*case, 1), oracle(*case, 1))


def test_more_than_half_is_a_match() -> None:
    found = ours(np.array([[1, 1, 1, 0]]), np.array([[5, 5, 0, 0]]), {1: (0, False)}, {5: (0, False)}, 1)
    assert found.tp.tolist() == [1]
    found = ours(np.array([[1, 1, 2, 2]]), np.array([[5, 6, 6, 6]]), {1: (0, False)}, {5: (0, False)}, 1)
    assert (found.tp.tolist(), found.fp.tolist(), found.fn.tolist()) == ([0], [1], [1])


def test_a_class_without_segments_is_in_no_mean() -> None:
    nothing = PanopticQuality.zero(2)
    assert np.isnan(nothing.pq).all()
    assert np.isnan(nothing.sq).all()
    assert np.isnan(nothing.mean().rq)


def coco(data: Path) -> list[tuple[np.ndarray, np.ndarray, Info, Info]]:
    """COCO's sample images, each with a prediction: the truth shifted, and some segments renamed."""
    folder = data / "coco_panoptic"
    content = json.loads((folder / "panoptic_examples.json").read_text())
    classes = {entry["id"]: k for k, entry in enumerate(content["categories"])}
    found = []
    for entry in content["annotations"]:
        image = cv2.imread(str(folder / "panoptic_examples" / entry["file_name"]))
        assert image is not None
        truth = image.astype(np.int32) @ np.array([1 << 16, 1 << 8, 1], np.int32)
        true = {s["id"]: (classes[s["category_id"]], bool(s["iscrowd"])) for s in entry["segments_info"]}
        predicted = np.roll(truth, (3, 5), (0, 1))
        predicted[:40] = 0
        given_ = {i: (label, False) for i, (label, _) in true.items() if (predicted == i).any()}
        for number in list(given_)[::7]:
            given_[number] = (0, False)
        found.append((truth, predicted, true, given_))
    return found


def test_equals_the_rule_on_coco(data: Path) -> None:
    for case in coco(data):
        result = ours(*case, 133)
        assert result.tp.sum() > 3
        assert_equal(result, oracle(*case, 133))


def test_equals_panopticapi_on_coco(data: Path, tmp_path: Path) -> None:
    evaluation = pytest.importorskip("panopticapi.evaluation")
    pair: list[tuple[dict, dict]] = []
    total = PanopticQuality.zero(133)
    for k, case in enumerate(coco(data)):
        total += ours(*case, 133)
        entries = []
        for name, image, info in (("truth", case[0], case[2]), ("predicted", case[1], case[3])):
            (tmp_path / name).mkdir(exist_ok=True)
            colours = np.stack([image & 255, image >> 8 & 255, image >> 16], -1).astype(np.uint8)
            cv2.imwrite(str(tmp_path / name / f"{k}.png"), colours[..., ::-1])
            listed = [
                {"id": i, "category_id": c, "iscrowd": int(crowd), "area": int((image == i).sum())}
                for i, (c, crowd) in info.items()
            ]
            entries.append({"image_id": k, "file_name": f"{k}.png", "segments_info": listed})
        pair.append((entries[0], entries[1]))
    categories = {c: {"isthing": 1} for c in range(133)}
    theirs = evaluation.pq_compute_single_core(
        0, pair, str(tmp_path / "truth"), str(tmp_path / "predicted"), categories
    )
    counts = [theirs.pq_per_cat[c] for c in range(133)]
    assert_equal(
        total, PanopticQuality(*(np.array([getattr(c, name) for c in counts]) for name in ("iou", "tp", "fp", "fn")))
    )


def test_equals_torchmetrics() -> None:
    torch = pytest.importorskip("torch")
    metric = pytest.importorskip("torchmetrics.detection").PanopticQuality(
        things={11, 13}, stuffs={0, 3, 10}, allow_unknown_preds_category=True
    )
    rng = np.random.default_rng(0)
    things = np.isin(np.arange(256), (11, 13))
    blocks = rng.choice(np.array([0, 3, 10, 1 << 16 | 11, 2 << 16 | 11, 3 << 16 | 13], np.int32), (6, 8))
    truth = np.kron(blocks, np.ones((10, 10), np.int32))
    predicted = np.roll(truth, 2, 1)
    pair = overlap(truth, predicted)
    found = panoptic_quality(pair, Segments.truth(pair.truth, things), Segments.predicted(pair.predicted, things), 20)
    tensors = (torch.from_numpy(np.stack([m & 0xFFFF, m >> 16], -1))[None] for m in (predicted, truth))
    assert found.mean().pq == pytest.approx(float(metric(*tensors)), rel=1e-6)
