"""What became of every id in a bag that `seg_perception run` wrote: their timeline, a video, a sheet of moments.

    python scripts/show_tracks.py PERCEIVED.mcap -o FOLDER [--camera NAME] [--labels SPACE] [--rate 10] [--frames 5]

PERCEIVED.mcap needs `detections` and `overlay/image_raw/compressed` (`run --topics detections overlay/*`). The timeline
has a row for every id that was there for `--frames` frames, oldest first, in the colour that the id has in the video: a
bar where the network saw the thing or the mask was carried between looks, a thin line where a look missed it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from pictures import Sighting, id_timeline, pictures, sightings, write_picture, write_video

from seg_perception.labels import LabelSpace
from seg_perception.offline.bags import Bag
from seg_perception.rendering import contact_sheet

MOMENTS = 8


def main() -> None:
    """Write timeline.png, overlay.webm and contact_sheet.png."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("bag", type=Path, help="what `seg_perception run` wrote")
    parser.add_argument("-o", "--out", type=Path, required=True, help="folder for the pictures")
    parser.add_argument("--camera", help="where the bag has several; default: the first")
    parser.add_argument("--labels", default="navigation", help="the label space of the run")
    parser.add_argument("--rate", type=float, default=10.0, help="frames per second of the video")
    parser.add_argument("--frames", type=int, default=5, help="least number of frames of an id in the timeline")
    chosen = parser.parse_args()
    root = f"/{chosen.camera.strip('/')}" if chosen.camera else camera(chosen.bag)
    seen: list[list[Sighting]] = list(sightings(chosen.bag, f"{root}/detections"))
    frames = [picture for _, picture in pictures(chosen.bag, f"{root}/overlay/image_raw/compressed")]
    if not frames:
        raise SystemExit(f"{chosen.bag}: has no {root}/overlay/image_raw/compressed; run with --topics 'overlay/*' too")
    chosen.out.mkdir(parents=True, exist_ok=True)
    write_picture(chosen.out / "timeline.png", id_timeline(seen, LabelSpace.load(chosen.labels), chosen.frames))
    write_video(chosen.out / "overlay.webm", frames, chosen.rate)
    shown = frames[:: max(1, len(frames) // MOMENTS)]
    write_picture(chosen.out / "contact_sheet.png", contact_sheet(shown, 2))
    print(f"{len(frames)} frames: look at timeline.png, overlay.webm and contact_sheet.png in {chosen.out}")


def camera(bag: Path) -> str:
    """The namespace of the first detections in the bag."""
    with Bag(bag) as source:
        found = [name for name in source.topics if name.endswith("/detections")]
    if not found:
        raise SystemExit(f"{bag}: has no detections; make it with `seg_perception run`")
    return found[0].removesuffix("/detections")


if __name__ == "__main__":
    main()
