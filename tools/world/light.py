"""Sun, sky and air at a time of day."""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from tools.world import textures
from tools.world.kit import Kit
from tools.world.textures import hsv


@dataclass(frozen=True)
class _Preset:
    """Ranges: the sun's elevation (degrees) and strength, its hue, ambient light, the sky's brightness, hue and
    saturation at the zenith and how pale the horizon is, cloud cover, and the air's extinction (1/m).
    """

    elevation: tuple[float, float]
    sun: tuple[float, float]
    warmth: float
    ambient: tuple[float, float]
    sky: tuple[float, float]
    hue: tuple[float, float]
    saturation: tuple[float, float]
    cloud: tuple[float, float]
    haze: tuple[float, float]


_PRESETS = {
    "noon": _Preset(
        elevation=(50, 75),
        sun=(0.6, 0.85),
        warmth=0.05,
        ambient=(0.25, 0.4),
        sky=(0.6, 0.95),
        hue=(0.55, 0.62),
        saturation=(0.3, 0.7),
        cloud=(0.0, 0.5),
        haze=(0.0, 0.002),
    ),
    "morning": _Preset(
        elevation=(15, 35),
        sun=(0.5, 0.75),
        warmth=0.2,
        ambient=(0.2, 0.35),
        sky=(0.6, 0.9),
        hue=(0.53, 0.6),
        saturation=(0.2, 0.5),
        cloud=(0.0, 0.6),
        haze=(0.001, 0.006),
    ),
    "overcast": _Preset(
        elevation=(40, 70),
        sun=(0.05, 0.2),
        warmth=0.0,
        ambient=(0.45, 0.65),
        sky=(0.5, 0.95),
        hue=(0.5, 0.65),
        saturation=(0.0, 0.12),
        cloud=(0.8, 1.0),
        haze=(0.001, 0.006),
    ),
    "golden": _Preset(
        elevation=(6, 15),
        sun=(0.6, 0.8),
        warmth=0.5,
        ambient=(0.18, 0.3),
        sky=(0.5, 0.85),
        hue=(0.55, 0.65),
        saturation=(0.15, 0.45),
        cloud=(0.1, 0.6),
        haze=(0.001, 0.006),
    ),
    "dusk": _Preset(
        elevation=(5, 12),
        sun=(0.1, 0.3),
        warmth=0.3,
        ambient=(0.14, 0.25),
        sky=(0.2, 0.45),
        hue=(0.58, 0.72),
        saturation=(0.2, 0.5),
        cloud=(0.1, 0.9),
        haze=(0.001, 0.005),
    ),
    "fog": _Preset(
        elevation=(30, 60),
        sun=(0.0, 0.15),
        warmth=0.0,
        ambient=(0.45, 0.6),
        sky=(0.55, 0.9),
        hue=(0.5, 0.65),
        saturation=(0.0, 0.08),
        cloud=(0.9, 1.0),
        haze=(0.012, 0.03),
    ),
    "afternoon": _Preset(
        elevation=(25, 45),
        sun=(0.55, 0.8),
        warmth=0.12,
        ambient=(0.2, 0.4),
        sky=(0.55, 0.9),
        hue=(0.54, 0.61),
        saturation=(0.25, 0.6),
        cloud=(0.2, 0.7),
        haze=(0.0, 0.004),
    ),
    "thin_cloud": _Preset(
        elevation=(35, 60),
        sun=(0.25, 0.45),
        warmth=0.05,
        ambient=(0.35, 0.5),
        sky=(0.6, 0.95),
        hue=(0.53, 0.62),
        saturation=(0.08, 0.25),
        cloud=(0.6, 0.85),
        haze=(0.001, 0.005),
    ),
    "sunset": _Preset(
        elevation=(4, 9),
        sun=(0.4, 0.65),
        warmth=0.7,
        ambient=(0.16, 0.28),
        sky=(0.4, 0.7),
        hue=(0.58, 0.68),
        saturation=(0.2, 0.5),
        cloud=(0.2, 0.7),
        haze=(0.001, 0.006),
    ),
    "mist": _Preset(
        elevation=(20, 50),
        sun=(0.1, 0.3),
        warmth=0.08,
        ambient=(0.38, 0.55),
        sky=(0.6, 0.9),
        hue=(0.5, 0.64),
        saturation=(0.02, 0.15),
        cloud=(0.7, 1.0),
        haze=(0.008, 0.018),
    ),
}


@dataclass(frozen=True)
class Light:
    """What the sensors need: direction towards the sun, extinction of the air and the colour it fades to (0..1)."""

    sun: NDArray[np.float64]
    haze: float
    air: NDArray[np.float64]


def make_light(kit: Kit) -> Light:
    """Hang sun, ambient light and sky into the scene."""
    preset = _PRESETS[kit.variant("light")]

    def draw(limits: tuple[float, float]) -> float:
        return kit.uniform(*limits)

    elevation, azimuth = np.radians(draw(preset.elevation)), kit.uniform(0, 2 * np.pi)
    sun = np.array([np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)])
    colour = hsv(0.09, preset.warmth, 1.0) * draw(preset.sun)
    zenith = hsv(draw(preset.hue), draw(preset.saturation), draw(preset.sky))
    pale = kit.uniform(0.4, 0.9)
    horizon = np.clip((zenith * (1 - pale) + pale * zenith.max()) * kit.uniform(1.0, 1.25), 0, 1)
    horizon = np.clip(horizon * (1 - preset.warmth / 2 + preset.warmth / 2 * hsv(0.08, 0.6, 1.6)), 0, 1)
    pixels = textures.sky(kit.rng, zenith, horizon, draw(preset.cloud), sun, preset.sun[1] * 0.5)
    sky = kit.spec.add_texture(
        name="sky", type=mujoco.mjtTexture.mjTEXTURE_SKYBOX, width=pixels.shape[1], height=pixels.shape[0], nchannel=3
    )
    sky.data = pixels.tobytes()
    ambient = draw(preset.ambient)
    head = kit.spec.visual.headlight
    head.ambient, head.diffuse, head.specular = [ambient] * 3, [0.12 * ambient] * 3, [0.0] * 3
    fill = 0.35 * ambient * (0.5 * zenith / max(zenith.max(), 1e-6) + 0.5)
    light = {"type": mujoco.mjtLightType.mjLIGHT_DIRECTIONAL, "ambient": [0.0] * 3}
    world = kit.spec.worldbody
    world.add_light(
        name="sun",
        dir=(-sun).tolist(),
        diffuse=colour.tolist(),
        specular=(0.6 * colour).tolist(),
        castshadow=True,
        **light,
    )
    world.add_light(
        name="fill",
        dir=[float(sun[0]) * 0.7, float(sun[1]) * 0.7, -0.7],
        diffuse=fill.tolist(),
        specular=[0.0] * 3,
        castshadow=False,
        **light,
    )
    return Light(sun, draw(preset.haze), horizon)
