"""Pictures of single frames: what was predicted, what is true, and where they differ."""

from __future__ import annotations

import base64
from collections.abc import Collection, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from seg_perception.evaluation.evaluating import Evaluated
from seg_perception.evaluation.segments import areas
from seg_perception.evaluation.sources import Key
from seg_perception.labels import LabelSpace
from seg_perception.outputs import nearest_centres
from seg_perception.rendering import OPACITY, colourised, shade
from seg_perception.types import UNLABELLED, Int32Array, UInt8Array

PANEL = 480
"""Width of a picture in the report, pixels."""
QUALITY = 72
NAMED = 0.004
"""Part of the picture from which on an instance's id is written on it."""

WRONG, MISSED, INVENTED = (235, 60, 50), (240, 150, 20), (60, 110, 240)
"""Colours of errors: any; of one class, what was not found and what was found in vain."""


@dataclass(frozen=True)
class Look:
    """One frame to draw: the camera's picture (black where there is none), both maps in the common label space."""

    key: Key
    picture: UInt8Array
    true: Int32Array
    predicted: Int32Array


def looks(evaluated: Evaluated, keys: Collection[Key]) -> Iterator[Look]:
    """The frames of ``keys`` (of the truth), in order, at the report's size."""
    wanted = set(keys)
    pictures = dict[Key, UInt8Array]()
    camera = evaluated.pictures.read(wanted) if evaluated.pictures is not None else iter(())
    for key, true, _, predicted in evaluated.sides.maps(wanted):
        if predicted is None:
            continue
        while key not in pictures:
            following = next(camera, None)
            if following is None:
                break
            pictures[following[0]] = following[1]
        size = PANEL, max(1, round(PANEL * true.shape[0] / true.shape[1]))
        picture = pictures.pop(key, None)
        if picture is None:
            picture = np.zeros((*true.shape, 3), np.uint8)
        shrunk = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
        yield Look(key, shrunk, _nearest(true, size), _nearest(predicted, size))


def drawn(picture: UInt8Array, panoptic: Int32Array, labels: LabelSpace) -> UInt8Array:
    """``picture`` ``(H, W, 3)`` uint8 RGB under a panoptic map ``(H, W)`` int32: class colours, every instance in a
    shade of its own within a light outline, the larger ones with their id. Unlabelled pixels are darkened.
    """
    semantic = np.minimum(panoptic & 0xFFFF, UNLABELLED).astype(np.uint8)
    paint = colourised(semantic, labels)
    ids, sizes = areas(panoptic)
    things = [(n, size) for n, size in zip(ids.tolist(), sizes.tolist(), strict=True) if n >> 16 > 0]
    for number, _ in things:
        paint[panoptic == number] = shade(labels.classes[number & 0xFFFF].colour, number >> 16)
    result = np.asarray(cv2.addWeighted(picture, 1 - OPACITY, paint, OPACITY, 0), np.uint8)
    edge = np.zeros(panoptic.shape, np.bool_)
    for axis in (0, 1):
        near = np.roll(panoptic, 1, axis)
        edge |= (near != panoptic) & (np.maximum(near, panoptic) > 0xFFFF)
    result[edge] = result[edge] // 3 + 170
    for number, size in things:
        if size >= NAMED * panoptic.size:
            _name(result, (panoptic == number).view(np.uint8), f"#{number >> 16}")
    return result


def errors(look: Look, label: int | None = None) -> UInt8Array:
    """The grey picture with what is wrong in colour: any wrong class, or of the class ``label`` what was missed and
    what was invented. Pixels that nobody is judged by are dark.
    """
    grey = cv2.cvtColor(look.picture, cv2.COLOR_RGB2GRAY)
    base = np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB), np.uint8)
    true, found = look.true & 0xFFFF, look.predicted & 0xFFFF
    base = (0.6 * base + 60).astype(np.uint8)
    judged = true != UNLABELLED
    base[~judged] = (base[~judged] * 0.35).astype(np.uint8)
    if label is None:
        _paint(base, judged & (true != found), WRONG)
    else:
        _paint(base, judged & (true == label) & (found != label), MISSED)
        _paint(base, judged & (true != label) & (found == label), INVENTED)
    return base


def data_uri(picture: UInt8Array, quality: int = QUALITY) -> str:
    """``(H, W, 3)`` uint8 RGB as a JPEG in a ``data:`` address."""
    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    content = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
    return f"data:image/jpeg;base64,{base64.b64encode(content).decode('ascii')}"


def _nearest(panoptic: Int32Array, size: tuple[int, int]) -> Int32Array:
    rows, columns = nearest_centres(panoptic.shape[0], size[1]), nearest_centres(panoptic.shape[1], size[0])
    return np.ascontiguousarray(panoptic[np.ix_(rows, columns)])


def _paint(picture: UInt8Array, where: NDArray[np.bool_], colour: tuple[int, int, int]) -> None:
    picture[where] = (0.25 * picture[where] + 0.75 * np.array(colour)).astype(np.uint8)


def _name(picture: UInt8Array, mask: UInt8Array, words: str) -> None:
    """Write ``words`` on the thickest part of ``mask``."""
    _, _, _, (x, y) = cv2.minMaxLoc(cv2.distanceTransform(mask, cv2.DIST_L1, 3))
    (width, height), _ = cv2.getTextSize(words, cv2.FONT_HERSHEY_SIMPLEX, 0.4, 1)
    corner = x - width // 2, y + height // 2
    for ink, stroke in (((0, 0, 0), 3), ((255, 255, 255), 1)):
        cv2.putText(picture, words, corner, cv2.FONT_HERSHEY_SIMPLEX, 0.4, ink, stroke, cv2.LINE_AA)
