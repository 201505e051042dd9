"""What came out of a bag, to look at: messages by stamp, a video, a sheet of moments."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from seg_perception.errors import InputError
from seg_perception.frames import stamp_of
from seg_perception.images import decode_compressed
from seg_perception.labels import LabelSpace
from seg_perception.offline.bags import Bag
from seg_perception.rendering import overlay, shade
from seg_perception.types import Int32Array, Mask, PanopticMap, Tracks, UInt8Array


def messages(bag_path: Path, topic: str) -> Iterator[Any]:
    """The messages of one topic of a bag that is opened for them."""
    with Bag(bag_path) as bag:
        yield from bag.contents(topic)


def pictures(bag_path: Path, topic: str) -> Iterator[tuple[int, UInt8Array]]:
    """Stamp (nanoseconds) and ``(H, W, 3)`` uint8 RGB of every compressed image of one topic that can be decoded; who
    perceives counts the others.
    """
    for message in messages(bag_path, topic):
        with suppress(InputError):
            yield stamp_of(message), decode_compressed(message.format, message.data)


def truth_overlay(image: UInt8Array, truth: Int32Array, labels: LabelSpace, smallest: int) -> UInt8Array:
    """``image`` under its true panoptic map ``(H, W)`` int32, drawn as what was perceived is drawn; things of fewer
    than ``smallest`` pixels are not named.
    """
    ids, sizes = np.unique(truth, return_counts=True)
    numbers = ids[(ids >> 16 > 0) & (sizes >= smallest)].tolist()
    corners = [cv2.boundingRect((truth == n).view(np.uint8)) for n in numbers]
    tracks = Tracks(
        track_ids=np.array([n >> 16 for n in numbers], np.int32),
        boxes=np.array([(x, y, x + w, y + h) for x, y, w, h in corners], np.float32).reshape(-1, 4),
        scores=np.ones(len(numbers), np.float32),
        labels=np.array([n & 0xFF for n in numbers], np.uint8),
        masks=tuple(Mask(0, 0, np.zeros((0, 0), np.bool_)) for _ in numbers),
        seen=np.zeros(len(numbers), np.int64),
        visible=np.ones(len(numbers), np.bool_),
    )
    semantic = (truth & 0xFF).astype(np.uint8)
    return overlay(image, PanopticMap(semantic, np.full_like(semantic, 255), truth), tracks, labels)


def captioned(picture: UInt8Array, caption: str) -> UInt8Array:
    """A copy with a word in its lower left corner."""
    copy, place = picture.copy(), (8, picture.shape[0] - 8)
    for colour, stroke in (((0, 0, 0), 4), ((255, 255, 255), 1)):
        cv2.putText(copy, caption, place, cv2.FONT_HERSHEY_SIMPLEX, 0.6, colour, stroke, cv2.LINE_AA)
    return copy


@dataclass(frozen=True)
class Sighting:
    """A track in one frame: its id and class, its box's height in pixels, and whether the last look missed it."""

    track_id: int
    name: str
    height: float
    missed: bool


def sightings(bag_path: Path, topic: str) -> Iterator[list[Sighting]]:
    """The tracks of every frame of a bag's topic of detections. A look saw what carries the newest stamp of all."""
    newest = 0
    for message in messages(bag_path, topic):
        newest = max([newest, *map(stamp_of, message.detections)])
        yield [
            Sighting(int(d.id), d.results[0].hypothesis.class_id, d.bbox.size_y, stamp_of(d) < newest)
            for d in message.detections
        ]


def id_timeline(frames: Sequence[Sequence[Sighting]], labels: LabelSpace, least: int) -> UInt8Array:
    """A row for every id that was there in ``least`` of the ``frames`` or more, in the order of their first: a bar of
    the colour that the overlay gives the id where it was seen or carried, a thin line where the last look had missed
    it; ``(H, W, 3)`` uint8 RGB.
    """
    colours = {c.name: c.colour for c in labels.classes}
    rows: dict[int, dict[int, Sighting]] = defaultdict(dict)
    for number, frame in enumerate(frames):
        for sighting in frame:
            rows[sighting.track_id][number] = sighting
    shown = {track_id: row for track_id, row in rows.items() if len(row) >= least}
    row_height, left, step = 22, 300, max(2, min(24, 1200 // max(len(frames), 1)))
    picture = np.full(((len(shown) + 1) * row_height + 8, left + step * len(frames) + 20, 3), 24, np.uint8)
    for number in range(0, len(frames), max(1, round(60 / step / 5) * 5)):
        cv2.line(picture, (left + step * number, row_height), (left + step * number, picture.shape[0]), (60,) * 3)
        _word(picture, str(number), (left + step * number, 15), (200,) * 3)
    for place, (track_id, row) in enumerate(shown.items(), 1):
        name = Counter(s.name for s in row.values()).most_common(1)[0][0]
        middle, colour = place * row_height + row_height // 2, shade(colours[name], track_id)
        for number, sighting in row.items():
            half = 1 if sighting.missed else row_height // 3
            start = left + step * number
            cv2.rectangle(picture, (start, middle - half), (start + step - 1, middle + half), colour, cv2.FILLED)
        seen = [s.height for s in row.values() if not s.missed]
        text = f"#{track_id} {name}, {len(seen)} frames, {round(max(seen, default=0.0))} px"
        _word(picture, text, (8, middle + 5), (230,) * 3)
    return picture


def _word(picture: UInt8Array, text: str, place: tuple[int, int], colour: tuple[int, ...]) -> None:
    cv2.putText(picture, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.45, colour, 1, cv2.LINE_AA)


def write_picture(path: Path, picture: UInt8Array) -> None:
    """Write ``(H, W, 3)`` uint8 RGB as the file ``path`` says (PNG, JPEG ...)."""
    cv2.imwrite(str(path), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))


def write_video(path: Path, frames: Iterable[UInt8Array], rate: float) -> None:
    """Write the ``(H, W, 3)`` uint8 RGB frames, all of one size, as a video that browsers show: VP8 in WebM, the best
    that OpenCV's wheels can write. Raises ``SystemExit`` where this OpenCV cannot, or there are no frames.
    """
    video: cv2.VideoWriter | None = None
    for frame in frames:
        height, width = frame.shape[:2]
        if video is None:
            with _quiet():
                video = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"VP80"), rate, (width, height))
            if not video.isOpened():
                raise SystemExit(f"{path}: this OpenCV ({cv2.__version__}) cannot write VP8 video")
        video.write(np.asarray(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR)))
    if video is None:
        raise SystemExit(f"{path}: there are no frames to make a video of")
    video.release()


@contextmanager
def _quiet() -> Iterator[None]:
    """OpenCV complains about the name of every codec that WebM knows, on the C side of stderr."""
    stderr = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
