"""Panoptic merge: ours beside detectron2's published rule in torch and panopticapi's in numpy, interleaved.

    python benchmarks/merge.py [--json OUT] [--instances 8] [--width 1280] [--height 720]

Both peers are written here from the published rule: instances by falling score; one whose covered part exceeds 0.5 of
its area is dropped; the others take what is free; then every stuff class takes what is left (stuff_area_limit 0, so
that no pixel is lost that ours keeps). They get full-size boolean masks, as theirs do after pasting; ours gets
box-cropped ones, as its decoders make them. The time of bringing either into its form is not counted.

Equal output means, checked before timing: the same instances survive; each holds exactly the same pixels; every stuff
pixel has the same class; and what the peers leave void (unclaimed thing pixels, unlabelled ones) has in ours track id 0
and the semantic network's own label. Ours also writes the confidence map within its time; theirs have none.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import cv2
import numpy as np
import torch
from side_by_side import OURS, options, report, timed, with_one_thread

from seg_perception.fusion import FusionConfig, fuse
from seg_perception.labels import LabelSpace
from seg_perception.types import UNLABELLED, Mask, PanopticMap, SemanticMap, Tracks

OVERLAP = 0.5
STUFF = ("road", "sidewalk", "building", "wall", "fence", "pole", "light", "sign", "vegetation", "terrain", "sky")
THINGS = ("person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle")


def label_space() -> LabelSpace:
    """19 classes in Cityscapes' order: 11 of stuff, 8 of things."""
    classes = [
        {"id": i, "name": name, "kind": "stuff" if i < len(STUFF) else "thing", "colour": [i, i, i]}
        | ({"priority": 1} if i >= len(STUFF) else {})
        for i, name in enumerate(STUFF + THINGS)
    ]
    return LabelSpace.parse({"name": "nineteen", "classes": classes}, where="benchmarks/merge.py")


def scene(width: int, height: int, count: int, seed: int = 0) -> tuple[SemanticMap, Tracks]:
    """A semantic map in patches (2 % unlabelled) and ``count`` elliptic instances, some on top of each other."""
    rng = np.random.default_rng(seed)
    patches = rng.integers(0, len(STUFF + THINGS), (height // 60, width // 60), dtype=np.uint8)
    patches[rng.random(patches.shape) < 0.02] = UNLABELLED
    labels = cv2.resize(patches, (width, height), interpolation=cv2.INTER_NEAREST)
    confidence = rng.integers(1, 256, labels.shape, dtype=np.uint8)
    confidence[labels == UNLABELLED] = 0
    masks, boxes = [], []
    for _ in range(count):
        w, h = (int(v) for v in rng.integers(60, 320, 2))
        x, y = int(rng.integers(0, width - w)), int(rng.integers(0, height - h))
        v, u = np.mgrid[:h, :w]
        bits = ((u + 0.5) / w * 2 - 1) ** 2 + ((v + 0.5) / h * 2 - 1) ** 2 <= 1
        masks.append(Mask(x, y, bits))
        boxes.append((x, y, x + w, y + h))
    # The last one lies inside the first, with a lower score: it has to be dropped.
    first = masks[0]
    h, w = first.bits.shape
    masks[-1] = Mask(first.x + w // 4, first.y + h // 4, np.ones((h // 2, w // 2), np.bool_))
    scores = np.sort(rng.uniform(0.5, 0.99, count).astype(np.float32))[::-1].copy()
    tracks = Tracks(
        np.arange(1, count + 1, dtype=np.int32),
        np.array(boxes, np.float32),
        scores,
        rng.integers(len(STUFF), len(STUFF + THINGS), count).astype(np.uint8),
        tuple(masks),
        np.zeros(count, np.int64),
        np.ones(count, np.bool_),
    )
    return SemanticMap(labels, confidence), tracks


def full_size(tracks: Tracks, shape: tuple[int, int]) -> np.ndarray:
    """The tracks' masks as ``(N, H, W)`` bool."""
    masks = np.zeros((len(tracks), *shape), np.bool_)
    for full, mask in zip(masks, tracks.masks, strict=True):
        full[mask.y : mask.y + mask.bits.shape[0], mask.x : mask.x + mask.bits.shape[1]] = mask.bits
    return masks


def stuff_only(semantic: SemanticMap) -> np.ndarray:
    """The semantic labels as the peers take them: ``(H, W)`` int64, stuff from 1 on, 0 for things and unlabelled."""
    return np.where(semantic.labels < len(STUFF), semantic.labels + 1, 0).astype(np.int64)


Merged = tuple[np.ndarray, list[dict[str, Any]]]


def torch_merge(masks: torch.Tensor, scores: torch.Tensor, semantic: torch.Tensor) -> Merged:
    """detectron2's rule on tensors: ``masks`` (N, H, W) bool, ``scores`` (N,), ``semantic`` (H, W) with 0 = things."""
    panoptic = torch.zeros_like(semantic, dtype=torch.int32)
    segments: list[dict[str, Any]] = []
    for index in torch.argsort(-scores):
        mask = masks[index]
        area = mask.sum().item()
        if area == 0:
            continue
        covered = (mask & (panoptic > 0)).sum().item()
        if covered / area > OVERLAP:
            continue
        if covered > 0:
            mask = mask & (panoptic == 0)
        panoptic[mask] = len(segments) + 1
        segments.append({"instance": index.item()})
    for stuff in torch.unique(semantic).tolist():
        if stuff == 0:
            continue
        mask = (semantic == stuff) & (panoptic == 0)
        if mask.sum().item() > 0:
            panoptic[mask] = len(segments) + 1
            segments.append({"stuff": stuff - 1})
    return panoptic.numpy(), segments


def numpy_merge(masks: np.ndarray, scores: np.ndarray, semantic: np.ndarray) -> Merged:
    """panopticapi's combination of semantic and instance predictions, on arrays of the same form."""
    panoptic = np.zeros(semantic.shape, np.uint32)
    used = np.zeros(semantic.shape, np.bool_)
    segments: list[dict[str, Any]] = []
    for index in np.argsort(-scores, kind="stable"):
        mask = masks[index]
        area = mask.sum()
        if area == 0:
            continue
        intersection = used & mask
        covered = intersection.sum()
        if covered / area > OVERLAP:
            continue
        used |= mask
        if covered > 0:
            mask = (panoptic == 0) & mask
        panoptic[mask] = len(segments) + 1
        segments.append({"instance": int(index)})
    for stuff in np.unique(semantic).tolist():
        if stuff == 0:
            continue
        mask = (semantic == stuff) & (panoptic == 0)
        if mask.sum() > 0:
            panoptic[mask] = len(segments) + 1
            segments.append({"stuff": stuff - 1})
    return panoptic, segments


def check_equal(ours: PanopticMap, theirs: Merged, tracks: Tracks, semantic: SemanticMap, labels: LabelSpace) -> None:
    """Raise unless the outputs are equal in the sense of the module's docstring."""
    panoptic, segments = theirs
    table = np.full(len(segments) + 1, -1, np.int64)
    for number, segment in enumerate(segments, start=1):
        index = segment.get("instance")
        table[number] = (
            segment["stuff"] if index is None else int(tracks.track_ids[index]) << 16 | int(tracks.labels[index])
        )
    expected = table[panoptic.astype(np.int64)]
    void = expected < 0
    if not labels.things[semantic.labels[void]].sum() + (semantic.labels[void] == UNLABELLED).sum() == void.sum():
        raise AssertionError("the peer left stuff void")
    expected[void] = semantic.labels[void]
    np.testing.assert_array_equal(ours.panoptic, expected)
    np.testing.assert_array_equal(ours.semantic, ours.panoptic & 0xFFFF)


def main() -> None:
    arguments = options(__doc__, width=1280, height=720, instances=8, runs=15)
    width, height = arguments.width, arguments.height
    labels, config = label_space(), FusionConfig(max_overlap=OVERLAP)
    semantic, tracks = scene(width, height, arguments.instances)
    masks = full_size(tracks, (height, width))
    stuff = stuff_only(semantic)
    tensors = torch.from_numpy(masks), torch.from_numpy(tracks.scores), torch.from_numpy(stuff)

    ours = fuse(semantic, tracks, labels, config)
    check_equal(ours, numpy_merge(masks, tracks.scores, stuff), tracks, semantic, labels)
    check_equal(ours, torch_merge(*tensors), tracks, semantic, labels)
    theirs = {
        "detectron2's rule, torch": partial(torch_merge, *tensors),
        "panopticapi's rule, numpy": partial(numpy_merge, masks, tracks.scores, stuff),
    }
    peers = {OURS: partial(fuse, semantic, tracks, labels, config), **with_one_thread(theirs)}
    dropped = len(tracks) - len(set(np.unique(ours.panoptic >> 16).tolist()) - {0})
    case = f"{width} x {height}, {len(tracks)} instances ({dropped} dropped), {len(labels)} classes"
    report("panoptic merge", [{"case": case, "ms": timed(peers, arguments.runs), "equal": True}], arguments.json)


if __name__ == "__main__":
    main()
