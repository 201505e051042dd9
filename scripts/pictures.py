"""What came out of a bag, to look at: messages by stamp, a video, a sheet of moments."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from seg_perception.conformance import stamp_of
from seg_perception.images import decode_compressed
from seg_perception.interfaces import typestore
from seg_perception.offline.bags import Bag
from seg_perception.types import UInt8Array


def messages(bag_path: Path, topic: str) -> Iterator[Any]:
    """The deserialised messages of one topic."""
    with Bag(bag_path) as bag:
        for message in bag.messages([topic]):
            yield typestore().deserialize_cdr(message.cdr, bag.topics[topic].type)


def pictures(bag_path: Path, topic: str) -> Iterator[tuple[int, UInt8Array]]:
    """Stamp (nanoseconds) and ``(H, W, 3)`` uint8 RGB of every compressed image of one topic."""
    for message in messages(bag_path, topic):
        yield stamp_of(message), decode_compressed(message.format, message.data)


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
            video = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"VP80"), rate, (width, height))
            if not video.isOpened():
                raise SystemExit(f"{path}: this OpenCV ({cv2.__version__}) cannot write VP8 video")
        video.write(np.asarray(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR)))
    if video is None:
        raise SystemExit(f"{path}: there are no frames to make a video of")
    video.release()
