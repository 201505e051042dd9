"""A thing's box from the points of it that were seen: rectangles on the ground, and how large a class usually is.

Everything here is in the ground plane of a frame whose z axis points up (REP 105), in metres and radians.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seg_perception import resources
from seg_perception.labels import LabelSpace
from seg_perception.schema import from_mapping, option, read_yaml
from seg_perception.types import Float64Array

ANGLES = np.arange(30) * (np.pi / 60)
"""The directions that a rectangle is tried in: every 3 degrees of a quarter turn."""


TRIM = 0.03
"""Part of the points at either end that say nothing about where a thing ends."""


@dataclass(frozen=True)
class Prior:
    """How large things of a class usually are (metres), and how they move."""

    length: float = option(help="metres along the heading", ge=0.01, le=100.0)
    width: float = option(help="metres across", ge=0.01, le=100.0)
    height: float = option(help="metres", ge=0.01, le=100.0)
    boxy: bool = option(False, "has flat faces at right angles")
    solid: float = option(
        1.0, "part of the length that a body has all the way up: limbs swing, a foot is wider", ge=0.0, le=1.0
    )
    firm: float = option(
        0.1, "part by which a thing that was seen from end to end may be smaller than usual", ge=0.0, le=1.0
    )
    speed: float = option(0.0, "m/s that a thing seen for the first time may have", ge=0.0, le=100.0)
    agility: float = option(0.0, "m/s by which a velocity may change in a second", ge=0.0, le=100.0)


@dataclass(frozen=True)
class _File:
    """``config/sizes/*.yaml``."""

    sizes: Mapping[str, Prior]


def priors(labels: LabelSpace, name_or_path: str | Path) -> tuple[Prior | None, ...]:
    """For each class of ``labels`` what the shipped file of that name (or the one at that path) says of it or of its
    nearest ancestor; None for stuff and for things that it does not know. Raises :class:`ConfigError`.
    """
    path = resources.find("sizes", name_or_path)
    table = from_mapping(_File, read_yaml(path), str(path)).sizes
    known: list[Prior | None] = []
    for entry in labels.classes:
        names = labels.chain(entry.name) if entry.kind == "thing" else ()
        known.append(next((table[name] for name in names if name in table), None))
    return tuple(known)


def extents(along: Float64Array) -> tuple[Float64Array, Float64Array]:
    """Low and high end of the points ``(N, K)`` along each of K axes, ``(K,)`` each, without the outermost 3 %."""
    ordered = np.sort(along, axis=0)
    trim = int(TRIM * (len(along) - 1))
    return ordered[trim], ordered[len(along) - 1 - trim]


def misfits(xy: Float64Array) -> Float64Array:
    """How badly a rectangle along each of :data:`ANGLES` fits the points ``(N, 2)``: ``(30,)``, mean distance of a
    point to the nearer of the two sides that were seen, metres.

    The search of X. Zhang, W. Xu, C. Dong, J. Dolan, "Efficient L-Shape Fitting for Vehicle Detection Using Laser
    Scanners" (IV 2017).
    """
    cos, sin = np.cos(ANGLES), np.sin(ANGLES)
    distances = []
    for axis in (np.stack((cos, sin)), np.stack((-sin, cos))):
        along = xy @ axis
        low, high = extents(along)
        to_low, to_high = np.abs(along - low), np.abs(high - along)
        # Points lie at the side that was seen.
        distances.append(np.where(to_low.mean(axis=0) < to_high.mean(axis=0), to_low, to_high))
    return np.asarray(np.minimum(*distances).mean(axis=0))
