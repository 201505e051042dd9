"""Trouble that repeats is told once; how often it happened is in the statistics."""

from __future__ import annotations

import re

from rclpy.impl.rcutils_logger import RcutilsLogger

_MOST_KINDS = 32


class Complaints:
    """Tells the user of each kind of trouble once. Two sentences are of one kind when they differ only in numbers."""

    def __init__(self, logger: RcutilsLogger) -> None:
        self._logger = logger
        self._told: set[str] = set()

    def __call__(self, sentence: str) -> None:
        """Warn, unless this kind was told before."""
        kind = re.sub(r"[\d.]+", "#", sentence)
        # The bound keeps a stream of ever-new nonsense (a random encoding in every image) from filling log and memory.
        if kind not in self._told and len(self._told) < _MOST_KINDS:
            self._told.add(kind)
            self._logger.warning(f"{sentence} (said once)")
