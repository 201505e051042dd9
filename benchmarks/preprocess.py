"""A 720p image to a normalised 640 x 360 NCHW input: ours beside torch and plain numpy.

    python benchmarks/preprocess.py [--json OUT]

torch: to float, NCHW, bilinear interpolation, mean and std, as torchvision's transforms do. numpy: cv2.resize of the
bytes, then float arithmetic and a transpose. Ours and numpy agree to float rounding (``difference``, the largest one);
torch interpolates floats where both others round to bytes first.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
from side_by_side import OURS, options, report, timed, with_one_thread

from seg_perception.models.geometry import views
from seg_perception.models.manifest import Manifest
from seg_perception.models.prepare import Preparer

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CONTENT = {
    "name": "imagenet",
    "task": "semantic",
    "decoder": "dense_logits",
    "runtime": "onnxruntime",
    "weights": {"file": "none"},
    "labels": "cityscapes",
    "input": {
        "name": "x",
        "size": [360, 640],
        "resize": "stretch",
        "scale": 1 / 255,
        "mean": list(MEAN),
        "std": list(STD),
    },
}


def torchs(image: np.ndarray) -> torch.Tensor:
    """The plain way."""
    mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
    tensor = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
    small = torch.nn.functional.interpolate(tensor, size=(360, 640), mode="bilinear", align_corners=False)
    return ((small - mean) / std).contiguous()


def main() -> None:
    arguments = options(__doc__, runs=40)
    manifest = Manifest.parse(CONTENT, where="benchmarks/preprocess.py", folder=Path())
    prepare, (view,) = Preparer(manifest), views(manifest.input, 720, 1280)
    noise = np.random.default_rng(0).integers(0, 256, (90, 160, 3), np.uint8)
    image = cv2.resize(noise, (1280, 720), interpolation=cv2.INTER_CUBIC)
    planes = np.empty((3, 360, 640), np.float32)

    def numpys() -> np.ndarray:
        small = cv2.resize(image, (640, 360)).astype(np.float32) / 255
        return np.ascontiguousarray(((small - np.float32(MEAN)) / np.float32(STD)).transpose(2, 0, 1))

    def ours() -> None:
        prepare.fill(image, view, planes)

    ours()
    difference = float(np.abs(planes - numpys()).max())
    peers = {OURS: ours, **with_one_thread({"torch": lambda: torchs(image), "numpy and OpenCV": numpys})}
    row = {"case": "rgb8 720p", "ms": timed(peers, arguments.runs), "difference": f"{difference:.1e}"}
    report("720p to 640 x 360 NCHW", [row], arguments.json)


if __name__ == "__main__":
    main()
