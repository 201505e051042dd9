"""Classes, splits, and which variants of textures, shapes and lights belong to which split.

Training and validation scenes draw from one set of variants, test scenes from another: nothing in a test scene (no
facade, no kind of car, no light) was ever drawn in training, only the classes are the same.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

Split = Literal["train", "val", "test"]

STUFF = ("road", "sidewalk", "terrain", "building", "vegetation", "pole", "sky")
THINGS = ("person", "vehicle", "rider", "animal", "cone", "box")
CLASSES = STUFF + THINGS
"""Class names in the order of the networks' channels; they are names of the label space ``navigation``."""

CLASS_ID = {name: number for number, name in enumerate(CLASSES)}
NONE = 255
"""No class: never in a rendered truth, only in what is masked out afterwards."""

FIRST_SEED: dict[Split, int] = {"train": 0, "val": 1_000_000, "test": 2_000_000}


def split_of(seed: int) -> Split:
    """Which split a seed belongs to; the splits' seeds are disjoint ranges."""
    if seed < 0:
        raise ValueError(f"seed {seed} is negative; train starts at 0, val at 1,000,000, test at 2,000,000")
    return "train" if seed < FIRST_SEED["val"] else "val" if seed < FIRST_SEED["test"] else "test"


TRAIN_VARIANTS: dict[str, tuple[str, ...]] = {
    "asphalt": ("fine", "patched", "coarse", "concrete"),
    "paving": ("tiles", "bricks", "slabs", "smooth"),
    "ground": ("grass", "soil", "gravel", "dry"),
    "facade": ("windows", "brick", "panels", "planks", "plaster", "corrugated"),
    "roof": ("tiles", "tar"),
    "foliage": ("fine", "clumped", "autumn"),
    "cloth": ("plain", "stripes", "mottled"),
    "person": ("bare", "cap", "backpack", "coat"),
    "vehicle": ("sedan", "hatchback", "van", "truck", "bus"),
    "rider": ("bicycle", "scooter"),
    "animal": ("dog", "sheep", "cow", "horse"),
    "cone": ("classic", "tall"),
    "box": ("carton", "crate", "bin"),
    "tree": ("round", "conifer", "poplar"),
    "pole": ("lamp", "disc_sign", "bollard", "post"),
    "light": ("noon", "morning", "overcast", "golden", "dusk", "fog"),
}

TEST_VARIANTS: dict[str, tuple[str, ...]] = {
    "asphalt": ("cracked", "worn"),
    "paving": ("herringbone", "offset_slabs"),
    "ground": ("meadow", "sand"),
    "facade": ("bands", "blocks", "shutters"),
    "roof": ("standing_seam",),
    "foliage": ("mixed", "streaky"),
    "cloth": ("checks", "dots"),
    "person": ("hat", "suitcase", "long_hair"),
    "vehicle": ("suv", "pickup", "minibus"),
    "rider": ("city_bike", "motorbike"),
    "animal": ("deer", "goat"),
    "cone": ("wide", "double"),
    "box": ("parcel", "slatted"),
    "tree": ("umbrella", "twin"),
    "pole": ("double_lamp", "traffic_light", "triangle_sign"),
    "light": ("afternoon", "thin_cloud", "sunset", "mist"),
}


def choose(rng: np.random.Generator, split: Split, kind: str) -> str:
    """One variant of ``kind`` that ``split`` may use."""
    options = (TEST_VARIANTS if split == "test" else TRAIN_VARIANTS)[kind]
    return options[int(rng.integers(len(options)))]
