"""Image to network input, byte for byte."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from seg_perception.models import Manifest
from seg_perception.models.geometry import views
from seg_perception.models.prepare import Preparer


def manifest(**spec: Any) -> Manifest:
    content = {
        "name": "tiny",
        "task": "semantic",
        "decoder": "dense_logits",
        "runtime": "onnxruntime",
        "weights": {"file": "tiny.onnx"},
        "input": {"name": "x", "size": [48, 64], "resize": "stretch", **spec},
        "labels": "camvid",
    }
    return Manifest.parse(content, where="tiny.yaml", folder=Path())


def image(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def prepared(spec: Manifest, picture: np.ndarray) -> list[np.ndarray]:
    result = []
    for view in views(spec.input, *picture.shape[:2]):
        planes = np.full(spec.input_shape, np.nan, np.float32)
        Preparer(spec).fill(picture, view, planes)
        result.append(planes)
    return result


def test_an_image_of_the_right_size_is_only_rearranged() -> None:
    picture = image(48, 64)
    (planes,) = prepared(manifest(), picture)
    np.testing.assert_array_equal(planes, picture.transpose(2, 0, 1).astype(np.float32))


@pytest.mark.parametrize("channels", ["rgb", "bgr"])
def test_resized_then_normalised_in_plane_order(channels: str) -> None:
    mean, std = [0.4, 0.5, 0.6], [0.1, 0.2, 0.3]
    picture = image(97, 201)
    (planes,) = prepared(manifest(channels=channels, scale=1 / 255, mean=mean, std=std), picture)
    small = cv2.resize(picture, (64, 48), interpolation=cv2.INTER_LINEAR)
    small = small if channels == "rgb" else small[..., ::-1]
    expected = ((small / 255 - mean) / std).transpose(2, 0, 1)
    np.testing.assert_allclose(planes, expected, atol=1e-5)


def test_letterbox_is_padded_all_around_with_the_normalised_pad() -> None:
    picture = image(32, 64)
    (planes,) = prepared(manifest(resize="letterbox", pad=10, scale=0.5), picture)
    np.testing.assert_array_equal(planes[:, 8:40], picture.transpose(2, 0, 1) * np.float32(0.5))
    assert (planes[:, :8] == 5).all()
    assert (planes[:, 40:] == 5).all()


def test_tiles_are_crops_and_read_only_images_with_gaps_between_rows_will_do() -> None:
    picture = image(48, 200)[:, :150]
    picture.flags.writeable = False
    spec = manifest(resize="tiles", tiles={"size": [48, 64], "overlap": 0.25})
    shown = views(spec.input, 48, 150)
    assert len(shown) == 3
    for view, planes in zip(shown, prepared(spec, picture), strict=True):
        np.testing.assert_array_equal(planes, picture[:, view.x.start : view.x.start + 64].transpose(2, 0, 1))
