"""``python -m tools.world``: make bags and training sets. See docs/world.md."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

# Before MuJoCo is imported: render without a display, and one software-rendering thread (same bytes, less strife).
os.environ.setdefault("MUJOCO_GL", "egl")
os.environ.setdefault("LP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def main() -> None:
    """Run one subcommand."""
    parser = argparse.ArgumentParser(prog="python -m tools.world", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    bag = commands.add_parser("bag", help="one sequence with all sensors and its truth, as an mcap bag")
    bag.add_argument("output", type=Path)
    bag.add_argument("--seed", type=int, required=True, help="train: 0.., val: 1000000.., test: 2000000..")
    bag.add_argument("--frames", type=int, default=100)
    bag.add_argument("--rate", type=int, default=10, choices=(10, 30), help="camera frames per second")
    bag.add_argument("--compressed", action="store_true", help="the camera's pictures as JPEG")
    bag.add_argument("--lidar-columns", type=int, default=720, help="points of each LiDAR beam in one turn")
    shards = commands.add_parser("shards", help="single views with truth, for training")
    shards.add_argument("folder", type=Path)
    shards.add_argument("--split", choices=("train", "val", "test"), required=True)
    shards.add_argument("--first", type=int, default=0, help="number of the first shard")
    shards.add_argument("--count", type=int, required=True, help="how many shards of 50 views")
    drives = commands.add_parser("drives", help="views of drives through bolder scenes, for training")
    drives.add_argument("folder", type=Path)
    drives.add_argument("--first", type=int, default=0, help="number of the first shard")
    drives.add_argument("--count", type=int, required=True, help="how many shards of 50 views")
    chosen = parser.parse_args()

    import cv2

    cv2.setNumThreads(1)
    if chosen.command == "bag":
        from tools.world.bag import write_bag
        from tools.world.lidar import Lidar

        lidar = Lidar(columns=chosen.lidar_columns)
        write_bag(chosen.output, chosen.seed, chosen.frames, chosen.rate, chosen.compressed, lidar)
    elif chosen.command == "drives":
        from tools.world.drives import write_drives

        write_drives(chosen.folder, chosen.first, chosen.count)
    else:
        from tools.world.shards import write_shards

        write_shards(chosen.folder, chosen.split, chosen.first, chosen.count)


if __name__ == "__main__":
    main()
