"""Training views as a robot meets them: frames of sequences, bolder than the variants allow (``Kit.boldness``)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tools.world.camera import Eye
from tools.world.sensors import expose
from tools.world.sequence import Sequence
from tools.world.variants import FIRST_SEED

BOLDNESS = 0.6
SEEDS = FIRST_SEED["train"] + 500_000
"""Of the first drive: far from the seeds of the single views."""
SCENES, VIEWS, SECONDS = 10, 5, 12


def write_drives(folder: Path, first: int, count: int) -> None:
    """Write shards ``first`` .. ``first + count - 1``: as those of :mod:`tools.world.shards`, 360 x 640 pixels. Those
    that are there already are left alone.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for shard in range(first, first + count):
        path = folder / f"{shard:05d}.npy"
        if path.exists():
            continue
        views = [view for scene in range(SCENES) for view in _drive(SEEDS + shard * SCENES + scene)]
        part = path.with_suffix(".part")
        with part.open("wb") as file:
            np.save(file, np.stack(views))
        part.rename(path)
        print(path, flush=True)


def _drive(seed: int) -> Iterator[NDArray[np.uint8]]:
    """``VIEWS`` moments of one drive."""
    drive = Sequence(seed, SECONDS, 1, BOLDNESS)
    scene, rng = drive.scene, np.random.default_rng([seed, 6])
    with Eye(scene.model, scene.lens, scene.labels, scene.numbers) as eye:
        for time in np.sort(rng.uniform(0, SECONDS, VIEWS)):
            scene.pose(float(time))
            view = eye.look(scene.data, scene.camera_pose(float(time)), scene.light.sun)
            image = expose(rng, view.rgb, view.depth, scene.light, scene.optics)
            yield np.dstack([image, view.semantic, view.thing.astype(np.uint8)])
