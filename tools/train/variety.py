"""Training views made more varied than the world draws them, so that shape and place count and not the texture.

Segment by segment (a thing, or all pixels of a class of stuff), the truth says where, colours are shifted and foreign
texture is laid over: noise, stones and bars of random colours, or a piece of another view. Then another camera looks:
haze, colour temperature, gamma, blur along a line, noise, JPEG. And views are put together by four, so that things are
as small as those far away in a sequence.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from tools.world.textures import any_colour, blend, noise
from tools.world.variants import CLASS_ID, CLASSES

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]

PATTERNS = 64
PART_LIMIT = 64
"""Numbers of things in a view; each of four views put together gets its own range of so many."""
_SEGMENTS = len(CLASSES) + 256
_RECOLOURED, _COVERED = 0.45, 0.3
"""Share of segments that get other colours, and another texture."""
_GROUND = [CLASS_ID[name] for name in ("road", "sidewalk", "terrain")]
"""What only its colour and texture tell apart: left as it is."""


def patterns(count: int = PATTERNS) -> list[Pixels]:
    """Textures ``(128, 128, 3)`` that tile, always the same: noise, stones, bars and patches in any two colours."""
    rng = np.random.default_rng(7)
    return [_pattern(rng) for _ in range(count)]


def _pattern(rng: np.random.Generator) -> Pixels:
    size, kind = 128, int(rng.integers(4))
    v, u = np.mgrid[0:size, 0:size] / size
    if kind == 0:
        weight = 0.5 + rng.uniform(0.2, 0.6) * noise(rng, rng.uniform(0, 2), size)
    elif kind == 1:
        rows, columns = rng.integers(2, 24, 2)
        tones = rng.uniform(0, 1, (rows, columns))
        weight = tones[
            (v * rows).astype(int), ((u + rng.uniform() * ((v * rows).astype(int) % 2)) * columns).astype(int) % columns
        ]
    elif kind == 2:
        a, b = rng.integers(-8, 9, 2)
        weight = 0.5 + rng.uniform(0.5, 3) * np.sin(2 * np.pi * (a * u + b * v) + rng.uniform(0, 6))
    else:
        weight = np.zeros((size, size))
        for x, y, w, h in rng.integers(8, size, (12, 4)):
            weight[y - y // 2 : y - y // 2 + h // 2, x - x // 2 : x - x // 2 + w // 3] = rng.uniform()
    picture = blend(any_colour(rng, (0, 0.9), (0.05, 1)), any_colour(rng, (0, 0.9), (0.05, 1)), weight)
    picture *= (1 + rng.uniform(0.02, 0.25) * noise(rng, rng.uniform(0, 1), size))[..., None]
    return np.asarray(np.clip(255 * picture, 0, 255), np.uint8)


def repaint(image: Pixels, truth: Pixels, other: Pixels, bank: list[Pixels], rng: np.random.Generator) -> Pixels:
    """``image`` with some segments of ``truth`` in other colours, some under a texture from ``bank`` or ``other``."""
    segment = np.where(truth[..., 1] > 0, truth[..., 1].astype(np.int32) + len(CLASSES), truth[..., 0])
    flat = segment.ravel()
    pixels = image.reshape(-1, 3).astype(np.float32)
    some = slice(None, None, 5)  # enough for a mean
    area = np.maximum(np.bincount(flat[some], minlength=_SEGMENTS), 1)
    mean = np.stack([np.bincount(flat[some], pixels[some, c], _SEGMENTS) for c in range(3)], 1) / area[:, None]
    shifted = rng.random(_SEGMENTS)[:, None] < _RECOLOURED
    shifted[_GROUND] = False
    contrast = np.where(shifted, np.exp(rng.uniform(-0.7, 0.4, (_SEGMENTS, 1))), 1.0)
    tint = np.where(shifted, np.exp(rng.normal(0, 0.25, (_SEGMENTS, 1)) + rng.normal(0, 0.15, (_SEGMENTS, 3))), 1.0)
    shift = np.where(shifted, rng.normal(0, 12, (_SEGMENTS, 3)), 0.0)
    gain = (contrast * tint).astype(np.float32)
    offset = (mean * tint * (1 - contrast) + shift).astype(np.float32)
    result = (pixels * np.take(gain, flat, 0) + np.take(offset, flat, 0)).reshape(image.shape)
    weight = np.where(rng.random(_SEGMENTS) < _COVERED, rng.uniform(0.2, 0.9, _SEGMENTS), 0.0).astype(np.float32)
    weight[_GROUND] = 0.0
    first = rng.random(_SEGMENTS) < 0.5
    light = np.sqrt(np.clip(pixels.mean(1) / np.maximum(mean.mean(1), 8).astype(np.float32)[flat], 0.1, 3))
    light = light.reshape(segment.shape)[..., None]
    for chosen in (first, ~first):
        cover = cv2.blur((weight * chosen)[flat].reshape(segment.shape), (2, 2))[..., None]
        texture = _spread(
            _piece(other, rng) if rng.random() < 0.35 else bank[int(rng.integers(len(bank)))], image.shape, rng
        )
        result += cover * (texture * light - result)
    return np.asarray(np.clip(result, 0, 255), np.uint8)


def _piece(view: Pixels, rng: np.random.Generator) -> Pixels:
    """A small part of a view, mirrored so that it tiles."""
    size = int(rng.integers(24, 65))
    y, x = int(rng.integers(view.shape[0] - size)), int(rng.integers(view.shape[1] - size))
    part = np.ascontiguousarray(view[y : y + size, x : x + size, :3])
    part = np.concatenate([part, part[::-1]], 0)
    return np.concatenate([part, part[:, ::-1]], 1)


def _spread(texture: Pixels, shape: tuple[int, ...], rng: np.random.Generator) -> Pixels:
    """``texture`` tiled over a picture, turned, scaled, and in half of the cases lying like a floor."""
    scale, angle = float(np.exp(rng.uniform(-1.2, 1.2))), rng.normal(0, 0.4)
    cos, sin = np.cos(angle) / scale, np.sin(angle) / scale
    x, y = rng.uniform(0, 128, 2)
    depth = rng.uniform(0.5, 4) / shape[0] if rng.random() < 0.5 else 0.0
    # Maps a pixel of the picture to one of the texture; lines further down are nearer.
    far = 1.0 / (1.0 + depth * shape[0])
    matrix = np.array([[cos, sin, x], [-sin, cos, y], [0, depth * far, far]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(
        cv2.warpPerspective(texture, matrix, (shape[1], shape[0]), flags=flags, borderMode=cv2.BORDER_WRAP)
    )


def camera(image: Pixels, rng: np.random.Generator) -> Pixels:
    """What another camera would deliver of the same view."""
    if rng.random() < 0.25:  # haze, thicker upwards, where the view is farther
        air = rng.uniform(120, 250) + rng.normal(0, 12, 3)
        rows = np.linspace(rng.uniform(0.2, 0.7), 0, image.shape[0])[:, None, None].astype(np.float32)
        image = np.asarray(image + rows * (air - image), np.uint8)
    if rng.random() < 0.15:
        taps = int(rng.integers(2, 5))
        image = cv2.blur(image, (taps, 1))
    if rng.random() < 0.5:
        grain = rng.uniform(1, 11) * rng.standard_normal(image.shape, np.float32)
        image = np.asarray(np.clip(image + grain, 0, 255), np.uint8)
    if rng.random() < 0.15:
        _, packed = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(40, 95))])
        image = np.asarray(cv2.imdecode(packed, cv2.IMREAD_UNCHANGED), np.uint8)
    return image
