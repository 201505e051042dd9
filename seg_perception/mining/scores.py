"""Why a frame is worth labelling: each reason a function on arrays, larger where labels would teach more."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from seg_perception.types import UNLABELLED, BoolArray, Float64Array, Instances, Int64Array, UInt8Array

DISPUTABLE = 0.01
"""The part of an image that two networks' things are at least taken to fill: quarrels about less weigh less."""

DOUBTFUL = 128
"""Confidence (0..255) below which a pixel is in doubt: its class has not even half of the probability."""

STILL = 6.0
"""Grey levels, after smoothing, within which a pixel has not changed between two frames."""


def disagreement(labels: UInt8Array, instances: Instances, things: BoolArray, least_score: float = 0.5) -> float:
    """Of the pixels that either network gives to a thing, the part on whose class they do not agree, 0..1.

    ``labels`` ``(H, W)`` uint8 is what the semantic network says; of ``instances`` those of at least ``least_score``
    count, better ones on top; ``things`` ``(256,)`` bool. Things smaller than :data:`DISPUTABLE` of the image count as
    that much.
    """
    claimed = np.full(labels.shape, UNLABELLED, np.uint8)
    for i in np.argsort(instances.scores, kind="stable").tolist():
        if instances.scores[i] >= least_score and things[instances.labels[i]]:
            mask = instances.masks[i]
            height, width = mask.bits.shape
            claimed[mask.y : mask.y + height, mask.x : mask.x + width][mask.bits] = instances.labels[i]
    said = np.where(things[labels], labels, np.uint8(UNLABELLED))
    either = int(np.count_nonzero((claimed != UNLABELLED) | (said != UNLABELLED)))
    return float(np.count_nonzero(claimed != said)) / max(either, DISPUTABLE * labels.size)


def doubt(confidence: UInt8Array) -> float:
    """The part of the pixels whose ``confidence`` ``(H, W)`` uint8 is below :data:`DOUBTFUL`, unlabelled ones (0)
    among them.
    """
    return float(np.count_nonzero(confidence < DOUBTFUL) / confidence.size)


def smoothed(image: UInt8Array) -> UInt8Array:
    """The grey ``(H, W)`` of an RGB image, without its noise; see :func:`flicker`."""
    return np.asarray(cv2.blur(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), (5, 5)), np.uint8)


def flicker(labels: UInt8Array, before: UInt8Array, grey: UInt8Array, grey_before: UInt8Array) -> float:
    """The part of the pixels whose class changed although what they show did not, 0..1.

    ``labels`` and ``before`` ``(H, W)`` are the semantic maps of a frame and the one before it; ``grey`` and
    ``grey_before`` their pictures, :func:`smoothed`.
    """
    still = np.asarray(cv2.absdiff(grey, grey_before)) <= STILL
    return float(np.count_nonzero((labels != before) & still) / labels.size)


def small(instances: Instances, most_pixels: int = 32 * 32, least_score: float = 0.3) -> int:
    """How many things have fewer than ``most_pixels`` (COCO's "small")."""
    return sum(
        0 < int(np.count_nonzero(mask.bits)) < most_pixels
        for mask, score in zip(instances.masks, instances.scores, strict=True)
        if score >= least_score
    )


def occluded(instances: Instances, part: float = 0.15, least_score: float = 0.3) -> int:
    """How many things have more than ``part`` of their box covered by the masks of others: they are partly hidden, or
    hide something.
    """
    kept = [i for i in range(len(instances)) if instances.scores[i] >= least_score and instances.masks[i].bits.size]
    count = 0
    for i in kept:
        box = instances.masks[i]
        covered = np.zeros(box.bits.shape, np.bool_)
        for j in kept:
            if j != i:
                other = instances.masks[j]
                x0, y0 = max(box.x, other.x), max(box.y, other.y)
                x1 = min(box.x + box.bits.shape[1], other.x + other.bits.shape[1])
                y1 = min(box.y + box.bits.shape[0], other.y + other.bits.shape[0])
                if x0 < x1 and y0 < y1:
                    theirs = other.bits[y0 - other.y : y1 - other.y, x0 - other.x : x1 - other.x]
                    covered[y0 - box.y : y1 - box.y, x0 - box.x : x1 - box.x] |= theirs
        count += int(np.count_nonzero(covered & ~box.bits)) > part * covered.size
    return count


def surprise(pixels: Int64Array, least_pixels: int = 100) -> Float64Array:
    """``(F, C)``: how rare a class of a frame is: log2 of (all frames / those that have it); 0 where it is not there.

    ``pixels`` ``(F, C)`` int64 by frame and class; a class with fewer than ``least_pixels`` is not there. The largest
    of a frame's row says how rare its rarest class is.
    """
    there = pixels >= least_pixels
    return np.asarray(np.where(there, np.log2(len(pixels) / np.maximum(there.sum(0), 1)), 0.0))


def appearance(image: UInt8Array) -> int:
    """A hash of 64 bits of what an RGB image looks like: alike pictures differ in few bits (difference hash: is each of
    8 x 8 places brighter than its neighbour on the left).
    """
    grey = cv2.resize(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), (9, 8), interpolation=cv2.INTER_AREA)
    bits = np.asarray(grey[:, 1:] > grey[:, :-1]).reshape(-1)
    return int(np.packbits(bits).view(">u8")[0])


def differing_bits(hashes: NDArray[np.uint64], other: NDArray[Any] | int) -> Int64Array:
    """In how many bits each of ``hashes`` ``(N,)`` uint64 differs from ``other``."""
    bits = np.bitwise_xor(hashes, np.uint64(other)).astype(">u8").reshape(-1, 1).view(np.uint8)
    return np.asarray(np.unpackbits(bits, axis=1).sum(1, dtype=np.int64))
