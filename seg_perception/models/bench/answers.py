"""What a network of any task says of an image as one map, and how alike two networks' maps are."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from seg_perception.evaluation.panoptic import PanopticQuality, panoptic_quality
from seg_perception.evaluation.segments import Segments, overlap
from seg_perception.fusion import FusionConfig, fuse
from seg_perception.labels import LabelSpace
from seg_perception.models.manifest import Manifest
from seg_perception.models.networks import Engine, Execution, InstanceNetwork, PanopticNetwork, SemanticNetwork
from seg_perception.tracking import TrackerConfig
from seg_perception.types import UNLABELLED, Instances, PanopticMap, SemanticMap, Tracks, UInt8Array

_NETWORKS: dict[str, Callable[..., Any]] = {
    "semantic": SemanticNetwork,
    "instance": InstanceNetwork,
    "panoptic": PanopticNetwork,
}


def load(manifest: Manifest, labels: LabelSpace, how: Execution) -> Any:
    """The network of ``manifest``, whatever its task, speaking ``labels``."""
    return _NETWORKS[manifest.task](Engine(manifest, how), labels)


def as_map(
    answer: SemanticMap | Instances | tuple[SemanticMap, Instances], image: UInt8Array, labels: LabelSpace
) -> PanopticMap:
    """A network's answer as one map: classes, and painted on them the things that would start a track, each with an
    id; what nobody claims is unlabelled.
    """
    nothing = np.full(image.shape[:2], UNLABELLED, np.uint8)
    semantic, things = SemanticMap(nothing, np.zeros_like(nothing)), Instances.empty()
    if isinstance(answer, tuple):
        semantic, things = answer
    elif isinstance(answer, SemanticMap):
        semantic = answer
    else:
        things = answer
    count = len(things)
    tracks = Tracks(
        np.arange(1, count + 1, dtype=np.int32),
        things.boxes,
        things.scores,
        things.labels,
        things.masks,
        np.zeros(count, np.int64),
        things.scores >= TrackerConfig().high_score,
    )
    return fuse(semantic, tracks, labels, FusionConfig())


def labels_agree(found: Sequence[PanopticMap], reference: Sequence[PanopticMap]) -> float:
    """The part of the pixels that have the same class."""
    return statistics.fmean(float((a.semantic == b.semantic).mean()) for a, b in zip(found, reference, strict=True))


def things_agree(found: Sequence[PanopticMap], reference: Sequence[PanopticMap], labels: LabelSpace) -> float:
    """The F1 of finding the things of ``reference`` again: same class, IoU above 0.5; NaN where there are none."""
    total, things = PanopticQuality.zero(256), labels.things
    for one, other in zip(found, reference, strict=True):
        pair = overlap(other.panoptic, one.panoptic)
        true, predicted = (Segments.predicted(ids, things) for ids in (pair.truth, pair.predicted))
        total += panoptic_quality(pair, true, predicted, 256)
    tp, fp, fn = (int(counted[things].sum()) for counted in (total.tp, total.fp, total.fn))
    return 2 * tp / (2 * tp + fp + fn) if tp + fp + fn else float("nan")
