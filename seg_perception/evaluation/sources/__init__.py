"""Where labelled frames come from: one small reader for each way of writing them down, all behind :class:`Source`."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from seg_perception.labels import LabelSpace
from seg_perception.types import Float32Array, Int32Array, UInt8Array

Key = int | str
"""A frame's stamp in nanoseconds, or its name."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """One frame: ``panoptic`` ``(H, W)`` int32, ``track_id << 16 | class_id`` with the classes of the source's own
    label space, 255 unlabelled. ``confidence`` ``(H, W)`` uint8 as in :class:`~seg_perception.types.PanopticMap`, None
    where unknown; ``scores`` of the instances by track id, None where unknown; ``received`` nanoseconds, when the
    answer was there, None where unknown.
    """

    key: Key
    panoptic: Int32Array
    confidence: UInt8Array | None = None
    scores: Mapping[int, float] | None = None
    received: int | None = None


@dataclass(frozen=True)
class Facts:
    """What a source says of itself: its ``kind`` in words ("bag", "COCO panoptic" ...); whether it is a ``video``;
    whether its maps tell ``instances`` apart; ``run``, what decided the content of a prediction, where that is
    recorded; ``notes``, a sentence each, on what was found wrong or taken for granted; ``damage``, that one of them
    which says where reading had to end, None where all could be read.
    """

    kind: str
    video: bool
    instances: bool
    run: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    damage: str | None = None


class Source(Protocol):
    """Labelled frames that can be asked for in any number, again and again."""

    @property
    def path(self) -> Path: ...

    @property
    def facts(self) -> Facts: ...

    @property
    def labels(self) -> LabelSpace | None:
        """The space that its class ids are in; None where nothing says so."""

    @property
    def keys(self) -> Sequence[Key]:
        """Every frame it has, in order; all stamps, or all names."""

    def read(self, keys: Collection[Key]) -> Iterator[Labelled]:
        """The frames of these keys, in the source's order. Raises :class:`InputError` or :class:`BagError` for what
        cannot be read.
        """
        ...


class Pictures(Protocol):
    """The camera's pictures that belong to the frames, for the report."""

    def read(self, keys: Collection[Key]) -> Iterator[tuple[Key, UInt8Array]]:
        """``(H, W, 3)`` uint8 RGB of those of ``keys`` that have a picture, in order."""
        ...


class Depths(Protocol):
    """Distances along the camera's axis that belong to the frames."""

    def read(self, keys: Collection[Key]) -> Iterator[tuple[Key, Float32Array]]:
        """``(H, W)`` float32 metres, NaN unknown, of those of ``keys`` that have depth, in order."""
        ...


def count(number: int, noun: str, one: str = "", many: str = "") -> str:
    """``3 frames``, or with a verb in both numbers ``3 frames have``, ``1 frame has``."""
    verb = one if number == 1 else many
    return f"{number} {noun}{'' if number == 1 else 's'}{f' {verb}' if verb else ''}"
