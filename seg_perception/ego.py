"""The robot's own body in its camera's image."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from seg_perception.errors import ConfigError
from seg_perception.types import BoolArray


def load_ego_mask(path: str) -> BoolArray | None:
    """The picture at ``path`` as ``(H, W)`` bool, True where it is not black; None for an empty path. Raises
    :class:`ConfigError` for a file that is no picture.
    """
    if not path:
        return None
    try:
        data = np.frombuffer(Path(path).expanduser().read_bytes(), np.uint8)
    except OSError as error:
        raise ConfigError(f"ego_mask {path}: cannot be read ({error.strerror})") from error
    picture = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE) if data.size else None
    if picture is None:
        raise ConfigError(f"ego_mask {path}: is no picture; expected a PNG, non-zero where the robot sees itself")
    return np.asarray(picture > 0)
