"""``python -m tools.train.export CHECKPOINT OUT``: the two ONNX files, checked against torch."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch

from tools.train.networks import InstanceNetwork, Network, SemanticNetwork, parameters
from tools.world.variants import CLASSES, THINGS

SIZE = (512, 288)


def main() -> None:
    """Write ``semantic.onnx`` and ``instance.onnx``."""
    parser = argparse.ArgumentParser(prog="python -m tools.train.export", description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("out", type=Path)
    chosen = parser.parse_args()
    network = Network()
    network.load_state_dict(torch.load(chosen.checkpoint, weights_only=True)["average"])
    chosen.out.mkdir(parents=True, exist_ok=True)
    export(SemanticNetwork(network), chosen.out / "semantic.onnx", ["logits"], CLASSES)
    export(InstanceNetwork(network), chosen.out / "instance.onnx", ["output0", "output1"], THINGS)


def export(module: torch.nn.Module, path: Path, outputs: list[str], classes: tuple[str, ...]) -> None:
    """Write a network for one picture of ``SIZE``; raises ``AssertionError`` when onnxruntime disagrees with torch."""
    module.eval()
    image = torch.rand(1, 3, SIZE[1], SIZE[0])
    torch.onnx.export(
        module, (image,), str(path), input_names=["images"], output_names=outputs, opset_version=17, dynamo=False
    )
    model = onnx.load(str(path))
    onnx.helper.set_model_props(model, {"names": str(dict(enumerate(classes)))})
    onnx.save(model, str(path))
    with torch.no_grad():
        expected = module(image)
    given = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(
        None, {"images": image.numpy()}
    )
    for want, got in zip(expected if isinstance(expected, tuple) else (expected,), given, strict=True):
        np.testing.assert_allclose(got, want.numpy(), rtol=1e-3, atol=2e-3)
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB, {parameters(module)} parameters")


if __name__ == "__main__":
    main()
