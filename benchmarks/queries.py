"""Query outputs to labels and things: ours beside transformers' post-processing in torch, interleaved.

    python benchmarks/queries.py [--json OUT] [--queries 100] [--classes 133]

Masks come at a quarter of an image of 640 x 360 and of 1280 x 720, as Mask2Former and MaskFormer make them for an input
of the image's size. Both are given the same logits and make the semantic map and the panoptic segments; ours also makes
the confidence map and the box-cropped masks of the things within its time. transformers' MaskFormer works on the
network's own grid, its Mask2Former interpolates all masks to 384 x 384 first; ours is timed with each rule.

Two kinds of logits: those of a street as a trained network would see it (a quarter of the queries hold a part of it
each, the others nothing), and noise, where no class can be left out. Equal output means, checked before timing: the
same label at every pixel where the best class leads by more than rounding, the same segments and scores, and the same
owner for all but one pixel of ten thousand.
"""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import torch
from side_by_side import OURS, options, report, timed, with_one_thread
from transformers import Mask2FormerImageProcessor, MaskFormerImageProcessor

from seg_perception.models.decoders import queries
from seg_perception.models.geometry import View, views
from seg_perception.models.manifest import Input
from seg_perception.types import UNLABELLED, Instances

SCORE, SHARE = 0.5, 0.8  # transformers' own
TABLE = np.append(np.arange(255), UNLABELLED).astype(np.uint8)
RULES = {"MaskFormer": (MaskFormerImageProcessor, (0, 0)), "Mask2Former": (Mask2FormerImageProcessor, (384, 384))}


def street(count: int, classes: int, grid: tuple[int, int], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Class logits and mask logits of ``count`` queries, a quarter of which share the image out among them."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1, (count, classes + 1))
    logits[:, -1] += 10
    holder = np.zeros(grid, np.intp)
    v, u = np.mgrid[: grid[0], : grid[1]] / np.reshape(grid, (2, 1, 1))
    holding = rng.choice(count, max(1, count // 4), replace=False)
    for number in range(1, len(holding)):
        centre, radius = rng.uniform(0, 1, 2), rng.uniform(0.03, 0.3, 2)
        holder[((v - centre[0]) / radius[0]) ** 2 + ((u - centre[1]) / radius[1]) ** 2 < 1] = number
    masks = rng.normal(-8, 1, (count, *grid))
    for number, query in enumerate(holding):
        logits[query, rng.integers(classes)] += rng.uniform(16, 20)
        masks[query] = cv2.GaussianBlur(np.where(holder == number, 8.0, -8.0), (5, 5), 0) + rng.normal(0, 0.3, grid)
    return logits.astype(np.float32), masks.astype(np.float32)


def noise(count: int, classes: int, grid: tuple[int, int], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """What an untrained network says."""
    rng = np.random.default_rng(seed)
    logits, masks = rng.normal(0, 2, (count, classes + 1)), rng.normal(0, 3, (count, *grid))
    return logits.astype(np.float32), masks.astype(np.float32)


def ours(
    logits: tuple[np.ndarray, np.ndarray], view: View, size: tuple[int, int], grid: tuple[int, int]
) -> tuple[np.ndarray, queries.Segments, Instances]:
    """What :class:`seg_perception.models.PanopticNetwork` does after the forward pass."""
    labels, confidence = np.empty(size, np.uint8), np.empty(size, np.uint8)
    classes, masks = queries.class_probabilities(logits[0]), queries.mask_probabilities(logits[1], grid)
    queries.semantic(classes, masks, view, size, TABLE, labels, confidence)
    found = queries.segments(classes, masks, view, size, score=SCORE, share=SHARE)
    return labels, found, queries.things(found, view, TABLE)


def theirs(processor: Any, said: Any, size: tuple[int, int]) -> tuple[torch.Tensor, dict[str, Any]]:
    """transformers' two calls for the same."""
    with torch.inference_mode():
        labels = processor.post_process_semantic_segmentation(said, [size])[0]
        panoptic = processor.post_process_panoptic_segmentation(
            said, SCORE, overlap_mask_area_threshold=SHARE, label_ids_to_fuse=set(), target_sizes=[size]
        )[0]
    return labels, panoptic


def check_equal(mine: Any, other: Any, processor: Any, said: Any, size: tuple[int, int]) -> int:
    """Raise unless the outputs are equal in the sense of the module's docstring; the number of segments."""
    (labels, found, _), (their_labels, panoptic) = mine, other
    full = processor.post_process_semantic_segmentation(said, [size], return_segmentation_scores=True)[0]
    first, second = full.segmentation_scores.topk(2, dim=0).values.numpy()
    sure = first - second > 1e-5 * first
    np.testing.assert_array_equal(labels[sure], their_labels.numpy()[sure])
    infos = panoptic["segments_info"]
    if found.channels.tolist() != [s["label_id"] for s in infos]:
        raise AssertionError("the segments differ")
    np.testing.assert_allclose(found.scores, [s["score"] for s in infos], atol=1e-6)
    ids = np.zeros(256, np.int64)
    ids[found.numbers] = [s["id"] for s in infos]
    if (ids[found.owner] == np.maximum(panoptic["segmentation"].numpy(), 0)).mean() < 0.9999:
        raise AssertionError("the segments' pixels differ")
    return len(infos)


def main() -> None:
    arguments = options(__doc__, queries=100, classes=133, runs=7)
    rows = []
    for width, height in ((640, 360), (1280, 720)):
        size, grid = (height, width), (height // 4, width // 4)
        view = views(Input(name="x", size=size, resize="stretch"), height, width)[0]
        for kind in (street, noise):
            logits = kind(arguments.queries, arguments.classes, grid)
            said = SimpleNamespace(
                class_queries_logits=torch.from_numpy(logits[0])[None],
                masks_queries_logits=torch.from_numpy(logits[1])[None],
            )
            for name, (make, mask_grid) in RULES.items():
                processor = make()
                call, peer = partial(ours, logits, view, size, mask_grid), partial(theirs, processor, said, size)
                count = check_equal(call(), peer(), processor, said, size)
                peers = {OURS: call, **with_one_thread({"transformers, torch": peer})}
                case = f"{width} x {height}, {kind.__name__}, {name}'s rule"
                rows.append({"case": case, "ms": timed(peers, arguments.runs), "segments": count, "equal": True})
    report("queries to labels and things", rows, arguments.json)


if __name__ == "__main__":
    main()
