"""What is followed in pictures: things of known shift and growth, what cannot be followed, and late looks."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seg_perception.tracking import Tracker, TrackerConfig
from seg_perception.tracking.motion import CameraMotion
from seg_perception.tracking.points import Picture, _flow
from seg_perception.tracking.timeline import PICTURES, STRIDES
from seg_perception.types import Instances, Look, Mask

SIZE = (640, 360)
STEP = 33_000_000
CONFIG = TrackerConfig(min_hits=1)
EVERYWHERE = np.array([[0, 0, *SIZE]], np.float32)


def texture(seed: int, width: int, height: int) -> np.ndarray:
    """Blots of many sizes, smooth enough that a shift by parts of a pixel can be drawn."""
    rng = np.random.default_rng(seed)
    grain = [cv2.resize(rng.random((height // c + 2, width // c + 2)), (width, height)) for c in (40, 15, 6, 4)]
    mixed = cv2.GaussianBlur(sum(grain), (0, 0), 1.0)
    return (255 * (mixed - mixed.min()) / np.ptp(mixed)).astype(np.uint8)


class World:
    """A thing of ``size`` pixels that moves and grows before a background which moves otherwise."""

    def __init__(self, seed: int, size: tuple[int, int], flat: bool = False) -> None:
        self._background, self._thing = texture(seed, 1400, 900), texture(seed + 1, *size)
        if flat:
            self._thing[:], self._background[:] = 128, 128
        self._size = size

    def box(self, x: float, y: float, growth: float) -> tuple[float, float, float, float]:
        width, height = (growth * s for s in self._size)
        return x, y, x + width, y + height

    def image(self, x: float, y: float, growth: float, camera: tuple[float, float]) -> np.ndarray:
        """The thing's corner at ``x, y``, the background shifted by ``camera``; ``(H, W, 3)``."""
        grey = self._drawn(self._background, camera[0] - 300.0, camera[1] - 200.0, 1.0)
        cover = self._drawn(np.full_like(self._thing, 255), x, y, growth) / 255.0
        thing = self._drawn(self._thing, x, y, growth, cv2.BORDER_REPLICATE)
        mixed = (cover * thing + (1.0 - cover) * grey).round().astype(np.uint8)
        return np.repeat(mixed[..., None], 3, axis=2)

    @staticmethod
    def _drawn(what: np.ndarray, x: float, y: float, growth: float, border: int = cv2.BORDER_CONSTANT) -> np.ndarray:
        centred = 0.5 * (growth - 1.0)  # OpenCV counts from pixels' centres
        place = np.array([[growth, 0.0, x + centred], [0.0, growth, y + centred]])
        return cv2.warpAffine(what, place, SIZE, flags=cv2.INTER_LINEAR, borderMode=border)


def painted(mask: Mask) -> np.ndarray:
    """``mask`` in an image of :data:`SIZE`."""
    image = np.zeros(SIZE[::-1], np.bool_)
    height, width = mask.bits.shape
    image[mask.y : mask.y + height, mask.x : mask.x + width] = mask.bits
    return image


def seen(box: tuple[float, float, float, float], label: int = 2) -> Instances:
    x0, y0, x1, y1 = (round(v) for v in box)
    mask = Mask(x0, y0, np.ones((y1 - y0, x1 - x0), np.bool_))
    return Instances(np.array([box], np.float32), np.array([0.9], np.float32), np.array([label], np.uint8), (mask,))


@settings(deadline=None, max_examples=20)
@given(
    st.integers(0, 1000),
    st.tuples(st.integers(16, 200), st.integers(16, 160)),
    st.tuples(st.floats(-6.0, 6.0), st.floats(-4.0, 4.0)),
    st.floats(-0.006, 0.006),
    st.tuples(st.floats(-6.0, 6.0), st.floats(-3.0, 3.0)),
)
def test_a_thing_is_carried_by_its_own_motion(
    seed: int, size: tuple[int, int], shift: tuple[float, float], growth: float, camera: tuple[float, float]
) -> None:
    """Seen once, so that no prediction can know; four frames later it is found to half a pixel."""
    world, motion, tracker = World(seed, size), CameraMotion(), Tracker()
    for frame in range(5):
        place = 250.0 + frame * shift[0], 110.0 + frame * shift[1], (1.0 + growth) ** frame
        image = world.image(*place, (frame * camera[0], frame * camera[1]))
        look = Look(0, seen(world.box(*place)), EVERYWHERE) if frame == 0 else None
        tracks = tracker.step(frame * STEP, SIZE, look, CONFIG, motion(image), Picture.of(image))
    true, found = np.array(world.box(*place)), tracks.boxes[0]
    np.testing.assert_allclose((found[:2] + found[2:]) / 2.0, (true[:2] + true[2:]) / 2.0, atol=0.5)
    # Small things show their growth less; none is off by more than they grew.
    np.testing.assert_allclose(found, true, atol=1.0 + 0.5 * abs((1.0 + growth) ** 4 - 1.0) * max(size))
    mask = tracks.masks[0]
    corners = [mask.x, mask.y, mask.x + mask.bits.shape[1], mask.y + mask.bits.shape[0]]
    np.testing.assert_allclose(corners, found, atol=1.0)


def test_what_comes_nearer_grows() -> None:
    world, tracker = World(6, (160, 120)), Tracker()
    for frame in range(5):
        place = 200.0 - 2.0 * frame, 110.0, 1.03**frame
        look = Look(0, seen(world.box(*place)), EVERYWHERE) if frame == 0 else None
        tracks = tracker.step(frame * STEP, SIZE, look, CONFIG, None, Picture.of(world.image(*place, (0.0, 0.0))))
    width = tracks.boxes[0, 2] - tracks.boxes[0, 0]
    assert width == pytest.approx(160 * 1.03**4, abs=2.0)  # it was 160


def test_a_point_that_does_not_come_back_is_lost() -> None:
    before, now = texture(1, *SIZE), texture(1, *SIZE)
    now[:, 320:] = texture(2, *SIZE)[:, 320:]  # something else altogether
    x, y = np.meshgrid(np.arange(40.0, 600.0, 20.0), np.arange(40.0, 320.0, 20.0))
    points = np.stack((x, y), axis=-1).astype(np.float32)
    _, found = _flow(Picture(before, 1), Picture(now, 1), points, points)
    assert found[x < 300].mean() > 0.95
    assert found[x > 340].mean() < 0.3


def test_what_has_no_texture_goes_where_it_is_predicted() -> None:
    world, with_pictures, without = World(0, (60, 40), flat=True), Tracker(), Tracker()
    for frame in range(8):
        place = 100.0 + 5.0 * frame, 100.0, 1.0
        look = Look(frame * STEP, seen(world.box(*place)), EVERYWHERE) if frame < 4 else None
        picture = Picture.of(world.image(*place, (0.0, 0.0)))
        one = with_pictures.step(frame * STEP, SIZE, look, CONFIG, None, picture)
        other = without.step(frame * STEP, SIZE, look, CONFIG)
        np.testing.assert_array_equal(one.boxes, other.boxes)


@pytest.mark.parametrize("broken", [None, (90, 160)])
def test_where_a_picture_is_missing_the_rest_of_the_way_is_predicted(broken: tuple[int, int] | None) -> None:
    """Or has another size: what was followed before is forgotten, what is seen after is followed again."""
    world, tracker = World(3, (60, 40)), Tracker()
    for frame in range(10):
        place = 100.0 + (5.0 * frame if frame < 3 or frame > 5 else 0.0), 100.0, 1.0
        picture = Picture.of(world.image(*place, (0.0, 0.0)))
        if frame == 3:
            picture = None if broken is None else Picture(np.zeros(broken, np.uint8), 4)
        look = Look(frame * STEP, seen(world.box(*place)), EVERYWHERE) if frame in (0, 6) else None
        tracks = tracker.step(frame * STEP, SIZE, look, CONFIG, None, picture)
        if frame in (2, 9):
            np.testing.assert_allclose(tracks.boxes[-1], world.box(*place), atol=0.5)
        elif frame == 3:
            np.testing.assert_array_equal(tracks.boxes[-1], world.box(100.0, 100.0, 1.0))


def test_points_that_are_lost_go_with_the_others() -> None:
    """Something flat comes before half of a thing; the other half still tells where it is."""
    world, tracker = World(4, (80, 60)), Tracker()
    for frame in range(6):
        place = 200.0 + 4.0 * frame, 120.0 - 2.0 * frame, 1.0
        image = world.image(*place, (0.0, 0.0))
        if frame > 1:
            image[:, 250:300] = 128
        look = Look(0, seen(world.box(*place)), EVERYWHERE) if frame == 0 else None
        tracks = tracker.step(frame * STEP, SIZE, look, CONFIG, None, Picture.of(image))
    np.testing.assert_allclose(tracks.boxes[0], world.box(*place), atol=1.5)


def test_a_steady_way_teaches_the_filter_its_velocity() -> None:
    """Seen once and followed; then the pictures end, and it goes on as it went."""
    world, tracker = World(5, (70, 50)), Tracker()
    for frame in range(9):
        place = 100.0 + 6.0 * frame, 100.0, 1.0
        picture = Picture.of(world.image(*place, (0.0, 0.0))) if frame < 5 else None
        elsewhere = np.array([[500, 300, 640, 360]], np.float32)
        look = {0: Look(0, seen(world.box(*place)), EVERYWHERE), 4: Look(4 * STEP, Instances.empty(), elsewhere)}
        tracks = tracker.step(frame * STEP, SIZE, look.get(frame), CONFIG, None, picture)
    np.testing.assert_allclose(tracks.boxes[0], world.box(*place), atol=4.0)


@pytest.mark.parametrize(("delay", "pixels"), [(1, 1e-3), (3, 1e-3), (STRIDES, 1e-3), (7, 0.25)])
def test_a_late_look_is_carried_as_one_in_time(delay: int, pixels: float) -> None:
    """Things that were never seen before, that were seen again, that were missed: to the last pixel, where every frame
    in between is a stride.
    """
    world, motion = World(8, (50, 40)), CameraMotion()
    prompt, late = Tracker(), Tracker()
    waiting: Look | None = None
    for frame in range(33):
        place = 80.0 + 7.0 * frame + 10.0 * np.sin(frame), 100.0 + 3.0 * np.cos(frame), 1.003**frame
        image = world.image(*place, (4.0 * np.sin(frame), 0.0))
        step, picture = motion(image), Picture.of(image)
        if frame % (delay + 1) == 0:
            missed = frame // (delay + 1) % 4 == 2
            waiting = Look(frame * STEP, Instances.empty() if missed else seen(world.box(*place)), EVERYWHERE)
            one = prompt.step(frame * STEP, SIZE, waiting, CONFIG, step, picture)
        else:
            one = prompt.step(frame * STEP, SIZE, None, CONFIG, step, picture)
        due = frame % (delay + 1) == delay
        other = late.step(frame * STEP, SIZE, waiting if due else None, CONFIG, step, picture)
        if due:
            np.testing.assert_array_equal(one.track_ids, other.track_ids)
            np.testing.assert_allclose(one.boxes, other.boxes, atol=pixels)
            for a, b in zip(one.masks, other.masks, strict=True):
                differ = np.count_nonzero(painted(a) != painted(b))
                assert differ <= pixels * (sum(a.bits.shape) + sum(b.bits.shape))


def test_only_so_many_pictures_are_kept() -> None:
    tracker, picture = Tracker(), Picture(np.zeros((90, 160), np.uint8), 4)
    for frame in range(3 * PICTURES):
        tracker.step(frame * STEP, SIZE, None, CONFIG, None, Picture(picture.grey, 4))
        kept = [moment for moment in tracker._timeline._moments if moment.picture is not None]
        assert len(kept) <= PICTURES


@pytest.mark.parametrize(("size", "factor"), [((360, 640), 1), ((720, 1280), 2), ((375, 1242), 2), ((3, 1), 1)])
def test_a_picture_is_about_so_wide(size: tuple[int, int], factor: int) -> None:
    picture = Picture.of(np.zeros((*size, 3), np.uint8))
    assert picture.factor == factor
    assert picture.grey.shape == (size[0] // factor, size[1] // factor)
