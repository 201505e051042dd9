"""The picture at the top of README: moments of the demo, the camera's picture beside what was perceived.

scripts/demo.sh --offline && .venv/bin/python scripts/readme_picture.py demo_out docs/images/demo.webp
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
from demo import BAG, CAMERA, IMAGES, OVERLAY
from pictures import pictures

from seg_perception.rendering import contact_sheet

MOMENTS = (44, 104)
WIDTH, HEIGHT = 480, 270


def main() -> None:
    """Write it."""
    out, target = Path(sys.argv[1]), Path(sys.argv[2])
    images, overlays = dict(pictures(BAG, IMAGES)), dict(pictures(out / "perceived.mcap", f"/{CAMERA}/{OVERLAY}"))
    stamps = sorted(images)
    cells = [picture for moment in MOMENTS for picture in (images[stamps[moment]], overlays[stamps[moment]])]
    small = [cv2.resize(cell, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA) for cell in cells]
    sheet = contact_sheet(small, 2)
    target.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(target), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_WEBP_QUALITY, 80])


if __name__ == "__main__":
    main()
