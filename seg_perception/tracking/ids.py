"""Track ids: increasing from 1, from 32767 back to 1, never one that is still live."""

from __future__ import annotations

from collections.abc import Collection

from seg_perception.types import MAX_TRACK_ID


class IdCounter:
    """Hands out the ids of one camera; ``last`` is the id given out most recently, 0 before the first."""

    def __init__(self, last: int = 0) -> None:
        self.last = last

    def next(self, live: Collection[int]) -> int:
        """The next id that is not in ``live``, which must hold fewer than 32767 ids."""
        while True:
            self.last = self.last % MAX_TRACK_ID + 1
            if self.last not in live:
                return self.last
