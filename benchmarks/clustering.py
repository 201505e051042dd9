"""120,000 points of sixty things into clusters: ours beside Open3D's DBSCAN.

    python benchmarks/clustering.py [--json OUT] [--points 120000]

The points lie on the sides of boxes and round things that a sensor in the middle sees, thinner with distance, with
a little noise, and 1 % strays between them; which thing each is of is known. ``agreement`` is the adjusted Rand index
(Hubert and Arabie 1985) over the points of things: 1 is the truth, 0 is chance. Every peer gets the distance at which
it agrees best, of the same list; strays that a method leaves out count for nobody.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import open3d as o3d
from numpy.typing import NDArray
from side_by_side import OURS, options, report, timed

from seg_perception.projection.clusters import components

THINGS = 60
DISTANCES = (0.2, 0.3, 0.4, 0.6)
LEAST = 5
"""DBSCAN's ``min_points``."""

Labels = NDArray[np.integer]


def scene(count: int) -> tuple[NDArray[np.float32], Labels]:
    """Points ``(count, 3)`` and the thing of each, -1 for strays."""
    rng = np.random.default_rng(0)
    places: list[NDArray[np.float64]] = []
    sizes: list[NDArray[np.float64]] = []
    while len(places) < THINGS:
        distance, bearing = rng.uniform(8, 40), rng.uniform(-np.pi, np.pi)
        place = distance * np.array((np.cos(bearing), np.sin(bearing)))
        size = np.array(((0.6, 0.6, 1.7), (4.4, 1.8, 1.5), (0.4, 0.4, 0.7))[int(rng.integers(3))])
        free = all(np.hypot(*(place - p)) > 1.0 + (size[0] + s[0]) / 2 for p, s in zip(places, sizes, strict=True))
        if free:
            places.append(place)
            sizes.append(size)
    # As many points as the solid angle says.
    share = np.array([s[0] * s[2] / (p @ p) for p, s in zip(places, sizes, strict=True)])
    numbers = np.maximum((share / share.sum() * 0.99 * count).astype(int), 20)
    parts: list[NDArray[np.float64]] = []
    owners: list[Labels] = []
    for thing, (place, size, n) in enumerate(zip(places, sizes, numbers, strict=True)):
        surface = rng.uniform(-0.5, 0.5, (4 * n, 3)) * size
        side = rng.integers(2, size=4 * n)
        end = -np.sign(place[side] + 1e-9)  # the side that faces the middle
        surface[np.arange(4 * n), side] = end * size[side] / 2
        parts.append(surface[:n] + np.array((*place, size[2] / 2)) + rng.normal(0, 0.012, (n, 3)))
        owners.append(np.full(n, thing))
    strays = count - sum(map(len, parts))
    parts.append(rng.uniform((-40, -40, 0), (40, 40, 3), (max(strays, 0), 3)))
    owners.append(np.full(max(strays, 0), -1))
    order = rng.permutation(sum(map(len, parts)))
    return np.concatenate(parts)[order].astype(np.float32), np.concatenate(owners)[order]


def agreement(found: Labels, truth: Labels) -> float:
    """Adjusted Rand index over the points whose truth is known."""
    known = truth >= 0
    _, a = np.unique(found[known], return_inverse=True)
    table = np.zeros((a.max() + 1, truth.max() + 1), np.int64)
    np.add.at(table, (a, truth[known]), 1)

    def pairs(n: NDArray[np.int64]) -> float:
        return float((n * (n - 1) / 2).sum())

    both, rows, columns = pairs(table), pairs(table.sum(1)), pairs(table.sum(0))
    expected = rows * columns / pairs(np.array([known.sum()]))
    return (both - expected) / ((rows + columns) / 2 - expected)


def best(method: Callable[[float], Labels], truth: Labels) -> tuple[float, float]:
    """The distance at which ``method`` agrees best, and how well."""
    scores = {distance: agreement(method(distance), truth) for distance in DISTANCES}
    distance = max(scores, key=scores.__getitem__)
    return distance, scores[distance]


def main() -> None:
    arguments = options(__doc__, runs=3, points=120_000)
    points, truth = scene(arguments.points)
    cloud = o3d.geometry.PointCloud(o3d.utility.Vector3dVector(points.astype(np.float64)))

    def dbscan(distance: float) -> Labels:
        return np.asarray(cloud.cluster_dbscan(eps=distance, min_points=LEAST))

    def ours(edge: float) -> Labels:
        return components(points, edge)

    (edge, mine), (eps, theirs) = best(ours, truth), best(dbscan, truth)
    row = {
        "case": f"{len(points)} points, {THINGS} things",
        "ms": timed({OURS: lambda: ours(edge), f"open3d DBSCAN, eps {eps:g}": lambda: dbscan(eps)}, arguments.runs),
        "agreement of ours": f"{mine:.4f}",
        "of DBSCAN": f"{theirs:.4f}",
        "edge": edge,
    }
    report("points into clusters", [row], arguments.json)


if __name__ == "__main__":
    main()
