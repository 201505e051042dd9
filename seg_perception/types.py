"""What travels between the stages: numpy arrays with documented shapes, no behaviour that needs a library.

Pixel coordinates are continuous with pixel *edges* at integers: pixel ``(u, v)`` covers ``[u, u+1) x [v, v+1)`` and its
centre is ``(u+0.5, v+0.5)``. A box ``x0, y0, x1, y1`` is therefore half-open like a slice. Stamps are integer
nanoseconds, as in ``builtin_interfaces/Time``. The class id 255 is "unlabelled" everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

UInt8Array = NDArray[np.uint8]
Int32Array = NDArray[np.int32]
Int64Array = NDArray[np.int64]
Float32Array = NDArray[np.float32]
Float64Array = NDArray[np.float64]
IndexArray = NDArray[np.intp]
BoolArray = NDArray[np.bool_]

NANOSECONDS = 1_000_000_000
"""Of a second: stamps count them."""

TIME_JUMP = NANOSECONDS
"""Stamps that go back by more than this have jumped, as where a bag begins anew; less is out of order."""

UNLABELLED = 255
"""Class id of a pixel that no class claims; never a class of a label space."""

SMALL = 48.0
"""Pixels: what is smaller than this, as the square root of its box's area, shows better in a part of the frame that is
magnified than in the frame as a whole.
"""

MAX_TRACK_ID = 32767
"""Largest track id: consumers (Hydra) store instance ids as int16."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One camera image.

    ``stamp`` is the source's, in nanoseconds; ``frame_id`` the camera's optical frame (REP 103: z forward, x right, y
    down); ``image`` is RGB, ``(H, W, 3)`` uint8, and may be a read-only view of the message it came from.
    """

    stamp: int
    frame_id: str
    image: UInt8Array


@dataclass(frozen=True, slots=True)
class SemanticMap:
    """A class for every pixel, in the active label space.

    ``labels`` is ``(H, W)`` uint8, 255 unlabelled. ``confidence`` is ``(H, W)`` uint8: the winner's probability scaled
    to 1..255, and 0 exactly where ``labels`` is 255.
    """

    labels: UInt8Array
    confidence: UInt8Array


@dataclass(frozen=True, slots=True)
class Mask:
    """A box-cropped binary mask: ``bits`` is ``(h, w)`` bool, its upper-left pixel is image pixel ``(x, y)``; it
    lies inside the image, and may be empty (0 x 0).
    """

    x: int
    y: int
    bits: BoolArray


@dataclass(frozen=True, slots=True)
class Instances:
    """What the instance network found in one frame: N things, in no particular order.

    ``boxes`` ``(N, 4)`` float32 x0 y0 x1 y1 in image pixels; ``scores`` ``(N,)`` float32 in 0..1; ``labels`` ``(N,)``
    uint8 in the active label space (never 255); ``masks`` N box-cropped masks.
    """

    boxes: Float32Array
    scores: Float32Array
    labels: UInt8Array
    masks: tuple[Mask, ...]

    def __len__(self) -> int:
        return len(self.masks)

    @classmethod
    def empty(cls) -> Instances:
        """Nothing found."""
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.uint8), ())


@dataclass(frozen=True, slots=True)
class Look:
    """What the instance network found where it looked: ``instances`` in the pixels of the frame at ``stamp``, which may
    be older than the frame in hand; ``regions`` ``(R, 4)`` float32 x0 y0 x1 y1, the parts of that frame that it saw. A
    track outside all of them was not looked for, and cannot have been missed; nor was a small one that was last seen in
    a smaller region, that is, closer.
    """

    stamp: int
    instances: Instances
    regions: Float32Array


@dataclass(frozen=True, slots=True)
class Tracks:
    """Every live track of one camera at one stamp: N things.

    ``track_ids`` ``(N,)`` int32, 1..32767, or 0 while a track is not confirmed; ``boxes``, ``scores``, ``labels``,
    ``masks`` as in :class:`Instances`, predicted to this stamp; ``seen`` ``(N,)`` int64 the stamp of the frame in which
    the instance network last saw the track; ``visible`` ``(N,)`` bool, False for a track that is hidden or
    contradicted: it is remembered but not painted.
    """

    track_ids: Int32Array
    boxes: Float32Array
    scores: Float32Array
    labels: UInt8Array
    masks: tuple[Mask, ...]
    seen: Int64Array
    visible: BoolArray

    def __len__(self) -> int:
        return len(self.masks)

    @classmethod
    def empty(cls) -> Tracks:
        """No live track."""
        return cls(
            np.zeros(0, np.int32),
            np.zeros((0, 4), np.float32),
            np.zeros(0, np.float32),
            np.zeros(0, np.uint8),
            (),
            np.zeros(0, np.int64),
            np.zeros(0, np.bool_),
        )


@dataclass(frozen=True, slots=True)
class PanopticMap:
    """The fused answer for every pixel.

    ``semantic`` ``(H, W)`` uint8 class id; ``confidence`` ``(H, W)`` uint8, 0 exactly where ``semantic`` is 255;
    ``panoptic`` ``(H, W)`` int32, ``track_id << 16 | class_id``, so that ``panoptic & 0xFFFF == semantic`` everywhere.
    Track id 0 is stuff, or a thing whose instance is not known (yet).
    """

    semantic: UInt8Array
    confidence: UInt8Array
    panoptic: Int32Array


@dataclass(frozen=True, slots=True)
class LabelledPoints:
    """N points and what the image says about each.

    ``xyz`` ``(N, 3)`` float32 metres, NaN where there is no point; ``labels`` ``(N,)`` uint8 class id, 255 unlabelled
    or out of view; ``instances`` ``(N,)`` int32 track id, 0 none; ``confidence`` ``(N,)`` uint8 as in
    :class:`PanopticMap`.
    """

    xyz: Float32Array
    labels: UInt8Array
    instances: Int32Array
    confidence: UInt8Array

    def __len__(self) -> int:
        return len(self.xyz)


@dataclass(frozen=True, slots=True)
class CameraModel:
    """A camera's calibration, as ``sensor_msgs/CameraInfo`` carries it.

    ``k`` ``(3, 3)``, ``d`` ``(n,)``, ``r`` ``(3, 3)``, ``p`` ``(3, 4)``, all float64, for an image of ``width`` x
    ``height`` pixels; ``distortion_model`` is ``plumb_bob``, ``rational_polynomial``, ``equidistant`` or empty. ROS
    puts pixel *centres* at integers, so ``cx`` here is 0.5 less than in this module's convention.
    """

    width: int
    height: int
    distortion_model: str
    k: NDArray[np.float64]
    d: NDArray[np.float64]
    r: NDArray[np.float64]
    p: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LookReport:
    """What became of one look of the instance network: ``stamp`` is that of the frame it saw; ``latency`` the seconds
    from its start to its answer; ``seconds`` its work by stage; ``outcome`` is ``used``, ``late`` where the answer came
    after its time-out or after images of another size, or ``failed``, with the ``error``.
    """

    stamp: int
    latency: float
    seconds: Mapping[str, float]
    outcome: Literal["used", "late", "failed"]
    error: Exception | None = None


@dataclass(frozen=True, slots=True)
class Perception:
    """All that the pipeline knows about one frame: its header, the panoptic map, the tracks at its stamp, and the
    seconds that each stage took.

    ``looked`` is the stamp of the newest frame whose things the network has told, None before the first; ``looks`` are
    those that came back with this frame.
    """

    stamp: int
    frame_id: str
    panoptic: PanopticMap
    tracks: Tracks
    seconds: Mapping[str, float]
    looked: int | None = None
    looks: tuple[LookReport, ...] = ()

    @property
    def instance_age(self) -> float:
        """Seconds from the frame whose things were told last to this one; NaN before the first."""
        return float("nan") if self.looked is None else (self.stamp - self.looked) / NANOSECONDS
