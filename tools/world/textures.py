"""Surfaces as small RGB pictures, made in memory from noise and simple patterns; all tile without a seam.

Every function of ``PATTERNS`` takes a random generator and returns ``(H, W, 3)`` uint8. Colours are drawn from wide,
overlapping ranges on purpose: a pixel's colour alone must not give its class away.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
Picture = NDArray[np.uint8]
Colour = NDArray[np.float64]

SIZE = 256


def hsv(hue: float, saturation: float, value: float) -> Colour:
    """RGB 0..1 from hue (turns), saturation and value 0..1."""
    k = (np.array([5.0, 3.0, 1.0]) + hue % 1.0 * 6) % 6
    return value - value * saturation * np.clip(np.minimum(k, 4 - k), 0, 1)


def any_colour(
    rng: np.random.Generator, saturation: tuple[float, float] = (0, 0.8), value: tuple[float, float] = (0.1, 0.9)
) -> Colour:
    """A colour of any hue."""
    return hsv(rng.uniform(), rng.uniform(*saturation), rng.uniform(*value))


def grey(rng: np.random.Generator, low: float, high: float, tint: float = 0.08) -> Colour:
    """A grey with a slight tint."""
    return hsv(rng.uniform(), rng.uniform(0, tint), rng.uniform(low, high))


def noise(rng: np.random.Generator, roughness: float, size: int = SIZE) -> FloatArray:
    """Tileable fractal noise, mean 0, deviation 1; its spectrum falls as 1/f**roughness (0 is white, 2 is clouds)."""
    f = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None, :])
    f[0, 0] = 1.0
    spectrum = np.fft.rfft2(rng.standard_normal((size, size))) / f**roughness
    spectrum[0, 0] = 0
    field = np.fft.irfft2(spectrum, (size, size)).astype(np.float32)
    return np.asarray(field / field.std(), np.float32)


def blend(a: Colour, b: Colour, weight: NDArray[np.floating[Any]]) -> FloatArray:
    """``a`` where ``weight`` is 0, ``b`` where it is 1."""
    w = np.clip(weight, 0, 1)[..., None]
    return np.asarray(a * (1 - w) + b * w, np.float32)


def finish(rng: np.random.Generator, picture: FloatArray, grain: float, stains: float = 0.0) -> Picture:
    """Add grain and large stains, and turn 0..1 into bytes."""
    size = picture.shape[0]
    shade = 1 + grain * rng.standard_normal(picture.shape[:2]).astype(np.float32)
    if stains:
        shade *= 1 + stains * cv2.resize(noise(rng, 1.6, 128), (picture.shape[1], size))
    return np.clip(255 * picture * shade[..., None], 0, 255).astype(np.uint8)


def _plain(colour: Colour, size: int = SIZE) -> FloatArray:
    return np.broadcast_to(colour, (size, size, 3)).astype(np.float32)


def _joints(
    rows: int, columns: int, shift: float, width: float, size: int = SIZE
) -> tuple[FloatArray, NDArray[np.int64]]:
    """A wall of stones: how much a pixel is joint (0..1), and the number of its stone."""
    v, u = np.mgrid[0:size, 0:size] / size
    row = np.floor(v * rows).astype(int)
    along = u * columns + shift * row
    stone = row * columns + np.floor(along).astype(int) % columns
    edge = np.minimum(np.minimum(along % 1, 1 - along % 1) / columns, np.minimum(v * rows % 1, 1 - v * rows % 1) / rows)
    return (edge < width).astype(np.float32), stone


def _stones(
    rng: np.random.Generator, colour: Colour, spread: float, rows: int, columns: int, shift: float, width: float
) -> FloatArray:
    joint, stone = _joints(rows, columns, shift, width)
    tones = 1 + spread * rng.standard_normal(rows * columns)
    picture = colour * tones[stone][..., None]
    return blend(np.zeros(3), colour * rng.uniform(0.4, 0.8), joint) * joint[..., None] + picture.astype(np.float32) * (
        1 - joint[..., None]
    )


# Roads: u runs across the road, so that markings lie along it.


def _markings(rng: np.random.Generator, picture: FloatArray) -> FloatArray:
    paint = hsv(0.13, rng.choice([0.03, 0.6]), rng.uniform(0.6, 0.95))
    wear = np.clip(0.75 + 0.35 * noise(rng, 0.8), 0, 1)
    u = np.arange(SIZE) / SIZE
    dash = (np.arange(SIZE) / SIZE < rng.uniform(0.4, 0.7)).astype(np.float32)[:, None]
    across = np.zeros((SIZE, SIZE), np.float32)
    if rng.random() < 0.75:
        centre = (np.abs(u - 0.5) < rng.uniform(0.008, 0.014)).astype(np.float32)[None, :]
        across += centre * (dash if rng.random() < 0.7 else 1.0)
    if rng.random() < 0.5:
        border = rng.uniform(0.02, 0.07)
        across += ((np.abs(u - border) < 0.009) | (np.abs(u - 1 + border) < 0.009)).astype(np.float32)[None, :]
    weight = (across * wear)[..., None]
    return np.asarray(picture * (1 - weight) + paint.astype(np.float32) * weight, np.float32)


def asphalt_fine(rng: np.random.Generator) -> Picture:
    return finish(rng, _markings(rng, _plain(grey(rng, 0.15, 0.5))), rng.uniform(0.04, 0.1), 0.08)


def asphalt_coarse(rng: np.random.Generator) -> Picture:
    c = grey(rng, 0.15, 0.5, 0.15)
    return finish(rng, _markings(rng, blend(c * 0.6, c * 1.4, 0.5 + 0.3 * noise(rng, 0.3))), 0.08, 0.1)


def asphalt_patched(rng: np.random.Generator) -> Picture:
    picture = _plain(grey(rng, 0.2, 0.5)).copy()
    for _ in range(int(rng.integers(2, 7))):
        x, y, w, h = rng.integers(0, SIZE, 4) // [1, 1, 3, 2]
        picture[y : y + h, x : x + w] *= rng.uniform(0.6, 1.25)
    return finish(rng, _markings(rng, picture), 0.07, 0.08)


def asphalt_concrete(rng: np.random.Generator) -> Picture:
    joint, _ = _joints(1, int(rng.integers(1, 3)), 0, 0.006)
    c = grey(rng, 0.4, 0.7, 0.15)
    return finish(rng, blend(c, c * 0.5, joint), 0.05, 0.12)


def asphalt_cracked(rng: np.random.Generator) -> Picture:
    c = grey(rng, 0.2, 0.5)
    cracks = (np.abs(noise(rng, 1.5)) < 0.035).astype(np.float32)
    return finish(rng, _markings(rng, blend(c, c * 0.4, cracks)), 0.06, 0.1)


def asphalt_worn(rng: np.random.Generator) -> Picture:
    c = grey(rng, 0.25, 0.55, 0.12)
    u = np.cos(np.arange(SIZE) / SIZE * 4 * np.pi)[None, :]
    return finish(rng, _markings(rng, blend(c * 0.75, c * 1.1, 0.5 + 0.25 * u + 0.2 * noise(rng, 1.2))), 0.07, 0.05)


# Pavements


def _pavement_colour(rng: np.random.Generator) -> Colour:
    return hsv(rng.uniform(0.0, 0.14), rng.uniform(0.0, 0.35), rng.uniform(0.3, 0.75))


def paving_tiles(rng: np.random.Generator) -> Picture:
    n = int(rng.integers(5, 9))
    return finish(rng, _stones(rng, _pavement_colour(rng), 0.06, n, n, 0, 0.008), 0.06, 0.06)


def paving_bricks(rng: np.random.Generator) -> Picture:
    return finish(rng, _stones(rng, _pavement_colour(rng), 0.1, 16, 8, 0.5, 0.006), 0.06, 0.06)


def paving_slabs(rng: np.random.Generator) -> Picture:
    return finish(rng, _stones(rng, _pavement_colour(rng), 0.05, 3, 2, 0.5, 0.008), 0.05, 0.08)


def paving_smooth(rng: np.random.Generator) -> Picture:
    joint, _ = _joints(2, 1, 0, 0.01)
    c = _pavement_colour(rng)
    return finish(rng, blend(c, c * 0.6, joint), 0.04, 0.08)


def paving_herringbone(rng: np.random.Generator) -> Picture:
    picture = _stones(rng, _pavement_colour(rng), 0.1, 16, 8, 0.25, 0.006)
    diagonal = (np.add.outer(np.arange(SIZE), np.arange(SIZE)) // 32) % 2
    return finish(rng, np.where(diagonal[..., None] == 0, picture, picture.transpose(1, 0, 2)), 0.06, 0.06)


def paving_offset_slabs(rng: np.random.Generator) -> Picture:
    return finish(rng, _stones(rng, _pavement_colour(rng), 0.12, 4, 3, 0.33, 0.012), 0.06, 0.08)


# Open ground


def ground_grass(rng: np.random.Generator) -> Picture:
    a, b = (
        hsv(rng.uniform(0.19, 0.36), rng.uniform(0.3, 0.7), rng.uniform(0.2, 0.5)),
        hsv(rng.uniform(0.12, 0.3), rng.uniform(0.3, 0.6), rng.uniform(0.3, 0.7)),
    )
    return finish(rng, blend(a, b, 0.4 + 0.3 * noise(rng, 0.5)), 0.15, 0.12)


def ground_soil(rng: np.random.Generator) -> Picture:
    a = hsv(rng.uniform(0.03, 0.12), rng.uniform(0.25, 0.6), rng.uniform(0.2, 0.5))
    return finish(rng, blend(a * 0.6, a * 1.3, 0.5 + 0.3 * noise(rng, 0.9)), 0.1, 0.15)


def ground_gravel(rng: np.random.Generator) -> Picture:
    a = hsv(rng.uniform(0.03, 0.15), rng.uniform(0.05, 0.3), rng.uniform(0.35, 0.7))
    stones = cv2.GaussianBlur(noise(rng, 0.0), (0, 0), 1.3) * 2.5
    return finish(rng, blend(a * 0.5, a * 1.3, 0.5 + 0.4 * stones), 0.08, 0.06)


def ground_dry(rng: np.random.Generator) -> Picture:
    a, b = (
        hsv(rng.uniform(0.1, 0.17), rng.uniform(0.3, 0.6), rng.uniform(0.4, 0.75)),
        hsv(rng.uniform(0.06, 0.3), 0.4, rng.uniform(0.25, 0.5)),
    )
    return finish(rng, blend(a, b, 0.3 + 0.4 * noise(rng, 1.0)), 0.14, 0.1)


def ground_meadow(rng: np.random.Generator) -> Picture:
    a, b = (
        hsv(rng.uniform(0.17, 0.33), rng.uniform(0.4, 0.7), rng.uniform(0.25, 0.5)),
        hsv(rng.uniform(0.1, 0.2), 0.5, rng.uniform(0.4, 0.7)),
    )
    picture = blend(a, b, 0.4 + 0.4 * noise(rng, 0.75))
    flowers = rng.random((SIZE, SIZE)) < 0.006
    picture[flowers] = any_colour(rng, (0.1, 0.8), (0.7, 1.0))
    return finish(rng, picture, 0.16, 0.1)


def ground_sand(rng: np.random.Generator) -> Picture:
    a = hsv(rng.uniform(0.06, 0.13), rng.uniform(0.2, 0.45), rng.uniform(0.5, 0.8))
    return finish(rng, blend(a * 0.75, a * 1.15, 0.5 + 0.3 * noise(rng, 1.3)), 0.1, 0.1)


# Facades: row 0 is the top; one picture is two storeys high.


def _windows(
    rng: np.random.Generator, picture: FloatArray, columns: int, rows: int, fill: tuple[float, float]
) -> FloatArray:
    glass = hsv(rng.uniform(0.5, 0.65), rng.uniform(0, 0.4), rng.uniform(0.08, 0.5))
    frame = grey(rng, 0.1, 0.95)
    lit = hsv(0.12, rng.uniform(0.2, 0.6), rng.uniform(0.6, 0.95))
    w, h = SIZE / columns, SIZE / rows
    for row in range(rows):
        for column in range(columns):
            x0, x1 = (column + (1 - fill[0]) / 2) * w, (column + (1 + fill[0]) / 2) * w
            y0, y1 = (row + (1 - fill[1]) / 2) * h, (row + (1 + fill[1]) / 2) * h
            inside = glass * rng.uniform(0.7, 1.4) if rng.random() < 0.85 else lit
            cv2.rectangle(picture, (int(x0) - 3, int(y0) - 3), (int(x1) + 3, int(y1) + 3), frame.tolist(), -1)
            cv2.rectangle(picture, (int(x0), int(y0)), (int(x1), int(y1)), np.clip(inside, 0, 1).tolist(), -1)
            if rng.random() < 0.7:
                cv2.line(picture, (int((x0 + x1) / 2), int(y0)), (int((x0 + x1) / 2), int(y1)), frame.tolist(), 2)
    return picture


def _wall_colour(rng: np.random.Generator) -> Colour:
    return hsv(rng.choice([rng.uniform(0, 0.17), rng.uniform()]), rng.uniform(0, 0.55), rng.uniform(0.2, 0.9))


def facade_windows(rng: np.random.Generator) -> Picture:
    picture = _plain(_wall_colour(rng)).copy()
    return finish(
        rng,
        _windows(rng, picture, int(rng.integers(2, 4)), 2, (rng.uniform(0.3, 0.6), rng.uniform(0.4, 0.65))),
        0.03,
        0.06,
    )


def facade_brick(rng: np.random.Generator) -> Picture:
    wall = hsv(rng.uniform(0.0, 0.08), rng.uniform(0.2, 0.65), rng.uniform(0.3, 0.65))
    picture = _stones(rng, wall, 0.1, 32, 12, 0.5, 0.004)
    return finish(rng, _windows(rng, picture, 2, 2, (rng.uniform(0.3, 0.5), rng.uniform(0.4, 0.6))), 0.05, 0.06)


def facade_panels(rng: np.random.Generator) -> Picture:
    picture = _stones(rng, _wall_colour(rng), 0.04, 2, 3, 0, 0.008)
    return finish(rng, _windows(rng, picture, 3, 2, (rng.uniform(0.5, 0.8), rng.uniform(0.4, 0.6))), 0.03, 0.05)


def facade_planks(rng: np.random.Generator) -> Picture:
    picture = _stones(rng, _wall_colour(rng), 0.12, 2, 24, 0.5, 0.003)
    return finish(rng, picture, 0.06, 0.1)


def facade_plaster(rng: np.random.Generator) -> Picture:
    return finish(rng, _plain(_wall_colour(rng)), 0.05, 0.15)


def facade_corrugated(rng: np.random.Generator) -> Picture:
    c = _wall_colour(rng)
    ridge = 0.5 + 0.5 * np.sin(np.arange(SIZE) / SIZE * 2 * np.pi * 24)[None, :].repeat(SIZE, 0)
    return finish(rng, blend(c * 0.7, c * 1.1, ridge), 0.03, 0.08)


def facade_bands(rng: np.random.Generator) -> Picture:
    picture = _plain(_wall_colour(rng)).copy()
    glass = hsv(rng.uniform(0.5, 0.65), rng.uniform(0, 0.4), rng.uniform(0.1, 0.45))
    for row in (0, 1):
        picture[row * 128 + 30 : row * 128 + 96] = glass
        picture[row * 128 + 30 : row * 128 + 96, :: int(rng.choice([32, 64]))] = grey(rng, 0.2, 0.9)
    return finish(rng, picture, 0.03, 0.05)


def facade_blocks(rng: np.random.Generator) -> Picture:
    picture = _stones(rng, _wall_colour(rng), 0.1, 10, 6, 0.4, 0.005)
    return finish(rng, _windows(rng, picture, 2, 1, (0.35, rng.uniform(0.35, 0.6))), 0.05, 0.08)


def facade_shutters(rng: np.random.Generator) -> Picture:
    picture = _plain(_wall_colour(rng)).copy()
    shutter = any_colour(rng, (0.2, 0.7), (0.2, 0.6)).tolist()
    for x in (34, 162):
        for y in (24, 152):
            cv2.rectangle(picture, (x - 14, y), (x + 74, y + 76), shutter, -1)
    return finish(rng, _windows(rng, picture, 2, 2, (0.35, 0.6)), 0.04, 0.07)


def roof_tiles(rng: np.random.Generator) -> Picture:
    c = hsv(rng.uniform(0, 0.08), rng.uniform(0.1, 0.6), rng.uniform(0.2, 0.55))
    return finish(rng, _stones(rng, c, 0.12, 16, 12, 0.5, 0.006), 0.06, 0.08)


def roof_tar(rng: np.random.Generator) -> Picture:
    return finish(rng, _plain(grey(rng, 0.1, 0.4)), 0.08, 0.12)


def roof_standing_seam(rng: np.random.Generator) -> Picture:
    c = any_colour(rng, (0.0, 0.5), (0.2, 0.6))
    joint, _ = _joints(1, 8, 0, 0.01)
    return finish(rng, blend(c, c * 1.4, joint), 0.03, 0.06)


# Foliage


def _green(rng: np.random.Generator) -> Colour:
    return hsv(rng.uniform(0.18, 0.4), rng.uniform(0.25, 0.75), rng.uniform(0.15, 0.5))


def _leaves(rng: np.random.Generator, a: Colour, b: Colour, roughness: float) -> Picture:
    gaps = noise(rng, roughness) < rng.uniform(-1.2, -0.5)
    picture = blend(a, b, 0.5 + 0.4 * noise(rng, roughness))
    picture[gaps] *= 0.35
    return finish(rng, picture, 0.2, 0.08)


def foliage_fine(rng: np.random.Generator) -> Picture:
    c = _green(rng)
    return _leaves(rng, c, c * 1.7, 0.3)


def foliage_clumped(rng: np.random.Generator) -> Picture:
    c = _green(rng)
    return _leaves(rng, c * 0.7, c * 1.6, 0.8)


def foliage_autumn(rng: np.random.Generator) -> Picture:
    c = hsv(rng.uniform(0.02, 0.16), rng.uniform(0.4, 0.8), rng.uniform(0.25, 0.6))
    return _leaves(rng, c * 0.7, c * 1.5, 0.5)


def foliage_mixed(rng: np.random.Generator) -> Picture:
    return _leaves(rng, _green(rng), hsv(rng.uniform(0.05, 0.3), rng.uniform(0.3, 0.7), rng.uniform(0.3, 0.6)), 0.55)


def foliage_streaky(rng: np.random.Generator) -> Picture:
    c = _green(rng)
    streaks = cv2.GaussianBlur(noise(rng, 0.1), (0, 0), sigmaX=0.6, sigmaY=3) * 2
    return finish(rng, blend(c * 0.5, c * 1.6, 0.5 + 0.35 * streaks), 0.15, 0.08)


def bark(rng: np.random.Generator) -> Picture:
    c = hsv(rng.uniform(0.03, 0.12), rng.uniform(0.1, 0.5), rng.uniform(0.15, 0.5))
    streaks = cv2.GaussianBlur(noise(rng, 0.3), (0, 0), sigmaX=0.7, sigmaY=5) * 2
    return finish(rng, blend(c * 0.5, c * 1.4, 0.5 + 0.3 * streaks), 0.1)


# Cloth, hides and boxes: wrapped around small things, so half the size


def _small(picture: Picture) -> Picture:
    return np.ascontiguousarray(picture[::2, ::2])


def cloth_plain(rng: np.random.Generator) -> Picture:
    return _small(finish(rng, _plain(any_colour(rng)), 0.04, 0.06))


def cloth_stripes(rng: np.random.Generator) -> Picture:
    wave = (np.arange(SIZE) // int(rng.choice([8, 16, 32])) % 2).astype(np.float32)
    stripes = np.broadcast_to(wave[:, None] if rng.random() < 0.6 else wave[None, :], (SIZE, SIZE))
    return _small(finish(rng, blend(any_colour(rng), any_colour(rng), stripes), 0.04, 0.05))


def cloth_mottled(rng: np.random.Generator) -> Picture:
    return _small(
        finish(rng, blend(any_colour(rng), any_colour(rng), (noise(rng, 1.0) > 0).astype(np.float32)), 0.05, 0.05)
    )


def cloth_checks(rng: np.random.Generator) -> Picture:
    n = int(rng.choice([8, 16, 32]))
    grid = (np.add.outer(np.arange(SIZE) // n % 2, np.arange(SIZE) // n % 2) / 2).astype(np.float32)
    return _small(finish(rng, blend(any_colour(rng), any_colour(rng), grid), 0.04, 0.05))


def cloth_dots(rng: np.random.Generator) -> Picture:
    v, u = np.mgrid[0:SIZE, 0:SIZE] / 32 % 1 - 0.5
    return _small(
        finish(rng, blend(any_colour(rng), any_colour(rng), (np.hypot(u, v) < 0.25).astype(np.float32)), 0.04, 0.05)
    )


def hide(rng: np.random.Generator) -> Picture:
    a = hsv(rng.uniform(0.03, 0.12), rng.uniform(0.0, 0.6), rng.uniform(0.08, 0.9))
    b = hsv(rng.uniform(0.03, 0.12), rng.uniform(0.0, 0.5), rng.uniform(0.08, 0.95))
    spots = (noise(rng, 1.4) > rng.uniform(-0.5, 2.5)).astype(np.float32)
    return _small(finish(rng, blend(a, b, spots), 0.1, 0.05))


def _carton_colour(rng: np.random.Generator) -> Colour:
    return hsv(rng.uniform(0.05, 0.12), rng.uniform(0.2, 0.55), rng.uniform(0.35, 0.75))


def box_carton(rng: np.random.Generator) -> Picture:
    c = _carton_colour(rng)
    picture = _plain(c).copy()
    picture[:, 112:144] = c * rng.uniform(0.7, 1.3)
    if rng.random() < 0.7:
        x, y = rng.integers(20, 150, 2)
        picture[y : y + 50, x : x + 70] = grey(rng, 0.6, 0.95)
    return _small(finish(rng, picture, 0.04, 0.06))


def box_crate(rng: np.random.Generator) -> Picture:
    picture = _stones(rng, _carton_colour(rng), 0.12, int(rng.integers(4, 7)), 1, 0, 0.015)
    picture[:, :20] *= 0.8
    picture[:, -20:] *= 0.8
    return _small(finish(rng, picture, 0.08, 0.1))


def box_bin(rng: np.random.Generator) -> Picture:
    c = any_colour(rng, (0.2, 0.9), (0.15, 0.7))
    picture = _plain(c).copy()
    picture[:40] = c * 0.6
    return _small(finish(rng, picture, 0.03, 0.06))


def box_parcel(rng: np.random.Generator) -> Picture:
    c = _carton_colour(rng)
    picture = _plain(c).copy()
    picture[:, 40:56] = picture[100:116] = any_colour(rng, (0.1, 0.8), (0.3, 0.8))
    return _small(finish(rng, picture, 0.04, 0.08))


def box_slatted(rng: np.random.Generator) -> Picture:
    picture = _stones(rng, _carton_colour(rng), 0.1, 1, 7, 0, 0.02)
    picture[:24] *= 0.75
    picture[-24:] *= 0.75
    return _small(finish(rng, picture, 0.08, 0.08))


# Cones: rows from top to bottom


def _banded(rng: np.random.Generator, bands: int) -> Picture:
    c = hsv(
        rng.uniform(0.0, 0.09) if rng.random() < 0.8 else rng.uniform(0.1, 0.6),
        rng.uniform(0.7, 0.95),
        rng.uniform(0.6, 0.95),
    )
    picture = _plain(c).copy()
    height = SIZE // (2 * bands + 3)
    for band in range(bands):
        top = SIZE // 6 + 2 * band * height
        picture[top : top + height] = grey(rng, 0.75, 0.95)
    return _small(finish(rng, picture, 0.03, 0.08))


def cone_classic(rng: np.random.Generator) -> Picture:
    return _banded(rng, int(rng.integers(1, 3)))


def cone_double(rng: np.random.Generator) -> Picture:
    return _banded(rng, 3)


def sky(
    rng: np.random.Generator, zenith: Colour, horizon: Colour, cloud: float, sun: NDArray[np.float64], glow: float
) -> Picture:
    """The six faces of a cube, right left up down front back, stacked to ``(6 * n, n, 3)``: a gradient from ``horizon``
    to ``zenith``, clouds of the given cover 0..1, a glow around the direction ``sun``.
    """
    n = 128
    a, b = np.meshgrid((np.arange(n) + 0.5) / n * 2 - 1, (np.arange(n) + 0.5) / n * 2 - 1)
    one = np.ones_like(a)
    faces = [(one, -b, -a), (-one, -b, a), (a, one, b), (a, -one, -b), (a, -b, one), (-a, -b, -one)]
    direction = np.stack([np.stack(f, -1) for f in faces]).reshape(6 * n, n, 3)
    direction /= np.linalg.norm(direction, axis=-1, keepdims=True)
    # A skybox's y axis is up and its z axis looks back along the world's -y.
    world = np.stack([direction[..., 0], -direction[..., 2], direction[..., 1]], -1)
    up = np.clip(world[..., 2], 0, 1)
    picture = blend(horizon, zenith, (up**0.55).astype(np.float32))
    field = noise(rng, 1.5, 512)
    scale = 60 / (up + 0.15)
    u, v = ((world[..., k] * scale).astype(int) % 512 for k in (0, 1))
    cover = np.clip(field[v, u] * 0.7 + 3 * cloud - 1.8, 0, 1) * np.clip(up * 6, 0, 1)
    picture = (
        picture * (1 - cover[..., None])
        + (0.5 * horizon + 0.5 * rng.uniform(0.6, 1.0)).astype(np.float32) * cover[..., None]
    )
    halo = glow * np.exp(-(1 - world @ sun) * 12)
    return np.asarray(np.clip(255 * (picture + halo[..., None]), 0, 255), np.uint8)


cone_tall, cone_wide = cone_classic, cone_double


def free(rng: np.random.Generator, kind: str) -> Picture:
    """A surface that follows no variant: noise, stones, bars or patches in any two colours; roads may have markings
    and facades windows, as all roads and facades.
    """
    a, b = any_colour(rng, (0, 0.7), (0.08, 0.95)), any_colour(rng, (0, 0.7), (0.08, 0.95))
    b = a + rng.uniform(0.1, 1.0) * (b - a)
    draw = int(rng.integers(4))
    v, u = np.mgrid[0:SIZE, 0:SIZE] / SIZE
    if draw == 0:
        picture = blend(a, b, 0.5 + rng.uniform(0.1, 0.5) * noise(rng, rng.uniform(0.1, 2)))
    elif draw == 1:
        rows, columns = (int(n) for n in np.exp(rng.uniform(0, np.log(32), 2)))
        picture = _stones(rng, a, rng.uniform(0, 0.2), rows, columns, rng.choice([0.0, 0.5]), rng.uniform(0, 0.01))
    elif draw == 2:
        along, across = rng.integers(-16, 17, 2)
        wave = np.sin(2 * np.pi * (along * u + across * v))
        picture = blend(a, b, 0.5 + rng.uniform(0.5, 3) * wave)
    else:
        picture = _plain(a).copy()
        for _ in range(int(rng.integers(0, 12))):
            x, y, w, h = rng.integers(0, SIZE, 4)
            picture[y : y + h // 2, x : x + w // 2] *= rng.uniform(0.6, 1.4)
    if kind == "asphalt" and rng.random() < 0.6:
        picture = _markings(rng, picture)
    if kind == "facade" and rng.random() < 0.65:
        fill = (rng.uniform(0.2, 0.85), rng.uniform(0.25, 0.8))
        picture = _windows(
            rng, np.ascontiguousarray(picture, np.float32), int(rng.integers(1, 6)), int(rng.integers(1, 4)), fill
        )
    result = finish(rng, picture, rng.uniform(0.02, 0.2), rng.uniform(0, 0.15))
    return _small(result) if kind in ("cloth", "box", "cone") else result


_KINDS = ("asphalt", "paving", "ground", "facade", "roof", "foliage", "cloth", "box", "cone")
PATTERNS: dict[str, dict[str, Callable[[np.random.Generator], Picture]]] = {
    kind: {name[len(kind) + 1 :]: paint for name, paint in list(globals().items()) if name.startswith(f"{kind}_")}
    for kind in _KINDS
}
"""Surface kind -> variant -> how to paint it, collected from the functions called ``kind_variant``; the names are those
of ``variants``.
"""
