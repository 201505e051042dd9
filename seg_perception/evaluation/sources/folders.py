"""Labelled frames from a folder of PNG files: what all formats share, and the plainest of them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from seg_perception.errors import InputError
from seg_perception.evaluation.sources import Facts, Key, Labelled, count
from seg_perception.evaluation.sources.bags import metres
from seg_perception.labels import LabelSpace
from seg_perception.types import MAX_TRACK_ID, UNLABELLED, Float32Array, Int32Array, UInt8Array

_SUFFIX = re.compile(r"(_gt(Fine|Coarse))?_(labelIds|labelTrainIds\w*|trainIds|instanceIds|instanceTrainIds|"
                     r"leftImg8bit|color|pred|label|labels)$|_L$")  # fmt: skip
_PNG, _PALETTE = b"\x89PNG", 3


class PlainFolder:
    """PNG files of ids in the label space ``labels``: 8 bits are classes, 16 bits ``class * 1000 + instance`` (instance
    0: not told apart). 255, and the classes in ``void``, are unlabelled.

    A file is named by its name without suffixes such as ``_labelTrainIds``, or by its stamp where that is a number of
    more than 10 digits (nanoseconds). Raises :class:`InputError` for a folder without PNG files.
    """

    def __init__(self, path: Path, labels: LabelSpace | None, void: Collection[int] = ()) -> None:
        self.path, self.labels = path, labels
        self._void = np.array(sorted(void), np.int64)
        self._files = named_files(path, "*.png")
        self.keys: list[Key] = list(self._files)
        bits = Counter(_bits(file) for file in self._files.values())
        if len(bits) > 1:
            counts = ", ".join(f"{number} of {depth} bits" for depth, number in sorted(bits.items()))
            raise InputError(
                f"{path}: has files of ids of several kinds ({counts}); expected all of 8 bits (classes) or all of 16 "
                "(class * 1000 + instance)"
            )
        self.facts = Facts("PNG files of ids", isinstance(self.keys[0], int), 16 in bits)

    def read(self, keys: Collection[Key]) -> Iterator[Labelled]:
        """See :class:`~seg_perception.evaluation.sources.Source`."""
        for key, file in self._files.items():
            if key in keys:
                yield Labelled(key, self._map(file))

    def _map(self, file: Path) -> Int32Array:
        ids = read_png(file)
        if ids.ndim != 2 or ids.dtype not in (np.uint8, np.uint16):
            shape = " x ".join(str(n) for n in ids.shape)
            raise InputError(
                f"{file}: holds {shape} pixels of {ids.dtype}, expected one channel of 8 or 16 bits of ids"
            )
        classes, instances = (
            (ids.astype(np.int32), 0) if ids.dtype == np.uint8 else np.divmod(ids.astype(np.int32), 1000)
        )
        unlabelled = (classes == UNLABELLED) | (ids == 65535) | np.isin(classes, self._void)
        return np.asarray(np.where(unlabelled, UNLABELLED, classes | instances << 16), np.int32)


def _bits(file: Path) -> int:
    """Bits of a sample of a PNG; 8 for what is none, which is said when it is read."""
    with suppress(OSError), file.open("rb") as stream:
        head = stream.read(25)
        return head[24] if head.startswith(_PNG) and len(head) == 25 else 8
    return 8


class FolderPictures:
    """The pictures beside a folder of labels, by name."""

    def __init__(self, path: Path) -> None:
        self._files = named_files(path, "*.png", "*.jpg", "*.jpeg")

    @classmethod
    def beside(cls, labels: Path) -> FolderPictures | None:
        """Those in ``images`` (or ``input_images``, ``leftImg8bit``) beside the folder ``labels``, or within it."""
        for name in ("images", "input_images", "leftImg8bit"):
            for place in (labels / name, labels.parent / name):
                if place.is_dir() and place.resolve() != labels.resolve() and any(place.rglob("*.*g")):
                    return cls(place)
        return None

    def any_of(self, keys: Collection[Key]) -> bool:
        """Whether one of ``keys`` has a file."""
        return not self._files.keys().isdisjoint(keys)

    def read(self, keys: Collection[Key]) -> Iterator[tuple[Key, UInt8Array]]:
        """See :class:`~seg_perception.evaluation.sources.Pictures`."""
        for key, file in self._files.items():
            if key in keys:
                picture = cv2.imread(str(file), cv2.IMREAD_COLOR)
                if picture is not None:
                    yield key, np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)


class FolderDepth:
    """Depth from PNG files of 16 bits in millimetres (0 and 65535 unknown), by name."""

    def __init__(self, path: Path) -> None:
        self._files = named_files(path, "*.png")

    def read(self, keys: Collection[Key]) -> Iterator[tuple[Key, Float32Array]]:
        """See :class:`~seg_perception.evaluation.sources.Depths`."""
        for key, file in self._files.items():
            if key in keys:
                depth = read_png(file)
                if depth.ndim != 2 or depth.dtype != np.uint16:
                    raise InputError(f"{file}: is no depth, expected one channel of 16 bits, millimetres")
                yield key, metres(depth)


def named_files(path: Path, *patterns: str) -> dict[Key, Path]:
    """The files below ``path`` by key, in the order of their names."""
    found = sorted(file for pattern in patterns for file in path.rglob(pattern))
    if not found:
        raise InputError(
            f"{path}: is empty: no {' or '.join(patterns)} in it or its folders; expected a file per frame"
        )
    named: dict[Key, Path] = {}
    for file in found:
        stem = name_of(file.name)
        key = int(stem) if stem.isdigit() and len(stem) > 13 else stem
        if key in named:
            raise InputError(
                f"{path}: {named[key].name} and {file.name} are both of the frame '{key}'; expected one each"
            )
        named[key] = file
    kinds = {type(key) for key in named}
    if len(kinds) > 1:
        stamps = sum(isinstance(key, int) for key in named)
        raise InputError(f"{path}: {count(stamps, 'file')} of {len(named)} are named by stamps, the others by names")
    return named


def name_of(file: str) -> str:
    """What the frame of ``file`` is called: without extension and without suffixes such as ``_gtFine_labelIds``."""
    return _SUFFIX.sub("", Path(file).stem)


def read_png(file: Path) -> NDArray[Any]:
    """The samples of a PNG as they are, colours as RGB; raises :class:`InputError` where they cannot be had."""
    try:
        content = file.read_bytes()
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror})") from error
    if content.startswith(_PNG) and content[24:25] < bytes([8]):
        raise InputError(f"{file}: is a PNG of {content[24]} bits, whose samples OpenCV scales; expected 8 or 16 bits")
    if content.startswith(_PNG) and content[25:26] == bytes([_PALETTE]):
        raise InputError(f"{file}: is a PNG with a palette, whose indices OpenCV does not give; expected grey levels")
    pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED) if content else None
    if pixels is None:
        raise InputError(f"{file}: is no PNG that can be read")
    return np.asarray(pixels[..., 2::-1] if pixels.ndim == 3 else pixels)


def numbered_tracks(where: Path, ids: NDArray[Any]) -> NDArray[np.int32]:
    """Track ids 1, 2 ... for the segments ``ids`` of one image that lasts no longer."""
    if len(ids) > MAX_TRACK_ID:
        raise InputError(f"{where}: has {len(ids)} segments, expected at most {MAX_TRACK_ID}")
    return np.arange(1, len(ids) + 1, dtype=np.int32)
