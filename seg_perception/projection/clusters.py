"""Which points hang together: connected components of occupied voxels.

Two points belong together when a chain of touching voxels (26 neighbours) leads from one to the other. Unlike DBSCAN
this asks no point for its neighbours: points are sorted by voxel once, and voxels look their neighbours up in the
sorted list, whose last axis lies in a row. With voxels of edge ``e``, points closer than ``e`` are always joined, and
two sets farther apart than ``2 e`` along an axis never are.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from seg_perception.errors import InputError
from seg_perception.types import BoolArray, Int32Array

LEAST_SHARE = 0.15
"""What a component must have of the largest one's points to be a part of the same thing: the points that bled over a
mask's border are few.
"""

_BITS = 62
"""Bits of a sort key: group, voxel and point number together."""


def components(points: NDArray[np.floating], edge: float, groups: NDArray[np.integer] | None = None) -> Int32Array:
    """The component of every point, numbered from 0, ``(N,)`` int32; -1 for points that are not finite.

    ``points`` is ``(N, 2)`` or ``(N, 3)``, ``edge`` the voxels' in the same unit; ``groups`` ``(N,)`` small numbers
    >= 0 keep points of different groups apart however close they are. Raises :class:`InputError` when the points spread
    over more voxels than can be numbered (10**13 for 100,000 points of one group).
    """
    found = np.full(len(points), -1, np.int32)
    axes = [np.ascontiguousarray(axis) for axis in points.T]
    finite = np.isfinite(sum(axes))
    if not finite.all():
        kept = np.flatnonzero(finite)
        found[kept] = components(points[kept], edge, None if groups is None else groups[kept])
        return found
    if not len(points):
        return found
    # Voxel and point number in one integer: a plain sort is several times faster than a sort of indices.
    bits = len(points).bit_length()
    keys, neighbours = _voxels(axes, edge, groups, _BITS - bits)
    keys <<= bits
    keys |= np.arange(len(keys))
    keys.sort()
    order = keys & ((1 << bits) - 1)
    keys >>= bits
    fresh = np.ones(len(keys), np.bool_)
    np.not_equal(keys[1:], keys[:-1], out=fresh[1:])
    first, second = _touching(keys[fresh], neighbours)
    count = int(np.count_nonzero(fresh))
    graph = coo_matrix((np.ones(len(first), np.bool_), (first, second)), (count, count))
    _, component = connected_components(graph, directed=False)
    found[order] = np.repeat(component, np.diff(np.flatnonzero(fresh), append=len(keys)))
    return found


def _voxels(
    axes: Sequence[NDArray[np.floating]], edge: float, groups: NDArray[np.integer] | None, bits: int
) -> tuple[NDArray[np.int64], list[int]]:
    """The number of every point's voxel, and how far off in these numbers half of the neighbouring columns are (the
    other half sees the same pairs from there). A step along the last axis adds 1; every axis has an empty voxel at each
    end, so that no step leads from one end to the other.
    """
    lowest = [float(axis.min()) for axis in axes]
    counts = [int((float(axis.max()) - low) / edge) + 3 for axis, low in zip(axes, lowest, strict=True)]
    if (prod(counts) * (1 if groups is None else int(groups.max()) + 1)).bit_length() > bits:
        raise InputError(f"points spread too far to be clustered in voxels of {edge:g}: {counts} along the axes")
    keys = np.zeros(len(axes[0]), np.int64) if groups is None else groups.astype(np.int64)
    for axis, low, count in zip(axes, lowest, counts, strict=True):
        keys *= count
        keys += ((axis - low) * (1.0 / edge)).astype(np.int64) + 1
    row = counts[-1]
    if len(axes) == 2:
        return keys, [row]
    layer = row * counts[-2]
    return keys, [row, layer - row, layer, layer + row]


def _touching(voxels: NDArray[np.int64], neighbours: Sequence[int]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Pairs of touching voxels, as indices into the sorted ``voxels``."""
    firsts = [np.flatnonzero(np.diff(voxels) == 1)]
    seconds = [firsts[0] + 1]
    padded = np.append(voxels, [np.iinfo(np.int64).max] * 3)
    for step in neighbours:
        # Of the neighbouring column the voxels one below, beside and one above lie in a row.
        above = voxels + (step + 1)
        start = np.searchsorted(voxels, above - 2)
        for ahead in range(3):
            near = np.flatnonzero(padded[start + ahead] <= above)
            firsts.append(near)
            seconds.append(start[near] + ahead)
    return np.concatenate(firsts), np.concatenate(seconds)


def bodies(
    xy: NDArray[np.floating], things: NDArray[np.integer], edges: NDArray[np.floating], reaches: NDArray[np.floating]
) -> BoolArray:
    """Which points ``(N, 2)`` on the ground plane are a thing's own, ``(N,)`` bool: those of its largest component, and
    of others that have at least :data:`LEAST_SHARE` of its points and lie near it (something thin in front may part
    what is seen). The rest bled over the border of its mask.

    ``things`` ``(N,)`` numbers each point's thing from 0; ``edges`` (of voxels) and ``reaches`` (from the middle of the
    largest component to that of another), both in metres, are the things'.
    """
    # Each thing is measured in its own voxels, so that all are clustered in one go.
    component = components(xy / edges[things, None], 1.0, things)
    count = np.bincount(component)
    if not len(count):
        return np.zeros(0, np.bool_)
    owner = np.zeros(len(count), np.intp)
    owner[component] = things
    middles = np.column_stack([np.bincount(component, xy[:, axis]) / count for axis in (0, 1)])
    order = np.argsort(count, kind="stable")
    largest = np.zeros(len(edges), np.intp)
    largest[owner[order]] = order  # of several the last one counts
    main = largest[owner]
    distance = np.hypot(*(middles - middles[main]).T)
    own = (count >= LEAST_SHARE * count[main]) & (distance < reaches[owner])
    return np.asarray(own[component])
