"""What a real camera makes of an ideal picture: haze, exposure, white balance, blur, vignette, noise."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from tools.world.light import Light

Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class Optics:
    """A camera's manner, constant over a sequence; ``brightness`` is what its automatic exposure aims at."""

    brightness: float
    balance: NDArray[np.float64]
    gamma: float
    saturation: float
    vignette: float
    blur: float
    motion: float
    noise: float
    jpeg: int

    @classmethod
    def random(cls, rng: np.random.Generator) -> Optics:
        """A camera somewhere between good and poor."""
        return cls(
            brightness=float(rng.uniform(0.3, 0.58)),
            balance=rng.uniform(0.9, 1.1, 3),
            gamma=float(rng.uniform(0.75, 1.3)),
            saturation=float(rng.uniform(0.5, 1.5)),
            vignette=float(rng.uniform(0, 0.35)),
            blur=float(rng.uniform(0.3, 0.9)),
            motion=float(rng.choice([0.0, 0.0, rng.uniform(1.5, 4.0)])),
            noise=float(rng.uniform(0.003, 0.03)),
            jpeg=int(rng.integers(60, 96)),
        )


def expose(rng: np.random.Generator, rgb: Picture, depth: NDArray[np.float32], light: Light, optics: Optics) -> Picture:
    """The picture that the camera delivers, ``(H, W, 3)`` uint8."""
    height, width = depth.shape
    image = rgb.astype(np.float32) / 255
    seen = np.exp(-light.haze * np.minimum(depth, 1e4))
    seen[~np.isfinite(depth)] = 1.0 - min(0.9, 30 * light.haze)
    image = image * seen[..., None] + light.air.astype(np.float32) * (1 - seen[..., None])
    grey = image.mean(axis=2, keepdims=True)
    gain = np.clip(optics.brightness / max(float(grey.mean()), 1e-3), 0.6, 3.5) ** 0.85
    image = (grey + optics.saturation * (image - grey)) * (gain * optics.balance).astype(np.float32)
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
    y = np.linspace(-height / width, height / width, height, dtype=np.float32)[:, None]
    image *= (1 - optics.vignette * (x * x + y * y))[..., None]
    scale = width / 640
    image = cv2.GaussianBlur(image, (0, 0), max(0.3, optics.blur * scale))
    taps = round(optics.motion * scale)
    if taps >= 2:
        image = cv2.blur(image, (taps, 1))
    image = np.clip(image, 0, 1) ** optics.gamma
    deviation = optics.noise * np.sqrt(0.3 + image.mean(axis=2, keepdims=True))
    image += deviation * rng.standard_normal(image.shape, dtype=np.float32)
    return np.asarray(np.clip(255 * image + 0.5, 0, 255), np.uint8)


def measure_depth(rng: np.random.Generator, depth: NDArray[np.float32], reach: float) -> NDArray[np.uint16]:
    """A depth camera's picture: millimetres with an error that grows with the square of the distance, 0 beyond
    ``reach`` metres (at most 65).
    """
    noisy = depth + 0.0008 * np.minimum(depth, 100) ** 2 * rng.standard_normal(depth.shape, dtype=np.float32)
    return np.where((depth < reach) & (noisy > 0.05), np.round(1000 * np.minimum(noisy, 65)), 0).astype(np.uint16)
