"""What mining leaves: images, pre-labels in COCO's layout, the list with its reasons, and how to make it again.

::

    frames.csv, frames.json                     what was taken and why
    images/default/NAME.jpg                     the camera's own bytes where they are a JPEG or PNG
    annotations/instances_default.json          pre-labels of things
    annotations/panoptic_default.json           pre-labels of every pixel, with
    annotations/panoptic_default/NAME.png       a segment's id as R + 256 G + 65536 B
    manifest.json                               hashes of all that went in and of all that came out
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from seg_perception.conformance import pixels
from seg_perception.errors import BagError
from seg_perception.frames import stamp_of
from seg_perception.images import decode_compressed, decode_image
from seg_perception.interfaces import typestore
from seg_perception.labels import LabelSpace
from seg_perception.mining import coco
from seg_perception.offline.bags import Bag
from seg_perception.outputs import encoded
from seg_perception.records import CompressedImage
from seg_perception.types import Int32Array

SUBSET = "default"
"""COCO's name for a part of a data set; annotation tools know this one."""

PARTS = ("images", "annotations")
"""The folders of a data set."""

MANIFEST = "manifest.json"

Moment = tuple[int, int]
"""Log time and stamp of a frame, nanoseconds."""

MAGIC = {b"\xff\xd8\xff": ".jpg", b"\x89PNG": ".png"}


@dataclass(frozen=True)
class Taken:
    """A frame of the data set: where it is (``log_time`` and ``stamp`` tell it from the bag's others), the ``reasons``
    it was taken for, in words, and all its ``scores``.
    """

    name: str
    bag: str
    log_time: int
    stamp: int
    reasons: tuple[str, ...]
    why: str
    scores: Mapping[str, float]


@dataclass
class DataSet:
    """A data set that is being written into ``folder``."""

    folder: Path
    labels: LabelSpace
    _images: list[dict[str, Any]] = field(default_factory=list)
    _panoptic: list[dict[str, Any]] = field(default_factory=list)
    _instances: list[dict[str, Any]] = field(default_factory=list)
    _frames: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        for part in (self._pictures, self._maps):
            part.mkdir(parents=True, exist_ok=True)

    @property
    def _pictures(self) -> Path:
        return self.folder / "images" / SUBSET

    @property
    def _maps(self) -> Path:
        return self.folder / "annotations" / f"panoptic_{SUBSET}"

    def add(self, frames: Sequence[Taken], bag: Path, topic: str | None, maps: Path) -> None:
        """Write images and pre-labels of one bag's ``frames``; ``maps`` is the bag of its panoptic maps."""
        wanted = {(frame.log_time, frame.stamp): frame for frame in frames}
        found = dict(_maps(maps, wanted))
        for moment, content, suffix, shape in _pictures(bag, topic, wanted):
            frame = wanted.pop(moment)
            (self._pictures / f"{frame.name}{suffix}").write_bytes(content)
            self._annotate(frame, f"{frame.name}{suffix}", shape, found[moment])
        if wanted:
            raise BagError(f"{bag}: {len(wanted)} of the chosen frames are not in it any more; did it change?")

    def _annotate(self, frame: Taken, file: str, shape: tuple[int, int], panoptic: Int32Array) -> None:
        number = len(self._images) + 1
        self._images.append({"id": number, "file_name": file, "height": shape[0], "width": shape[1]})
        picture, infos = coco.segments(panoptic, self.labels)
        bgr = np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), np.uint8)
        (self._maps / f"{frame.name}.png").write_bytes(encoded(".png", bgr).tobytes())
        self._panoptic.append({"image_id": number, "file_name": f"{frame.name}.png", "segments_info": infos})
        for annotation in coco.instances(panoptic, self.labels):
            self._instances.append({"id": len(self._instances) + 1, "image_id": number, **annotation})
        self._frames.append(
            {
                "image": file,
                "bag": frame.bag,
                "stamp": frame.stamp,
                "reasons": list(frame.reasons),
                "why": frame.why,
                "scores": frame.scores,
            }
        )

    def close(self, manifest: Mapping[str, Any]) -> None:
        """Write the lists and, last of all, ``manifest`` with the hash of every file."""
        categories = coco.categories(self.labels)
        info = {"description": "pre-labels by seg_perception mine; see manifest.json"}
        common = {"info": info, "licenses": [], "images": self._images}
        things = [category for category in categories if category["isthing"]]
        folder = self.folder / "annotations"
        _write(folder / f"instances_{SUBSET}.json", {**common, "annotations": self._instances, "categories": things})
        _write(folder / f"panoptic_{SUBSET}.json", {**common, "annotations": self._panoptic, "categories": categories})
        _write(self.folder / "frames.json", self._frames)
        with (self.folder / "frames.csv").open("w", newline="", encoding="utf-8") as file:
            names = list(self._frames[0]["scores"]) if self._frames else []
            table = csv.writer(file, lineterminator="\n")
            table.writerow(["image", "bag", "stamp", "reasons", "why", *names])
            for frame in self._frames:
                values = [f"{frame['scores'][name]:.6g}" for name in names]
                reasons = " ".join(frame["reasons"])
                table.writerow([frame["image"], frame["bag"], frame["stamp"], reasons, frame["why"], *values])
        _write(self.folder / MANIFEST, {**manifest, "files": dict(self._hashes())})

    def _hashes(self) -> Iterator[tuple[str, str]]:
        lists = [self.folder / "frames.csv", self.folder / "frames.json"]
        deep = [path for part in PARTS for path in sorted((self.folder / part).rglob("*.*"))]
        for path in (*lists, *deep):
            yield path.relative_to(self.folder).as_posix(), hashlib.sha256(path.read_bytes()).hexdigest()


def _maps(maps: Path, wanted: Mapping[Moment, Taken]) -> Iterator[tuple[Moment, Int32Array]]:
    with Bag(maps) as bag:
        topic = bag.image_topic()
        for message in bag.messages([topic.name]):
            content: Any = typestore().deserialize_cdr(message.cdr, topic.type)
            moment = message.log_time, stamp_of(content)
            if moment in wanted:
                yield moment, pixels(content)


def _pictures(
    path: Path, wanted_topic: str | None, wanted: Mapping[Moment, Taken]
) -> Iterator[tuple[Moment, bytes, str, tuple[int, int]]]:
    """Moment, file content, suffix and size (height, width) of the ``wanted`` frames' images."""
    with Bag(path) as bag:
        topic = bag.image_topic(wanted_topic)
        left = set(wanted)
        received = {log_time for log_time, _ in wanted}
        for message in bag.messages([topic.name]):
            if message.log_time not in received:
                continue
            content: Any = typestore().deserialize_cdr(message.cdr, topic.type)
            moment = message.log_time, stamp_of(content)
            if moment not in left:
                continue
            left.remove(moment)
            if topic.type == CompressedImage.TYPE:
                data = bytes(content.data)
                image = decode_compressed(content.format, content.data)
                suffix = next((suffix for magic, suffix in MAGIC.items() if data.startswith(magic)), None)
            else:
                c = content
                image, suffix = decode_image(c.height, c.width, c.encoding, c.is_bigendian, c.step, c.data), None
            if suffix is None:
                data, suffix = encoded(".png", np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))).tobytes(), ".png"
            yield moment, data, suffix, (image.shape[0], image.shape[1])
            if not left:  # what is damaged behind the last of them need not be read
                return


def _write(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
