"""Pictures for people: right where it counts (what is painted where), whole at the edges."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seg_perception.errors import InputError
from seg_perception.labels import LabelSpace
from seg_perception.rendering import OPACITY, colourised, contact_sheet, overlay, shade
from seg_perception.types import NANOSECONDS, Mask, PanopticMap, Tracks, UInt8Array

LABELS = LabelSpace.load("navigation")
ROAD, PERSON, VEHICLE = (LABELS.id(n) for n in ("road", "person", "vehicle"))


def plain(height: int, width: int, label: int = ROAD) -> PanopticMap:
    semantic = np.full((height, width), label, np.uint8)
    return PanopticMap(semantic, np.full_like(semantic, 200), semantic.astype(np.int32))


def with_instances(panoptic: PanopticMap, *things: tuple[int, int, tuple[int, int, int, int]]) -> PanopticMap:
    """Paint ``(track id, label, box)``, each filling its box."""
    labels = panoptic.panoptic.copy()
    for track_id, label, (x0, y0, x1, y1) in things:
        labels[y0:y1, x0:x1] = track_id << 16 | label
    return PanopticMap((labels & 0xFFFF).astype(np.uint8), panoptic.confidence, labels)


def tracks(*things: tuple[int, int, tuple[float, float, float, float]], seen: int = 0) -> Tracks:
    n = len(things)
    return Tracks(
        np.array([t[0] for t in things], np.int32),
        np.array([t[2] for t in things], np.float32).reshape(n, 4),
        np.full(n, 0.87, np.float32),
        np.array([t[1] for t in things], np.uint8),
        tuple(Mask(0, 0, np.zeros((0, 0), np.bool_)) for _ in things),
        np.full(n, seen, np.int64),
        np.ones(n, np.bool_),
    )


def noise(height: int, width: int) -> UInt8Array:
    return np.random.default_rng(7).integers(0, 256, (height, width, 3), np.uint8)


def blended(image: UInt8Array, colour: UInt8Array | tuple[int, int, int]) -> UInt8Array:
    exact = image.astype(float) * (1 - OPACITY) + np.asarray(colour, float) * OPACITY
    return np.round(exact).astype(np.uint8)


def assert_close(a: UInt8Array, b: UInt8Array) -> None:
    assert a.shape == b.shape
    assert a.size
    assert np.abs(a.astype(int) - b).max() <= 1


def test_class_colours() -> None:
    semantic = np.random.default_rng(3).integers(0, 256, (30, 40), np.uint8)
    picture = colourised(semantic, LABELS)
    assert picture.dtype == np.uint8
    np.testing.assert_array_equal(picture, LABELS.colours[semantic])


def test_without_tracks_it_is_image_and_class_colour() -> None:
    image = noise(50, 60)
    semantic = np.random.default_rng(3).integers(0, len(LABELS), (50, 60), np.uint8)
    semantic[:10] = 255
    panoptic = PanopticMap(semantic, np.zeros_like(semantic), semantic.astype(np.int32))
    before = image.copy()
    image.setflags(write=False)
    picture = overlay(image, panoptic, Tracks.empty(), LABELS)
    assert_close(picture, blended(image, LABELS.colours[semantic]))
    assert picture[:10].mean() < 0.6 * image[:10].mean()
    np.testing.assert_array_equal(image, before)
    np.testing.assert_array_equal(panoptic.semantic, semantic)


def test_padded_rows_are_fine() -> None:
    message = np.zeros((50, 60 * 3 + 13), np.uint8)
    image = message[:, :180].reshape(50, 60, 3)
    image[...] = noise(50, 60)
    expected = overlay(noise(50, 60), plain(50, 60), Tracks.empty(), LABELS)
    np.testing.assert_array_equal(overlay(image, plain(50, 60), Tracks.empty(), LABELS), expected)


def test_each_instance_has_its_shade_and_the_ground_keeps_its_own() -> None:
    things = ((1, PERSON, (20, 60, 60, 160)), (2, PERSON, (100, 60, 140, 160)), (3, VEHICLE, (180, 90, 300, 160)))
    image = np.full((200, 320, 3), 128, np.uint8)
    picture = overlay(image, with_instances(plain(200, 320), *things), tracks(*things), LABELS)
    for track_id, label, (x0, y0, x1, y1) in things:
        colour = shade(LABELS.classes[label].colour, track_id)
        inside = slice(y0 + 30, y1 - 3), slice(x0 + 3, x1 - 3)
        assert_close(picture[inside], blended(image[inside], colour))
        # A light outline runs along the edge and does not leave it.
        assert picture[y0 + 50, x0].min() > picture[y0 + 50, x0 + 5].min()
        outside = slice(y0 + 30, y1), slice(x1 + 3, x1 + 10)
        assert_close(picture[outside], blended(image[outside], LABELS.classes[ROAD].colour))


def test_hidden_and_unconfirmed_tracks_are_class_colour_only() -> None:
    thing = (5, PERSON, (20, 60, 60, 160))
    image = noise(200, 320)
    unconfirmed = with_instances(plain(200, 320), (0, *thing[1:]))
    expected = blended(image, LABELS.colours[unconfirmed.semantic])
    assert_close(overlay(image, unconfirmed, tracks((0, *thing[1:])), LABELS), expected)
    hidden = replace(tracks(thing), visible=np.zeros(1, np.bool_))
    assert_close(overlay(image, plain(200, 320), hidden, LABELS), blended(image, LABELS.colours[ROAD]))


def test_a_carried_tracks_tag_says_its_age() -> None:
    thing = (5, PERSON, (20, 60, 60, 160))
    scene = (noise(200, 320), with_instances(plain(200, 320), thing), tracks(thing, seen=NANOSECONDS), LABELS)
    fresh = overlay(*scene)
    np.testing.assert_array_equal(overlay(*scene, stamp=NANOSECONDS), fresh)
    carried = overlay(*scene, stamp=NANOSECONDS * 7 // 5)
    changed = np.argwhere((carried != fresh).any(axis=2))
    assert len(changed) > 20
    assert changed[:, 0].max() < 70  # only the tag is wider


@pytest.mark.parametrize("factor", [2, 3])
def test_a_smaller_panoptic_map_is_enlarged(factor: int) -> None:
    height, width = 60, 80
    labels = np.random.default_rng(5).integers(0, len(LABELS), (height, width), np.uint8)
    small = PanopticMap(labels, np.zeros_like(labels), labels.astype(np.int32))
    image = noise(height * factor, width * factor)
    enlarged = labels.repeat(factor, axis=0).repeat(factor, axis=1)
    assert_close(overlay(image, small, Tracks.empty(), LABELS), blended(image, LABELS.colours[enlarged]))


def test_instances_of_a_smaller_map_land_in_place() -> None:
    image = np.full((400, 640, 3), 128, np.uint8)
    thing = (9, VEHICLE, (50, 60, 150, 120))
    picture = overlay(image, with_instances(plain(200, 320), thing), tracks(thing), LABELS)
    colour = shade(LABELS.classes[VEHICLE].colour, 9)
    assert_close(picture[170:236, 106:294], blended(image[170:236, 106:294], colour))
    assert_close(picture[244:, :], blended(image[244:, :], LABELS.classes[ROAD].colour))


def test_tags_do_not_hide_each_other() -> None:
    """Tracks at one place: every tag's background is to be seen."""
    things = tuple((i, PERSON, (40, 100, 44, 104)) for i in range(1, 5))
    picture = overlay(np.zeros((300, 400, 3), np.uint8), plain(300, 400), tracks(*things), LABELS)
    areas = [int((picture == shade(LABELS.classes[PERSON].colour, i)).all(axis=2).sum()) for i in range(1, 5)]
    assert min(areas) > 0.8 * max(areas) > 300


BOX = st.tuples(*[st.floats(-500, 500, width=32)] * 4).map(
    lambda b: (*np.minimum(b[:2], b[2:]), *np.maximum(b[:2], b[2:]))
)


@settings(deadline=None)
@given(
    st.integers(1, 90),
    st.integers(1, 120),
    st.lists(st.tuples(st.integers(0, 32767), st.sampled_from([PERSON, VEHICLE]), BOX), max_size=5),
)
def test_boxes_anywhere_and_small_images(
    height: int, width: int, things: list[tuple[int, int, tuple[float, float, float, float]]]
) -> None:
    picture = overlay(noise(height, width), plain(height, width), tracks(*things), LABELS, stamp=NANOSECONDS)
    assert picture.shape == (height, width, 3)
    assert picture.dtype == np.uint8


def test_more_instances_than_palette_entries() -> None:
    space = LabelSpace.load("ade20k")
    person = space.id("person")
    things = tuple(
        (i + 1, person, (4 * (i % 50), 10 * (i // 50), 4 * (i % 50) + 3, 10 * (i // 50) + 9)) for i in range(200)
    )
    panoptic = with_instances(plain(60, 220, space.id("road")), *things)
    assert overlay(noise(60, 220), panoptic, tracks(*things), space).shape == (60, 220, 3)


def test_shades_are_stable_and_tell_neighbours_apart() -> None:
    colour = LABELS.classes[VEHICLE].colour
    assert shade(colour, 7) == (100, 176, 255)
    shades = np.array([shade(colour, i) for i in range(1, 200)], int)
    assert np.abs(np.diff(shades, axis=0)).sum(axis=1).min() > 60
    assert len({tuple(s) for s in shades.tolist()}) > 150
    # Whatever the number, a vehicle stays bluish and a person reddish.
    assert (shades[:, 2] == shades.max(axis=1)).mean() > 0.8


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(1, 12), st.integers(1, 12)), min_size=1, max_size=9), st.integers(1, 12))
def test_every_picture_is_on_the_sheet(sizes: list[tuple[int, int]], columns: int) -> None:
    pictures = [np.full((h, w, 3), 100 + i, np.uint8) for i, (h, w) in enumerate(sizes)]
    sheet = contact_sheet(pictures, columns)
    for i, (h, w) in enumerate(sizes):
        there = np.argwhere((sheet == 100 + i).all(axis=2))
        assert len(there) == h * w
        assert (there.max(axis=0) - there.min(axis=0) + 1).tolist() == [h, w]
    rows = -(-len(sizes) // columns)
    first = [np.argwhere((sheet == 100 + i).all(axis=2)).mean(axis=0) for i in range(len(sizes))]
    assert len({round(centre[0] // (sheet.shape[0] / rows)) for centre in first}) == rows


@pytest.mark.parametrize(("count", "columns"), [(0, 3), (2, 0), (2, -1)])
def test_an_empty_sheet_is_refused(count: int, columns: int) -> None:
    with pytest.raises(InputError, match=f"{count} pictures in {columns} columns: expected at least 1"):
        contact_sheet([noise(4, 4)] * count, columns)


def test_on_a_real_frame(data: Path) -> None:
    bgr = cv2.imread(str(data / "kitti_seq" / "image_02" / "000020.jpg"))
    image = np.asarray(bgr)[..., ::-1].astype(np.uint8)
    car = (3, VEHICLE, (553, 195, 725, 338))
    picture = overlay(image, with_instances(plain(*image.shape[:2]), car), tracks(car), LABELS, stamp=NANOSECONDS)
    inside = slice(240, 330), slice(560, 720)
    assert_close(picture[inside], blended(image[inside], shade(LABELS.classes[VEHICLE].colour, 3)))
