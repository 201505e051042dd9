"""When the instance network runs: a pure function of stamps and counts, never of the wall clock."""

from __future__ import annotations

from dataclasses import dataclass

from seg_perception.schema import option


@dataclass(frozen=True)
class CascadeConfig:
    """``every``: the instance network sees every N-th frame of a camera; in between the tracker carries its masks."""

    every: int = option(1, "the instance network runs on every N-th frame of a camera", ge=1, le=1000)


class Cascade:
    """Decides frame by frame for one camera."""

    def __init__(self) -> None:
        self._since_run: int | None = None

    def due(self, config: CascadeConfig) -> bool:
        """Whether the instance network runs on this frame; call once per frame, in stamp order."""
        self._since_run = None if self._since_run is None else self._since_run + 1
        run = self._since_run is None or self._since_run >= config.every
        if run:
            self._since_run = 0
        return run
