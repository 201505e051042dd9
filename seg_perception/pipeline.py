"""The one road of a frame: image -> semantic map -> instances when due -> tracks -> panoptic map, each stage timed.

One :class:`Pipeline` per camera holds what lasts from frame to frame; the networks are shared. The same object runs in
the node and offline.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np

from seg_perception.cascade import Cascade
from seg_perception.config import ModelsConfig, PipelineConfig
from seg_perception.errors import ConfigError, InputError
from seg_perception.fusion import fuse
from seg_perception.labels import LabelSpace
from seg_perception.models import (
    Execution,
    InstanceNetwork,
    Manifest,
    PanopticNetwork,
    SemanticNetwork,
    load_instance,
    load_panoptic,
    load_semantic,
)
from seg_perception.timing import StageTimes
from seg_perception.tracking import Tracker
from seg_perception.types import (
    UNLABELLED,
    BoolArray,
    Frame,
    Instances,
    Look,
    PanopticMap,
    Perception,
    SemanticMap,
    UInt8Array,
)


class Looks(Protocol):
    """What looks at a frame: two networks in a cascade, or one that does both. All cameras share it; it speaks the
    active label space.
    """

    @property
    def loaded(self) -> tuple[SemanticNetwork | InstanceNetwork | PanopticNetwork, ...]:
        """Every network that takes part."""
        ...

    def look(
        self, image: UInt8Array, due: Callable[[], bool], times: StageTimes
    ) -> tuple[SemanticMap, Instances | None]:
        """The classes in ``image``, and the things, or None where nothing looked for them; ``due`` is asked at most
        once whether the cascade wants a separate network to.
        """
        ...


@dataclass(frozen=True)
class Networks:
    """A semantic network for every frame, and an instance network, if any, for those that are due."""

    semantic: SemanticNetwork
    instance: InstanceNetwork | None

    @classmethod
    def load(cls, config: PipelineConfig, labels: LabelSpace) -> Looks:
        """Load what ``config.models`` names; raises :class:`ConfigError` or :class:`ModelError`."""
        models = config.models
        if Manifest.load(models.semantic).task == "panoptic":
            return Unified.load(config, labels)
        semantic = load_semantic(models.semantic, labels, _how(models))
        return cls(semantic, load_instance(models.instance, labels, _how(models)) if models.instance else None)

    @property
    def loaded(self) -> tuple[SemanticNetwork | InstanceNetwork, ...]:
        """See :class:`Looks`."""
        return (self.semantic,) if self.instance is None else (self.semantic, self.instance)

    def look(
        self, image: UInt8Array, due: Callable[[], bool], times: StageTimes
    ) -> tuple[SemanticMap, Instances | None]:
        """See :class:`Looks`."""
        semantic = self.semantic(image, times)
        return semantic, self.instance(image, times) if self.instance is not None and due() else None


@dataclass(frozen=True)
class Unified:
    """One panoptic network that sees every frame, and tells classes and things in one pass."""

    panoptic: PanopticNetwork

    @classmethod
    def load(cls, config: PipelineConfig, labels: LabelSpace) -> Unified:
        """Load the panoptic network that ``config.models.semantic`` names; raises :class:`ConfigError` for options that
        ask for a second network or for passes to be left out, :class:`ModelError` as the other networks.
        """
        models, both = config.models, f"'{config.models.semantic}' is panoptic, one network for classes and things"
        if models.instance not in ("", models.semantic):
            raise ConfigError(f"models: instance is '{models.instance}', but {both}: leave instance empty")
        if config.cascade.every > 1:
            raise ConfigError(
                f"cascade: every is {config.cascade.every}, but {both}, and sees every frame: set it to 1"
            )
        return cls(load_panoptic(models.semantic, labels, _how(models)))

    @property
    def loaded(self) -> tuple[PanopticNetwork, ...]:
        """See :class:`Looks`."""
        return (self.panoptic,)

    def look(self, image: UInt8Array, due: Callable[[], bool], times: StageTimes) -> tuple[SemanticMap, Instances]:
        """See :class:`Looks`; the cascade has no say."""
        return self.panoptic(image, times)


def _how(models: ModelsConfig) -> Execution:
    """How all networks are run."""
    return Execution(models.runtime, models.precision, models.threads, models.device)


class Pipeline:
    """One camera's road from frame to perception. Not thread-safe: one frame at a time, in stamp order."""

    def __init__(
        self, networks: Looks, labels: LabelSpace, config: PipelineConfig, ego_mask: BoolArray | None = None
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
        semantic, instances = self._networks.look(frame.image, partial(self._cascade.due, config.cascade), times)
        look = None
        if instances is not None:
            look = Look(frame.stamp, instances, np.array([[0, 0, width, height]], np.float32))
        with times.stage("track"):
            tracks = self._tracker.step(frame.stamp, (width, height), look, config.tracker)
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
