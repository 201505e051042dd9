"""Labels equal to interpolating every class; confidence as documented."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seg_perception.models.decoders import dense_logits
from seg_perception.models.geometry import Axis, Span, axis, views
from seg_perception.models.manifest import Input, Tiles
from seg_perception.types import UNLABELLED

TABLE = np.append(np.arange(255), UNLABELLED).astype(np.uint8)


def whole(outputs: int, grid: int) -> Axis:
    return axis(Span(0, outputs, 0, grid, 0, outputs), 0, outputs, grid, grid)


def interpolated(logits: np.ndarray, rows: Axis, columns: Axis) -> np.ndarray:
    """Every class at every pixel, in float64."""
    values = logits.astype(np.float64)
    wx, wy = columns.weight.astype(np.float64), rows.weight.astype(np.float64)[:, None]
    wide = values[:, :, columns.low] * (1 - wx) + values[:, :, columns.high] * wx
    return wide[:, rows.low] * (1 - wy) + wide[:, rows.high] * wy


def assert_labels(found: np.ndarray, values: np.ndarray) -> None:
    """``found`` is the argmax, but where the two best are nearer than float32 can tell."""
    best_two = np.sort(values, axis=0)[-2:]
    near = best_two[1] - best_two[0] < 1e-5
    assert ((found == values.argmax(axis=0)) | near).all()
    assert near.mean() < 0.02


def smooth(shape: tuple[int, int, int], seed: int) -> np.ndarray:
    """Logits in regions, as networks make them: a winner by a margin, noise on top."""
    rng = np.random.default_rng(seed)
    classes, height, width = shape
    coarse = rng.integers(0, classes, (height // 6 + 1, width // 6 + 1))
    winner = np.kron(coarse, np.ones((6, 6), int))[:height, :width]
    return (3.0 * (np.arange(classes)[:, None, None] == winner) + rng.normal(0, 0.3, shape)).astype(np.float32)


@settings(max_examples=60, deadline=None)
@given(
    shape=st.tuples(st.integers(2, 12), st.integers(1, 40), st.integers(1, 40)),
    size=st.tuples(st.integers(1, 150), st.integers(1, 150)),
    random=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_equal_to_interpolating_every_class(
    shape: tuple[int, int, int], size: tuple[int, int], random: bool, seed: int
) -> None:
    logits = np.random.default_rng(seed).standard_normal(shape, np.float32) if random else smooth(shape, seed)
    rows, columns = whole(size[0], shape[1]), whole(size[1], shape[2])
    assert_labels(dense_logits.upsampled_argmax(logits, rows, columns), interpolated(logits, rows, columns))


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((19, 90, 160), (720, 1280)),
        ((20, 128, 256), (375, 1242)),
        ((20, 128, 256), (128, 100)),
        ((5, 33, 47), (71, 333)),
    ],
)
def test_sparse_and_dense_roads_agree_to_the_bit(shape: tuple[int, int, int], size: tuple[int, int]) -> None:
    logits = smooth(shape, 1)
    rows, columns = whole(size[0], shape[1]), whole(size[1], shape[2])
    found = dense_logits.upsampled_argmax(logits, rows, columns)
    np.testing.assert_array_equal(found, dense_logits._dense(logits, rows, columns))
    assert_labels(found, interpolated(logits, rows, columns))


@settings(max_examples=25, deadline=None)
@given(
    image=st.tuples(st.integers(3, 120), st.integers(3, 120)),
    grid=st.sampled_from([(8, 16), (64, 128), (31, 17)]),
    resize=st.sampled_from(["stretch", "letterbox", "tiles"]),
)
def test_every_geometry_is_the_affine_map_it_says(image: tuple[int, int], grid: tuple[int, int], resize: str) -> None:
    """Logits that are a plane over the input cross zero where the geometry says, in every kind of view."""
    size = (64, 128)
    spec = Input(name="x", size=size, resize=resize, tiles=Tiles((30, 40), 0.3))  # type: ignore[arg-type]
    labels = np.empty(image, np.uint8)
    confidence = np.empty(image, np.uint8)
    expected = np.empty(image, np.uint8)
    unsure = np.zeros(image, np.bool_)
    for view in views(spec, *image):
        x = (np.arange(grid[1]) + 0.5) * size[1] / grid[1]
        middle = view.x.placed + 0.4 * view.x.shown
        logits = np.stack([np.broadcast_to(-(x - middle), grid), np.zeros(grid)]).astype(np.float32)
        dense_logits.decode(logits, view, size, TABLE, labels, confidence)
        pixel = (np.arange(image[1]) + 0.5 - view.x.start) * view.x.scale + view.x.placed
        position = np.clip(pixel, x[0], x[-1])  # borders are clamped to the outermost logits
        expected[view.own] = np.broadcast_to(position > middle, image)[view.own]
        unsure[view.own] |= np.broadcast_to(np.abs(position - middle) < 1e-3, image)[view.own]
    assert ((labels == expected) | unsure).all()


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 1000), apart=st.sampled_from([1e-7, 1e-6, 1e-5, 1e-3, 1.0]), infinite=st.booleans())
def test_a_duel_is_sure_only_of_what_interpolating_both_says(seed: int, apart: float, infinite: bool) -> None:
    """Two classes that are as near as float32 can tell, and farther apart, in cells of 5 x 7 pixels."""
    rng = np.random.default_rng(seed)
    corners = np.repeat(rng.normal(0, 5, (1, 4, 200)), 3, axis=0)
    corners[2] += apart * rng.normal(0, 1, (4, 200))
    corners[1] = -100  # cannot win
    if infinite:
        corners[0, 1, :20] = -np.inf
    corners = corners.astype(np.float32)
    can_win = np.array([[True], [False], [True]]).repeat(200, axis=1)
    weights = rng.random((5, 200), np.float32), rng.random((7, 200), np.float32)
    wins, sure = dense_logits._duel(corners[0], corners[2], *weights)
    np.testing.assert_array_equal(2 * wins[..., sure], dense_logits._contest(corners, can_win, *weights)[..., sure])
    assert not (infinite and sure[:20].any())
    if apart == 1.0:
        assert sure[20:].mean() > 0.5


def test_argmax_is_numpys_and_the_lowest_of_equals() -> None:
    logits = np.random.default_rng(0).integers(-3, 4, (20, 61, 700)).astype(np.float32)
    np.testing.assert_array_equal(dense_logits.argmax(logits), logits.argmax(axis=0))
    np.testing.assert_array_equal(dense_logits.argmax(logits[:, 3:40, 5:77]), logits[:, 3:40, 5:77].argmax(axis=0))


def test_void_competes_and_becomes_unlabelled_with_confidence_zero() -> None:
    logits = np.zeros((3, 6, 6), np.float32)
    logits[0, :, :3], logits[2, :, 3:] = 4, 4
    table = np.full(256, UNLABELLED, np.uint8)
    table[:2] = 7, 9  # channel 2 is void
    (view,) = views(Input(name="x", size=(6, 6), resize="stretch"), 6, 6)
    labels, confidence = np.empty((6, 6), np.uint8), np.empty((6, 6), np.uint8)
    dense_logits.decode(logits, view, (6, 6), table, labels, confidence)
    assert (labels[:, :3] == 7).all()
    assert (labels[:, 3:] == UNLABELLED).all()
    probability = np.exp(4) / (np.exp(4) + 2)
    np.testing.assert_allclose(confidence[:, :3], 255 * probability, atol=1)
    assert (confidence[:, 3:] == 0).all()


@settings(max_examples=30, deadline=None)
@given(size=st.tuples(st.integers(1, 90), st.integers(1, 90)), seed=st.integers(0, 99))
def test_confidence_is_zero_exactly_where_unlabelled(size: tuple[int, int], seed: int) -> None:
    logits = 40 * smooth((6, 20, 30), seed)
    (view,) = views(Input(name="x", size=(20, 30), resize="stretch"), *size)
    table = TABLE.copy()
    table[3] = UNLABELLED
    labels, confidence = np.empty(size, np.uint8), np.empty(size, np.uint8)
    dense_logits.decode(logits, view, (20, 30), table, labels, confidence)
    np.testing.assert_array_equal(confidence == 0, labels == UNLABELLED)


@pytest.mark.parametrize("shape", [(4, 20, 30), (4, 200, 300)])
def test_the_logits_stay_as_they_are(shape: tuple[int, int, int]) -> None:
    logits = smooth(shape, 0)
    before = logits.copy()
    (view,) = views(Input(name="x", size=shape[1:], resize="stretch"), 40, 60)
    labels, confidence = np.empty((40, 60), np.uint8), np.empty((40, 60), np.uint8)
    dense_logits.decode(logits, view, shape[1:], TABLE, labels, confidence)
    np.testing.assert_array_equal(logits, before)


@pytest.mark.parametrize("size", [(20, 30), (160, 240), (25, 37)])
def test_nan_is_unlabelled(size: tuple[int, int]) -> None:
    logits = smooth((4, 20, 30), 0)
    logits[2, 8:12, 10:14] = np.nan
    (view,) = views(Input(name="x", size=(20, 30), resize="stretch"), *size)
    labels, confidence = np.empty(size, np.uint8), np.empty(size, np.uint8)
    dense_logits.decode(logits, view, (20, 30), TABLE, labels, confidence)
    y, x = 10 * size[0] // 20, 12 * size[1] // 30
    assert labels[y, x] == UNLABELLED
    assert (labels == UNLABELLED).mean() < 0.1
    np.testing.assert_array_equal(confidence == 0, labels == UNLABELLED)


@pytest.mark.parametrize("size", [(20, 30), (160, 240), (25, 37)])
def test_nan_in_what_a_runtime_labelled_is_unlabelled(size: tuple[int, int]) -> None:
    logits = smooth((4, 20, 30), 0)
    logits[2, 8:12, 10:14] = np.nan
    (view,) = views(Input(name="x", size=(20, 30), resize="stretch"), *size)
    labels, confidence = np.empty(size, np.uint8), np.empty(size, np.uint8)
    points = dense_logits.sampled(logits)
    dense_logits.finish(np.zeros(size, np.uint8), points, (20, 30), view, (20, 30), TABLE, labels, confidence)
    y, x = 10 * size[0] // 20, 12 * size[1] // 30
    assert labels[y, x] == UNLABELLED
    assert (labels == UNLABELLED).mean() < 0.1
    np.testing.assert_array_equal(confidence == 0, labels == UNLABELLED)
