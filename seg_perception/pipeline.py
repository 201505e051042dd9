"""The one road of a frame: image -> semantic map -> instances when due -> tracks -> panoptic map, each stage timed.

One :class:`Pipeline` per camera holds what lasts from frame to frame; the networks are shared. The same object runs in
the node and offline.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from seg_perception.cascade import Cascade
from seg_perception.config import PipelineConfig
from seg_perception.errors import InputError
from seg_perception.fusion import fuse
from seg_perception.labels import LabelSpace
from seg_perception.models import InstanceNetwork, SemanticNetwork, load_instance, load_semantic
from seg_perception.timing import StageTimes
from seg_perception.tracking import Tracker
from seg_perception.types import UNLABELLED, BoolArray, Frame, PanopticMap, Perception


@dataclass(frozen=True)
class Networks:
    """The networks that all cameras share, already speaking the active label space."""

    semantic: SemanticNetwork
    instance: InstanceNetwork | None

    @classmethod
    def load(cls, config: PipelineConfig, labels: LabelSpace) -> Networks:
        """Load what ``config.models`` names; raises :class:`ConfigError` or :class:`ModelError`."""
        models = config.models
        how: dict[str, Any] = {
            "runtime": models.runtime,
            "precision": models.precision,
            "threads": models.threads,
            "device": models.device,
        }
        semantic = load_semantic(models.semantic, labels, **how)
        return cls(semantic, load_instance(models.instance, labels, **how) if models.instance else None)


class Pipeline:
    """One camera's road from frame to perception. Not thread-safe: one frame at a time, in stamp order."""

    def __init__(
        self, networks: Networks, labels: LabelSpace, config: PipelineConfig, ego_mask: BoolArray | None = None
    ) -> None:
        self.config = config
        """Replaced as a whole between frames; only options that are ``live`` have an effect here."""
        self._networks = networks
        self._labels = labels
        self._ego_mask = ego_mask
        self._tracker = Tracker()
        self._cascade = Cascade()

    def reset(self) -> None:
        """Forget every track, as after a backwards time jump; ids go on counting."""
        self._tracker.reset()
        self._cascade = Cascade()

    def __call__(self, frame: Frame) -> Perception:
        """Perceive one frame. Raises :class:`InputError` for an ego mask of another size than the image."""
        config, times = self.config, StageTimes()
        height, width = frame.image.shape[:2]
        self._check_ego_mask(width, height)
        semantic = self._networks.semantic(frame.image, times)
        instances = None
        if self._networks.instance is not None and self._cascade.due(config.cascade):
            instances = self._networks.instance(frame.image, times)
        with times.stage("track"):
            tracks = self._tracker.step(frame.stamp, (width, height), instances, config.tracker)
        with times.stage("fuse"):
            panoptic = fuse(semantic, tracks, self._labels, config.fusion)
            if self._ego_mask is not None:
                panoptic = _blanked(panoptic, self._ego_mask)
        return Perception(frame.stamp, frame.frame_id, panoptic, tracks, times.seconds)

    def _check_ego_mask(self, width: int, height: int) -> None:
        mask = self._ego_mask
        if mask is not None and mask.shape != (height, width):
            raise InputError(
                f"the ego mask is {mask.shape[1]}x{mask.shape[0]} but the image is {width}x{height}; they must be of "
                "one size"
            )


def _blanked(panoptic: PanopticMap, ego_mask: BoolArray) -> PanopticMap:
    return PanopticMap(
        np.where(ego_mask, np.uint8(UNLABELLED), panoptic.semantic),
        np.where(ego_mask, np.uint8(0), panoptic.confidence),
        np.where(ego_mask, np.int32(UNLABELLED), panoptic.panoptic),
    )
