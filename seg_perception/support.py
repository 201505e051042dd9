"""Carried masks held against what the semantic network sees now.

Between two looks of the instance network a track's mask is the last one seen, moved and scaled. It lags behind where
the thing turned or a leg swung, and bleeds where the thing has gone. The semantic map is of this very frame: what it
gives to the track's class, near the mask's border, says where the thing is by now. What lies deeper inside stays: a
hole there is the semantic network's mistake, and would tell a planner that it may drive through.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from seg_perception.schema import option
from seg_perception.types import BoolArray, Mask, SemanticMap, Tracks, UInt8Array


@dataclass(frozen=True)
class SupportConfig:
    """How a carried mask follows the semantic map."""

    least: float = option(
        0.5, "a carried mask of which the semantic map shows less in the track's class is left as it is", ge=0.0, le=1.0
    )
    reach: float = option(
        0.25, "how far a carried mask's border moves to that of its class, in parts of its box's size", ge=0.0, le=1.0
    )
    sure: float = option(
        0.7, "how sure of a pixel the semantic network must be for the border to move over it", ge=0.0, le=1.0
    )


def supported(tracks: Tracks, semantic: SemanticMap, stamp: int, config: SupportConfig) -> Tracks:
    """``tracks`` at ``stamp`` with the border of every visible mask that was not seen in this frame moved, inwards and
    outwards by at most ``reach``, to where ``semantic`` ends its class; it grows only into pixels that no other track
    holds. A mask which the map does not know (less than ``least`` of it has the track's class) stays as it is: networks
    disagree, and what was seen a moment ago is still there.
    """
    carried = np.flatnonzero(tracks.visible & (tracks.seen < stamp))
    if not len(carried):
        return tracks
    held = np.zeros(semantic.labels.shape, np.uint8)
    for i in np.flatnonzero(tracks.visible).tolist():
        held[_window(tracks.masks[i])] |= tracks.masks[i].bits.view(np.uint8)
    masks = list(tracks.masks)
    # The best-known track takes what two could claim.
    for i in carried[np.argsort(-tracks.scores[carried], kind="stable")].tolist():
        masks[i] = _followed(masks[i], int(tracks.labels[i]), semantic, held, config)
    return replace(tracks, masks=tuple(masks))


def _followed(mask: Mask, label: int, semantic: SemanticMap, held: UInt8Array, config: SupportConfig) -> Mask:
    classes = semantic.labels
    height, width = mask.bits.shape
    reach = round(config.reach * float(np.sqrt(height * width)))
    known = np.count_nonzero(mask.bits & (classes[_window(mask)] == label))
    if reach == 0 or known < config.least * np.count_nonzero(mask.bits):
        return mask
    top, left = max(mask.y - reach, 0), max(mask.x - reach, 0)
    bottom, right = min(mask.y + height + reach, classes.shape[0]), min(mask.x + width + reach, classes.shape[1])
    place, inside = (slice(top, bottom), slice(left, right)), _window(replace(mask, x=mask.x - left, y=mask.y - top))
    backed, sure = classes[place] == label, semantic.confidence[place] >= 255.0 * config.sure
    around = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    carried = np.zeros(backed.shape, np.uint8)
    carried[inside] = mask.bits
    core = np.asarray(cv2.erode(carried, around), np.uint8)
    core |= carried & (backed | ~sure).view(np.uint8)
    near = cv2.dilate(core, around).view(np.bool_)
    fresh: BoolArray = near & backed & sure & (held[place] == 0)
    held[place] |= fresh.view(np.uint8)
    return Mask(left, top, core.view(np.bool_) | fresh)


def _window(mask: Mask) -> tuple[slice, slice]:
    height, width = mask.bits.shape
    return slice(mask.y, mask.y + height), slice(mask.x, mask.x + width)
