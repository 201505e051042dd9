"""Hugging Face transformers: SegFormer, UperNet and whatever else is a ``...ForSemanticSegmentation`` as dense logits;
Mask2Former, MaskFormer and OneFormer as queries, each with class logits and a mask.

https://huggingface.co/docs/transformers
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor, nn

from seg_perception.errors import ConfigError, ModelError
from seg_perception.models.families.base import NamedOutputs
from seg_perception.models.families.hub import place, unreachable
from seg_perception.models.manifest import RANDOM, Network

_DENSE = "ForSemanticSegmentation"
_QUERIES = ("Mask2FormerForUniversalSegmentation", "MaskFormerForInstanceSegmentation")
_ONEFORMER = "OneFormerForUniversalSegmentation"


class DenseLogits(NamedOutputs):
    """``logits`` ``(B, C, h, w)``."""

    names = ("logits",)

    def forward(self, images: Tensor) -> tuple[Tensor]:
        """Images to logits."""
        return (self.model(pixel_values=images).logits,)


class UperNetLogits(DenseLogits):
    """``logits`` ``(B, C, h, w)`` as the head makes them. transformers interpolates them to the input's size next,
    which the decoder does on the way to the labels.
    """

    def forward(self, images: Tensor) -> tuple[Tensor]:
        """Images to logits."""
        return (self.model.decode_head(self.model.backbone.forward_with_filtered_kwargs(images).feature_maps),)


class Queries(NamedOutputs):
    """``class_queries_logits`` ``(B, Q, C + 1)``, where the last class is "no object", and ``masks_queries_logits``
    ``(B, Q, h, w)``, which cover the input.
    """

    names = ("class_queries_logits", "masks_queries_logits")

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Images to queries."""
        found = self.model(pixel_values=images)
        return found.class_queries_logits, found.masks_queries_logits


class TaskQueries(Queries):
    """The same of a OneFormer, which is also told its task: always the panoptic one."""

    def __init__(self, model: nn.Module, tokens: Tensor) -> None:
        super().__init__(model)
        self.register_buffer("tokens", tokens)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Images to queries."""
        found = self.model(pixel_values=images, task_inputs=self.tokens.expand(images.shape[0], -1))
        return found.class_queries_logits, found.masks_queries_logits


def untrained(network: Network, classes: int) -> nn.Module:
    """The network with random numbers."""
    kind = _kind(network)
    model: nn.Module = kind(kind.config_class(**{"num_labels": classes, **network.arguments}))
    return model


def pretrained(network: Network, folder: Path) -> nn.Module:
    """The network that ``from_pretrained`` finds in a folder, in Hugging Face's cache or on their hub; ``arguments``
    are its arguments (``revision``, for one). Raises :class:`ModelError` where there is none, or numbers are missing.
    """
    kind, source = _kind(network), place(network, folder)
    try:
        model, report = kind.from_pretrained(source, output_loading_info=True, **network.arguments)
    except OSError as error:
        raise unreachable(source, error) from error
    missing = sorted(report["missing_keys"])
    if missing:
        raise ModelError(
            f"{source} lacks {len(missing)} tensors of {network.name} ({', '.join(missing[:3])}, …); it is another "
            "network"
        )
    network_model: nn.Module = model
    return network_model


def named(model: nn.Module, network: Network, folder: Path) -> NamedOutputs:
    """The network with outputs for a decoder."""
    if network.name == "UperNetForSemanticSegmentation":
        return UperNetLogits(model)
    if network.name.endswith(_DENSE):
        return DenseLogits(model)
    if network.name in _QUERIES:
        return Queries(model)
    return TaskQueries(model, _task(model, network, folder))


def _task(model: nn.Module, network: Network, folder: Path) -> Tensor:
    """What OneFormer is told, as tokens ``(1, n)``."""
    length = model.config.task_seq_len
    if network.pretrained == RANDOM:
        return torch.zeros((1, length), dtype=torch.int64)  # a network that knows nothing knows no words
    source = place(network, folder)
    if not source:
        raise ConfigError(
            f"network: {network.name} needs its tokenizer, so its weights come from 'pretrained:' (an id or folder)"
        )
    try:
        tokenizer: Any = transformers.CLIPTokenizer.from_pretrained(source)
    except OSError as error:
        raise unreachable(source, error) from error
    words = tokenizer("the task is panoptic", padding="max_length", max_length=length, return_tensors="pt")
    tokens: Tensor = words["input_ids"] * words["attention_mask"]  # as OneFormerProcessor does
    return tokens


def _kind(network: Network) -> Any:
    """The class of that name."""
    serves = network.name.endswith(_DENSE) or network.name in (*_QUERIES, _ONEFORMER)
    kind = getattr(transformers, network.name, None) if serves else None
    if kind is None:
        raise ConfigError(
            f"network: name: '{network.name}' is no class of transformers {transformers.__version__} that is served; "
            f"expected one that ends in {_DENSE}, or {', '.join((*_QUERIES, _ONEFORMER))}"
        )
    return kind
