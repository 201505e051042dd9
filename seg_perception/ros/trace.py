"""Every frame's times as one JSON line, for whoever wants more than the percentiles of /diagnostics."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TextIO

from seg_perception.errors import ConfigError
from seg_perception.types import Perception


class Trace:
    """Appends to the file at ``path``; an empty path keeps nothing. Raises :class:`ConfigError` for a file that cannot
    be opened; one that cannot be written any further ends the trace, told through ``complain(sentence)``.
    """

    def __init__(self, path: str, complain: Callable[[str], None]) -> None:
        self._path, self._complain = path, complain
        self._file: TextIO | None = None
        if path:
            try:
                self._file = Path(path).expanduser().open("a", encoding="utf-8", buffering=1)
            except OSError as error:
                raise ConfigError(f"parameter trace: {path} cannot be written: {error.strerror}") from error

    def write(self, camera: str, result: Perception, latency: float, seconds: Mapping[str, float]) -> None:
        """One published frame: its stamp and that of the frame in which the instance network last looked, in
        nanoseconds, the seconds since its source sent it and those by stage, and the looks that came back with it.
        """
        if self._file is not None:
            line = {
                "camera": camera,
                "stamp": result.stamp,
                "latency": round(latency, 6),
                "seconds": _rounded(seconds),
                "looked": result.looked,
                "looks": [
                    {
                        "stamp": k.stamp,
                        "latency": round(k.latency, 6),
                        "outcome": k.outcome,
                        "seconds": _rounded(k.seconds),
                    }
                    for k in result.looks
                ],
            }
            try:
                self._file.write(json.dumps(line) + "\n")
            except OSError as error:
                self._complain(f"parameter trace: {self._path} cannot be written: {error.strerror}; the trace ends")
                self.close()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            with contextlib.suppress(OSError):  # the line that did not go out is told by then
                self._file.close()
            self._file = None


def _rounded(seconds: Mapping[str, float]) -> dict[str, float]:
    return {stage: round(value, 6) for stage, value in seconds.items()}
