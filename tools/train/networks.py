"""The network: a plain residual backbone, a pyramid, a semantic head and a YOLO-seg-style instance head.

Only 3x3 and 1x1 convolutions, batch norm and ReLU: what every runtime fuses and quantises well. Strides 2 to 32.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from tools.world.variants import CLASSES, THINGS

STRIDES = (8, 16, 32)
COEFFICIENTS = 32


def conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """Convolution, batch norm, ReLU."""
    layer = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


class Residual(nn.Module):
    """He et al. 2015, the basic block."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = conv(width, width)
        self.second = nn.Sequential(nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        """Same shape."""
        return F.relu(x + self.second(self.first(x)))


class Backbone(nn.Module):
    """Features at strides 2, 4, 8, 16, 32."""

    def __init__(self, widths: tuple[int, ...], depths: tuple[int, ...]) -> None:
        super().__init__()
        inputs, stages = 3, []
        for width, depth in zip(widths, depths, strict=True):
            stages.append(nn.Sequential(conv(inputs, width, stride=2), *(Residual(width) for _ in range(depth))))
            inputs = width
        self.stages = nn.ModuleList(stages)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Finest first."""
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features


class Pyramid(nn.Module):
    """Top-down features (Lin et al. 2017) with the whole picture's mean at the top: three levels of ``width`` at
    strides 8, 16, 32, and one of ``fine`` channels at stride 2.
    """

    def __init__(self, widths: tuple[int, ...], width: int, fine: int) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(conv(w, width, 1) for w in widths[2:])
        self.whole = conv(widths[-1], width, 1)
        self.smooth = nn.ModuleList(conv(width, width) for _ in widths[2:])
        self.to4, self.lateral4, self.smooth4 = conv(width, fine, 1), conv(widths[1], fine, 1), conv(fine, fine)
        self.lateral2, self.smooth2 = conv(widths[0], fine, 1), conv(fine, fine)

    def forward(self, features: list[Tensor]) -> tuple[list[Tensor], Tensor]:
        """Levels at strides 8, 16, 32, and the fine one."""
        x = self.lateral[-1](features[-1]) + self.whole(features[-1].mean((2, 3), keepdim=True))
        levels = [self.smooth[-1](x)]
        for lateral, smooth, feature in zip(self.lateral[-2::-1], self.smooth[-2::-1], features[-2:1:-1], strict=True):
            x = lateral(feature) + _twice(levels[0])
            levels.insert(0, smooth(x))
        x = self.smooth4(self.lateral4(features[1]) + _twice(self.to4(levels[0])))
        return levels, self.smooth2(self.lateral2(features[0]) + _twice(x))


def _twice(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


class Boxes(nn.Module):
    """Boxes, class scores and mask coefficients for every cell of every level; the towers are shared by the levels."""

    def __init__(self, width: int) -> None:
        super().__init__()
        logits = nn.Conv2d(width, len(THINGS), 1)
        self.classify = nn.Sequential(conv(width, width), conv(width, width), logits)
        self.regress = nn.Sequential(conv(width, width), conv(width, width), nn.Conv2d(width, 4 + COEFFICIENTS, 1))
        assert logits.bias is not None
        nn.init.constant_(logits.bias, -4.6)  # at first everything is background with probability 0.99

    def forward(self, levels: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Corners ``(B, A, 4)`` in pixels, class logits ``(B, A, C)``, coefficients ``(B, A, 32)``."""
        corners, logits, coefficients = [], [], []
        for level, stride in zip(levels, STRIDES, strict=True):
            logits.append(self.classify(level).flatten(2).transpose(1, 2))
            raw = self.regress(level).flatten(2).transpose(1, 2).float()
            centre = cell_centres(level.shape[2], level.shape[3], stride)
            reach = F.softplus(raw[..., :4]) * (2 * stride)
            corners.append(torch.cat([centre - reach[..., :2], centre + reach[..., 2:]], 2))
            coefficients.append(raw[..., 4:])
        return torch.cat(corners, 1), torch.cat(logits, 1), torch.cat(coefficients, 1)


def cell_centres(rows: int, columns: int, stride: int) -> Tensor:
    """``(rows * columns, 2)`` x, y in pixels."""
    y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    return (torch.stack([x, y], -1).reshape(-1, 2).float() + 0.5) * stride


class Network(nn.Module):
    """Both tasks. The input is RGB 0..1."""

    def __init__(
        self,
        widths: tuple[int, ...] = (16, 32, 64, 128, 128),
        depths: tuple[int, ...] = (0, 1, 2, 2, 1),
        width: int = 64,
        fine: int = 32,
    ) -> None:
        super().__init__()
        self.backbone = Backbone(widths, depths)
        self.pyramid = Pyramid(widths, width, fine)
        self.semantic = nn.Conv2d(fine, len(CLASSES), 1)
        self.prototypes = nn.Sequential(conv(fine, COEFFICIENTS), nn.Conv2d(COEFFICIENTS, COEFFICIENTS, 1))
        self.boxes = Boxes(width)

    def features(self, image: Tensor) -> tuple[list[Tensor], Tensor]:
        """The pyramid's levels, and the fine level."""
        levels, fine = self.pyramid(self.backbone((image - 0.45) * 4.0))
        return levels, fine

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor, Tensor]]:
        """Semantic logits at half resolution, prototypes at half resolution, and what :class:`Boxes` gives."""
        levels, fine = self.features(image)
        return self.semantic(fine), self.prototypes(fine), self.boxes(levels)

    def segment(self, image: Tensor) -> Tensor:
        """The semantic logits alone, ``(B, 13, H / 2, W / 2)``."""
        logits: Tensor = self.semantic(self.features(image)[1])
        return logits


class SemanticNetwork(nn.Module):
    """The semantic half: ``images`` → ``logits`` ``(B, 13, H / 2, W / 2)``."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """See the class."""
        return self.network.segment(images)


class InstanceNetwork(nn.Module):
    """The instance half in YOLO-seg's layout: ``output0`` ``(B, 4 + 6 + 32, A)``: centre x, y, width, height in pixels,
    scores after the sigmoid, coefficients; ``output1`` ``(B, 32, H / 2, W / 2)`` prototypes.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """See the class."""
        levels, fine = self.network.features(images)
        corners, logits, coefficients = self.network.boxes(levels)
        low, high = corners[..., :2], corners[..., 2:]
        rows = torch.cat([(low + high) / 2, high - low, logits.float().sigmoid(), coefficients], 2)
        return rows.transpose(1, 2), self.network.prototypes(fine)


def restored(state: Mapping[str, Tensor]) -> Network:
    """The network that a checkpoint's ``network`` or ``average`` is of, as deep as that one was."""
    blocks = {tuple(name.split(".")[2:4]) for name in state if name.startswith("backbone.stages.")}
    stages = 1 + max(int(stage) for stage, _ in blocks)
    network = Network(depths=tuple(sum(int(stage) == s for stage, _ in blocks) - 1 for s in range(stages)))
    network.load_state_dict(state)
    return network


def deepened(network: Network, depths: tuple[int, ...]) -> Network:
    """A network of more residual blocks that at first computes what ``network`` does: a new block adds zero to what it
    is given (Chen et al. 2016, Net2Net; the zero is Goyal et al.'s, 2017), and learns from there.
    """
    larger = Network(depths=depths)
    for module in larger.modules():
        if isinstance(module, Residual):
            nn.init.zeros_(module.second[1].weight)
    larger.load_state_dict({**larger.state_dict(), **network.state_dict()})
    return larger


def parameters(module: nn.Module) -> int:
    """How many numbers it has learned."""
    return sum(p.numel() for p in module.parameters())
