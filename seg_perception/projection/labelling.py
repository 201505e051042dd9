"""What the masks say about points: class, instance and confidence of each, with care for what the camera cannot see.

A LiDAR looks from another place than the camera: past the edge of a near thing it hits a surface that the camera sees
the thing in front of. Such a hidden point lands on the thing's mask, behind the thing's own points, and must not take
its label. Nothing fills the gaps between a LiDAR's beams, so that a depth buffer of single pixels would be full of
holes; here its cells are as large as the points are apart, and each segment of the mask has cells of its own: a near
thing hides what lands on its own mask and nothing beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from seg_perception.labels import LabelSpace
from seg_perception.projection.camera import Camera
from seg_perception.schema import option
from seg_perception.types import (
    MAX_TRACK_ID,
    UNLABELLED,
    BoolArray,
    Float32Array,
    Int32Array,
    LabelledPoints,
    PanopticMap,
    UInt8Array,
)

_SMALLEST_CELL, _LARGEST_CELL = 3.0, 16.0
_MOST_CELLS = 256
"""Sizes of a cell in pixels, and how many cells an image may be wide."""
_SHARE = 0.7
"""Size of a cell in mean distances between points."""
_STUFF = 3.0
"""How much more than a thing's points stuff's may lie apart: walls lean away, hedges are deep."""
_FAR = np.float32(1e9)


@dataclass(frozen=True)
class LabellingConfig:
    """When a point takes the label of the pixel that it lands on."""

    border: float = option(
        0.0, "points closer than this many pixels to the border of a mask are left unlabelled", ge=0.0, le=32.0
    )
    hidden_margin: float = option(
        0.7,
        "metres by which a point must lie behind the nearest ones on the same mask to count as hidden from the camera; "
        "infinite: none does",
        ge=0.0,
        le=np.inf,
    )
    hidden_share: float = option(0.1, "the same as a part of the distance; both add up", ge=0.0, le=10.0)


@dataclass(frozen=True)
class Kinds:
    """Tables by class id, ``(256,)`` bool each: ``things`` can be counted; ``upright`` are the other classes that can
    stand in front of something, so not the ground.
    """

    things: BoolArray
    upright: BoolArray

    @classmethod
    def of(cls, labels: LabelSpace) -> Kinds:
        """What blocks the way (cost 100) stands up."""
        upright = np.zeros(256, np.bool_)
        upright[: len(labels)] = [c.cost == 100 for c in labels.classes]
        return cls(labels.things, upright & ~labels.things)


def label_points(
    xyz: Float32Array,
    optical: Float32Array,
    camera: Camera,
    masks: PanopticMap,
    kinds: Kinds,
    config: LabellingConfig,
) -> LabelledPoints:
    """Label the points ``xyz`` ``(N, 3)``, which lie at ``optical`` ``(N, 3)`` in the frame of ``camera`` at the masks'
    stamp.

    A point takes the label of the pixel that it lands on, or of the next one where it lies behind what the pixel shows;
    out of view, hidden, missing, or too close to a border it is unlabelled.
    """
    u, v, depth = camera.project(optical)
    with np.errstate(invalid="ignore"):
        seen = np.flatnonzero((u >= 0) & (v >= 0) & (u < camera.width) & (v < camera.height))
    if len(seen) < len(xyz):
        u, v, depth = u.take(seen), v.take(seen), depth.take(seen)
    pixels = v.astype(np.int32) * camera.width + u.astype(np.int32)
    hits = _Hits(u, v, depth, pixels, masks.semantic.ravel().take(pixels), np.zeros(len(seen), np.int32))
    # Few points hit things, and the map of ids is four times as large as that of classes: it is asked for those alone.
    things = np.flatnonzero(kinds.things.take(hits.labels))
    hits.instances[things] = masks.panoptic.ravel().take(pixels[things]) >> 16
    hidden = np.flatnonzero(_hidden(hits, camera, kinds, config))
    if len(hidden):
        _step_aside(hits, hidden, masks, kinds)
    confidence = masks.confidence.ravel().take(hits.pixels)
    confidence[hits.labels == UNLABELLED] = 0
    if config.border > 0:
        near = _near_border(masks, config.border).ravel().take(pixels)
        hits.labels[near], hits.instances[near], confidence[near] = UNLABELLED, 0, 0
    if len(seen) == len(xyz):
        return LabelledPoints(xyz, hits.labels, hits.instances, confidence)
    labels = np.full(len(xyz), UNLABELLED, np.uint8)
    instances, confidences = np.zeros(len(xyz), np.int32), np.zeros(len(xyz), np.uint8)
    labels[seen], instances[seen], confidences[seen] = hits.labels, hits.instances, confidence
    return LabelledPoints(xyz, labels, instances, confidences)


class _Hits(NamedTuple):
    """The points in view: where they land, and what is there; ``(M,)`` each."""

    u: Float32Array
    v: Float32Array
    depth: Float32Array
    pixels: Int32Array
    labels: UInt8Array
    instances: Int32Array


def label_pixels(xyz: Float32Array, masks: PanopticMap, config: LabellingConfig) -> LabelledPoints:
    """Label organised points ``(H * W, 3)``, one for each pixel of ``masks``: the pixel's, but near borders."""
    labels, confidence = masks.semantic.ravel(), masks.confidence.ravel()
    instances = (masks.panoptic >> 16).ravel()
    if config.border > 0:
        keep = ~_near_border(masks, config.border).ravel()
        labels = np.where(keep, labels, np.uint8(UNLABELLED))
        instances, confidence = instances * keep, confidence * keep
    return LabelledPoints(xyz, labels, instances, confidence)


def _hidden(hits: _Hits, camera: Camera, kinds: Kinds, config: LabellingConfig) -> BoolArray:
    """Which points lie behind nearer ones of the segment they land on.

    For a thing the nearest point in the cells around counts. Stuff is wide and may lean away, so that a near point is
    no reason by itself: there the nearer points must be on both sides.
    """
    hidden = np.zeros(len(hits.depth), np.bool_)
    solid = np.flatnonzero((kinds.things | kinds.upright).take(hits.labels))
    if not len(solid) or np.isinf(config.hidden_margin):
        return hidden
    spacing = np.sqrt(camera.width * camera.height / len(hits.depth))
    size = float(np.clip(_SHARE * spacing, max(_SMALLEST_CELL, camera.width / _MOST_CELLS), _LARGEST_CELL))
    depth, labels = hits.depth[solid], hits.labels[solid]
    row, rows = _stacked(_numbered(labels, hits.instances[solid]), (hits.v[solid] / size).astype(np.intp))
    columns = int(camera.width / size) + 1
    cell = row * columns + (hits.u[solid] / size).astype(np.intp)
    near = np.full((rows, columns), _FAR, np.float32)
    np.minimum.at(near.ravel(), cell, depth)
    around = _least(near, 3, 3).ravel().take(cell) * (1 + config.hidden_share) + config.hidden_margin
    between = _between(near).ravel().take(cell) * (1 + _STUFF * config.hidden_share) + _STUFF * config.hidden_margin
    hidden[solid] = depth > np.where(kinds.things.take(labels), around, between)
    return hidden


def _step_aside(hits: _Hits, hidden: NDArray[np.intp], masks: PanopticMap, kinds: Kinds) -> None:
    """Give ``hidden`` points at the seam of a mask to what is beside it, and leave the others unlabelled: calibration,
    motion and the mask itself are good to about a pixel, and a point behind a thing, a pixel from its outline, belongs
    to what it stands before.
    """
    height, width = masks.semantic.shape
    semantic, own = masks.semantic.ravel(), hits.labels[hidden]
    row, column = np.divmod(hits.pixels[hidden], width)
    hits.labels[hidden], hits.instances[hidden] = UNLABELLED, 0
    for down, across in ((0, -1), (0, 1), (-1, 0), (1, 0)):
        beside = np.clip(row + down, 0, height - 1) * width + np.clip(column + across, 0, width - 1)
        other = semantic.take(beside)
        moves = (hits.labels[hidden] == UNLABELLED) & (other != own) & ~kinds.things.take(other)
        hits.pixels[hidden[moves]], hits.labels[hidden[moves]] = beside[moves], other[moves]


def _numbered(labels: UInt8Array, instances: Int32Array) -> NDArray[np.intp]:
    """Segments as numbers from 0 on: things by id, the rest by class."""
    key = np.where(instances > 0, instances, (MAX_TRACK_ID + 1) + labels.astype(np.int32))
    there = np.zeros(MAX_TRACK_ID + 257, np.bool_)
    there[key] = True
    return (np.cumsum(there) - 1).take(key)


def _stacked(segments: NDArray[np.intp], rows: NDArray[np.intp]) -> tuple[NDArray[np.intp], int]:
    """Where each segment has cells of its own: one below the other in one image, each as high as it must be and with an
    empty row after it. Returns each point's row there, and how many there are.
    """
    count = int(segments.max()) + 1
    first, last = np.full(count, np.iinfo(np.intp).max), np.zeros(count, np.intp)
    np.minimum.at(first, segments, rows)
    np.maximum.at(last, segments, rows)
    ends = np.cumsum(last - first + 2)
    starts = ends - (last - first + 2) - first
    return rows + starts.take(segments), int(ends[-1])


def _least(image: Float32Array, height: int, width: int) -> Float32Array:
    """The least value in the window around each cell."""
    kernel = np.ones((height, width), np.uint8)
    least = cv2.erode(image, kernel, borderType=cv2.BORDER_CONSTANT, borderValue=float(_FAR))
    return np.asarray(least, np.float32)


def _between(near: Float32Array) -> Float32Array:
    """The farther of the nearest points to the left and the right of a cell, or of those above and below; the nearer of
    the two.
    """
    across = np.pad(_least(near, 3, 1), ((0, 0), (1, 1)), constant_values=_FAR)
    along = np.pad(_least(near, 1, 3), ((1, 1), (0, 0)), constant_values=_FAR)
    return np.minimum(np.maximum(across[:, :-2], across[:, 2:]), np.maximum(along[:-2], along[2:]))


def _near_border(masks: PanopticMap, distance: float) -> BoolArray:
    """Which pixels lie within ``distance`` of one of another class or instance."""
    segments = masks.panoptic
    border = np.zeros(segments.shape, np.uint8)
    for here, there in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])):
        differs = segments[here] != segments[there]
        border[here] |= differs
        border[there] |= differs
    away = cv2.distanceTransform(1 - border, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(away + 1 <= distance)
