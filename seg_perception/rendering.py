"""Pictures for people: class colours, an overlay with instances and their names, a sheet of many pictures."""

from __future__ import annotations

import colorsys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import cycle

import cv2
import numpy as np
from numpy.typing import NDArray

from seg_perception.errors import InputError
from seg_perception.labels import LabelSpace
from seg_perception.types import UNLABELLED, BoolArray, PanopticMap, Tracks, UInt8Array

Colour = tuple[int, int, int]

OPACITY = 0.45
"""Share of the class colour in the overlay; the rest is the image."""

_FONT = cv2.FONT_HERSHEY_SIMPLEX


@dataclass(frozen=True, slots=True)
class _Instance:
    """One painted track: its pixels (``mask`` inside ``window`` of the panoptic map), and in image pixels its outlines
    and the upper left corner of its box.
    """

    shade: Colour
    window: tuple[slice, slice]
    mask: BoolArray
    outlines: tuple[NDArray[np.float64], ...]
    corner: tuple[float, float]
    tag: str


def colourised(semantic: UInt8Array, labels: LabelSpace) -> UInt8Array:
    """``semantic`` ``(H, W)`` uint8 in the colours of ``labels``: ``(H, W, 3)`` uint8 RGB, unlabelled black."""
    return _painted(semantic, labels.colours)


def overlay(
    image: UInt8Array, panoptic: PanopticMap, tracks: Tracks, labels: LabelSpace, stamp: int | None = None
) -> UInt8Array:
    """The image ``(H, W, 3)`` uint8 RGB under class colours, each instance in a shade of its own that stays with its
    track id, outlined and named; a new picture of the image's size.

    ``panoptic`` may be of another size than ``image``; the boxes of ``tracks`` are in its pixels. Every confirmed and
    visible track is tagged with class, id and score and, where ``stamp`` (the frame's, in nanoseconds) is later than
    the frame in which the instance network last saw it, with how long ago that was. Unlabelled pixels are darkened.
    """
    height, width = image.shape[:2]
    rows, columns = panoptic.semantic.shape
    instances = tuple(_instances(panoptic, tracks, labels, stamp, (width / columns, height / rows)))
    # An instance's shade is a palette entry above the classes' own, so that instances cost no pass of their own.
    index, palette = panoptic.semantic.copy(), labels.colours.copy()
    for entry, instance in zip(cycle(range(len(labels), UNLABELLED)), instances, strict=False):
        palette[entry] = instance.shade
        index[instance.window][instance.mask] = entry
    if (rows, columns) != (height, width):
        index = np.asarray(cv2.resize(index, (width, height), interpolation=cv2.INTER_NEAREST_EXACT), np.uint8)
    picture = _painted(index, palette)
    cv2.addWeighted(image, 1 - OPACITY, picture, OPACITY, 0, dst=picture)
    _draw_outlines(picture, instances)
    _draw_tags(picture, instances)
    return picture


def contact_sheet(pictures: Sequence[UInt8Array], columns: int) -> UInt8Array:
    """The ``(H, W, 3)`` uint8 pictures row by row, ``columns`` to a row, on a dark ground: ``(H, W, 3)`` uint8.

    Each cell is as large as the largest picture; smaller ones are centred, not scaled. Raises :class:`InputError` for
    no pictures or no columns.
    """
    if not pictures or columns < 1:
        raise InputError(f"a contact sheet of {len(pictures)} pictures in {columns} columns: expected at least 1 and 1")
    height, width = (max(p.shape[axis] for p in pictures) for axis in (0, 1))
    columns = min(columns, len(pictures))
    rows = -(-len(pictures) // columns)
    gap = max(2, round(min(height, width) / 100))
    sheet = np.full((rows * (height + gap) + gap, columns * (width + gap) + gap, 3), 24, np.uint8)
    for i, picture in enumerate(pictures):
        row, column = divmod(i, columns)
        y = gap + row * (height + gap) + (height - picture.shape[0]) // 2
        x = gap + column * (width + gap) + (width - picture.shape[1]) // 2
        sheet[y : y + picture.shape[0], x : x + picture.shape[1]] = picture
    return sheet


@lru_cache(maxsize=4096)
def shade(colour: Colour, track_id: int) -> Colour:
    """The class colour varied by track id: neighbouring ids differ clearly, and one id always looks the same."""
    hue, _, saturation = colorsys.rgb_to_hls(*(channel / 255 for channel in colour))
    # Two steps of the plastic number's sequence spread successive ids evenly over hue and lightness together.
    first, second = (track_id * 0.7548776662466927) % 1.0, (track_id * 0.5698402909980532) % 1.0
    hue, lightness = (hue + 0.2 * (first - 0.5)) % 1.0, 0.4 + 0.3 * second
    red, green, blue = (round(255 * c) for c in colorsys.hls_to_rgb(hue, lightness, max(saturation, 0.75)))
    return red, green, blue


def _painted(index: UInt8Array, palette: UInt8Array) -> UInt8Array:
    # applyColorMap is OpenCV's fastest table of one channel to three; it does not care what order the three are in.
    return np.asarray(cv2.applyColorMap(index, palette[:, np.newaxis]), np.uint8)


def _instances(
    panoptic: PanopticMap, tracks: Tracks, labels: LabelSpace, stamp: int | None, scale: tuple[float, float]
) -> Iterator[_Instance]:
    """Every confirmed and visible track; ``scale`` (x, y) leads from the panoptic map's pixels to the image's."""
    for i in np.flatnonzero((tracks.track_ids > 0) & tracks.visible).tolist():
        track_id, label = int(tracks.track_ids[i]), int(tracks.labels[i])
        window = _around(tracks.boxes[i], panoptic.semantic.shape)
        mask = panoptic.panoptic[window] == (track_id << 16 | label)
        found = cv2.findContours(mask.view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0] if mask.any() else ()
        centre = (window[1].start + 0.5, window[0].start + 0.5)
        # Fewer points draw many times faster, and without the staircase of the pixels.
        outlines = tuple((cv2.approxPolyDP(line, 0.7, True)[:, 0] + centre) * scale - 0.5 for line in found)
        corner = (float(tracks.boxes[i, 0]) * scale[0], float(tracks.boxes[i, 1]) * scale[1])
        age = 0 if stamp is None else stamp - int(tracks.seen[i])
        ago = f" {age / 1e9:.1f}s ago" if age > 0 else ""
        tag = f"{labels.classes[label].name} #{track_id} {tracks.scores[i]:.2f}{ago}"
        yield _Instance(shade(labels.classes[label].colour, track_id), window, mask, outlines, corner, tag)


def _around(box: NDArray[np.float32], shape: tuple[int, ...]) -> tuple[slice, slice]:
    """Rows and columns of the box and a quarter of its size more on each side: masks seldom leave their box, and one
    that a prediction moved may.
    """
    x0, y0, x1, y1 = box.tolist()
    return _span(y0, y1, shape[0]), _span(x0, x1, shape[1])


def _span(low: float, high: float, most: int) -> slice:
    more = (high - low) / 4 + 2
    return slice(int(min(max(low - more, 0), most)), int(min(max(high + more, 0), most)))


def _draw_outlines(picture: UInt8Array, instances: Sequence[_Instance]) -> None:
    thickness = max(1, round(min(picture.shape[:2]) / 720))
    for instance in instances:
        light = tuple((channel + 2 * 255) // 3 for channel in instance.shade)
        fixed_point = [np.round(outline * 8).astype(np.int32) for outline in instance.outlines]
        cv2.polylines(picture, fixed_point, True, light, thickness, cv2.LINE_AA, shift=3)


def _draw_tags(picture: UInt8Array, instances: Sequence[_Instance]) -> None:
    """Write the tags above their boxes' upper left corners, moved down where they would hide each other."""
    height, width = picture.shape[:2]
    size = max(0.4, min(height, width) / 1440)
    stroke = max(1, round(size * 1.6))
    taken: list[tuple[int, int, int, int]] = []
    for instance in instances:
        (text_width, text_height), below = cv2.getTextSize(instance.tag, _FONT, size, stroke)
        margin = max(2, round(text_height / 4))
        w, h = text_width + 2 * margin, text_height + below + margin
        x = int(np.clip(instance.corner[0], 0, max(0, width - w)))
        y = int(np.clip(instance.corner[1] - h, 0, max(0, height - h)))
        while y + h <= height and any(x < r and left < x + w and y < b and t < y + h for left, t, r, b in taken):
            y += h // 2
        y = min(y, max(0, height - h))
        taken.append((x, y, x + w, y + h))
        cv2.rectangle(picture, (x, y), (x + w, y + h), instance.shade, cv2.FILLED)
        bright = np.dot(instance.shade, (0.299, 0.587, 0.114)) > 140
        ink = (0, 0, 0) if bright else (255, 255, 255)
        cv2.putText(picture, instance.tag, (x + margin, y + h - below), _FONT, size, ink, stroke, cv2.LINE_AA)
