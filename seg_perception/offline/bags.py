"""Reading a ROS 2 bag: sqlite3 or MCAP, a folder or a single file, split or not, with or without ``metadata.yaml``.

A bag whose recorder died, or whose disk did, is read as far as it goes; the reader then raises and says how far that
was, so that nothing is lost in silence.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Protocol

import cv2
import numpy as np
import yaml
from rosbags.interfaces import Connection, Qos
from rosbags.rosbag2 import Reader

from seg_perception.errors import BagError
from seg_perception.images import in_colour
from seg_perception.interfaces import typestore
from seg_perception.offline.salvage import Salvaged, reason
from seg_perception.records import CameraInfo, CompressedImage, Image

IMAGE_TYPES = (Image.TYPE, CompressedImage.TYPE)
SUFFIXES = (".mcap", ".db3")
_NO_BAG = "is not a bag; expected a file that ends in .mcap or .db3, or a folder of them"


@dataclass(frozen=True)
class Topic:
    """One topic of a bag: its type, how many messages the bag announces, and the QoS its publishers offered."""

    name: str
    type: str
    count: int
    profiles: tuple[Qos, ...]


class Message(NamedTuple):
    """One message as it was recorded; ``log_time`` is when, in nanoseconds, ``cdr`` its bytes."""

    topic: str
    log_time: int
    cdr: bytes


class Part(Protocol):
    """One file of a bag, or a whole folder with its metadata."""

    @property
    def connections(self) -> list[Connection]: ...

    def messages(self, connections: Collection[Connection]) -> Iterator[tuple[Connection, int, bytes]]: ...

    def close(self) -> None: ...


class Bag:
    """An open bag; close it, or use it in a ``with`` statement. Raises :class:`BagError` when ``path`` is no bag."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).expanduser()
        self._parts = _open(self.path)
        self.topics = _topics(self._parts)
        """Every topic of the bag, by name."""
        broken = [part.damage for part in self._parts if isinstance(part, Salvaged) and part.damage]
        if broken and not self.topics:
            raise BagError(f"{self.path}: no message in it can be read ({broken[0]}); is it a ROS 2 bag?")

    def close(self) -> None:
        """Close its files."""
        for part in self._parts:
            part.close()

    def __enter__(self) -> Bag:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def messages(self, topics: Collection[str]) -> Iterator[Message]:
        """The messages of ``topics`` in the order in which they were recorded, read as they are asked for.

        Raises :class:`BagError` for a topic that the bag has not, and at the place where it turns out to be damaged,
        after every message before it.
        """
        unknown = sorted(set(topics) - set(self.topics))
        if unknown:
            raise BagError(f"{self.path}: has no topic {unknown[0]}; its topics: {_names(self.topics.values())}")
        read: Counter[str] = Counter()
        for part in self._parts:
            wanted = [connection for connection in part.connections if connection.topic in topics]
            if not wanted and not isinstance(part, Salvaged):
                continue  # what cannot be read in a broken part might have been wanted: it is asked, and says so
            for connection in wanted:
                _check_encoding(self.path, connection)
            messages = iter(part.messages(wanted))
            while True:
                # A parser of bytes from a broken disk may fail in any way; whatever it raises means the same here.
                try:
                    connection, log_time, cdr = next(messages)
                except StopIteration:
                    break
                except Exception as error:
                    raise self._damaged(read, topics, reason(error)) from error
                read[connection.topic] += 1
                yield Message(connection.topic, log_time, cdr)
        if any(read[topic] < self.topics[topic].count for topic in topics):
            raise self._damaged(read, topics, "it ends before what it announces")

    def contents(self, topic: str) -> Iterator[Any]:
        """The messages of one topic as objects with the fields of their type; raises as :meth:`messages` does."""
        for message in self.messages([topic]):
            yield typestore().deserialize_cdr(message.cdr, self.topics[topic].type)

    def _damaged(self, read: Counter[str], topics: Collection[str], reason: str) -> BagError:
        counts = ", ".join(f"{read[topic]} messages on {topic}" for topic in sorted(topics))
        return BagError(f"{self.path}: the bag is damaged ({reason}); read up to there: {counts}")

    def image_topic(self, wanted: str | None = None) -> Topic:
        """The bag's image topic, raw or compressed: ``wanted``, or the only one there is, or the only one in colour
        beside depth, masks and grey pictures.

        Raises :class:`BagError` that lists the candidates when there is none, more than one, or ``wanted`` is no
        image; a raw topic and its own ``/compressed`` are two.
        """
        images = [t for t in self.topics.values() if t.type in IMAGE_TYPES]
        if wanted is not None:
            name = wanted if wanted in self.topics else f"/{wanted.lstrip('/')}"
            found = self.topics.get(name)
            if found is None or found.type not in IMAGE_TYPES:
                what = f"has no topic {name}" if found is None else f"{name} is a {found.type}, expected an image"
                raise BagError(f"{self.path}: {what}; its image topics: {_names(images)}")
            return found
        if not images:
            raise BagError(f"{self.path}: holds no images; its topics: {_names(self.topics.values())}")
        if len(images) == 1:
            return images[0]
        coloured = [topic for topic in images if self._in_colour(topic)]
        if len(coloured) != 1:
            raise BagError(
                f"{self.path}: has {len(images)} image topics, {len(coloured)} of them in colour, choose one with "
                f"--topic: {_names(images)}"
            )
        return coloured[0]

    def _in_colour(self, topic: Topic) -> bool:
        """Whether the first picture of ``topic`` has colours, and not of our own making."""
        first = None if "overlay" in topic.name.split("/") else self._first(topic)
        if first is None:
            return False
        if topic.type == Image.TYPE:
            return in_colour(first.encoding)
        # What is no picture, as depth with its header of twelve bytes, is None.
        content = np.frombuffer(first.data, np.uint8)
        picture = cv2.imdecode(content, cv2.IMREAD_UNCHANGED) if len(content) else None
        return picture is not None and picture.ndim == 3

    def _first(self, topic: Topic) -> Any | None:
        """The first message of ``topic`` that can be read."""
        with suppress(BagError):
            for message in self.messages([topic.name]):
                with suppress(Exception):  # whatever a parser of broken bytes raises
                    return typestore().deserialize_cdr(message.cdr, topic.type)
        return None

    def camera_info_topic(self, image: Topic) -> Topic | None:
        """The ``camera_info`` in the image's namespace (REP 104's place for it), if the bag has one."""
        info = self.topics.get(f"{namespace(image.name)}/camera_info")
        return info if info is not None and info.type == CameraInfo.TYPE else None


def namespace(image_topic: str) -> str:
    """``/front`` for ``/front/image_raw`` and for ``/front/image_raw/compressed``; empty for ``/image_raw``."""
    return image_topic.removesuffix("/compressed").rpartition("/")[0]


def _names(topics: Collection[Topic]) -> str:
    return ", ".join(f"{t.name} ({t.type}, {t.count})" for t in sorted(topics, key=lambda t: t.name)) or "none"


def _check_encoding(path: Path, connection: Connection) -> None:
    encoding = getattr(connection.ext, "serialization_format", "cdr")
    if encoding != "cdr":
        raise BagError(f"{path}: {connection.topic} is serialised as '{encoding}', expected cdr")


def _topics(parts: list[Part]) -> dict[str, Topic]:
    topics: dict[str, Topic] = {}
    for connection in (c for part in parts for c in part.connections):
        known = topics.get(connection.topic)
        profiles = tuple(getattr(connection.ext, "offered_qos_profiles", ()))
        topics[connection.topic] = Topic(
            connection.topic,
            connection.msgtype,
            connection.msgcount + (known.count if known else 0),
            profiles or (known.profiles if known else ()),
        )
    return topics


def _open(path: Path) -> list[Part]:
    if not path.exists():
        raise BagError(f"{path}: there is no such bag")
    if path.is_file():
        return [_file(path)]
    metadata = _metadata(path)
    if str(metadata.get("compression_mode", "")).lower() in ("file", "message"):
        return [_reader(path)]
    # Not with rosbags' folder reader: it passes over topics whose QoS is written differently in metadata and file.
    return [_file(file) for file in _files(path, metadata)]


def _metadata(folder: Path) -> dict[str, Any]:
    """What ``metadata.yaml`` says; nothing where there is none, or none that can be read."""
    try:
        content = yaml.safe_load((folder / "metadata.yaml").read_text(encoding="utf-8"))
        return dict(content["rosbag2_bagfile_information"])
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError, ValueError):
        return {}


def _files(folder: Path, metadata: dict[str, Any]) -> list[Path]:
    """The files of a bag in recording order, as its metadata lists them or else by number."""
    found = sorted((f for f in folder.iterdir() if f.suffix in SUFFIXES), key=_natural)
    listed = metadata.get("relative_file_paths")
    files = [folder / Path(str(name)).name for name in listed] if isinstance(listed, list) and listed else found
    missing = [file.name for file in files if not file.exists()]
    if missing:
        raise BagError(f"{folder}: {len(missing)} of the bag's {len(files)} files missing, among them {missing[0]}")
    if not files:
        raise BagError(f"{folder}: {_NO_BAG}")
    return files


def _natural(path: Path) -> list[Any]:
    return [int(piece) if piece.isdigit() else piece for piece in re.split(r"(\d+)", path.name)]


def _file(path: Path) -> Part:
    if path.suffix not in SUFFIXES:
        raise BagError(f"{path}: {_NO_BAG}")
    if path.stat().st_size == 0:
        raise BagError(f"{path}: is empty (0 bytes)")
    # A log left beside a database means that its recorder died, and its last messages are in there.
    if path.with_name(f"{path.name}-wal").exists():
        return Salvaged(path)
    try:
        return _reader(path)
    except BagError:
        return Salvaged(path)


def _reader(path: Path) -> Part:
    reader = Reader(path)
    try:
        reader.open()
    except Exception as error:
        raise BagError(f"{path}: cannot be read as a bag ({reason(error)})") from error
    return reader
