"""A network of a library through the whole package: manifest, export, a bag of real frames in, masks out, and the same
masks from every runtime. ``benchmarks/families.py`` does this for every family at a useful size.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

for package in ("torch", "torchvision", "transformers", "segmentation_models_pytorch", "onnxscript", "rosbags"):
    pytest.importorskip(package)

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
TINY = {
    "lraspp": {},
    "segformer_b0": {"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 1, 1], "decoder_hidden_size": 16},
    "mask_rcnn": {"rpn_post_nms_top_n_test": 20, "box_detections_per_img": 8},
}


@pytest.mark.parametrize("network", ["segformer_b0", "mask_rcnn"])
def test_masks_agree_in_every_runtime(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch, network: str
) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.setenv("SEG_PERCEPTION_WEIGHTS", str(data / "weights"))
    import families
    import zoo

    monkeypatch.setattr(zoo, "STEPS", 8)
    images, labels = families.lessons(2)
    for name in filter(None, (network, families.BESIDE.get(network))):
        zoo.write(tmp_path, name, (64, 224), images, labels, TINY[name])
    frames = families.pictures()[:3]
    bag = families.bag_of(frames, tmp_path)
    rows = families.compare(bag, frames, network, families.RUNTIMES, tmp_path)
    assert [row.runtime for row in rows] == list(families.RUNTIMES)
    for row in rows:
        assert (row.refused, row.frames) == ("", 3)
        assert row.network_agrees >= 0.999
        assert row.bag_agrees >= 0.999
        assert row.classes > 1
    masks = list(families.masks(tmp_path / f"{network}_torch.mcap"))
    assert {mask.shape for pair in masks for mask in pair} == {(375, 1242)}
    assert all(((panoptic & 0xFFFF) == semantic).all() for semantic, panoptic in masks)
    assert np.mean([len(np.unique(semantic)) for semantic, _ in masks]) > 1
