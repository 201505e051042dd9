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
from seg_perception.rendering import overlay
from seg_perception.types import UNLABELLED, Int32Array, Mask, PanopticMap, Tracks, UInt8Array

PANEL = 480
"""Width of a picture in the report, pixels."""
QUALITY = 72

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


def drawn(picture: UInt8Array, panoptic: Int32Array, labels: LabelSpace, smallest: int = 0) -> UInt8Array:
    """``picture`` ``(H, W, 3)`` uint8 RGB under a panoptic map ``(H, W)`` int32, as the node's overlay shows it; things
    of fewer than ``smallest`` pixels are not named.
    """
    ids, sizes = areas(panoptic)
    numbers = ids[(ids >> 16 > 0) & (sizes >= smallest)].tolist()
    corners = [cv2.boundingRect((panoptic == n).view(np.uint8)) for n in numbers]
    tracks = Tracks(
        track_ids=np.array([n >> 16 for n in numbers], np.int32),
        boxes=np.array([(x, y, x + w, y + h) for x, y, w, h in corners], np.float32).reshape(-1, 4),
        scores=np.ones(len(numbers), np.float32),
        labels=np.array([n & 0xFF for n in numbers], np.uint8),
        masks=tuple(Mask(0, 0, np.zeros((0, 0), np.bool_)) for _ in numbers),
        seen=np.zeros(len(numbers), np.int64),
        visible=np.ones(len(numbers), np.bool_),
    )
    semantic = (panoptic & 0xFF).astype(np.uint8)
    return overlay(picture, PanopticMap(semantic, np.full_like(semantic, 255), panoptic), tracks, labels)


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
