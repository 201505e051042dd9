"""Things in overlapping views come out once."""

from __future__ import annotations

import numpy as np

from seg_perception.models.geometry import View, views
from seg_perception.models.manifest import Input, Tiles
from seg_perception.models.merging import merge
from seg_perception.types import Instances, Mask

HEIGHT, WIDTH = 100, 250
SPEC = Input(name="x", size=(100, 100), resize="tiles", tiles=Tiles((100, 100), 0.25, whole=True))
LEFT, MIDDLE, RIGHT, WHOLE = views(SPEC, HEIGHT, WIDTH)  # tiles start at 0, 75 and 150


def seen(view: View, *things: tuple[int, int, int, int, float, int]) -> tuple[View, Instances]:
    """What a perfect network finds in ``view`` of rectangles x0 y0 x1 y1 score label."""
    boxes, scores, labels, masks = [], [], [], []
    for x0, y0, x1, y1, score, label in things:
        x0, x1 = max(x0, view.x.start), min(x1, view.x.start + view.x.length)
        if x1 > x0:
            boxes.append((x0, y0, x1, y1))
            scores.append(score)
            labels.append(label)
            masks.append(Mask(x0, y0, np.ones((y1 - y0, x1 - x0), np.bool_)))
    if not boxes:
        return view, Instances.empty()
    return view, Instances(np.float32(boxes), np.float32(scores), np.uint8(labels), tuple(masks))


def merged(*found: tuple[View, Instances]) -> list[tuple[float, ...]]:
    result = merge(found, HEIGHT, WIDTH, 0.6)
    for box, mask in zip(result.boxes, result.masks, strict=True):
        assert (mask.x, mask.y) == (box[0], box[1])
        assert mask.bits.shape == (box[3] - box[1], box[2] - box[0])
        assert mask.bits.all()
    rows = zip(result.boxes.tolist(), result.labels.tolist(), strict=True)
    return sorted((*box, label) for box, label in rows)


def test_tiles_are_where_this_file_thinks() -> None:
    assert [v.x.start for v in (LEFT, MIDDLE, RIGHT, WHOLE)] == [0, 75, 150, 0]


def test_a_thing_in_the_overlap_that_both_see_whole() -> None:
    thing = (80, 20, 94, 60, 0.9, 1)
    assert merged(seen(LEFT, thing), seen(MIDDLE, thing)) == [(80, 20, 94, 60, 1)]


def test_a_thing_cut_in_one_view_and_whole_in_the_other() -> None:
    thing = (82, 20, 140, 60, 0.6, 1)
    assert merged(seen(LEFT, (*thing[:4], 0.95, 1)), seen(MIDDLE, thing)) == [(82, 20, 140, 60, 1)]


def test_a_thing_cut_in_both_views_is_put_together() -> None:
    thing = (40, 20, 160, 60, 0.6, 1)
    assert merged(seen(LEFT, thing), seen(MIDDLE, thing)) == [(40, 20, 160, 60, 1)]


def test_a_thing_across_three_views_is_one() -> None:
    thing = (40, 20, 220, 60, 0.6, 1)
    assert merged(seen(LEFT, thing), seen(MIDDLE, thing), seen(RIGHT, thing)) == [(40, 20, 220, 60, 1)]


def test_the_whole_view_replaces_the_pieces_of_a_large_thing() -> None:
    thing = (40, 20, 220, 60, 0.6, 1)
    found = seen(LEFT, thing), seen(MIDDLE, thing), seen(RIGHT, thing), seen(WHOLE, (*thing[:4], 0.4, 1))
    assert merged(*found) == [(40, 20, 220, 60, 1)]


def test_neighbours_and_other_classes_stay_apart() -> None:
    a, b, c = (10, 20, 85, 60, 0.9, 1), (86, 20, 140, 60, 0.8, 1), (80, 20, 94, 60, 0.7, 2)
    found = merged(seen(LEFT, a, b, c), seen(MIDDLE, a, b, c))
    assert found == [(10, 20, 85, 60, 1), (80, 20, 94, 60, 2), (86, 20, 140, 60, 1)]


def test_a_small_whole_thing_in_front_of_a_large_one_stays() -> None:
    large, small = (20, 10, 230, 90, 0.9, 1), (110, 30, 130, 50, 0.8, 1)
    found = merge([seen(MIDDLE, small), seen(WHOLE, large)], HEIGHT, WIDTH, 0.6)
    assert len(found) == 2


def test_nothing_anywhere() -> None:
    assert len(merge([seen(LEFT), seen(MIDDLE)], HEIGHT, WIDTH, 0.6)) == 0


def test_a_half_inside_a_better_find_of_the_same_view_is_a_double() -> None:
    whole, half, other = (100, 20, 160, 80, 0.7, 1), (102, 50, 150, 80, 0.4, 1), (102, 50, 150, 80, 0.4, 2)
    assert len(merge([seen(WHOLE, whole, half)], HEIGHT, WIDTH, 0.6)) == 1
    assert len(merge([seen(WHOLE, whole, other)], HEIGHT, WIDTH, 0.6)) == 2
