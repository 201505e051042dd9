"""Real camera frames through the real node: KITTI over DDS between three processes, CamVid through the offline runner.

Run by scripts/real_input.sh, which makes the environment. Writes into OUT the bags, what the planner's end heard, an
overlay video, a contact sheet, a timeline of the ids and summary.json; exits with 1 when something that must hold does
not.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from over_dds import Replay, command, percentiles, replay, say, stop_on_signals
from pictures import id_timeline, messages, pictures, sightings, write_picture, write_video

from seg_perception.conformance import pixels
from seg_perception.evaluation.confusion import Confusion, confusion
from seg_perception.frames import stamp_of
from seg_perception.labels import LabelSpace
from seg_perception.rendering import contact_sheet

ROOT = Path(__file__).resolve().parents[1]
CONFIG = ROOT / "config" / "real_input.yaml"
CAMERA = "image_02"
FRAMES = 40

# Cars counted by eye as visible for >= 10 of the 40 frames and >= 40 px high, with their boxes (x0 y0 x1 y1) in the
# frames where they are easy to tell; between two of these frames a car's box is interpolated.
CARS_BY_EYE: dict[str, dict[int, tuple[int, int, int, int]]] = {
    "grey Mercedes at the left": {
        0: (62, 181, 416, 373),
        8: (0, 188, 363, 374),
        14: (0, 195, 305, 374),
        20: (0, 229, 217, 374),
    },
    "grey VW estate, ahead": {0: (554, 190, 702, 312), 20: (555, 190, 725, 333), 39: (541, 189, 762, 366)},
    "black car behind the red truck": {8: (487, 181, 522, 240), 24: (448, 182, 501, 252), 39: (414, 184, 488, 260)},
    "dark red car before it": {0: (500, 168, 541, 214), 20: (476, 167, 527, 222), 39: (450, 165, 520, 234)},
}


@dataclass(frozen=True)
class CarHistory:
    """How one car counted by eye was tracked: for each frame in which it was visible, the ids that covered it."""

    ids: tuple[frozenset[int], ...]

    @property
    def by_id(self) -> Counter[int]:
        """In how many frames each id covered it; a neighbour's box may, too."""
        return Counter(i for frame in self.ids for i in frame)

    @property
    def kept_one_id(self) -> bool:
        """From its first frame to the car's last, one id covered it in at least 90 % of the frames and in the last."""
        if not self.by_id:
            return False
        main = self.by_id.most_common(1)[0][0]
        since = next(n for n, frame in enumerate(self.ids) if main in frame)
        return main in self.ids[-1] and self.by_id[main] >= 0.9 * (len(self.ids) - since)


def car_histories(tracks: list[dict[str, Any]], stamps: list[int]) -> dict[str, CarHistory]:
    """Follow the cars counted by eye through the published detections of the frames with these stamps."""
    by_stamp: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for track in tracks:
        by_stamp[track["stamp"]].append(track)
    histories = {}
    for car, boxes in CARS_BY_EYE.items():
        known, ids = list(boxes), []
        for index in range(known[0], known[-1] + 1):
            box = np.array([np.interp(index, known, [b[k] for b in boxes.values()]) for k in range(4)])
            ids.append(frozenset(t["id"] for t in by_stamp[stamps[index]] if overlap(box, t["box"]) >= 0.4))
        histories[car] = CarHistory(tuple(ids))
    return histories


def overlap(corners: np.ndarray, box: list[float]) -> float:
    """Intersection over union of ``x0 y0 x1 y1`` and ``x y width height``."""
    x, y, w, h = box
    width = min(corners[2], x + w) - max(corners[0], x)
    height = min(corners[3], y + h) - max(corners[1], y)
    shared = max(width, 0.0) * max(height, 0.0)
    return shared / ((corners[2] - corners[0]) * (corners[3] - corners[1]) + w * h - shared)


def camvid_quality(bag_path: Path, truth_path: Path) -> tuple[float, float]:
    """mIoU over the classes of CamVid and pixel accuracy, of a processed bag against the truth in its source."""
    classes = len(LabelSpace.load("camvid"))
    truths = {stamp_of(m): pixels(m) for m in messages(truth_path, "/truth/semantic")}
    total = Confusion.zero(classes)
    for message in messages(bag_path, "/camera/semantic/image_raw"):
        total += confusion(truths[stamp_of(message)], pixels(message), classes)
    return total.miou, total.pixel_accuracy


def main() -> int:
    """Make the bags, replay, run, look, and sum up."""
    stop_on_signals()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with kitti_seq, camvid_val and weights")
    parser.add_argument("--out", type=Path, default=Path("real_input_out"))
    arguments = parser.parse_args()
    data, out = arguments.data.resolve(), arguments.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("SEG_PERCEPTION_WEIGHTS", str(data / "weights"))

    say("making bags from the frames (real sensor data, bags written by this project)")
    kitti, camvid = out / "kitti.mcap", out / "camvid.mcap"
    for name, folder, bag in (("kitti", "kitti_seq", kitti), ("camvid", "camvid_val", camvid)):
        subprocess.run([sys.executable, ROOT / "scripts" / "make_bags.py", name, data / folder, bag], check=True)

    replays = {}
    for name, rate in (("half_speed", 0.5), ("full_speed", 1.0)):
        say(f"KITTI through the node over DDS at {rate:g}x: node, player and planner in three processes")
        replays[name] = replay(kitti, out / name, CAMERA, node=["--params-file", CONFIG], play=["--rate", str(rate)])

    say("KITTI through the offline runner, with overlays")
    kitti_out, camvid_out = out / "kitti_perceived.mcap", out / "camvid_perceived.mcap"
    outputs = ("semantic/*", "panoptic/*", "detections", "overlay/image_raw/compressed")
    run = command("run", kitti, "-o", kitti_out, "--config", CONFIG, "--topics", *outputs)
    subprocess.run(run, check=True)
    shown = list(pictures(kitti_out, f"/{CAMERA}/overlay/image_raw/compressed"))
    stamps, frames = [stamp for stamp, _ in shown], [frame for _, frame in shown]
    write_video(out / "overlay.webm", frames, 10.0)
    seen = list(sightings(kitti_out, f"/{CAMERA}/detections"))
    write_picture(out / "timeline.png", id_timeline(seen, LabelSpace.load("navigation"), 5))
    write_picture(out / "contact_sheet.png", contact_sheet(frames[:: max(1, len(frames) // 8)], 2))

    say("CamVid val through the offline runner")
    settings = ("labels=camvid", "models.semantic=espnet_camvid", "models.instance=")
    run = command(
        "run",
        camvid,
        "-o",
        camvid_out,
        "--topic",
        "/camera/image_raw",
        *(word for s in settings for word in ("--set", s)),
    )
    subprocess.run(run, check=True)
    miou, accuracy = camvid_quality(camvid_out, camvid)

    summary = summed_up(replays, stamps) | {"camvid": {"miou": round(miou, 4), "pixel_accuracy": round(accuracy, 4)}}
    (out / "summary.json").write_text(json.dumps(summary, indent=1))
    print(json.dumps(summary, indent=1))
    print(f"\nlook at overlay.webm, contact_sheet.png and timeline.png in {out}")
    for failure in summary["failures"]:
        print(f"FAILED: {failure}")
    return 1 if summary["failures"] else 0


def summed_up(replays: dict[str, Replay], stamps: list[int]) -> dict[str, Any]:
    """The figures of every replay, and what does not hold."""
    summary: dict[str, Any] = {"failures": []}

    def expect(holds: bool, what: str) -> None:
        if not holds:
            summary["failures"].append(what)

    for name, result in replays.items():
        heard = result.heard
        summary[name] = {
            "images": heard["images"],
            "frames_out": heard["frames"],
            "counted": result.counted,
            "latency_ms": percentiles(list(heard["latency_s"].values())),
            "beyond_forward_ms": percentiles(result.beyond_networks),
            "own_work_ms": percentiles(result.own_work),
            "publish_to_callback_ms": percentiles(heard["transport_s"]),
            "violations": heard["violations"],
        }
        expect(not heard["violations"], f"{name}: rules broken: {heard['violations']}")
        expect(heard["incomplete"] == 0, f"{name}: {heard['incomplete']} frames came without one of their messages")
        expect(
            heard["frames"] + sum(result.counted.values()) == FRAMES,
            f"{name}: {FRAMES} in, {heard['frames']} out, counted {result.counted}",
        )
        expect(set(map(int, heard["latency_s"])) <= set(stamps), f"{name}: a stamp that is none of the images'")
    expect(replays["half_speed"].heard["frames"] == FRAMES, "half_speed: not every frame came back")
    histories = car_histories(replays["half_speed"].heard["tracks"], stamps)
    kept = [car for car, history in histories.items() if history.kept_one_id]
    summary["cars"] = {
        "kept_one_id": f"{len(kept)} of {len(histories)}",
        **{car: f"in {len(h.ids)} frames, covered by id: {dict(h.by_id)}" for car, h in histories.items()},
    }
    expect(len(kept) >= 0.8 * len(histories), f"cars that kept one id: {len(kept)} of {len(histories)}")
    return summary


if __name__ == "__main__":
    raise SystemExit(main())
