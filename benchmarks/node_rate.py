"""The whole node with the two shipped networks at 640x360: how many images a second it answers, publishing included,
and how old its masks are.

The demo's bag is played at 30 Hz to the real node, over DDS, to the real planner's end, each a process of its own.
Where the machine cannot answer them all the newest wins, and the answered rate is what it can do. Other work on the
machine counts against it: its load is in the JSON. Needs rclpy, the bag and the weights.

    python benchmarks/node_rate.py [--rounds 2] [--hz 30] [--bag BAG] [--set NAME:=VALUE ...] [--json OUT]
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from side_by_side import Row, write

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "scripts"))
CAMERA = "camera"


def measure(bag: Path, hz: float, settings: list[str], out: Path) -> Row:
    """One round."""
    from over_dds import percentiles, replay

    images, seconds = extent(bag)
    played = (images - 1) / hz
    node = ["--params-file", ROOT / "config" / "perception.yaml", "-p", "autostart:=true"]
    node += ["-p", f"{CAMERA}.image_transport:=compressed"]
    node += [word for setting in settings for word in ("-p", setting)]
    play = ["--topics", f"/{CAMERA}/image_raw/compressed", f"/{CAMERA}/camera_info", "--rate", str(seconds / played)]
    result = replay(bag, out, CAMERA, node=node, play=play)
    return {
        "hz": hz,
        "images": images,
        "answered": result.heard["frames"],
        "counted": result.counted,
        "answered_hz": round(result.heard["frames"] / (played + 1 / hz), 1),
        "latency_ms": percentiles(list(result.heard["latency_s"].values())),
        "stages_ms": result.stages,
        "load": round(os.getloadavg()[0], 2),
    }


def extent(bag: Path) -> tuple[int, float]:
    """Images in the bag, and the seconds from the first to the last."""
    from seg_perception.offline.bags import Bag

    with Bag(bag) as source:
        times = [message.log_time for message in source.messages([f"/{CAMERA}/image_raw/compressed"])]
    return len(times), (times[-1] - times[0]) / 1e9


def main() -> None:
    """Measure, print and write JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--hz", type=float, default=30.0)
    parser.add_argument("--bag", type=Path, default=ROOT / "demo" / "street.mcap")
    parser.add_argument("--set", nargs="+", default=[], metavar="NAME:=VALUE", help="parameters of the node")
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    rows: list[dict[str, Any]] = []
    print(f"{'Hz in':>6} {'Hz out':>7} {'p50 ms':>8} {'p95 ms':>8} {'p99 ms':>8}  median ms by stage")
    for _ in range(chosen.rounds):
        with tempfile.TemporaryDirectory() as out:
            row = measure(chosen.bag, chosen.hz, chosen.set, Path(out))
        rows.append(row)
        latency = " ".join(f"{row['latency_ms'][q]:8.1f}" for q in ("p50", "p95", "p99"))
        print(f"{row['hz']:6.0f} {row['answered_hz']:7.1f} {latency}  {row['stages_ms']}", flush=True)
    write("node with both shipped networks", rows, chosen.json)


if __name__ == "__main__":
    main()
