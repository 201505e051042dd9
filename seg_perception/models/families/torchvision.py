"""torchvision: FCN, DeepLabV3 and LR-ASPP as dense logits, Mask R-CNN as boxes with small masks.

https://docs.pytorch.org/vision/stable/models.html
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from inspect import Parameter, signature
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import torch
from torch import Tensor, nn
from torchvision import models
from torchvision.models.detection import FasterRCNN, MaskRCNN
from torchvision.models.detection.image_list import ImageList
from torchvision.models.segmentation import FCN, LRASPP, DeepLabV3

from seg_perception.errors import ConfigError, ModelError, first_line
from seg_perception.models.families.base import NamedOutputs
from seg_perception.models.manifest import Network


class DenseLogits(NamedOutputs):
    """``logits`` ``(B, C, h, w)`` as the classifier makes them. torchvision itself interpolates them to the input's
    size next, which the decoder does on the way to the labels.
    """

    names = ("logits",)

    def forward(self, images: Tensor) -> tuple[Tensor]:
        """Images to logits."""
        features = self.model.backbone(images)
        return (self.model.classifier(features if isinstance(self.model, LRASPP) else features["out"]),)


class Detections(NamedOutputs):
    """The ``box_detections_per_img`` best things of each image: ``boxes`` ``(B, N, 4)`` x0 y0 x1 y1 in input pixels,
    ``scores`` ``(B, N)``, ``labels`` ``(B, N)`` (0 is the background) and ``masks`` ``(B, N, 28, 28)`` probabilities
    in the box. An image with fewer things has zeros from there on.
    """

    names = ("boxes", "scores", "labels", "masks")
    any_batch = False  # things are counted image by image

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Images to things."""
        sizes = [(int(images.shape[2]), int(images.shape[3]))] * images.shape[0]
        features = {name: f.float() for name, f in self.model.backbone(images).items()}
        proposals, _ = self.model.rpn(ImageList(images.float(), sizes), features)
        found, _ = self.model.roi_heads(features, proposals, sizes)
        room = self.model.roi_heads.detections_per_img
        columns = [torch.stack([_filled(things[name].float(), room) for things in found]) for name in self.names]
        columns[3] = columns[3].squeeze(2)
        return tuple(columns)

    @property
    def classes(self) -> int:
        """How many it tells apart, the background included."""
        return int(self.model.roi_heads.box_predictor.cls_score.out_features)

    def lower(self, dtype: torch.dtype) -> None:
        """The backbone alone: what follows works with coordinates."""
        self.model.backbone.to(dtype)


def _filled(rows: Tensor, count: int) -> Tensor:
    """``rows`` with zeros after them, ``count`` in all."""
    empty = rows.new_zeros((count, *rows.shape[1:]))
    return torch.cat([rows, empty])[:count]


def untrained(network: Network, classes: int) -> nn.Module:
    """The network with random numbers."""
    arguments = {"weights": None, "weights_backbone": None, "num_classes": classes, **_arguments(network)}
    model: nn.Module = models.get_model(network.name, **arguments)
    return model


def pretrained(network: Network, folder: Path) -> nn.Module:
    """The network with the numbers of ``network.pretrained``, a member of the model's enum of weights; torch keeps them
    below ``$TORCH_HOME``. Raises :class:`ModelError` where they are not there and cannot be downloaded.
    """
    known = models.get_model_weights(_known(network.name))
    if network.pretrained not in known.__members__:
        raise ConfigError(
            f"network: pretrained: '{network.pretrained}' is none of torchvision's weights for {network.name}: "
            f"expected {', '.join(known.__members__)}"
        )
    weights = known[network.pretrained]
    try:
        model: nn.Module = models.get_model(network.name, weights=weights, progress=False, **_arguments(network))
    except OSError as error:
        place = Path(torch.hub.get_dir()) / "checkpoints" / os.path.basename(urlparse(weights.url).path)
        raise ModelError(
            f"the weights {weights} are not at {place} and cannot be downloaded ({first_line(error)}); fetch "
            f"{weights.url} on a connected machine and put it there"
        ) from error
    return model


def named(model: nn.Module, network: Network, folder: Path) -> NamedOutputs:
    """The network with outputs for a decoder."""
    if isinstance(model, (FCN, DeepLabV3, LRASPP)):
        return DenseLogits(model)
    if isinstance(model, MaskRCNN):
        return Detections(model)
    raise ConfigError(
        f"network: name: torchvision's {network.name} does not segment; expected an FCN, DeepLabV3, LR-ASPP or "
        "Mask R-CNN"
    )


def _known(name: str) -> str:
    names = [*models.list_models(models.segmentation), *models.list_models(models.detection, include="maskrcnn*")]
    if name not in names:
        raise ConfigError(f"network: name: torchvision has no '{name}' that segments; expected {', '.join(names)}")
    return name


def _arguments(network: Network) -> Mapping[str, Any]:
    """``network.arguments``; raises :class:`ConfigError` for one that torchvision would pass over in silence."""
    calls: list[Any] = [models.get_model_builder(_known(network.name))]
    if network.name.startswith("maskrcnn"):
        calls += [MaskRCNN.__init__, FasterRCNN.__init__]  # the builder hands on what it does not know itself
    named = (Parameter.KEYWORD_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
    known = {p.name for call in calls for p in signature(call).parameters.values() if p.kind in named}
    unknown = sorted(network.arguments.keys() - known)
    if unknown:
        raise ConfigError(f"network: arguments: torchvision's {network.name} takes no '{unknown[0]}'")
    return network.arguments
