"""Carried masks follow the semantic map of the frame they are carried to."""

from __future__ import annotations

import numpy as np
import pytest

from seg_perception.support import SupportConfig, supported
from seg_perception.types import Mask, SemanticMap, Tracks

PERSON, ROAD = 11, 0
NOW = 10**9


def semantic(*boxes: tuple[int, int, int, int]) -> SemanticMap:
    labels = np.full((60, 80), ROAD, np.uint8)
    for x0, y0, x1, y1 in boxes:
        labels[y0:y1, x0:x1] = PERSON
    return SemanticMap(labels, np.full_like(labels, 230))


def tracks(*boxes: tuple[int, int, int, int], seen: int = 0, scores: tuple[float, ...] = ()) -> Tracks:
    n = len(boxes)
    return Tracks(
        np.arange(1, n + 1, dtype=np.int32),
        np.array(boxes, np.float32),
        np.array(scores or [0.9] * n, np.float32),
        np.full(n, PERSON, np.uint8),
        tuple(Mask(x0, y0, np.ones((y1 - y0, x1 - x0), np.bool_)) for x0, y0, x1, y1 in boxes),
        np.full(n, seen),
        np.ones(n, np.bool_),
    )


def painted(mask: Mask) -> np.ndarray:
    image = np.zeros((60, 80), np.bool_)
    image[mask.y : mask.y + mask.bits.shape[0], mask.x : mask.x + mask.bits.shape[1]] = mask.bits
    return image


def test_a_mask_that_lags_comes_along() -> None:
    now = semantic((22, 10, 42, 50))
    (mask,) = supported(tracks((20, 10, 40, 50)), now, NOW, SupportConfig(reach=0.15)).masks
    np.testing.assert_array_equal(painted(mask), now.labels == PERSON)


def test_a_hole_in_the_map_makes_none_in_the_mask() -> None:
    given, now = tracks((20, 10, 40, 50)), semantic((20, 10, 40, 50))
    now.labels[26:34, 27:33] = 0  # another class, deep inside
    now.labels[10:12, 20:40] = 0  # and at the border, where the mask may well have lagged
    (mask,) = supported(given, now, NOW, SupportConfig(reach=0.15)).masks
    assert painted(mask)[12:50, 20:40].all()
    assert not painted(mask)[:12].any()


def test_pixels_of_which_the_map_is_not_sure_move_no_border() -> None:
    given, now = tracks((20, 10, 40, 50)), semantic((22, 10, 42, 50))
    now.confidence[:30] = 120
    (mask,) = supported(given, now, NOW, SupportConfig(reach=0.15, sure=0.8)).masks
    np.testing.assert_array_equal(painted(mask)[:30], painted(given.masks[0])[:30])
    np.testing.assert_array_equal(painted(mask)[30:], (now.labels == PERSON)[30:])


def test_a_mask_of_this_very_frame_is_left_alone() -> None:
    given = tracks((20, 10, 40, 50), seen=NOW)
    assert supported(given, semantic((22, 10, 42, 50)), NOW, SupportConfig()) is given


@pytest.mark.parametrize("boxes", [(), ((36, 10, 60, 50),)], ids=["not known", "known too little"])
def test_a_mask_that_the_map_does_not_know_is_left_alone(boxes: tuple[tuple[int, int, int, int], ...]) -> None:
    given = tracks((20, 10, 40, 50))
    assert supported(given, semantic(*boxes), NOW, SupportConfig(least=0.5)).masks == given.masks


def test_a_hidden_track_takes_nothing() -> None:
    given = tracks((20, 10, 40, 50))
    given.visible[:] = False
    assert supported(given, semantic((20, 10, 44, 50)), NOW, SupportConfig()) is given


def test_what_another_track_holds_stays_its_own_and_the_better_one_takes_what_is_between() -> None:
    now = semantic((10, 10, 50, 50))
    given = tracks((10, 10, 28, 50), (32, 10, 50, 50), scores=(0.5, 0.9))
    first, second = (painted(m) for m in supported(given, now, NOW, SupportConfig(reach=0.2)).masks)
    assert not (first & second).any()
    np.testing.assert_array_equal(first | second, now.labels == PERSON)
    assert second[:, 28:32].sum() == 160


def test_it_grows_within_the_image() -> None:
    now = semantic((0, 0, 80, 60))
    (mask,) = supported(tracks((0, 0, 20, 20)), now, NOW, SupportConfig(reach=0.5)).masks
    assert painted(mask).sum() == 30 * 30
    (mask,) = supported(tracks((60, 40, 80, 60)), now, NOW, SupportConfig(reach=0.5)).masks
    assert painted(mask).sum() == 30 * 30
