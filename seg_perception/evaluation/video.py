"""Panoptic quality over time: VPQ, whose segments are tubes of a few frames, and STQ, whose tracks last a sequence.

VPQ: Kim et al., "Video Panoptic Segmentation", CVPR 2020. STQ: Weber et al., "STEP: Segmenting and Tracking Every
Pixel", NeurIPS 2021. In both, the overlap of tubes is the sum of the overlaps of frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np

from seg_perception.evaluation.confusion import Confusion, ratio
from seg_perception.evaluation.panoptic import PanopticQuality, panoptic_quality
from seg_perception.evaluation.segments import Overlap, Segments
from seg_perception.types import UNLABELLED, BoolArray

VOID_ID = -1
"""The id of all void pixels in a video: a segment may be void in one frame and not in the next."""


def with_void(pair: Overlap, truth: Segments) -> Overlap:
    """``pair`` with one id, -1, for every truth segment that is void in this frame; ready to be added to others."""
    void = truth.of(pair.truth).classes == UNLABELLED
    kept = Overlap(pair.truth[~void], pair.predicted, pair.pixels[~void])
    return kept + Overlap(np.array([VOID_ID]), pair.predicted, pair.pixels[void].sum(0, keepdims=True))


def video_panoptic_quality(pairs: Sequence[Overlap], window: int, things: BoolArray, classes: int) -> PanopticQuality:
    """VPQ of one sequence for windows of ``window`` frames: the matches of tubes in every window, which slides by one
    frame; its ``mean()`` is VPQ at that window, and the mean of those over several windows is VPQ. ``pairs`` are of one
    frame each, in their order, in this package's encoding (see :func:`with_void`); ``things`` ``(256,)`` bool.

    A sequence shorter than the window is one window.
    """
    total = PanopticQuality.zero(classes)
    for first in range(max(len(pairs) - window + 1, 1)):
        tubes = sum(pairs[first : first + window], Overlap.empty())
        truth, predicted = Segments.truth(tubes.truth, things), Segments.predicted(tubes.predicted, things)
        total += panoptic_quality(tubes, truth, predicted, classes)
    return total


@dataclass(frozen=True, slots=True)
class AssociationQuality:
    """What STQ's association quality is made of: the sum of it over true tracks, and how many there are."""

    quality: float = 0.0
    tracks: int = 0

    def __add__(self, other: AssociationQuality) -> AssociationQuality:
        return AssociationQuality(self.quality + other.quality, self.tracks + other.tracks)

    @property
    def aq(self) -> float:
        """The mean over true tracks, 0..1; NaN if there is none."""
        return float(ratio(self.quality, self.tracks))

    def stq(self, confusion: Confusion) -> float:
        """The geometric mean with the segmentation quality, which is the mean IoU by class."""
        return sqrt(self.aq * confusion.miou)


def association_quality(video: Overlap, things: BoolArray) -> AssociationQuality:
    """AQ of one sequence from the sum of its frames' overlaps (see :func:`with_void`): for every true track the IoU
    with each predicted track over the whole sequence, weighted by the part of its pixels that the two share. Void and
    crowd pixels count for no track.
    """
    t, p = Segments.truth(video.truth, things), Segments.predicted(video.predicted, things)
    tracks = things[t.classes] & ~t.crowd
    ignored = (t.classes == UNLABELLED) | t.crowd
    pixels = video.pixels[:, things[p.classes]].astype(np.float64)
    shared, size = pixels[tracks], video.truth_area[tracks][:, None]
    union = size + pixels[~ignored].sum(0) - shared
    return AssociationQuality(float((shared / size * (shared / union)).sum()), int(tracks.sum()))
