"""Trouble that repeats is told once; how often it happened is counted elsewhere."""

from __future__ import annotations

import re
from collections.abc import Callable

_MOST_KINDS = 32


class Once:
    """Passes on one sentence of each kind to ``say``. Two are of one kind when they differ only in numbers."""

    def __init__(self, say: Callable[[str], object]) -> None:
        self._say = say
        self._told: set[str] = set()

    def __call__(self, sentence: str) -> None:
        """Say it, unless this kind was told before."""
        kind = re.sub(r"[\d.]+", "#", sentence)
        # The bound keeps a stream of ever-new nonsense (a random encoding in every image) from filling log and memory.
        if kind not in self._told and len(self._told) < _MOST_KINDS:
            self._told.add(kind)
            self._say(sentence)
