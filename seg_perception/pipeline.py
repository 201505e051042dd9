"""The one road of a frame: image -> semantic map -> things, when and where the cascade looks for them -> tracks ->
panoptic map, each stage timed.

One :class:`Pipeline` per camera holds what lasts from frame to frame; the networks are shared. The same object runs in
the node and offline: what differs is the runner, which says when a look of the instance network has come back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

import numpy as np

from seg_perception.cascade import Network, Runner, Scene, Virtual, Watcher, whole
from seg_perception.config import ModelsConfig, PipelineConfig
from seg_perception.errors import ConfigError, InputError
from seg_perception.fusion import fuse
from seg_perception.labels import LabelSpace
from seg_perception.models import (
    Execution,
    InstanceNetwork,
    InstanceProcess,
    Manifest,
    PanopticNetwork,
    SemanticNetwork,
    load_instance,
    load_panoptic,
    load_semantic,
)
from seg_perception.support import supported
from seg_perception.timing import StageTimes
from seg_perception.tracking import Tracker
from seg_perception.tracking.motion import CameraMotion
from seg_perception.tracking.points import Picture
from seg_perception.types import (
    UNLABELLED,
    BoolArray,
    Frame,
    Instances,
    Look,
    PanopticMap,
    Perception,
    SemanticMap,
    Tracks,
    UInt8Array,
)

LoadInstance = Callable[[str, LabelSpace, Execution], InstanceNetwork | InstanceProcess]


class Looks(Protocol):
    """What looks at frames: two networks in a cascade, or one that does both. All cameras share it; it speaks the
    active label space.
    """

    @property
    def loaded(self) -> tuple[SemanticNetwork | InstanceNetwork | InstanceProcess | PanopticNetwork, ...]:
        """Every network that takes part."""
        ...

    @property
    def instance(self) -> Network | None:
        """The network that the cascade runs when it pays; None where there is none."""
        ...

    def look(self, image: UInt8Array, times: StageTimes) -> tuple[SemanticMap, Instances | None]:
        """What is told about every frame: the classes in ``image``, and the things where one network tells both."""
        ...


@dataclass(frozen=True)
class Networks:
    """A semantic network for every frame, and an instance network, if any, for when and where it pays."""

    semantic: SemanticNetwork
    instance: InstanceNetwork | InstanceProcess | None = None

    @classmethod
    def load(cls, config: PipelineConfig, labels: LabelSpace) -> Looks:
        """Load what ``config.models`` names; raises :class:`ConfigError` or :class:`ModelError`."""
        return cls._load(config, labels, load_instance)

    @classmethod
    def load_apart(cls, config: PipelineConfig, labels: LabelSpace) -> Looks:
        """As :meth:`load`, the instance network in a process of its own: for cameras that do not wait for it."""
        models = config.models if config.models.instance_threads else replace(config.models, instance_threads=1)
        apart = partial(InstanceProcess, scheduling=config.cascade.scheduling)
        return cls._load(replace(config, models=models), labels, apart)

    @classmethod
    def _load(cls, config: PipelineConfig, labels: LabelSpace, instance: LoadInstance) -> Looks:
        models = config.models
        if Manifest.load(models.semantic).task == "panoptic":
            return Unified.load(config, labels)
        semantic, aside = load_semantic(models.semantic, labels, _how(models)), _how(models)
        if models.instance_threads:
            aside = replace(aside, threads=models.instance_threads)
        return cls(semantic, instance(models.instance, labels, aside) if models.instance else None)

    @property
    def loaded(self) -> tuple[SemanticNetwork | InstanceNetwork | InstanceProcess, ...]:
        """See :class:`Looks`."""
        return (self.semantic,) if self.instance is None else (self.semantic, self.instance)

    def look(self, image: UInt8Array, times: StageTimes) -> tuple[SemanticMap, None]:
        """See :class:`Looks`."""
        return self.semantic(image, times), None


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
        cascade = config.cascade
        if cascade.policy != "every" or cascade.every > 1:
            raise ConfigError(
                f"cascade: policy is '{cascade.policy}' and every is {cascade.every}, but {both}, and sees every "
                "frame: set them to 'every' and 1"
            )
        return cls(load_panoptic(models.semantic, labels, _how(models)))

    @property
    def loaded(self) -> tuple[PanopticNetwork, ...]:
        """See :class:`Looks`."""
        return (self.panoptic,)

    @property
    def instance(self) -> None:
        """See :class:`Looks`: the cascade has no say."""

    def look(self, image: UInt8Array, times: StageTimes) -> tuple[SemanticMap, Instances]:
        """See :class:`Looks`."""
        return self.panoptic(image, times)


def _how(models: ModelsConfig) -> Execution:
    """How all networks are run."""
    return Execution(models.runtime, models.precision, models.threads, models.device)


class Pipeline:
    """One camera's road from frame to perception. Not thread-safe: one frame at a time, in stamp order.

    ``runner`` takes the looks of ``networks.instance``; left out, it is a virtual one with the configuration's
    ``cascade.instance_latency``, so that results depend on the stamps alone.
    """

    def __init__(
        self,
        networks: Looks,
        labels: LabelSpace,
        config: PipelineConfig,
        ego_mask: BoolArray | None = None,
        runner: Runner | None = None,
    ) -> None:
        self.config = config
        """Replaced as a whole between frames; only options that are ``live`` have an effect here."""
        self._networks = networks
        self._labels = labels
        self._ego_mask = ego_mask
        if runner is None and networks.instance is not None:
            runner = Virtual(networks.instance, config.cascade.instance_latency)
        self._watcher = None if runner is None else Watcher(runner)
        self._motion = CameraMotion()
        self._tracker = Tracker()
        self._picture: Picture | None = None
        self._looked: int | None = None

    def reset(self) -> None:
        """Forget every track and the look that is under way, as after a backwards time jump; ids go on counting."""
        self._tracker.reset()
        self._looked = None
        if self._watcher is not None:
            self._watcher.reset()

    def __call__(self, frame: Frame) -> Perception:
        """Perceive one frame. Raises :class:`InputError` for an ego mask of another size than the image."""
        times, watcher = StageTimes(), self._watcher
        height, width = frame.image.shape[:2]
        self._check_ego_mask(width, height)
        semantic, things = self._networks.look(frame.image, times)
        if things is not None:
            tracks = self._track(frame, Look(frame.stamp, things, whole(width, height)), times)
        elif watcher is not None:
            tracks = self._watch(frame, semantic, watcher, times)
        else:
            tracks = Tracks.empty()
        with times.stage("fuse"):
            tracks = supported(tracks, semantic, frame.stamp, self.config.support)
            panoptic = fuse(semantic, tracks, self._labels, self.config.fusion)
            if self._ego_mask is not None:
                panoptic = _blanked(panoptic, self._ego_mask)
        looks = () if watcher is None else watcher.reports()
        return Perception(frame.stamp, frame.frame_id, panoptic, tracks, times.seconds, self._looked, looks)

    def _watch(self, frame: Frame, semantic: SemanticMap, watcher: Watcher, times: StageTimes) -> Tracks:
        """The tracks at ``frame``: those that were known, with what has come back by now. The next look is begun where
        it is due; one that is answered at once counts for this frame.
        """
        config = self.config.cascade
        tracks = self._track(frame, watcher.collect(frame, config), times)
        with times.stage("cascade"):
            look = watcher.consider(frame, partial(Scene.of, semantic, tracks, self._labels), config)
        return tracks if look is None else self._track(frame, look, times, moved=False)

    def _track(self, frame: Frame, look: Look | None, times: StageTimes, moved: bool = True) -> Tracks:
        """The tracks at ``frame``, where the camera has ``moved`` since the last call."""
        height, width = frame.image.shape[:2]
        if look is not None:
            self._looked = look.stamp
        motion = None
        if moved:
            with times.stage("motion"):
                motion, self._picture = self._motion(frame.image), Picture.of(frame.image)
        with times.stage("track"):
            return self._tracker.step(frame.stamp, (width, height), look, self.config.tracker, motion, self._picture)

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
