"""What a run says about itself: in the bag what decided its content, beside it how it went."""

from __future__ import annotations

import dataclasses
import json
import platform
from array import array
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from seg_perception import __version__
from seg_perception.config import PipelineConfig
from seg_perception.labels import LabelSpace
from seg_perception.pipeline import Looks


def provenance(bag: Path, topic: str, config: PipelineConfig, labels: LabelSpace, networks: Looks) -> dict[str, Any]:
    """Everything that the content of the output depends on; no time, no machine, no folder."""
    return {
        "seg_perception": __version__,
        "source": {"bag": bag.name, "topic": topic},
        "labels": {"name": labels.name, "version": labels.version},
        "models": [network.describe() for network in networks.loaded],
        "config": dataclasses.asdict(config),
        "versions": {
            "python": platform.python_version(),
            "numpy": np.__version__,
            "opencv": cv2.__version__,
            **{package: version(package) for package in ("scipy", "rosbags", "mcap")},
        },
    }


def as_note(content: Mapping[str, Any]) -> dict[str, str]:
    """``content`` as the key-value text that a bag's metadata holds."""
    return {key: json.dumps(value, sort_keys=True) for key, value in content.items()}


def _numbers() -> array[float]:
    # A quarter of a list's memory: a drive of an hour has a million of these.
    return array("d")


@dataclass
class RunReport:
    """How a run went: frames by fate (``refused`` by reason), what was odd about the stream, whether the bag turned
    out damaged; looks of the instance network by outcome, and how old the newest was at each frame, in seconds of the
    stamps; what was carried into space and what could not be; the seconds that each frame spent in each stage.
    """

    read: int = 0
    written: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    bad_calibrations: int = 0
    time_jumps: int = 0
    standing_stamps: int = 0
    damage: str | None = None
    looks: Counter[str] = field(default_factory=Counter)
    ages: array[float] = field(default_factory=_numbers)
    projection: Mapping[str, int] = field(default_factory=dict)
    seconds: dict[str, array[float]] = field(default_factory=lambda: defaultdict(_numbers))

    def add_times(self, seconds: Mapping[str, float]) -> None:
        """One frame's seconds by stage."""
        for stage, value in seconds.items():
            self.seconds[stage].append(value)

    def content(self, source: Mapping[str, Any]) -> dict[str, Any]:
        """The JSON beside the bag: ``source`` (its :func:`provenance`) and all of this, times as p50, p95, p99."""
        return {
            **source,
            "frames": {"read": self.read, "written": self.written, "refused": dict(self.refused)},
            "bad_calibrations": self.bad_calibrations,
            "time_jumps": self.time_jumps,
            "standing_stamps": self.standing_stamps,
            "damage": self.damage,
            "looks": dict(self.looks),
            "instance_age_ms": _percentiles(self.ages) if self.ages else None,
            "projection": dict(self.projection),
            "milliseconds": {stage: _percentiles(values) for stage, values in self.seconds.items()},
        }


def _percentiles(seconds: array[float]) -> dict[str, float]:
    p50, p95, p99 = (1000 * np.percentile(seconds, (50, 95, 99))).round(3).tolist()
    return {"p50": p50, "p95": p95, "p99": p99, "frames": len(seconds)}
