"""What the network is trained for."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from tools.train.data import Batch
from tools.train.networks import STRIDES, cell_centres
from tools.world.variants import CLASSES

MOST_MASKS = 160
"""Masks per batch that enter the mask loss; a random choice of the matched cells when there are more."""


WEIGHTS = {"semantic": 1.5, "classes": 1.0, "boxes": 2.0, "masks": 1.5}
"""What each part counts in the number to minimise."""

Parts = dict[str, Tensor]


def total(parts: Parts) -> Tensor:
    """The number to minimise."""
    return torch.stack([WEIGHTS[name] * part for name, part in parts.items()]).sum()


def losses(
    outputs: tuple[Tensor, Tensor, tuple[Tensor, Tensor, Tensor]],
    batch: Batch,
    weights: Tensor | None,
    phase: tuple[int, int],
) -> Parts:
    """All losses of a batch, a mean each. ``weights`` by class or None; ``phase`` (row, column, each 0 or 1) picks
    which of the four pixels under a cell of the half-resolution outputs is its truth: drawn anew each time, it makes
    the mean exact.
    """
    semantic, prototypes, (corners, logits, coefficients) = outputs
    things = batch.thing[:, phase[0] :: 2, phase[1] :: 2]
    match = assign(corners.detach(), logits.detach().float().sigmoid(), batch)
    return {
        **semantic_losses(semantic, batch, weights, phase),
        "classes": class_loss(logits.float(), match, batch),
        "boxes": box_loss(corners, match, batch),
        "masks": mask_loss(prototypes.float(), coefficients, things, match, batch),
    }


def semantic_losses(logits: Tensor, batch: Batch, weights: Tensor | None, phase: tuple[int, int]) -> Parts:
    """As :func:`losses`, of the semantic half alone."""
    return {"semantic": semantic_loss(logits.float(), batch.semantic[:, phase[0] :: 2, phase[1] :: 2], weights)}


def semantic_loss(logits: Tensor, labels: Tensor, weights: Tensor | None) -> Tensor:
    """Cross entropy, and half as much Dice over the classes that occur."""
    entropy = F.cross_entropy(logits, labels, weights)
    scores = logits.softmax(1)
    truth = F.one_hot(labels, len(CLASSES)).permute(0, 3, 1, 2).to(scores.dtype)
    overlap, size = (scores * truth).sum((0, 2, 3)), (scores + truth).sum((0, 2, 3))
    present = truth.sum((0, 2, 3)) > 0
    return entropy + 0.5 * (1 - (2 * overlap + 1) / (size + 1))[present].mean()


@dataclass(frozen=True)
class Match:
    """Which thing each cell shall find: ``found`` ``(B, A)`` bool, ``thing`` ``(B, A)`` index into the batch's things,
    ``quality`` ``(B, A)`` the score that it shall give, ``counts`` ``(B, A)`` bool whether it enters the class loss.
    """

    found: Tensor
    thing: Tensor
    quality: Tensor
    counts: Tensor


@torch.no_grad()
def assign(corners: Tensor, scores: Tensor, batch: Batch, best: int = 10) -> Match:
    """Task-aligned assignment (Feng et al. 2021): a thing takes the ``best`` cells inside its box by
    ``score**0.5 * iou**6``; a cell that several want goes to the one it overlaps most.
    """
    height, width = batch.semantic.shape[1:]
    centres = torch.cat([cell_centres(height // s, width // s, s) for s in STRIDES])
    real = batch.number > 0
    inside = torch.minimum(centres - batch.box[:, :, None, :2], batch.box[:, :, None, 2:] - centres).amin(-1) > 0.01
    overlap = iou(batch.box[:, :, None], corners[:, None]).clamp(min=0) * real[..., None]
    score = scores.transpose(1, 2).gather(1, batch.label[..., None].expand(-1, -1, scores.shape[1]))
    metric = score.sqrt() * overlap.pow(6) * inside
    cut = metric.topk(min(best, metric.shape[2]), dim=2).values[..., -1:]
    chosen = (metric >= cut) & (metric > 1e-12)
    holder = (overlap * chosen).argmax(1)
    chosen &= F.one_hot(holder, batch.box.shape[1]).transpose(1, 2).bool()
    kept = metric * chosen
    peak, reach = kept.amax(2, keepdim=True), (overlap * chosen).amax(2, keepdim=True)
    quality = (kept / (peak + 1e-12) * reach).amax(1)
    # Cells that lie on a thing too small to be taught are neither right nor wrong.
    on = batch.thing[:, centres[:, 1].long(), centres[:, 0].long()]
    taught = (on[:, None] == batch.number[..., None]).any(1)
    return Match(chosen.any(1), holder, quality, (on == 0) | taught | chosen.any(1))


def iou(a: Tensor, b: Tensor) -> Tensor:
    """Of boxes given by their corners, broadcast."""
    low, high = torch.maximum(a[..., :2], b[..., :2]), torch.minimum(a[..., 2:], b[..., 2:])
    common = (high - low).clamp(min=0).prod(-1)
    return common / ((a[..., 2:] - a[..., :2]).prod(-1) + (b[..., 2:] - b[..., :2]).prod(-1) - common + 1e-9)


def class_loss(logits: Tensor, match: Match, batch: Batch) -> Tensor:
    """Binary cross entropy against the match's quality, divided by the sum of all qualities."""
    target = torch.zeros_like(logits)
    labels = batch.label.gather(1, match.thing)
    target.scatter_(2, labels[..., None], (match.quality * match.found)[..., None])
    entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none") * match.counts[..., None]
    return entropy.sum() / target.sum().clamp(min=1)


def box_loss(corners: Tensor, match: Match, batch: Batch) -> Tensor:
    """Complete IoU (Zheng et al. 2020), weighted by quality."""
    truth = batch.box.gather(1, match.thing[..., None].expand(-1, -1, 4))[match.found]
    found, weight = corners[match.found], match.quality[match.found]
    overlap = iou(found, truth)
    hull = torch.maximum(found[:, 2:], truth[:, 2:]) - torch.minimum(found[:, :2], truth[:, :2])
    apart = ((found[:, :2] + found[:, 2:] - truth[:, :2] - truth[:, 2:]) ** 2).sum(1) / 4
    shape = [torch.atan((b[:, 2] - b[:, 0]) / (b[:, 3] - b[:, 1]).clamp(min=1e-3)) for b in (found, truth)]
    v = 0.405 * (shape[0] - shape[1]) ** 2
    with torch.no_grad():
        alpha = v / (1 - overlap + v + 1e-9)
    loss = 1 - overlap + apart / ((hull**2).sum(1) + 1e-9) + alpha * v
    return (loss * weight).sum() / weight.sum().clamp(min=1)


def mask_loss(prototypes: Tensor, coefficients: Tensor, things: Tensor, match: Match, batch: Batch) -> Tensor:
    """Binary cross entropy and Dice within each thing's true box, at the prototypes' resolution."""
    picture, cell = match.found.nonzero(as_tuple=True)
    if len(picture) == 0:
        return prototypes.sum() * 0
    if len(picture) > MOST_MASKS:
        some = torch.randperm(len(picture))[:MOST_MASKS].sort().values
        picture, cell = picture[some], cell[some]
    slot = match.thing[picture, cell]
    box, number = batch.box[picture, slot] / 2, batch.number[picture, slot]
    rows, columns = torch.arange(prototypes.shape[2]) + 0.5, torch.arange(prototypes.shape[3]) + 0.5
    down = (rows > box[:, 1, None] - 1) & (rows < box[:, 3, None] + 1)
    across = (columns > box[:, 0, None] - 1) & (columns < box[:, 2, None] + 1)
    crop = (down[:, :, None] & across[:, None, :]).float()
    truth = (things[picture] == number[:, None, None]).float()
    chunks = torch.split(coefficients[picture, cell], torch.bincount(picture, minlength=len(prototypes)).tolist())
    masks = torch.cat([c @ p.flatten(1) for c, p in zip(chunks, prototypes.unbind(0), strict=True)])
    masks = masks.view(len(picture), *prototypes.shape[2:])
    area = crop.sum((1, 2)).clamp(min=1)
    entropy = (F.binary_cross_entropy_with_logits(masks, truth, reduction="none") * crop).sum((1, 2)) / area
    soft = masks.sigmoid() * crop
    dice = 1 - (2 * (soft * truth).sum((1, 2)) + 1) / (soft.sum((1, 2)) + (truth * crop).sum((1, 2)) + 1)
    return (entropy + dice).mean()
