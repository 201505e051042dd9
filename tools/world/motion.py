"""Paths: where a thing is at any time, as closed formulas, so that a pose needs no history and a velocity is exact."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from tools.world.place import Bend


@dataclass(frozen=True)
class State:
    """Position and velocity in the ground plane (m, m/s), heading (rad), and the way travelled (m)."""

    x: float
    y: float
    yaw: float
    vx: float
    vy: float
    travelled: float


class Path(Protocol):
    """A movement."""

    def at(self, time: float) -> State:
        """The state ``time`` seconds after the start of the sequence."""


@dataclass(frozen=True)
class Still:
    """Something that stays where it is."""

    x: float
    y: float
    yaw: float
    stance: float = 0.0

    def at(self, time: float) -> State:
        return State(self.x, self.y, self.yaw, 0.0, 0.0, self.stance)


@dataclass(frozen=True)
class Straight:
    """A constant speed on a line that sways a little to both sides."""

    x: float
    y: float
    heading: float
    speed: float
    sway: float = 0.0
    period: float = 4.0

    def at(self, time: float) -> State:
        w = 2 * np.pi / self.period
        side, dside = self.sway * np.sin(w * time), self.sway * w * np.cos(w * time)
        c, s = np.cos(self.heading), np.sin(self.heading)
        vx, vy = self.speed * c - dside * s, self.speed * s + dside * c
        x = self.x + self.speed * time * c - side * s
        y = self.y + self.speed * time * s + side * c
        return State(float(x), float(y), float(np.arctan2(vy, vx)), float(vx), float(vy), abs(self.speed) * time)


@dataclass(frozen=True)
class Along:
    """Along a place's bend at an offset; ``speed`` is the speed in x, negative against it."""

    bend: Bend
    x: float
    offset: float
    speed: float
    sway: float = 0.0
    period: float = 5.0

    def at(self, time: float) -> State:
        w = 2 * np.pi / self.period
        x = self.x + self.speed * time
        y = self.bend.y(x) + self.offset + self.sway * np.sin(w * time)
        vy = self.bend.slope(x) * self.speed + self.sway * w * np.cos(w * time)
        return State(x, float(y), float(np.arctan2(vy, self.speed)), self.speed, float(vy), abs(self.speed) * time)


@dataclass(frozen=True)
class Loop:
    """Round an ellipse, again and again: comes, crosses, goes, comes back."""

    x: float
    y: float
    a: float
    b: float
    rate: float
    phase: float
    turn: float

    def at(self, time: float) -> State:
        angle = self.rate * time + self.phase
        u, v = self.a * np.cos(angle), self.b * np.sin(angle)
        du, dv = -self.a * self.rate * np.sin(angle), self.b * self.rate * np.cos(angle)
        c, s = np.cos(self.turn), np.sin(self.turn)
        vx, vy = c * du - s * dv, s * du + c * dv
        way = abs(self.rate) * time * np.sqrt((self.a**2 + self.b**2) / 2)
        return State(
            float(self.x + c * u - s * v),
            float(self.y + s * u + c * v),
            float(np.arctan2(vy, vx)),
            float(vx),
            float(vy),
            float(way),
        )
