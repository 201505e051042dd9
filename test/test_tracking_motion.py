"""The camera's motion is found in a picture that was moved by a known one."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from seg_perception.tracking.motion import CameraMotion


def picture(seed: int = 0, height: int = 360, width: int = 640) -> np.ndarray:
    """Blots of many sizes and colours."""
    rng = np.random.default_rng(seed)
    image = np.zeros((height, width, 3), np.uint8)
    for cell in (64, 24, 9):
        blots = rng.integers(0, 85, (height // cell + 2, width // cell + 2, 3), dtype=np.uint8)
        image += cv2.resize(blots, (width, height), interpolation=cv2.INTER_NEAREST)
    return image


def moved(image: np.ndarray, motion: np.ndarray) -> np.ndarray:
    """``image`` after ``motion``, which speaks of pixel edges where OpenCV's warp speaks of centres."""
    centred = motion.copy()
    centred[:, 2] += 0.5 * (motion[:, :2].sum(axis=1) - 1.0)
    return cv2.warpAffine(image, centred, image.shape[1::-1], borderMode=cv2.BORDER_REFLECT)


def affine(turn: float, scale: float, dx: float, dy: float) -> np.ndarray:
    c, s = scale * np.cos(turn), scale * np.sin(turn)
    return np.array([[c, -s, dx], [s, c, dy]])


@pytest.mark.parametrize("size", [(360, 640), (720, 1280), (375, 1242), (240, 320)])
@pytest.mark.parametrize(
    "motion", [affine(0.0, 1.0, 22.0, -5.0), affine(0.02, 1.0, 0.0, 0.0), affine(0.0, 1.04, -12.0, -7.0)]
)
def test_a_known_motion_is_found(size: tuple[int, int], motion: np.ndarray) -> None:
    image, camera = picture(1, *size), CameraMotion()
    camera(image)
    found = camera(moved(image, motion))
    height, width = size
    corners = np.array([[0, 0, 1], [width, 0, 1], [0, height, 1], [width, height, 1]])
    np.testing.assert_allclose(corners @ found.T, corners @ motion.T, atol=0.004 * width)


def test_what_moves_by_itself_is_outvoted() -> None:
    image, motion, camera = picture(2), affine(0.0, 1.0, 15.0, 0.0), CameraMotion()
    camera(image)
    after = moved(image, motion)
    after[100:300, 200:400] = picture(3)[100:300, 200:400]
    np.testing.assert_allclose(camera(after), motion, atol=1.0)


def test_it_says_nothing_where_it_cannot_know() -> None:
    camera, still = CameraMotion(), np.eye(2, 3)
    blank = np.full((360, 640, 3), 90, np.uint8)
    for image in (blank, blank, picture(4), blank, picture(4, 720, 1280), picture(5, 720, 1280), blank[:4, :4]):
        np.testing.assert_array_equal(camera(image), still)


def test_one_sequence_gives_one_answer() -> None:
    images = [moved(picture(6), affine(0.001 * i, 1.0, 3.0 * i, 0.0)) for i in range(4)]
    one, other = CameraMotion(), CameraMotion()
    for image in images:
        np.testing.assert_array_equal(one(image), other(image))
