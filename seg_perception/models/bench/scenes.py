"""The images that networks are shown, and what is true of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from seg_perception.errors import ConfigError
from seg_perception.evaluation.confusion import Confusion, confusion
from seg_perception.evaluation.panoptic import PanopticQuality, panoptic_quality
from seg_perception.evaluation.segments import Segments, overlap
from seg_perception.labels import LabelSpace, normalised
from seg_perception.types import UNLABELLED, Int32Array, PanopticMap, UInt8Array

_BLOBS = (720, 1280)


def blobs() -> UInt8Array:
    """An image of smooth blobs of the size 720p, for want of a better one."""
    coarse = np.random.default_rng(0).integers(0, 256, (9, 16, 3), np.uint8)
    return np.asarray(cv2.resize(coarse, _BLOBS[::-1], interpolation=cv2.INTER_CUBIC), np.uint8)


def read(path: Path) -> UInt8Array:
    """``(H, W, 3)`` uint8 RGB; raises :class:`ConfigError` for what is no picture."""
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise ConfigError(f"image {path} cannot be read")
    return np.ascontiguousarray(image[..., ::-1]).astype(np.uint8, copy=False)


def files(path: Path | None, role: str) -> tuple[Path, ...]:
    """The file ``path``, or the PNG and JPEG files in that folder by name; raises :class:`ConfigError` for none."""
    if path is None:
        return ()
    found = [path] if path.is_file() else sorted(p for p in path.glob("*") if p.suffix in (".png", ".jpg", ".jpeg"))
    if not found:
        raise ConfigError(f"{role}: there is no {path}, or no PNG or JPEG file in it")
    return tuple(found)


def of_images(truths: Sequence[Path], images: Sequence[Path]) -> tuple[Path, ...]:
    """The truth of each image: the file of its name, whatever the suffix, or the only one of the only image; raises
    :class:`ConfigError` where there is none.
    """
    if len(truths) == len(images) == 1:
        return tuple(truths)
    by_name = {path.stem: path for path in truths}
    lacking = [image for image in images if image.stem not in by_name]
    if lacking:
        raise ConfigError(
            f"--truth: none of its {len(truths)} files is called {lacking[0].stem}.png, as {len(lacking)} of "
            f"{len(images)} images need"
        )
    return tuple(by_name[image.stem] for image in images)


@dataclass(frozen=True)
class Panoptic:
    """What is true of one image: its segments' ids ``(H, W)``, and what they stand for."""

    ids: Int32Array
    segments: Segments


@dataclass(frozen=True)
class Truth:
    """What is true of all images, in the label space ``space``: classes of every pixel, or segments, or both."""

    space: LabelSpace
    semantic: tuple[UInt8Array, ...] = ()
    panoptic: tuple[Panoptic, ...] = ()

    def miou(self, found: Sequence[PanopticMap]) -> float:
        """Of the classes in ``found``."""
        total = Confusion.zero(len(self.space))
        for one, truth in zip(found, self.semantic, strict=True):
            total += confusion(truth, one.semantic, len(self.space))
        return total.miou

    def pq(self, found: Sequence[PanopticMap], *, things: bool) -> float:
        """Of the segments in ``found``, over the classes that occur, or the ``things`` among them."""
        total = PanopticQuality.zero(len(self.space))
        for one, truth in zip(found, self.panoptic, strict=True):
            pair = overlap(truth.ids, one.panoptic)
            predicted = Segments.predicted(pair.predicted, self.space.things)
            total += panoptic_quality(pair, truth.segments, predicted, len(self.space))
        return total.mean(self.space.things[: len(self.space)] if things else None).pq


def semantic(paths: Sequence[Path]) -> tuple[UInt8Array, ...]:
    """PNGs with one class id per pixel; raises :class:`ConfigError` for another kind of file."""
    found = []
    for path in paths:
        picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        if picture is None or picture.ndim != 2 or picture.dtype != np.uint8:
            raise ConfigError(f"truth {path} cannot be read: expected a PNG with one class id (8 bits) per pixel")
        found.append(np.asarray(picture, np.uint8))
    return tuple(found)


def panoptic(path: Path, images: Sequence[Path], space: LabelSpace) -> tuple[Panoptic, ...]:
    """The truth of each of ``images`` in COCO's panoptic format: the JSON file ``path``, and beside it a folder of its
    name with PNGs whose colours are ids (R + 256 G + 256² B). Categories are the classes of ``space`` by name.

    Raises :class:`ConfigError` for a file of another kind, a category that ``space`` has not, or an image without
    truth.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        classes = {c["id"]: space.ids.get(normalised(c["name"]), UNLABELLED) for c in content["categories"]}
        by_name = {Path(entry["file_name"]).stem: entry for entry in content["annotations"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"--panoptic: {path} is not a panoptic truth in COCO's format ({error!r})") from error
    lacking = [image for image in images if image.stem not in by_name]
    if lacking:
        raise ConfigError(f"--panoptic: {path} says nothing of {lacking[0].name}, one of {len(images)} images")
    return tuple(_panoptic(path.with_suffix(""), by_name[image.stem], classes, space) for image in images)


def _panoptic(folder: Path, entry: Any, classes: dict[int, int], space: LabelSpace) -> Panoptic:
    picture = cv2.imread(str(folder / entry["file_name"]), cv2.IMREAD_COLOR)
    if picture is None:
        raise ConfigError(f"--panoptic: {folder / entry['file_name']} cannot be read")
    infos = entry["segments_info"]
    homeless = [s["category_id"] for s in infos if classes.get(s["category_id"], UNLABELLED) == UNLABELLED]
    if homeless:
        raise ConfigError(f"--panoptic: category {homeless[0]} is no class of the label space '{space.name}'")
    segments = Segments(
        np.array([s["id"] for s in infos], np.int64),
        np.array([classes[s["category_id"]] for s in infos], np.uint8),
        np.array([bool(s["iscrowd"]) for s in infos], np.bool_),
    )
    return Panoptic(picture.astype(np.int32) @ np.array([1 << 16, 1 << 8, 1], np.int32), segments)
