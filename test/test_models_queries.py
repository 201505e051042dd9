"""Query-style outputs against the published rules, written plainly and as transformers runs them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seg_perception.models.decoders import queries
from seg_perception.models.geometry import View, views
from seg_perception.models.manifest import Input
from seg_perception.types import UNLABELLED, Instances

INPUT = (96, 160)
TABLE = np.append(np.arange(255), UNLABELLED).astype(np.uint8)
ROUNDING = 1e-5  # numbers this near to each other may change places


def outputs(seed: int, count: int, classes: int, grid: tuple[int, int], sharp: bool) -> tuple[np.ndarray, np.ndarray]:
    """Logits of classes and masks: noise, or what a trained network says (ellipses, some hiding each other, each of one
    class, most queries empty).
    """
    rng = np.random.default_rng(seed)
    if not sharp:
        shape = (count, *grid)
        return rng.normal(0, 2, (count, classes + 1)).astype(np.float32), rng.normal(0, 3, shape).astype(np.float32)
    logits = rng.normal(0, 1, (count, classes + 1))
    logits[:, -1] += 6
    masks = np.full((count, *grid), -6.0) + rng.normal(0, 1, (count, *grid))
    v, u = np.mgrid[: grid[0], : grid[1]] / np.reshape(grid, (2, 1, 1))
    for query in rng.choice(count, max(1, count // 4), replace=False):
        logits[query, rng.integers(classes)] += rng.uniform(6, 14)
        centre, radius = rng.uniform(0, 1, 2), rng.uniform(0.05, 0.5, 2)
        masks[query] = 12 * (1 - ((v - centre[0]) / radius[0]) ** 2 - ((u - centre[1]) / radius[1]) ** 2).clip(-1, 1)
        masks[query] += rng.normal(0, 0.3, grid)
    return logits.astype(np.float32), masks.astype(np.float32)


def view(height: int, width: int, resize: str = "stretch") -> View:
    return views(Input(name="x", size=INPUT, resize=resize), height, width)[0]


def bilinear(grid: np.ndarray, height: int, width: int) -> np.ndarray:
    """Half-pixel centres, borders clamped, in float64."""
    grid = grid.astype(np.float64)
    for axis, size in ((-2, height), (-1, width)):
        points = grid.shape[axis]
        position = np.clip((np.arange(size) + 0.5) * points / size - 0.5, 0, points - 1)
        low = np.minimum(np.floor(position).astype(int), max(points - 2, 0))
        weight = (position - low).reshape((-1, 1) if axis == -2 else -1)
        high = np.minimum(low + 1, points - 1)
        grid = np.take(grid, low, axis) * (1 - weight) + np.take(grid, high, axis) * weight
    return grid


def softmax(logits: np.ndarray) -> np.ndarray:
    exponents = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return exponents / exponents.sum(axis=1, keepdims=True)


def sigmoid(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logits.astype(np.float64)))


def clear(scores: np.ndarray) -> np.ndarray:
    """Where the best of ``(C, H, W)`` leads by more than rounding can do."""
    if len(scores) == 1:
        return np.ones(scores.shape[1:], np.bool_)
    second, first = np.partition(scores, -2, axis=0)[-2:]
    return first - second > ROUNDING * first


def our_labels(class_logits: np.ndarray, mask_logits: np.ndarray, shown: View, **options: Any) -> np.ndarray:
    shape = shown.y.start + shown.y.length, shown.x.start + shown.x.length
    labels, confidence = np.empty(shape, np.uint8), np.empty(shape, np.uint8)
    classes, masks = queries.class_probabilities(class_logits), queries.mask_probabilities(mask_logits, **options)
    queries.semantic(classes, masks, shown, INPUT, TABLE, labels, confidence)
    np.testing.assert_array_equal(confidence == 0, labels == UNLABELLED)
    return labels


def our_segments(class_logits: np.ndarray, mask_logits: np.ndarray, shown: View, **options: Any) -> queries.Segments:
    classes, masks = queries.class_probabilities(class_logits), queries.mask_probabilities(mask_logits, **options)
    return queries.segments(classes, masks, shown, INPUT, score=0.5, share=0.8)


def our_instances(class_logits: np.ndarray, mask_logits: np.ndarray, shown: View, **options: Any) -> Instances:
    arguments = {"table": TABLE, "score": 0.5, **options}
    return queries.instances(queries.class_probabilities(class_logits), mask_logits, shown, INPUT, **arguments)


def full(instances: Instances, height: int, width: int) -> np.ndarray:
    masks = np.zeros((len(instances), height, width), np.bool_)
    for whole, mask in zip(masks, instances.masks, strict=True):
        whole[mask.y : mask.y + mask.bits.shape[0], mask.x : mask.x + mask.bits.shape[1]] = mask.bits
    return masks


CASES = [
    (seed, count, classes, grid, size, sharp)
    for seed, (count, classes, grid, size) in enumerate(
        [
            (20, 11, (24, 40), (96, 160)),
            (100, 133, (24, 40), (90, 150)),
            (7, 3, (24, 40), (47, 300)),
            (100, 19, (48, 80), (48, 80)),
            (50, 150, (96, 96), (100, 242)),
            (1, 1, (8, 8), (33, 21)),
        ]
    )
    for sharp in (False, True)
]


@pytest.mark.parametrize(("seed", "count", "classes", "grid", "size", "sharp"), CASES)
def test_labels_are_those_of_the_rule(
    seed: int, count: int, classes: int, grid: tuple[int, int], size: tuple[int, int], sharp: bool
) -> None:
    class_logits, mask_logits = outputs(seed, count, classes, grid, sharp)
    scores = bilinear(np.einsum("qc,qhw->chw", softmax(class_logits)[:, :-1], sigmoid(mask_logits)), *size)
    found, sure = our_labels(class_logits, mask_logits, view(*size)), clear(scores)
    assert sure.mean() > 0.99
    np.testing.assert_array_equal(found[sure], scores.argmax(axis=0)[sure])


def plain_segments(
    class_logits: np.ndarray, mask_logits: np.ndarray, size: tuple[int, int]
) -> tuple[np.ndarray, list[tuple[int, int, float]], np.ndarray]:
    """The panoptic rule in float64: the query that holds each pixel (-1: nobody), query, class and score of each
    segment, and where rounding cannot matter.
    """
    probable = softmax(class_logits)
    taking = np.flatnonzero((probable.argmax(axis=1) < probable.shape[1] - 1) & (probable.max(axis=1) > 0.5))
    if not len(taking):
        return np.full(size, -1), [], np.ones(size, np.bool_)
    products = bilinear(sigmoid(mask_logits[taking]), *size) * probable[taking].max(axis=1)[:, None, None]
    holder, owner, found = products.argmax(axis=0), np.full(size, -1), []
    for k, query in enumerate(taking.tolist()):
        held, wanted = (holder == k).sum(), (products[k] >= 0.5).sum()
        if held and wanted and held / wanted > 0.8:
            owner[holder == k] = query
            found.append((query, int(probable[query].argmax()), float(probable[query].max())))
    return owner, found, clear(products)


@pytest.mark.parametrize(("seed", "count", "classes", "grid", "size", "sharp"), CASES)
def test_segments_are_those_of_the_rule(
    seed: int, count: int, classes: int, grid: tuple[int, int], size: tuple[int, int], sharp: bool
) -> None:
    class_logits, mask_logits = outputs(seed, count, classes, grid, sharp)
    class_logits[::2] *= 3  # noise too has queries that are sure
    owner, expected, sure = plain_segments(class_logits, mask_logits, size)
    found = our_segments(class_logits, mask_logits, view(*size))
    assert found.channels.tolist() == [channel for _, channel, _ in expected]
    np.testing.assert_allclose(found.scores, [score for *_, score in expected], rtol=1e-5)
    names = np.full(256, -1)
    names[found.numbers] = [query for query, *_ in expected]
    np.testing.assert_array_equal(names[found.owner][sure], owner[sure])


@pytest.mark.parametrize(("seed", "count", "classes", "grid", "size", "sharp"), CASES)
def test_instances_are_those_of_the_rule(
    seed: int, count: int, classes: int, grid: tuple[int, int], size: tuple[int, int], sharp: bool
) -> None:
    class_logits, mask_logits = outputs(seed, count, classes, grid, sharp)
    probable, masks = softmax(class_logits)[:, :-1], sigmoid(mask_logits)
    rows, columns = (np.arange(n) * m // n for n, m in zip(size, grid, strict=True))
    expected = {}
    best = np.argsort(-probable.ravel())[:count]
    for query, channel in zip(*(index.tolist() for index in np.unravel_index(best, probable.shape)), strict=True):
        bits = masks[query] > 0.5
        score = probable[query, channel] * masks[query][bits].mean() if bits.any() else 0
        if score >= 0.2 and bits[np.ix_(rows, columns)].any():
            expected[round(float(score), 5), channel] = bits[np.ix_(rows, columns)]
    found = our_instances(class_logits, mask_logits, view(*size), score=0.2)
    keys = [(round(float(s), 5), int(c)) for s, c in zip(found.scores, found.labels, strict=True)]
    assert sorted(keys) == sorted(expected)
    for key, mask, box, cropped in zip(keys, full(found, *size), found.boxes, found.masks, strict=True):
        np.testing.assert_array_equal(mask, expected[key])
        y, x = np.nonzero(mask)
        assert box.tolist() == [x.min(), y.min(), x.max() + 1, y.max() + 1]
        assert cropped.bits.shape == (y.max() + 1 - y.min(), x.max() + 1 - x.min())


@pytest.fixture(scope="module")
def processors() -> dict[str, Any]:
    """What reads the outputs in transformers, by family; OneFormer's needs a file of class names to be made, and none
    to be used.
    """
    pytest.importorskip("torchvision")
    transformers = pytest.importorskip("transformers")
    one = transformers.OneFormerImageProcessor
    return {
        "mask2former": transformers.Mask2FormerImageProcessor(),
        "maskformer": transformers.MaskFormerImageProcessor(),
        "oneformer": one.__new__(one),
    }


FAMILIES = {"mask2former": (384, 384), "maskformer": (0, 0), "oneformer": (0, 0)}
"""The grid that each family's rule interpolates the masks to before anything else."""


def tensors(class_logits: np.ndarray, mask_logits: np.ndarray) -> Any:
    torch = pytest.importorskip("torch")
    return SimpleNamespace(
        class_queries_logits=torch.from_numpy(class_logits)[None],
        masks_queries_logits=torch.from_numpy(mask_logits)[None],
    )


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("seed", "count", "classes", "grid", "size", "sharp"), CASES)
def test_equal_to_transformers(
    processors: dict[str, Any],
    family: str,
    seed: int,
    count: int,
    classes: int,
    grid: tuple[int, int],
    size: tuple[int, int],
    sharp: bool,
) -> None:
    class_logits, mask_logits = outputs(seed, count, classes, grid, sharp)
    class_logits[::2] *= 3
    theirs, shown, options = processors[family], view(*size), {"grid": FAMILIES[family]}
    said = tensors(class_logits, mask_logits)

    semantic = theirs.post_process_semantic_segmentation(said, [size], return_segmentation_scores=True)[0]
    scores = semantic.segmentation_scores.numpy()
    found = our_labels(class_logits, mask_logits, shown, **options)
    np.testing.assert_array_equal(found[clear(scores)], semantic.segmentation.numpy()[clear(scores)])

    panoptic = theirs.post_process_panoptic_segmentation(said, target_sizes=[size], label_ids_to_fuse=set())[0]
    ours = our_segments(class_logits, mask_logits, shown, **options)
    assert ours.channels.tolist() == [s["label_id"] for s in panoptic["segments_info"]]
    np.testing.assert_allclose(ours.scores, [s["score"] for s in panoptic["segments_info"]], atol=1e-6)
    ids = np.zeros(256, np.int64)
    ids[ours.numbers] = [s["id"] for s in panoptic["segments_info"]]
    same = ids[ours.owner] == np.maximum(panoptic["segmentation"].numpy(), 0)  # -1 where there is no segment at all
    assert same.mean() > 0.9999

    if family == "oneformer":  # its instances are cut from logits as if they were probabilities
        return
    theirs_one_by_one = theirs.post_process_instance_segmentation(
        said, threshold=0.3, target_sizes=[size], return_binary_maps=True
    )[0]
    instances = our_instances(class_logits, mask_logits, shown, score=0.3, **options)
    infos = theirs_one_by_one["segments_info"]
    mine = np.lexsort((instances.scores, instances.labels))
    other = np.lexsort(([s["score"] for s in infos], [s["label_id"] for s in infos]))
    assert instances.labels[mine].tolist() == [infos[i]["label_id"] for i in other]
    np.testing.assert_allclose(instances.scores[mine], [infos[i]["score"] for i in other], atol=1e-5)
    masks = theirs_one_by_one["segmentation"].numpy()  # of no use where nothing is found
    if infos:  # a logit that is 0 but for the last digits of torch's coordinates may fall on either side
        assert (full(instances, *size)[mine] == masks[other]).mean() > 0.9999


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 1000),
    height=st.integers(5, 120),
    width=st.integers(5, 120),
    resize=st.sampled_from(["stretch", "letterbox"]),
    sharp=st.booleans(),
)
def test_things_lie_in_the_image_and_not_on_each_other(
    seed: int, height: int, width: int, resize: str, sharp: bool
) -> None:
    class_logits, mask_logits = outputs(seed, 12, 5, (12, 20), sharp)
    shown, stuff = view(height, width, resize), [0, 3]
    table = TABLE.copy()
    table[stuff] = UNLABELLED
    segments = our_segments(class_logits * 3, mask_logits, shown)
    assert segments.owner.shape == (height, width)
    found = queries.things(segments, shown, table)
    assert found.labels.tolist() == [c for c in segments.channels.tolist() if c not in stuff]
    masks = full(found, height, width)
    assert (masks.sum(axis=0) <= 1).all()
    for mask, box in zip(masks, found.boxes, strict=True):
        y, x = np.nonzero(mask)
        assert box.tolist() == [x.min(), y.min(), x.max() + 1, y.max() + 1]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), height=st.integers(2, 70), width=st.integers(2, 70), sharp=st.booleans())
def test_the_area_of_a_mask_is_counted_without_interpolating_all_of_it(
    seed: int, height: int, width: int, sharp: bool
) -> None:
    grids = sigmoid(outputs(seed, 6, 2, (9, 14), sharp)[1]).astype(np.float32)
    shown = view(height, width)
    rows, columns = queries._axes(shown, INPUT, grids.shape)
    smooth = bilinear(grids, height, width)
    sure = np.abs(smooth - 0.5) > ROUNDING
    low, high = ((smooth >= 0.5) & sure).sum(axis=(1, 2)), ((smooth >= 0.5) | ~sure).sum(axis=(1, 2))
    areas = queries._areas(grids, rows, columns)
    assert ((low <= areas) & (areas <= high)).all()


def test_classes_that_cannot_win_are_not_scored_and_nothing_changes() -> None:
    class_logits, mask_logits = outputs(5, 60, 100, (24, 40), sharp=True)
    mask_logits[0], class_logits[0, 7] = 6, 30  # one that is everywhere, as a road is
    classes, masks = queries.class_probabilities(class_logits), queries.mask_probabilities(mask_logits)
    channels, scores = queries._rivals(classes, masks)
    assert len(channels) < 40
    every = np.einsum("qc,qhw->chw", classes[:, :-1], masks)
    np.testing.assert_allclose(scores, every[channels], rtol=1e-5)
    smooth = bilinear(every, 96, 160)
    assert set(np.unique(smooth.argmax(axis=0)).tolist()) <= set(channels.tolist())


def test_a_query_that_is_not_finite_takes_no_part_and_its_pixels_are_unknown() -> None:
    class_logits, mask_logits = outputs(3, 20, 5, (24, 40), sharp=True)
    class_logits[4, 2], mask_logits[4] = 40, 9
    hole = mask_logits.copy()
    hole[4, 3, 5] = np.nan
    labels = our_labels(class_logits, hole, view(24, 40))
    assert (labels == UNLABELLED).sum() == 1
    assert labels[3, 5] == UNLABELLED
    without = np.delete(class_logits, 4, axis=0), np.delete(mask_logits, 4, axis=0)
    expected = our_segments(*without, view(24, 40))
    found = our_segments(class_logits, hole, view(24, 40))
    np.testing.assert_array_equal(found.channels, expected.channels)
    np.testing.assert_array_equal(found.owner, expected.owner)
    class_logits[:] = np.nan
    assert not len(our_segments(class_logits, mask_logits, view(24, 40)).numbers)
    assert not len(our_instances(class_logits, mask_logits, view(24, 40)))
    assert (our_labels(class_logits, mask_logits, view(24, 40)) == UNLABELLED).all()


def test_what_has_no_home_competes_and_is_no_thing() -> None:
    class_logits, mask_logits = outputs(6, 30, 4, (24, 40), sharp=True)
    nothing = np.full(256, UNLABELLED, np.uint8)
    segments = our_segments(class_logits, mask_logits, view(96, 160))
    assert len(segments.numbers) > 2
    assert not len(queries.things(segments, view(96, 160), nothing))
    assert not len(our_instances(class_logits, mask_logits, view(96, 160), table=nothing))
