"""PyTorch, on the CPU or on a GPU: for networks that a library builds (``network:`` in the manifest)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch.nn import functional

from seg_perception.errors import ConfigError, ModelError, first_line
from seg_perception.models import families, weights
from seg_perception.models.backends.base import Backend, Labeller, TensorInfo
from seg_perception.models.decoders.dense_logits import confidence_step
from seg_perception.models.families.base import NamedOutputs
from seg_perception.models.manifest import Manifest
from seg_perception.types import Float32Array, UInt8Array

_DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}


def load(manifest: Manifest, *, precision: str, threads: int, device: str) -> Backend:
    """Build the network of ``manifest``; see :func:`seg_perception.models.backends.load`."""
    if device != "cpu" and not torch.cuda.is_available():
        raise ConfigError(f"device '{device}': torch {torch.__version__} finds no CUDA device here; use device 'cpu'")
    if device == "cpu" and precision == "f16":
        raise ConfigError("torch has no precision 'f16' worth having on a CPU; it has f32, bf16 (f16 on device 'cuda')")
    path = weights.obtain(manifest) if manifest.weights.file else None
    network = families.build(manifest, path)
    return TorchBackend(manifest, network, precision, threads, torch.device(device))


class TorchBackend:
    """A network in inference mode, its convolutions in channels-last order; its outputs are fresh arrays."""

    def __init__(
        self, manifest: Manifest, network: NamedOutputs, precision: str, threads: int, device: torch.device
    ) -> None:
        dtype = _DTYPES[precision]
        self._threads, self._device, self._dtype = threads, device, dtype
        self._network = network.requires_grad_(False).to(device=device, memory_format=torch.channels_last)
        if dtype != torch.float32:
            network.lower(dtype)
        self.version = str(torch.__version__)
        self.precision = precision
        shape = manifest.input_shape
        self.inputs: tuple[TensorInfo, ...] = (TensorInfo(manifest.input.name, (None, *shape), "float32"),)
        try:
            outputs = self.forward(torch.zeros((1, *shape)))
        except (RuntimeError, ValueError, NotImplementedError, torch.OutOfMemoryError) as error:
            raise ModelError(
                f"model '{manifest.name}': the network cannot take an input of {' x '.join(map(str, shape))} "
                f"({dtype} on {device}): {first_line(error)}"
            ) from error
        self.outputs = tuple(TensorInfo(n, (None, *t.shape[1:]), "float32") for n, t in outputs.items())
        # On a CPU the decoder, which interpolates few classes only, is quicker than torch, which does all.
        self.label: Labeller | None = None
        if manifest.whole and device.type != "cpu":
            name = (manifest.outputs or tuple(outputs))[0]
            self.label = Labels(lambda batch: self.forward(batch)[name], tuple(outputs[name].shape[2:]))

    def run(self, batch: Float32Array, outputs: Sequence[str]) -> list[Float32Array]:
        """See :class:`Backend`."""
        found = self.forward(torch.from_numpy(batch))
        # Decoders read class after class, so channels-last goes no further; on the device that is cheap.
        return [found[name].float().contiguous().cpu().numpy() for name in outputs]

    def forward(self, batch: torch.Tensor) -> dict[str, torch.Tensor]:
        """The outputs by name, on the device."""
        if torch.get_num_threads() != self._threads:  # the number is the calling thread's, not the process's
            torch.set_num_threads(self._threads)
        with torch.inference_mode():
            images = batch.to(device=self._device, dtype=self._dtype, memory_format=torch.channels_last)
            return dict(zip(self._network.names, self._network(images), strict=True))


class Labels:
    """Logits on the device, of ``grid`` height and width, to labels there; see :class:`Labeller`."""

    def __init__(self, logits: Callable[[torch.Tensor], torch.Tensor], grid: tuple[int, int]) -> None:
        self._logits, self.grid = logits, grid
        self._step = confidence_step(grid)

    def __call__(self, batch: Float32Array, height: int, width: int) -> tuple[UInt8Array, Float32Array]:
        """See :class:`Labeller`."""
        with torch.inference_mode():
            logits = self._logits(torch.from_numpy(batch[:1])).float()
            full = functional.interpolate(logits, (height, width), mode="bilinear", align_corners=False)
            channels = full.argmax(1)[0].to(torch.uint8)
            points = logits[0, :, self._step // 2 :: self._step, self._step // 2 :: self._step].contiguous()
        return channels.cpu().numpy(), points.cpu().numpy()
