"""Labelled frames, pictures and depth from the topics of a bag."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mcap.reader import make_reader
from numpy.typing import NDArray

from seg_perception import resources
from seg_perception.errors import BagError, ConfigError, InputError
from seg_perception.evaluation.sources import Facts, Key, Labelled, count
from seg_perception.frames import stamp_of
from seg_perception.images import decode_compressed, decode_image
from seg_perception.interfaces import typestore
from seg_perception.labels import LabelSpace
from seg_perception.offline.bags import Bag, Topic
from seg_perception.outputs import LABEL_INFO_TOPIC
from seg_perception.records import CompressedImage, Detection2DArray, Image, LabelInfo
from seg_perception.types import Float32Array, Int32Array, UInt8Array

TRUTH = "/truth"
"""The namespace of topics that are no prediction."""

_MAPS = ("panoptic/image_raw", "panoptic", "semantic/image_raw", "semantic/image_raw/compressed", "semantic")
_STAMPED = (Image.TYPE, CompressedImage.TYPE, Detection2DArray.TYPE)
_DTYPES = {"mono8": np.uint8, "8UC1": np.uint8, "mono16": np.uint16, "16UC1": np.uint16, "32SC1": np.int32,
           "32FC1": np.float32}  # fmt: skip


class BagSource:
    """The masks on one topic of a bag: ``panoptic/image_raw`` or, where there is none, ``semantic/image_raw``; with the
    confidence and the detections beside it, if the bag has them. ``truth``: only topics below ``/truth`` are looked at
    (else only others); ``topic`` names one instead.

    Raises :class:`BagError` when the bag cannot be read, or which topic is meant cannot be told.
    """

    def __init__(self, path: Path, *, truth: bool, topic: str | None = None, labels: LabelSpace | None = None) -> None:
        self.path = path
        with Bag(path) as bag:
            self._topic = _mask_topic(bag, truth, topic)
            name = self._topic.name.removesuffix("/compressed")
            root = name.removesuffix("/image_raw").rpartition("/")[0]
            self._confidence = bag.topics.get(f"{root}/semantic/confidence")
            found = bag.topics.get(f"{root}/detections")
            self._detections = found if found is not None and found.type == Detection2DArray.TYPE else None
            classes = _listed_classes(bag, f"{root}/{LABEL_INFO_TOPIC}")
        heard = times(path)
        stamps = heard.topics.get(self._topic.name, {})
        notes = [heard.damage] if heard.damage else []
        self.keys: list[Key] = list(stamps)
        if heard.repeated[self._topic.name]:
            again = count(heard.repeated[self._topic.name], "message", "carries", "carry")
            notes.append(f"{path.name}: {again} a stamp that {self._topic.name} had before; the first of each is taken")
        run = {} if truth else provenance(path)
        self.labels = labels or _recorded_space(run, notes, path) or _space_of(classes)
        if classes and self.labels is not None:
            _refuse_other_classes(classes, self.labels, f"{path}: {root}/{LABEL_INFO_TOPIC}")
        instances = self._topic.name.removesuffix("/image_raw").endswith("panoptic")
        kind = f"{'truth' if truth else 'masks'} on {self._topic.name}"
        self.facts = Facts(kind, True, instances, run, tuple(notes), heard.damage)

    @property
    def topic(self) -> str:
        """The name of the topic of the masks."""
        return self._topic.name

    def read(self, keys: Collection[Key]) -> Iterator[Labelled]:
        """See :class:`~seg_perception.evaluation.sources.Source`."""
        wanted = set(keys)
        scores = self._scores()
        confidences = _Beside(_images(self.path, self._confidence.name)) if self._confidence else None
        for stamp, log_time, message in _read(self.path, self._topic.name):
            if stamp not in wanted:
                continue
            wanted.discard(stamp)
            yield Labelled(
                stamp,
                self._map(message),
                confidences.at(stamp) if confidences else None,
                None if scores is None else scores.get(stamp, {}),
                log_time,
            )

    def _map(self, message: Any) -> Int32Array:
        pixels = mask_pixels(message, f"{self.path}: {self._topic.name}")
        if pixels.dtype == np.uint8 or pixels.dtype == np.int32:
            return pixels.astype(np.int32)
        raise InputError(f"{self.path}: {self._topic.name} has {pixels.dtype} pixels, expected mono8 or 32SC1")

    def _scores(self) -> Mapping[int, Mapping[int, float]] | None:
        if self._detections is None or not self.facts.instances:
            return None
        return {
            stamp: {int(d.id): float(d.results[0].hypothesis.score) for d in message.detections}
            for stamp, _, message in _read(self.path, self._detections.name)
        }


class BagPictures:
    """The camera's pictures on one topic of a bag; raises :class:`BagError` where ``topic`` is none of its images."""

    def __init__(self, path: Path, topic: str) -> None:
        self.path = path
        with Bag(path) as bag:
            self.topic = bag.image_topic(topic).name

    @classmethod
    def find(cls, path: Path, keys: Collection[Key], near: str = "") -> BagPictures | None:
        """The pictures that belong to the frames of ``keys``: the camera's topic that has most of their stamps, and of
        several the one in the namespace of the topic ``near``; None where there is none.
        """
        heard, wanted = times(path).topics, set(keys)
        shared = {name: len(wanted.intersection(stamps)) for name, stamps in heard.items() if _is_camera(path, name)}
        space = near.strip("/").split("/")[0]
        best = max(
            shared, key=lambda name: (shared[name], name.strip("/").split("/")[0] == space, -len(name)), default=""
        )
        return cls(path, best) if shared.get(best) else None

    def received(self) -> Mapping[int, int]:
        """When each was received (log time, ns), by stamp."""
        return times(self.path).topics.get(self.topic, {})

    def read(self, keys: Collection[Key]) -> Iterator[tuple[Key, UInt8Array]]:
        """See :class:`~seg_perception.evaluation.sources.Pictures`; what cannot be decoded is passed over."""
        wanted = set(keys)
        for stamp, _, message in _read(self.path, self.topic):
            if stamp in wanted:
                with suppress(InputError):
                    yield stamp, _picture(message)


class BagDepth:
    """Depth in metres, NaN where there is none, from a topic of ``16UC1`` (mm) or ``32FC1`` (m) images."""

    def __init__(self, path: Path, topic: str) -> None:
        self.path, self.topic = path, topic
        with Bag(path) as bag:
            if topic not in bag.topics:
                raise BagError(f"{path}: has no topic {topic} for depth")

    @classmethod
    def find(cls, path: Path) -> BagDepth | None:
        """The bag's ``depth/image_raw``, if it has exactly one."""
        with Bag(path) as bag:
            names = [t.name for t in bag.topics.values() if t.name.endswith("depth/image_raw") and t.type == Image.TYPE]
        return cls(path, names[0]) if len(names) == 1 else None

    def read(self, keys: Collection[Key]) -> Iterator[tuple[Key, Float32Array]]:
        """``(H, W)`` float32 metres of those of ``keys`` that have depth, in order."""
        wanted = set(keys)
        for stamp, _, message in _read(self.path, self.topic):
            if stamp in wanted:
                depth = mask_pixels(message, f"{self.path}: {self.topic}")
                if depth.dtype not in (np.uint16, np.float32):
                    raise InputError(f"{self.path}: {self.topic} has {depth.dtype} pixels, expected 16UC1 or 32FC1")
                yield stamp, metres(depth)


def metres(depth: NDArray[Any]) -> Float32Array:
    """Depth ``(H, W)`` in metres: of millimetres where it is of integers; NaN for 0, 65535 and what is not finite."""
    if depth.dtype == np.uint16:
        return np.where((depth == 0) | (depth == 65535), np.float32(np.nan), depth * np.float32(0.001))
    depth = depth.astype(np.float32)
    return np.where(np.isfinite(depth) & (depth > 0), depth, np.float32(np.nan))


@dataclass(frozen=True)
class Times:
    """When what was received: log time (ns) by stamp, for every topic of images and detections; of messages with one
    stamp the first, the others are counted as ``repeated``. ``damage`` says where reading had to end.
    """

    topics: Mapping[str, Mapping[int, int]]
    repeated: Counter[str]
    damage: str | None


def times(path: Path) -> Times:
    """The :class:`Times` of a bag, from one pass over it, which is made once for a file that stays the same."""
    return _times(path, path.stat().st_mtime_ns if path.exists() else 0)


@lru_cache(maxsize=32)
def _times(path: Path, changed: int) -> Times:
    topics: dict[str, dict[int, int]] = {}
    repeated: Counter[str] = Counter()
    with Bag(path) as bag:
        stamped = [t.name for t in bag.topics.values() if t.type in _STAMPED]
        try:
            for message in bag.messages(stamped):
                heard = topics.setdefault(message.topic, {})
                stamp = _stamp(message.cdr)
                repeated[message.topic] += stamp in heard
                heard.setdefault(stamp, message.log_time)
        except BagError as error:
            return Times(topics, repeated, str(error))
    return Times(topics, repeated, None)


def diagnostics(path: Path) -> dict[str, dict[str, str]]:
    """The last status of each component on ``/diagnostics``, key by key; empty where the bag has none."""
    last: dict[str, dict[str, str]] = {}
    with Bag(path) as bag:
        if "/diagnostics" not in bag.topics:
            return {}
        with suppress(BagError):
            for message in bag.contents("/diagnostics"):
                for status in message.status:
                    last[status.name] = {pair.key: pair.value for pair in status.values}
    return last


def provenance(path: Path) -> dict[str, Any]:
    """What ``run`` recorded in the bag about itself; empty for other bags."""
    files = [path] if path.is_file() else sorted(path.glob("*.mcap"))
    for file in files:
        if file.suffix == ".mcap":
            with suppress(Exception), file.open("rb") as stream:  # a damaged file has none
                for record in make_reader(stream).iter_metadata():
                    if record.name == "seg_perception":
                        return {key: json.loads(value) for key, value in record.metadata.items()}
    return {}


def mask_pixels(message: Any, where: str) -> NDArray[Any]:
    """``(H, W)`` of a raw one-channel image, or of a PNG; raises :class:`InputError` for anything else. ``where`` names
    the bag and its topic in errors.
    """
    if not hasattr(message, "encoding"):
        picture = cv2.imdecode(np.frombuffer(message.data, np.uint8), cv2.IMREAD_UNCHANGED)
        if picture is None or picture.ndim != 2:
            raise InputError(
                f"{where} has a compressed image of format '{message.format}': expected a mask as PNG of one channel"
            )
        return np.asarray(picture)
    dtype = np.dtype(_DTYPES.get(message.encoding, "V0"))
    if not dtype.itemsize:
        raise InputError(
            f"{where} has the encoding '{message.encoding}', no mask or depth; expected one of {', '.join(_DTYPES)}"
        )
    dtype = dtype.newbyteorder(">" if message.is_bigendian else "<")
    rows = np.frombuffer(message.data, np.uint8).reshape(message.height, message.step)
    return np.ascontiguousarray(rows[:, : message.width * dtype.itemsize]).view(dtype).astype(dtype.newbyteorder("="))


def _mask_topic(bag: Bag, truth: bool, wanted: str | None) -> Topic:
    if wanted is not None:
        return bag.image_topic(wanted)
    images = [t for t in bag.topics.values() if t.type in (Image.TYPE, CompressedImage.TYPE)]
    mine = [t for t in images if t.name.startswith(f"{TRUTH}/") == truth]
    for ending in _MAPS:
        found = [t for t in mine if t.name.endswith(f"/{ending}")]
        if len(found) > 1:
            raise BagError(
                f"{bag.path}: has {len(found)} topics of masks, {', '.join(t.name for t in found)}; choose one with "
                f"--{'truth' if truth else 'prediction'}-topic"
            )
        if found:
            return found[0]
    where = f"below {TRUTH}" if truth else f"outside of {TRUTH}"
    raise BagError(
        f"{bag.path}: holds no masks: none of its {len(bag.topics)} topics {where} ends in panoptic/image_raw or "
        f"semantic/image_raw; its topics: {', '.join(sorted(bag.topics)) or 'none'}"
    )


def _is_camera(path: Path, topic: str) -> bool:
    """Whether ``topic`` has a camera's pictures, and no masks, depth or overlay."""
    with Bag(path) as bag:
        if bag.topics[topic].type not in (Image.TYPE, CompressedImage.TYPE):
            return False
    parts = topic.strip("/").split("/")
    return parts[-1] != "confidence" and not _NO_PICTURES.intersection(parts)


_NO_PICTURES = frozenset({"truth", "depth", "overlay", "semantic", "panoptic", "masks"})


def _listed_classes(bag: Bag, topic: str) -> dict[int, str]:
    """The class names by id that a ``label_info`` lists; empty where the bag has none that can be read."""
    found = bag.topics.get(topic)
    with suppress(BagError):
        for message in bag.contents(topic) if found is not None and found.type == LabelInfo.TYPE else ():
            return {int(c.class_id): str(c.class_name) for c in message.class_map}
    return {}


def _space_of(classes: Mapping[int, str]) -> LabelSpace | None:
    """The shipped label space that has just these classes."""
    for name in resources.names("labels") if classes else ():
        space = LabelSpace.load(name)
        if {c.id: c.name for c in space.classes} == classes:
            return space
    return None


def _refuse_other_classes(classes: Mapping[int, str], labels: LabelSpace, where: str) -> None:
    names = {c.id: c.name for c in labels.classes}
    other = [number for number, name in sorted(classes.items()) if names.get(number) != name]
    if other:
        is_here = f"'{names[other[0]]}'" if other[0] in names else "none"
        raise InputError(
            f"{where} lists {len(classes)} classes, {len(other)} of which the label space '{labels.name}' has "
            f"otherwise (the first is {other[0]}: '{classes[other[0]]}', there {is_here}); is it in another space "
            "(--prediction-labels, --truth-labels)?"
        )


def _recorded_space(run: Mapping[str, Any], notes: list[str], path: Path) -> LabelSpace | None:
    recorded = run.get("labels")
    if not recorded:
        return None
    try:
        space = LabelSpace.load(recorded["name"])
    except ConfigError:
        notes.append(f"{path.name}: its label space '{recorded['name']}' is none of the shipped ones")
        return None
    if space.version != recorded["version"]:
        notes.append(
            f"{path.name}: was made with version {recorded['version']} of the label space '{space.name}', this is "
            f"{space.version}; ids are taken to mean the same"
        )
    return space


def _stamp(cdr: bytes) -> int:
    """The stamp of a message that begins with a header, without decoding the rest of it."""
    order = "little" if cdr[1] & 1 else "big"
    seconds = int.from_bytes(cdr[4:8], order, signed=True)  # type: ignore[arg-type]
    return seconds * 10**9 + int.from_bytes(cdr[8:12], order)  # type: ignore[arg-type]


def _read(path: Path, topic: str) -> Iterator[tuple[int, int, Any]]:
    """Stamp, log time and content of every message of ``topic`` up to where the bag may be damaged, which was said
    when its stamps were read.
    """
    with Bag(path) as bag, suppress(BagError):
        for message in bag.messages([topic]):
            content = typestore().deserialize_cdr(message.cdr, bag.topics[topic].type)
            yield stamp_of(content), message.log_time, content


def _images(path: Path, topic: str) -> Iterator[tuple[int, UInt8Array]]:
    for stamp, _, message in _read(path, topic):
        yield stamp, np.asarray(mask_pixels(message, f"{path}: {topic}"), np.uint8)


class _Beside:
    """A second topic, asked for the message of a stamp; what came too early is kept, in bounds."""

    def __init__(self, messages: Iterator[tuple[int, UInt8Array]]) -> None:
        self._messages = messages
        self._kept: dict[int, UInt8Array] = {}

    def at(self, stamp: int) -> UInt8Array | None:
        while stamp not in self._kept:
            following = next(self._messages, None)
            if following is None:
                return None
            self._kept[following[0]] = following[1]
            if following[0] > stamp and len(self._kept) > _KEPT:
                break
        return self._kept.pop(stamp, None)


_KEPT = 32


def _picture(message: Any) -> UInt8Array:
    if hasattr(message, "encoding"):
        return decode_image(
            message.height, message.width, message.encoding, message.is_bigendian, message.step, message.data
        )
    return decode_compressed(message.format, message.data)
