"""segmentation-models-pytorch: U-Net, U-Net++, FPN, DeepLabV3+ and the rest, with any of its encoders, as dense logits.

https://smp.readthedocs.io
"""

from __future__ import annotations

from pathlib import Path

import segmentation_models_pytorch as smp
from torch import Tensor, nn

from seg_perception.errors import ConfigError
from seg_perception.models.families.base import NamedOutputs
from seg_perception.models.families.hub import place, unreachable
from seg_perception.models.manifest import Network


class DenseLogits(NamedOutputs):
    """``logits`` ``(B, C, H, W)`` of the input's size: those of FPN and DeepLabV3+ were interpolated with aligned
    corners, which only the library's own last step does as it was trained.
    """

    names = ("logits",)

    def forward(self, images: Tensor) -> tuple[Tensor]:
        """Images to logits."""
        return (self.model(images),)


def untrained(network: Network, classes: int) -> nn.Module:
    """The network with random numbers."""
    model: nn.Module = _kind(network)(**{"encoder_weights": None, "classes": classes, **network.arguments})
    return model


def pretrained(network: Network, folder: Path) -> nn.Module:
    """The network that ``from_pretrained`` finds in a folder, in Hugging Face's cache or on their hub. Raises
    :class:`ModelError` where there is none.
    """
    source = place(network, folder)
    try:
        model: nn.Module = _kind(network).from_pretrained(source, strict=True, **network.arguments)
    except OSError as error:
        raise unreachable(source, error) from error
    return model


def named(model: nn.Module, network: Network, folder: Path) -> NamedOutputs:
    """The network with outputs for a decoder."""
    return DenseLogits(model)


def _kind(network: Network) -> type[nn.Module]:
    """The class of that name."""
    kinds = {kind.__name__: kind for kind in smp.MODEL_ARCHITECTURES_MAPPING.values()}
    if network.name not in kinds:
        raise ConfigError(f"network: name: smp has no '{network.name}'; expected {', '.join(kinds)}")
    kind: type[nn.Module] = kinds[network.name]
    return kind
