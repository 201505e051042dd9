"""Logits to labels at the image's size: ours beside torch's bilinear interpolation and argmax.

    python benchmarks/logits.py [--json OUT]

Real logits: the published Cityscapes ESPNet has its logits at the input's size (512 x 1024), not at 1/8 as most
networks do. Logits at 1/8 are therefore made from its own in two ways: every eighth one (``every 8th``), and means of
8 x 8 (``mean of 8 x 8``). Images: the Cityscapes frame and every tenth KITTI frame, stretched to the input. Needs the
test data (SEG_PERCEPTION_DATA), torch and onnxruntime; without the data only random logits run.

``different`` counts the pixels whose label differs from torch's. Ours writes uint8 labels, torch int64.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import cv2
import numpy as np
import torch
from side_by_side import DATA, OURS, Row, options, report, timed, with_one_thread

from seg_perception.models.decoders.dense_logits import upsampled_argmax
from seg_perception.models.geometry import Span, axis

HD = (720, 1280)


def ours(logits: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Labels of the whole image, as the decoder finds them."""
    axes = (axis(Span(0, n, 0, g, 0, n), 0, n, g, g) for n, g in zip(size, logits.shape[1:], strict=True))
    return upsampled_argmax(logits, *axes)


def torchs(logits: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """The plain way."""
    full = torch.nn.functional.interpolate(logits[None], size=size, mode="bilinear", align_corners=False)
    return full.argmax(1)[0]


def real() -> Iterator[tuple[str, np.ndarray, tuple[int, int]]]:
    """Cases from the test data: name, logits, size of the labels."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(DATA / "weights" / "espnet_p2q8_cityscapes_512x1024.onnx"))
    images = [*(DATA / "cityscapes_frame").glob("*leftImg8bit.png"), *sorted((DATA / "kitti_seq").rglob("*.jpg"))[::10]]
    for path in images:
        image = cv2.resize(cv2.imread(str(path))[:, :, ::-1], (1024, 512)).astype(np.float32)
        batch = np.ascontiguousarray(image.transpose(2, 0, 1))[None]
        logits = session.run(None, {session.get_inputs()[0].name: batch})[0][0]
        name = f"{path.parent.parent.name if path.suffix == '.jpg' else 'cityscapes'} {path.stem[:6]}"
        yield f"{name}, every 8th, 720p", np.ascontiguousarray(logits[:, 4::8, 4::8]), HD
        yield f"{name}, mean of 8 x 8, 720p", logits.reshape(-1, 64, 8, 128, 8).mean((2, 4)), HD
        yield f"{name}, full, 375 x 1242", logits, (375, 1242)


def random() -> Iterator[tuple[str, np.ndarray, tuple[int, int]]]:
    """Cases without any structure, which no cell can skip."""
    rng = np.random.default_rng(0)
    for shape, size in (((19, 90, 160), HD), ((19, 360, 640), HD), ((20, 512, 1024), (375, 1242))):
        name = f"random {shape[1]} x {shape[2]} to {size[0]} x {size[1]}"
        yield name, rng.standard_normal(shape, np.float32), size


def main() -> None:
    arguments = options(__doc__, runs=7)
    rows: list[Row] = []
    for name, logits, size in [*random(), *(real() if DATA.is_dir() else ())]:
        tensor = torch.from_numpy(logits)
        different = int((ours(logits, size) != torchs(tensor, size).numpy()).sum())
        peers = {OURS: partial(ours, logits, size), **with_one_thread({"torch": partial(torchs, tensor, size)})}
        rows.append({"case": name, "ms": timed(peers, arguments.runs), "different": different})
    report("logits to labels", rows, arguments.json)


if __name__ == "__main__":
    main()
