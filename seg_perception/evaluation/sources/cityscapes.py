"""Cityscapes' ground truth and results: ``*_labelIds.png``, ``*_labelTrainIds.png``, ``*_instanceIds.png``."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np

from seg_perception.errors import InputError
from seg_perception.evaluation.sources import Facts, Key, Labelled, count
from seg_perception.evaluation.sources.folders import name_of, named_files, read_png
from seg_perception.labels import LabelSpace
from seg_perception.types import UNLABELLED, Int32Array, UInt8Array

ENDINGS = ("_instanceIds", "_labelIds", "_labelTrainIds")
"""In the order of how much they tell; of a frame that has several, the first is read."""

ALL_LABEL_IDS = 34
"""There are labelIds from 0 to 33, and -1, which is 255 in a file."""

LABEL_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
"""The labelId of each trainId 0..18 (cityscapesScripts, helpers/labels.py); every other is not evaluated."""


class CityscapesFolder:
    """A folder of Cityscapes PNG files, however deep; of each frame the file with instances where there is one.

    In an instance map, ids below 1000 are labelIds of stuff, or of things that are not told apart; others are
    ``labelId * 1000 + instance``. Raises :class:`InputError` for a folder without such files.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.labels = path, LabelSpace.load("cityscapes")
        self._ending = next((e for e in ENDINGS if any(path.rglob(f"*{e}*.png"))), "")
        if not self._ending:
            raise InputError(f"{path}: has no file that ends in {', '.join(ENDINGS)} and .png")
        self._files = named_files(path, f"*{self._ending}*.png")
        self.keys: list[Key] = list(self._files)
        instances = self._ending == "_instanceIds"
        self.facts = Facts(f"Cityscapes files *{self._ending}.png", False, instances, notes=tuple(self._without()))

    def read(self, keys: Collection[Key]) -> Iterator[Labelled]:
        """See :class:`~seg_perception.evaluation.sources.Source`."""
        for key, file in self._files.items():
            if key in keys:
                yield Labelled(key, self._map(file))

    def _without(self) -> Iterator[str]:
        """A sentence for the frames that have only files of another ending."""
        others = {name_of(file.name) for ending in ENDINGS for file in self.path.rglob(f"*{ending}*.png")}
        missing = sorted(others - {str(key) for key in self.keys})
        if missing:
            yield (
                f"{self.path.name}: {count(len(missing), 'frame', 'has', 'have')} no *{self._ending}.png, of "
                f"{len(others)}, and {'is' if len(missing) == 1 else 'are'} left out (the first is {missing[0]})"
            )

    def _map(self, file: Path) -> Int32Array:
        ids = read_png(file)
        if ids.ndim != 2:
            raise InputError(f"{file}: has {ids.shape[2]} channels, expected one of ids")
        ids = ids.astype(np.int32)
        if self._ending == "_labelTrainIds":
            _refuse_strangers(ids, len(LABEL_IDS), file)
            return ids
        label, instance = np.where(ids >= 1000, ids // 1000, ids), np.where(ids >= 1000, ids % 1000 + 1, 0)
        _refuse_strangers(label, ALL_LABEL_IDS, file)
        classes = _TRAIN_IDS[np.minimum(label, 255)]
        return np.where(classes == UNLABELLED, UNLABELLED, instance << 16 | classes).astype(np.int32)


def _refuse_strangers(ids: Int32Array, known: int, file: Path) -> None:
    strange = np.unique(ids[(ids >= known) & (ids != UNLABELLED)])
    if len(strange):
        raise InputError(
            f"{file}: has {count(len(strange), 'id')} such as {strange[0]}, expected 0..{known - 1} and {UNLABELLED}; "
            "is it named as what it is?"
        )


def _train_ids() -> UInt8Array:
    table = np.full(256, UNLABELLED, np.uint8)
    table[list(LABEL_IDS)] = np.arange(len(LABEL_IDS))
    return table


_TRAIN_IDS = _train_ids()
