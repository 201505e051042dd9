"""How somebody writes it who has a library and an image: the library's own model, unchanged and eager, its logits
interpolated to the image's size, argmax. This is what the other rows of the table are compared with.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import torch
from torch.nn import functional

from seg_perception.errors import ConfigError
from seg_perception.labels import LabelSpace
from seg_perception.models import families, weights
from seg_perception.models.backends import resolved_threads
from seg_perception.models.manifest import Manifest
from seg_perception.models.networks import Execution
from seg_perception.timing import StageTimes
from seg_perception.types import SemanticMap, UInt8Array

_OUTPUT = {"torchvision": "out", "transformers": "logits"}
"""What the libraries call the logits among their outputs; smp gives nothing else."""


class EagerNetwork:
    """A semantic network with dense logits as its library has it; labels as :class:`SemanticNetwork` gives them, no
    confidence (all 0).

    Raises :class:`ConfigError` for any other kind of network, or a precision other than f32.
    """

    def __init__(self, name: Any, labels: LabelSpace, how: Execution) -> None:
        manifest = Manifest.load(name)
        if manifest.network is None or manifest.decoder != "dense_logits" or manifest.input.resize != "stretch":
            raise ConfigError(
                f"model '{manifest.name}': eager is for a semantic network that a library builds, on a stretched image"
            )
        if how.precision != "f32":
            raise ConfigError("eager computes in f32, as libraries do unless told otherwise")
        self.manifest = manifest
        self._output = _OUTPUT.get(manifest.network.library)
        self._table = manifest.table(labels)
        self._device, self._threads = torch.device(how.device), resolved_threads(how.threads)
        network = families.build(manifest, weights.obtain(manifest) if manifest.weights.file else None)
        self._model = network.model.to(self._device)
        self._mean, self._std = (
            torch.tensor(values, device=self._device).reshape(1, 3, 1, 1)
            for values in (manifest.input.mean, manifest.input.std)
        )

    def warm(self, height: int, width: int) -> None:
        """Run a black image of that size."""
        self(np.zeros((height, width, 3), np.uint8), StageTimes())

    def describe(self) -> dict[str, str | int]:
        """What the table says of it."""
        return {"precision": "f32", "threads": self._threads}

    def __call__(self, image: UInt8Array, times: StageTimes) -> SemanticMap:
        """``image`` ``(H, W, 3)`` uint8 RGB to labels of its size."""
        torch.set_num_threads(self._threads)
        size, spec = image.shape[:2], self.manifest.input
        fitted = image if size == spec.size else cv2.resize(image, spec.size[::-1], interpolation=cv2.INTER_LINEAR)
        if spec.channels == "bgr":
            fitted = np.ascontiguousarray(fitted[..., ::-1])
        with torch.inference_mode():
            planes = torch.from_numpy(fitted).to(self._device).permute(2, 0, 1)[None].float()
            planes = (planes * spec.scale - self._mean) / self._std
            with times.stage("semantic/forward"):
                said = self._model(planes)
                logits = said if self._output is None else said[self._output]
            if logits.shape[2:] != size:
                logits = functional.interpolate(logits, size=size, mode="bilinear", align_corners=False)
            channels = logits.argmax(1)[0].to(torch.uint8).cpu().numpy()
        labels = np.asarray(cv2.LUT(channels, self._table), np.uint8)
        return SemanticMap(labels, np.zeros_like(labels))
