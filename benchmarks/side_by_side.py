"""What all benchmarks share: peers timed in turns in one process, a table of ratios, the numbers as JSON.

Only ratios travel from machine to machine. A peer whose name ends in ``, 1 thread`` runs with one thread of torch and
OpenCV, every other with as many as the libraries choose: on a busy machine threads wait for each other, so both are
worth knowing, and the ratio to quote is the smaller one.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from time import perf_counter
from typing import Any

import cv2

OURS = "ours"
ONE_THREAD = ", 1 thread"
DATA = Path(os.environ.get("SEG_PERCEPTION_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
PACKAGES = (
    *("numpy", "opencv-python-headless", "opencv-python", "torch", "torchvision", "supervision", "trackers"),
    *("torchmetrics", "trackeval", "pycocotools"),
)

Row = dict[str, Any]
"""``case``, ``ms`` by peer, and any notes."""


def options(description: str | None, **numbers: int) -> argparse.Namespace:
    """The command line: ``--json OUT``, and an option with its default for each of ``numbers``."""
    parser = argparse.ArgumentParser(description=(description or "").split("\n\n")[0])
    parser.add_argument("--json", type=Path, help="write the numbers to this file")
    for name, default in numbers.items():
        parser.add_argument(f"--{name}", type=int, default=default, help=f"default {default}")
    return parser.parse_args()


def with_one_thread(peers: Mapping[str, Callable[[], object]]) -> dict[str, Callable[[], object]]:
    """``peers``, and each once more with one thread."""
    return {n: call for name, call in peers.items() for n in (name, name + ONE_THREAD)}


def timed(peers: Mapping[str, Callable[[], object]], runs: int = 15) -> dict[str, float]:
    """Median milliseconds of each peer over ``runs`` rounds. The peers take turns, back and forth, so that what else
    the machine does hits all alike; and each is called twice and the second call is timed, so that nobody pays for the
    threads and the caches that the one before has left.
    """
    chosen = _threads()
    seconds: dict[str, list[float]] = {name: [] for name in peers}
    for turn in range(runs):
        for name in list(peers) if turn % 2 else reversed(peers):
            _set_threads((1, 1) if name.endswith(ONE_THREAD) else chosen)
            peers[name]()
            start = perf_counter()
            peers[name]()
            seconds[name].append(perf_counter() - start)
    _set_threads(chosen)
    return {name: 1e3 * statistics.median(values) for name, values in seconds.items()}


def report(title: str, rows: list[Row], to: Path | None) -> None:
    """Print ``rows`` as times and ratios to ours, and write them with what they depend on to the file ``to``."""
    print(title)
    for row in rows:
        row["ratio"] = {name: ms / row["ms"][OURS] for name, ms in row["ms"].items()}
        notes = ", ".join(f"{key} {value}" for key, value in row.items() if key not in ("case", "ms", "ratio"))
        print(f"  {row['case']}{f' ({notes})' if notes else ''}")
        for name, ms in row["ms"].items():
            print(f"    {name:<44} {ms:9.3f} ms {row['ratio'][name]:8.1f} x")
    write(title, rows, to)


def write(title: str, rows: list[Row], to: Path | None) -> None:
    """Write ``rows`` as JSON to the file ``to``, if any."""
    if to:
        to.parent.mkdir(parents=True, exist_ok=True)
        command = f"python benchmarks/{' '.join([Path(sys.argv[0]).name, *sys.argv[1:]])}"
        content = {"title": title, "command": command, "machine": machine(), "rows": rows}
        to.write_text(json.dumps(content, indent=1) + "\n")


def machine() -> dict[str, Any]:
    """What the numbers depend on: processor, cores, load, versions."""
    info = Path("/proc/cpuinfo")
    models = [line for line in info.read_text().splitlines() if line.startswith("model name")] if info.exists() else []
    versions = {"python": platform.python_version(), "opencv": cv2.__version__}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    cpu = models[0].partition(":")[2].strip() if models else platform.machine()
    return {"cpu": cpu, "cores": os.cpu_count(), "load": round(os.getloadavg()[0], 2), "versions": versions}


def _threads() -> tuple[int, int]:
    torch = sys.modules.get("torch")
    return (torch.get_num_threads() if torch else 1), cv2.getNumThreads()


def _set_threads(counts: tuple[int, int]) -> None:
    # Only where it changes: setting it anew would cost the next call a new pool of threads.
    if counts == _threads():
        return
    torch = sys.modules.get("torch")
    if torch:
        torch.set_num_threads(counts[0])
    cv2.setNumThreads(counts[1])
