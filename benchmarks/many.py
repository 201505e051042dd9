"""Many bags: `seg_perception run` on copies of a bag, one worker and several of one thread each, interleaved.

    python benchmarks/many.py [--bags 8] [--workers 2] [--rounds 1] [--bag demo/street.mcap] [--json OUT]

Every round runs the command as a user does, in a process of its own, Ray's start and the loading of the networks
included, into a fresh folder. Equal output means that the bags have the same bytes. Needs ray.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    """Measure, print a table and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bag", type=Path, default=ROOT / "demo" / "street.mcap")
    parser.add_argument("--topic", default="/camera/image_raw/compressed")
    parser.add_argument("--bags", type=int, default=8)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    seconds: dict[int, list[float]] = {1: [], chosen.workers: []}
    with tempfile.TemporaryDirectory() as scratch:
        bags = Path(scratch) / "bags"
        bags.mkdir()
        for number in range(chosen.bags):
            shutil.copy(chosen.bag, bags / f"copy_{chr(ord('a') + number)}.mcap")
        for number in range(chosen.rounds):
            for workers, spent in seconds.items():
                out = Path(scratch) / f"{workers}_{number}"
                spent.append(run(bags, out, workers, chosen.topic))
        one, several = (Path(scratch) / f"{workers}_0" for workers in seconds)
        same = all((several / path.name).read_bytes() == path.read_bytes() for path in one.glob("*.mcap"))
    best = {workers: min(spent) for workers, spent in seconds.items()}
    content = {
        "bags": chosen.bags,
        "seconds": seconds,
        "ratio": best[1] / best[chosen.workers],
        "same_bytes": same,
        "load": os.getloadavg(),
        "cores": os.cpu_count(),
    }
    for workers, value in best.items():
        print(f"{workers:3d} workers of one thread {value:8.1f} s   {best[1] / value:5.2f} x")
    print(f"{'the same bytes' if same else 'OTHER BYTES'}; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    if chosen.json:
        chosen.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def run(bags: Path, out: Path, workers: int, topic: str) -> float:
    """The seconds that one run takes."""
    words = ["run", str(bags), "-o", str(out), "--topic", topic, "--workers", str(workers), "--threads", "1"]
    models = ["--set", "models.semantic=world_semantic", "models.instance=world_instance"]
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", "seg_perception", *words, *models], cwd=ROOT, check=True)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
