"""Training sets: single views as arrays on disk that a training loop maps into memory.

A folder holds ``00000.npy, 00001.npy …``, each ``(50, 288, 512, 5)`` uint8: red, green, blue, class id
(:data:`tools.world.variants.CLASSES`), number of the thing (0 for stuff).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tools.world.scatter import stills
from tools.world.variants import FIRST_SEED, Split

WIDTH, HEIGHT = 512, 288
SCENES, VIEWS = 5, 10
SHARD = SCENES * VIEWS


def write_shards(folder: Path, split: Split, first: int, count: int) -> None:
    """Write shards ``first`` .. ``first + count - 1`` of a split; those that are there already are left alone, so an
    interrupted run goes on where it stopped.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for shard in range(first, first + count):
        path = folder / f"{shard:05d}.npy"
        if path.exists():
            continue
        part = path.with_suffix(".part")
        seeds = FIRST_SEED[split] + shard * SCENES + np.arange(SCENES)
        views = [view for seed in seeds for view in stills(int(seed), VIEWS, (WIDTH, HEIGHT))]
        with part.open("wb") as file:
            np.save(file, np.stack([np.dstack([v.image, v.semantic, v.thing]) for v in views]))
        part.rename(path)
        print(path, flush=True)
