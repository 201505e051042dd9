"""``python -m tools.train.export {semantic,instance} CHECKPOINT [FOLDER]``: one half of a trained network as an ONNX
file, checked against torch, and in the manifest beside it the file's checksum and its input's size.
"""

from __future__ import annotations

import argparse
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray

from tools.train.networks import InstanceNetwork, Network, SemanticNetwork, restored
from tools.world.variants import CLASSES, THINGS

SHIPPED = Path(__file__).resolve().parents[2] / "config" / "models"
LARGE = 256
"""Arrays of at least so many numbers are stored in half precision; biases, and what shapes are made of, stay."""

Outputs = list[NDArray[np.float32]]


@dataclass(frozen=True)
class Half:
    """One of the two networks that a checkpoint holds: what is exported of it, and the ``size`` (width, height) of the
    input that it is shipped for.
    """

    module: Callable[[Network], torch.nn.Module]
    outputs: list[str]
    classes: tuple[str, ...]
    size: tuple[int, int]


HALVES = {
    "semantic": Half(SemanticNetwork, ["logits"], CLASSES, (832, 480)),
    "instance": Half(InstanceNetwork, ["output0", "output1"], THINGS, (800, 448)),
}


def main() -> None:
    """Write ``world_semantic.onnx`` or ``world_instance.onnx``."""
    parser = argparse.ArgumentParser(prog="python -m tools.train.export", description=__doc__)
    parser.add_argument("half", choices=HALVES)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("folder", type=Path, nargs="?", default=SHIPPED, help="default: config/models, what is shipped")
    parser.add_argument("--size", type=int, nargs=2, metavar=("WIDTH", "HEIGHT"), help="of its input")
    chosen = parser.parse_args()
    half = HALVES[chosen.half]
    network = restored(torch.load(chosen.checkpoint, weights_only=True)["average"])
    chosen.folder.mkdir(parents=True, exist_ok=True)
    path = chosen.folder / f"world_{chosen.half}.onnx"
    export(half.module(network), path, tuple(chosen.size or half.size), half.outputs, half.classes)


def export(
    module: torch.nn.Module, path: Path, size: tuple[int, int], outputs: list[str], classes: tuple[str, ...]
) -> None:
    """Write a network for one picture of ``size`` (width, height), its weights in half precision; a manifest of the
    same name beside it gets its checksum and that size.

    Raises ``AssertionError`` when onnxruntime disagrees with torch.
    """
    module.eval()
    torch.manual_seed(0)
    image = torch.rand(1, 3, size[1], size[0])
    with torch.no_grad():
        result = module(image)
    expected = [t.numpy() for t in (result if isinstance(result, tuple) else (result,))]
    torch.onnx.export(
        module, (image,), str(path), input_names=["images"], output_names=outputs, opset_version=17, dynamo=False
    )
    model = onnx.load(str(path))
    for want, got in zip(expected, _run(model, image), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-3, atol=2e-3)
    halve(model)
    onnx.helper.set_model_props(model, {"names": str(dict(enumerate(classes)))})
    onnx.checker.check_model(model)
    for want, got in zip(expected, _run(model, image), strict=True):
        # What rounding the weights costs: a part of each output's own spread.
        assert np.abs(got - want).max() < 0.05 * want.std(), "half-precision weights change the outputs too much"
    onnx.save(model, str(path))
    learned = sum(int(np.prod(array.dims)) for array in model.graph.initializer)
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB, {learned} parameters")
    manifest = path.with_suffix(".yaml")
    if manifest.is_file():
        text = manifest.read_text(encoding="utf-8")
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        for key, value in (("sha256", digest), ("size", f"[{size[1]}, {size[0]}]")):
            text, found = re.subn(rf"(?m)^(  {key}: ).*$", rf"\g<1>{value}", text)
            assert found == 1, f"{manifest}: expected one line with {key}"
        manifest.write_text(text, encoding="utf-8")


def halve(model: onnx.ModelProto) -> None:
    """Store the large float32 arrays of ``model`` as float16, each cast back to float32 where the graph begins. What
    is computed stays float32: runtimes do the cast once, when they load the file.
    """
    casts = []
    for array in model.graph.initializer:
        values = onnx.numpy_helper.to_array(array)
        if values.dtype == np.float32 and values.size >= LARGE:
            name = array.name
            array.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float16), f"{name}_half"))
            casts.append(onnx.helper.make_node("Cast", [array.name], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _run(model: onnx.ModelProto, image: torch.Tensor) -> Outputs:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"images": image.numpy()})


if __name__ == "__main__":
    main()
