"""Timing of peers in one process: interleaved runs, so that what else the machine does hits all alike."""

from __future__ import annotations

import argparse
import json
import platform
import statistics
from collections.abc import Callable, Mapping
from pathlib import Path
from time import perf_counter
from typing import Any


def timed(peers: Mapping[str, Callable[[], object]], runs: int = 15) -> dict[str, float]:
    """Median milliseconds of each peer over ``runs`` interleaved rounds, after one round to warm up."""
    seconds: dict[str, list[float]] = {name: [] for name in peers}
    for turn in range(runs + 1):
        for name, call in peers.items():
            start = perf_counter()
            call()
            if turn:
                seconds[name].append(perf_counter() - start)
    return {name: 1e3 * statistics.median(values) for name, values in seconds.items()}


def report(title: str, rows: list[dict[str, Any]], ours: str = "ours") -> None:
    """Print ``rows`` (``case``, ``ms`` by peer, any notes) as ratios to ours, and write them as JSON to ``--json``."""
    parser = argparse.ArgumentParser(description=title)
    parser.add_argument("--json", type=Path, help="write the numbers there")
    arguments = parser.parse_args()
    print(title)
    for row in rows:
        mine = row["ms"][ours]
        others = ", ".join(f"{name} {ms:.2f} ms = {ms / mine:.1f}x" for name, ms in row["ms"].items() if name != ours)
        notes = ", ".join(f"{key} {value}" for key, value in row.items() if key not in ("case", "ms"))
        print(f"  {row['case']:<44} ours {mine:6.2f} ms | {others}{f' | {notes}' if notes else ''}")
    if arguments.json:
        machine = {"cpu": platform.processor() or platform.machine(), "python": platform.python_version()}
        arguments.json.write_text(json.dumps({"title": title, "machine": machine, "rows": rows}, indent=1))
