"""Run every benchmark that this environment has the packages for, one after the other, into benchmarks_out/NAME.json.

    python benchmarks/all.py [OUT]

Says what it leaves out and which package is missing. Where ROS 2 and torch live in two environments, run it in both.
"""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).resolve().parent
TORCH, TRACKERS, ROS = ("torch", "torchvision"), ("supervision", "trackers"), ("rclpy", "sensor_msgs")
LIBRARIES = ("transformers", "segmentation_models_pytorch", "onnxscript", "onnxruntime")
NEEDS = {
    "preprocess": TORCH,
    "logits": (*TORCH, "onnxruntime"),
    "paste": TORCH,
    "merge": TORCH,
    "queries": (*TORCH, "transformers"),
    "tracker": TRACKERS,
    "metrics": ("torch", "torchmetrics", "trackeval", "pycocotools"),
    "clustering": ("open3d",),
    "chain": (*TORCH, *TRACKERS),
    "networks": (*TORCH, *LIBRARIES),
    "families": (*TORCH, *LIBRARIES, "openvino", "rosbags"),
    "projection": (),
    "soak": ("openvino", "rosbags", "mcap"),
    "many": ("ray", "rosbags", "openvino"),
    "image_fill": ROS,
    "dds": ROS,
    "node_rate": (*ROS, "openvino", "rosbags"),
    "cascade_node": (*ROS, "openvino", "rosbags"),
}
WANT_BAGS = ("cascade", "tracking_quality")
"""These are given bags with truth, which take hours to render (``python -m tools.world``)."""


def main() -> int:
    """The number of benchmarks that failed."""
    out = Path(sys.argv[1] if len(sys.argv) > 1 else "benchmarks_out")
    # The benchmarked package is the one of this tree; BLAS threads would only fight with torch's.
    path = os.pathsep.join(filter(None, (str(HERE.parent), os.environ.get("PYTHONPATH"))))
    environment = {"OPENBLAS_NUM_THREADS": "1", **os.environ, "PYTHONPATH": path}
    failed = 0
    for name, needed in NEEDS.items():
        missing = [package for package in needed if find_spec(package) is None]
        if missing:
            print(f"{name} is left out: {', '.join(missing)} not installed here", flush=True)
            continue
        command = [sys.executable, str(HERE / f"{name}.py"), "--json", str(out / f"{name}.json")]
        failed += subprocess.run(command, env=environment).returncode != 0
    print(f"{', '.join(WANT_BAGS)} are left out: they want bags with truth as arguments")
    return failed


if __name__ == "__main__":
    sys.exit(main())
