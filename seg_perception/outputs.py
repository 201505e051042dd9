"""What is published for one frame: one table from topic to message, shared by the node and the offline runner.

Every builder takes a :class:`View` (the result of one frame, at the size it goes out, plus what is fixed while
configured) and returns one record. Masks that nobody asked for are never built: the caller decides by the table's
``demand``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Generic, Literal, TypeVar

import cv2
import numpy as np

from seg_perception import records
from seg_perception.labels import LabelSpace
from seg_perception.rendering import overlay
from seg_perception.types import CameraModel, Frame, PanopticMap, Perception, Tracks, UInt8Array


@dataclass(frozen=True)
class View:
    """One frame's outcome, ready to be written: ``frame`` is the source image; ``panoptic``, the boxes of ``tracks``
    and ``camera`` (where known) are in the output's pixels. The tracks' masks stay in the image's: nothing sends them.
    """

    frame: Frame
    panoptic: PanopticMap
    tracks: Tracks
    labels: LabelSpace
    camera: CameraModel | None

    @property
    def header(self) -> records.Header:
        """The source image's stamp and frame."""
        return records.Header.of(self.frame.stamp, self.frame.frame_id)


V = TypeVar("V", contravariant=True)


@dataclass(frozen=True)
class Output(Generic[V]):
    """One topic below the camera's namespace: how its message is made from a ``V``, and when (``always``, or only while
    somebody subscribes).
    """

    topic: str
    type: str
    build: Callable[[V], records.Record | None]
    demand: Literal["always", "subscribed"] = "always"


def table(labels: LabelSpace) -> tuple[Output[View], ...]:
    """Every per-frame output for a label space, in publishing order: masks that planners wait for come first."""
    fixed = (
        Output("semantic/image_raw", records.Image.TYPE, _semantic),
        Output("panoptic/image_raw", records.Image.TYPE, _panoptic),
        Output("semantic/confidence", records.Image.TYPE, _confidence),
        Output("semantic/camera_info", records.CameraInfo.TYPE, _camera_info),
        Output("detections", records.Detection2DArray.TYPE, _detections),
        Output("semantic/image_raw/compressed", records.CompressedImage.TYPE, _semantic_png, "subscribed"),
    )
    groups = tuple(
        Output(f"masks/{name}", records.Image.TYPE, partial(_group, labels.group_table(name)), "subscribed")
        for name in labels.groups
    )
    people = (
        Output("overlay/image_raw", records.Image.TYPE, _overlay, "subscribed"),
        Output("overlay/image_raw/compressed", records.CompressedImage.TYPE, _overlay_jpeg, "subscribed"),
    )
    return fixed + groups + people


def label_info(labels: LabelSpace, stamp: int, frame_id: str) -> records.LabelInfo:
    """What ``semantic/label_info`` latches once per activation: every class, 255 not among them."""
    names = tuple(records.VisionClass(c.id, c.name) for c in labels.classes)
    return records.LabelInfo(records.Header.of(stamp, frame_id), names, 0.0)


LABEL_INFO_TOPIC = "semantic/label_info"


def view(
    frame: Frame, result: Perception, labels: LabelSpace, camera: CameraModel | None, size: tuple[int, int] | None
) -> View:
    """Bring ``result`` to ``size`` (width, height; None keeps the image's) by pixel-centre nearest neighbour, with
    boxes and calibration to match.
    """
    height, width = result.panoptic.semantic.shape
    if size is None or size == (width, height):
        return View(frame, result.panoptic, result.tracks, labels, camera)
    rows, columns = nearest_centres(height, size[1]), nearest_centres(width, size[0])
    grid = np.ix_(rows, columns)
    panoptic = PanopticMap(
        result.panoptic.semantic[grid], result.panoptic.confidence[grid], result.panoptic.panoptic[grid]
    )
    scale = np.array([size[0] / width, size[1] / height] * 2, np.float32)
    tracks = replace(result.tracks, boxes=result.tracks.boxes * scale)
    return View(frame, panoptic, tracks, labels, camera and scaled_camera(camera, *size))


def nearest_centres(source: int, target: int) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """For each of ``target`` pixels the index of the source pixel that its centre falls into."""
    return np.minimum(((np.arange(target) + 0.5) * source / target).astype(np.intp), source - 1)


def scaled_camera(camera: CameraModel, width: int, height: int) -> CameraModel:
    """The calibration of the same view at another size; ROS counts pixel centres, so ``cx' = (cx + 0.5) s - 0.5``."""
    sx, sy = width / camera.width, height / camera.height
    scale = np.array([[sx, 0.0, 0.5 * sx - 0.5], [0.0, sy, 0.5 * sy - 0.5], [0.0, 0.0, 1.0]])
    return replace(camera, width=width, height=height, k=scale @ camera.k, p=scale @ camera.p)


def _semantic(view: View) -> records.Image:
    return records.Image.of(view.header, "mono8", view.panoptic.semantic)


def _confidence(view: View) -> records.Image:
    return records.Image.of(view.header, "mono8", view.panoptic.confidence)


def _panoptic(view: View) -> records.Image:
    return records.Image.of(view.header, "32SC1", view.panoptic.panoptic)


def _group(table: UInt8Array, view: View) -> records.Image:
    return records.Image.of(view.header, "mono8", cv2.LUT(view.panoptic.semantic, table))


def _semantic_png(view: View) -> records.CompressedImage:
    # Level 1 with the default filter: masks shrink to a percent anyway, and higher levels cost more than they save.
    return records.CompressedImage(
        view.header,
        "mono8; png compressed mono8",
        encoded(".png", view.panoptic.semantic, cv2.IMWRITE_PNG_COMPRESSION, 1),
    )


def _overlay(view: View) -> records.Image:
    return records.Image.of(view.header, "rgb8", _picture(view))


def _overlay_jpeg(view: View) -> records.CompressedImage:
    bgr = np.asarray(cv2.cvtColor(_picture(view), cv2.COLOR_RGB2BGR), np.uint8)
    return records.CompressedImage(
        view.header, "rgb8; jpeg compressed bgr8", encoded(".jpg", bgr, cv2.IMWRITE_JPEG_QUALITY, 85)
    )


def _picture(view: View) -> UInt8Array:
    return overlay(view.frame.image, view.panoptic, view.tracks, view.labels, view.frame.stamp)


def encoded(suffix: str, pixels: UInt8Array, *flags: int) -> UInt8Array:
    """``pixels`` as the bytes of a PNG or JPEG file, ``(n,)`` uint8."""
    return np.asarray(cv2.imencode(suffix, pixels, list(flags))[1], np.uint8).reshape(-1)


def _camera_info(view: View) -> records.CameraInfo | None:
    c = view.camera
    if c is None:
        return None
    k, r, p = c.k.reshape(-1), c.r.reshape(-1), c.p.reshape(-1)
    return records.CameraInfo(view.header, c.height, c.width, c.distortion_model, c.d, k, r, p)


def _detections(view: View) -> records.Detection2DArray:
    tracks, names = view.tracks, view.labels.classes
    confirmed = np.flatnonzero(tracks.track_ids > 0).tolist()
    return records.Detection2DArray(
        view.header,
        tuple(_detection(tracks, i, names[tracks.labels[i]].name, view.frame.frame_id) for i in confirmed),
    )


def _detection(tracks: Tracks, i: int, name: str, frame_id: str) -> records.Detection2D:
    x0, y0, x1, y1 = (float(v) for v in tracks.boxes[i])
    hypothesis = records.ObjectHypothesis(name, float(tracks.scores[i]))
    # vision_msgs counts pixels like the rest of ROS, whose centres are at integers.
    centre = records.Pose2D(records.Point2D((x0 + x1) / 2 - 0.5, (y0 + y1) / 2 - 0.5))
    return records.Detection2D(
        records.Header.of(int(tracks.seen[i]), frame_id),
        (records.ObjectHypothesisWithPose(hypothesis),),
        records.BoundingBox2D(centre, x1 - x0, y1 - y0),
        str(tracks.track_ids[i]),
    )
