"""Fast DDS tuned for images: which profile this process runs with, and the choice of ours where the user made none.

Fast DDS reads the environment when the first participant is made, so :func:`activate` is called before ``rclpy.init``.
"""

from __future__ import annotations

import os
from pathlib import Path

from seg_perception import resources

# Fast DDS up to 2.x reads the first, from 3.0 on the second.
PROFILE_VARIABLES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")


def shipped_profile() -> Path:
    """The profile of this package: a 64 MB shared-memory segment and messages of up to 16 MB."""
    return resources.share() / "config" / "fastdds.xml"


def active_profile() -> Path | None:
    """The profile file that the environment names, ours or the user's; None where there is none."""
    return next((Path(value) for name in PROFILE_VARIABLES if (value := os.environ.get(name))), None)


def activate() -> Path:
    """Name the shipped profile in the environment unless the user named one; returns the profile that holds."""
    chosen = active_profile()
    if chosen is None:
        chosen = shipped_profile()
        os.environ.update(dict.fromkeys(PROFILE_VARIABLES, str(chosen)))
    return chosen
