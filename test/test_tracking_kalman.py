"""The batched filters against a textbook Kalman filter, one 8x8 covariance per track."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seg_perception.tracking.kalman import INITIAL_SPEED, UNKNOWN, Filters, boxes_of, measurements

NOISE, AGILITY = 0.05, 2.0


class Textbook:
    """State ``cx cy log_w log_h`` and their velocities; F, Q, H, R written out, the covariance in box sizes."""

    def __init__(self, z: np.ndarray) -> None:
        self.x = np.concatenate((z, np.zeros(4)))
        self.p = np.diag(np.concatenate((np.full(4, NOISE**2), np.full(4, INITIAL_SPEED**2))))

    def predict(self, dt: float) -> None:
        f = np.eye(8)
        f[:4, 4:] = dt * np.eye(4)
        q = np.kron([[dt**3 / 3, dt**2 / 2], [dt**2 / 2, dt]], AGILITY**2 * np.eye(4))
        self.x = f @ self.x
        self.p = f @ self.p @ f.T + q

    def update(self, z: np.ndarray) -> None:
        h = np.eye(4, 8)
        s = h @ self.p @ h.T + NOISE**2 * np.eye(4)
        k = self.p @ h.T @ np.linalg.inv(s)
        self.x = self.x + k @ (z - h @ self.x)
        self.p = (np.eye(8) - k @ h) @ self.p


def started(measured: np.ndarray) -> Filters:
    filters = Filters(UNKNOWN[:, None].repeat(measured.shape[1], axis=1))
    filters.update(measured, NOISE)
    return filters


def random_measurements(rng: np.random.Generator, n: int) -> np.ndarray:
    corner = rng.uniform(0, 500, (n, 2))
    return measurements(np.concatenate((corner, corner + rng.uniform(5, 300, (n, 2))), axis=1).T)


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.lists(st.floats(0.0, 1.5), min_size=1, max_size=8))
def test_batch_equals_textbook(seed: int, n: int, steps: list[float]) -> None:
    rng = np.random.default_rng(seed)
    start = random_measurements(rng, n)
    batch, books = started(start), [Textbook(z) for z in start.T]
    for dt in steps:
        batch.predict(dt, AGILITY)
        rows = np.flatnonzero(rng.random(n) < 0.7)
        seen = random_measurements(rng, len(rows))
        some = Filters(batch.numbers[:, rows])
        some.update(seen, NOISE)
        batch.numbers[:, rows] = some.numbers
        for book in books:
            book.predict(dt)
        for row, z in zip(rows.tolist(), seen.T, strict=True):
            books[row].update(z)
    for i, book in enumerate(books):
        np.testing.assert_allclose(batch.position[:, i], book.x[:4], rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(batch.velocity[:, i], book.x[4:], rtol=1e-6, atol=1e-6)
        for row, (a, b) in enumerate(((0, 0), (0, 4), (4, 4))):
            expected = book.p[a : a + 4, b : b + 4]
            np.testing.assert_allclose(batch.covariance[row, i] * np.eye(4), expected, rtol=1e-5, atol=1e-8)


@settings(deadline=None)
@given(st.floats(0.01, 2.0), st.integers(2, 20))
def test_one_long_step_equals_many_short_ones(dt: float, parts: int) -> None:
    z = random_measurements(np.random.default_rng(0), 3)
    once, often = started(z), started(z)
    for filters in (once, often):
        filters.predict(0.1, AGILITY)
        filters.update(z + 0.01, NOISE)
    once.predict(dt, AGILITY)
    for _ in range(parts):
        often.predict(dt / parts, AGILITY)
    for name in ("position", "velocity", "covariance"):
        np.testing.assert_allclose(getattr(once, name), getattr(often, name), rtol=1e-9, atol=1e-9)


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.0, 1.0))
def test_the_image_takes_filters_along(seed: int, dt: float) -> None:
    """Turned and scaled about a point: boxes go with it, keep their shape, and velocities turn."""
    rng = np.random.default_rng(seed)
    turn, scale, shift = rng.uniform(-0.3, 0.3), rng.uniform(0.8, 1.25), rng.uniform(-50, 50, 2)
    linear = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    motion = np.concatenate((linear, shift[:, None]), axis=1)
    still, taken = (started(random_measurements(np.random.default_rng(seed), 3)) for _ in range(2))
    for filters in (still, taken):
        filters.predict(0.1, AGILITY)
        filters.update(filters.position + 0.1, NOISE)
    np.testing.assert_allclose(taken.predicted(dt, motion)[:2], linear @ still.predicted(dt)[:2] + shift[:, None])
    taken.predict(dt, AGILITY, motion)
    still.predict(dt, AGILITY)
    np.testing.assert_allclose(taken.position[:2], linear @ still.position[:2] + shift[:, None])
    np.testing.assert_allclose(taken.position[2:], still.position[2:] + np.log(scale))
    np.testing.assert_allclose(taken.velocity[:2], linear @ still.velocity[:2])
    np.testing.assert_array_equal(taken.covariance, still.covariance)


def test_steady_growth_is_learnt() -> None:
    """A box that grows by 20 % a second and moves 50 px/s, seen at 10 Hz, is predicted half a second ahead."""

    def box(t: float) -> np.ndarray:
        half = 30.0 * 1.2**t
        return np.array([[100 + 50 * t - half, 80 - half, 100 + 50 * t + half, 80 + half]]).T

    filters = started(measurements(box(0.0)))
    for i in range(1, 31):
        filters.predict(0.1, AGILITY)
        filters.update(measurements(box(i / 10)), NOISE)
    filters.predict(0.5, AGILITY)
    np.testing.assert_allclose(boxes_of(filters.position[:2], filters.position[2:]), box(3.5), atol=1.0)


def test_boxes_and_measurements_are_inverse() -> None:
    boxes = np.array([[3.0, 4.0, 10.0, 40.0], [0.5, 0.25, 0.75, 100.0]]).T
    measured = measurements(boxes)
    assert boxes_of(measured[:2], measured[2:]) == pytest.approx(boxes)
