"""How old masks are with a slow instance network beside the semantic one, and without it.

    python benchmarks/cascade_node.py [--rounds 2] [--hz HZ] [--instance MANIFEST] [--set NAME:=VALUE ...] [--json OUT]

The demo's bag is played over DDS to the real node at a rate at which the semantic chain alone takes half of the
machine's time (measured first, or ``--hz``), in turns: without an instance network; with one that costs ten forward
passes, as often as it can and within a budget. It is the shipped one in nine tiles and the whole image, or
``--instance``. Other work on the machine counts against all alike. Needs rclpy, openvino, the bag and the weights.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

import yaml
from side_by_side import Row, write

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "scripts"))
CAMERA = "camera"
FIRST_HZ = 5.0


def slow(model: str, folder: Path) -> Path:
    """The manifest of ``model`` looking ten times at a 640x360 image."""
    from seg_perception import resources

    shipped = resources.find("models", model)
    content = yaml.safe_load(shipped.read_text())
    content["weights"]["file"] = str((shipped.parent / content["weights"]["file"]).resolve())
    content["input"] |= {"resize": "tiles", "tiles": {"size": [144, 256], "overlap": 0.25, "whole": True}}
    path = folder / "slow.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def ways(manifest: Path) -> dict[str, list[str]]:
    """What is compared: parameters of the node."""
    beside = [f"models.instance:={manifest}", "models.instance_threads:=1"]
    return {
        "semantic alone": ["models.instance:=''"],
        "as often as it can": [*beside, "cascade.policy:=every"],
        "budget, a fifth": [*beside, "cascade.policy:=budget", "cascade.share:=0.2", "cascade.staleness:=10.0"],
    }


def measure(bag: Path, hz: float, settings: list[str], out: Path) -> Row:
    """One round of one way."""
    from node_rate import extent
    from over_dds import percentiles, replay

    images, seconds = extent(bag)
    node = ["--params-file", ROOT / "config" / "perception.yaml", "-p", "autostart:=true"]
    node += ["-p", f"{CAMERA}.image_transport:=compressed"]
    node += [word for setting in settings for word in ("-p", setting)]
    play = ["--topics", f"/{CAMERA}/image_raw/compressed", f"/{CAMERA}/camera_info"]
    result = replay(bag, out, CAMERA, node=node, play=[*play, "--rate", str(seconds * hz / (images - 1))])
    told = result.heard["diagnostics"]
    return {
        "hz": round(hz, 1),
        "images": images,
        "answered": result.heard["frames"],
        "counted": result.counted,
        "latency_ms": percentiles(list(result.heard["latency_s"].values())),
        "busy": round(hz * sum(sum(s.values()) for s in result.trace.values()) / max(len(result.trace), 1), 2),
        "looks": {k: int(told[f"looks.{k}"]) for k in ("used", "late", "failed")},
        "look_ms": told["look_latency_p50_ms"],
        "load": round(os.getloadavg()[0], 2),
    }


def main() -> None:
    """Measure, print and write JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--hz", type=float, help="take this instead of measuring it")
    parser.add_argument("--bag", type=Path, default=ROOT / "demo" / "street.mcap")
    parser.add_argument("--instance", type=Path, metavar="MANIFEST", help="take this instance network, as it is")
    parser.add_argument("--set", nargs="+", default=[], metavar="NAME:=VALUE", help="parameters of the node")
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        compared = ways(chosen.instance or slow("world_instance", Path(folder)))
        hz = chosen.hz
        if hz is None:
            first = measure(chosen.bag, FIRST_HZ, [*compared["semantic alone"], *chosen.set], Path(folder) / "first")
            hz = 0.5 * FIRST_HZ / first["busy"]
        for turn in range(chosen.rounds):
            for name, settings in compared.items():
                row = measure(chosen.bag, hz, [*settings, *chosen.set], Path(folder) / f"{turn}_{len(rows)}")
                rows.append({"way": name, **row})
                print(f"{name:20} {row}", flush=True)
    write("node with a slow instance network beside the semantic one", rows, chosen.json)


if __name__ == "__main__":
    main()
