"""One bag through the pipeline, each of its frames scored on the way.

What is left is a bag of panoptic maps, as ``seg_perception run`` writes them, and beside it the table of its frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seg_perception.cascade import Network
from seg_perception.config import PipelineConfig
from seg_perception.conformance import pixels
from seg_perception.errors import BagError
from seg_perception.frames import stamp_of
from seg_perception.interfaces import typestore
from seg_perception.labels import LabelSpace
from seg_perception.mining import scores
from seg_perception.offline.bags import Bag
from seg_perception.offline.collection import digest
from seg_perception.offline.run import run_bag
from seg_perception.offline.runs import loaded
from seg_perception.pipeline import Looks
from seg_perception.timing import StageTimes
from seg_perception.types import Float32Array, Instances, Int64Array, SemanticMap, UInt8Array

PANOPTIC = "panoptic/image_raw"
CAMERA = "mined"
"""The namespace of the maps in the bag that is left."""


@dataclass(frozen=True)
class Observed:
    """F frames of one bag, in its order: ``log_times`` and ``stamps`` ``(F,)`` int64 nanoseconds; ``pixels`` ``(F, C)``
    int64 by class; ``hashes`` ``(F,)`` uint64; of each reason its score, ``(F,)`` float64.
    """

    log_times: Int64Array
    stamps: Int64Array
    pixels: Int64Array
    hashes: NDArray[np.uint64]
    disagreement: NDArray[np.float64]
    doubt: NDArray[np.float64]
    flicker: NDArray[np.float64]
    small: NDArray[np.float64]
    occluded: NDArray[np.float64]

    def save(self, path: Path) -> None:
        """Write it under ``path``, whole or not at all."""
        part = path.with_name(f"{path.name}.part")
        with part.open("wb") as file:
            np.savez_compressed(file, **{field.name: getattr(self, field.name) for field in fields(self)})
        part.replace(path)

    @classmethod
    def load(cls, path: Path) -> Observed:
        """What :meth:`save` wrote."""
        with np.load(path) as arrays:
            return cls(**{field.name: arrays[field.name] for field in fields(cls)})


class Listening:
    """Networks whose every answer is scored as it is given; ``rows`` has the scores frame by frame."""

    def __init__(self, networks: Looks, labels: LabelSpace) -> None:
        self._networks, self._things = networks, labels.things
        self._last: tuple[UInt8Array, UInt8Array] | None = None
        self.rows: list[dict[str, float]] = []

    @property
    def loaded(self) -> tuple[Any, ...]:
        """See :class:`~seg_perception.pipeline.Looks`."""
        return self._networks.loaded

    @property
    def instance(self) -> Network | None:
        """See :class:`~seg_perception.pipeline.Looks`; it looks at every frame after :meth:`look` did."""
        return None if self._networks.instance is None else self._look_for_things

    def look(self, image: UInt8Array, times: StageTimes) -> tuple[SemanticMap, Instances | None]:
        """See :class:`~seg_perception.pipeline.Looks`."""
        semantic, things = self._networks.look(image, times)
        with times.stage("score"):
            self._add(image, semantic)
            if things is not None:
                self._add_things(things)
        return semantic, things

    def _look_for_things(self, image: UInt8Array, times: StageTimes, regions: Float32Array | None = None) -> Instances:
        assert self._networks.instance is not None
        things = self._networks.instance(image, times, regions)
        with times.stage("score"):
            self._add_things(things)
        return things

    def _add(self, image: UInt8Array, semantic: SemanticMap) -> None:
        grey, last = scores.smoothed(image), self._last
        # The next stage may write into the map.
        labels = semantic.labels.copy()
        self._last = labels, grey
        comparable = last is not None and last[1].shape == grey.shape
        self.rows.append(
            {
                "hashes": scores.appearance(image),
                "doubt": scores.doubt(semantic.confidence),
                "flicker": scores.flicker(labels, last[0], grey, last[1]) if last and comparable else 0.0,
                **dict.fromkeys(("disagreement", "small", "occluded"), 0.0),
            }
        )

    def _add_things(self, things: Instances) -> None:
        if self._last is not None:
            self.rows[-1] |= {
                "disagreement": scores.disagreement(self._last[0], things, self._things),
                "small": float(scores.small(things)),
                "occluded": float(scores.occluded(things)),
            }


def observe(bag: Path, maps: Path, table: Path, config: PipelineConfig, topic: str | None) -> dict[str, Any]:
    """Perceive ``bag`` into ``maps`` (.mcap) and score its frames into ``table`` (.npz); what is to be said of it,
    ready for JSON. Raises as :func:`~seg_perception.offline.run.run_bag`.
    """
    maps.parent.mkdir(parents=True, exist_ok=True)
    heard: list[Listening] = []

    def load(config: PipelineConfig, labels: LabelSpace) -> Listening:
        heard.append(Listening(loaded(config, labels), labels))
        return heard[-1]

    said: list[str] = []
    options: dict[str, Any] = {"topic": topic, "camera": CAMERA, "outputs": [PANOPTIC], "progress": False}
    report = run_bag(bag, maps, config, **options, load=load, say=said.append)
    _table(maps, heard[0].rows, len(LabelSpace.load(config.labels))).save(table)
    return {
        "said": f"{report.written} of {report.read} frames scored",
        "damage": report.damage,
        "notes": said,
        "sha256": digest(bag),
    }


def _table(maps: Path, rows: Sequence[dict[str, float]], classes: int) -> Observed:
    log_times, stamps, counts = [], [], []
    with Bag(maps) as bag:
        for message in bag.messages([f"/{CAMERA}/{PANOPTIC}"]):
            content: Any = typestore().deserialize_cdr(message.cdr, bag.topics[message.topic].type)
            log_times.append(message.log_time)
            stamps.append(stamp_of(content))
            counts.append(np.bincount((pixels(content) & 0xFF).reshape(-1), minlength=256)[:classes])
    if len(rows) != len(stamps):
        raise BagError(f"{maps}: has {len(stamps)} maps for {len(rows)} looks of the networks; expected one for each")
    twins = len(stamps) - len({*zip(log_times, stamps, strict=True)})
    if twins:
        raise BagError(
            f"{twins} of its {len(stamps)} frames have both the log time and the stamp of another; expected frames "
            "that can be told apart by either"
        )
    columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    columns["hashes"] = np.array([row["hashes"] for row in rows], np.uint64)
    return Observed(np.array(log_times), np.array(stamps), np.array(counts), **columns)
