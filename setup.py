"""An ament_python package that pip installs as well: colcon and pip both put launch/, config/ and rviz/ under
``share/seg_perception``.
"""

from pathlib import Path

from setuptools import find_packages, setup

NAME = "seg_perception"


def shared(folder: str) -> list[tuple[str, list[str]]]:
    """``data_files`` entries that copy every file below ``folder`` to the same place under ``share/seg_perception``."""
    by_folder: dict[Path, list[str]] = {}
    for path in sorted(Path(folder).rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            by_folder.setdefault(path.parent, []).append(str(path))
    return [(f"share/{NAME}/{parent}", files) for parent, files in by_folder.items()]


# Lower bounds are the second environment of scripts/test.sh, upper bounds the majors of its first. A robot has the
# older side: Jazzy's cv_bridge is built on numpy 1.
ONNX = ["onnxruntime>=1.17,<2"]
OPENVINO = ["openvino>=2024.6,<2027"]
TORCH = ["torch>=2.14,<3", "torchvision>=0.29,<1", "safetensors>=0.8,<1"]
OFFLINE = ["rosbags>=0.11.9,<0.12", "mcap>=1.2,<2", "tqdm>=4.60,<5"]
EXTRAS = {
    # ROS 2 Jazzy from PyPI, for machines without an apt ROS; the wheels exist for CPython 3.11 only.
    "ros": ["ros-rclpy[fastrtps]==7.1.6", "ros-common-interfaces==5.3.6"],
    "onnx": ONNX,
    "openvino": OPENVINO,
    # Tested at the lower bounds.
    "torch": TORCH,
    "transformers": [*TORCH, "transformers>=5.23,<6"],
    "smp": [*TORCH, "segmentation-models-pytorch>=0.6,<0.7", "timm>=1.0.31,<2"],
    "export": [*TORCH, *ONNX, "onnx>=1.16,<2", "onnxscript>=0.7,<1"],  # networks from a library to ONNX files
    "open3d": ["open3d>=0.20,<1"],
    "offline": OFFLINE,
    "eval": ["pycocotools>=2.0.8,<3"],
    "ray": [*OFFLINE, "ray>=2.44,<3"],  # many bags at a time, on this machine or a cluster
    "dev": [
        *ONNX,
        *OPENVINO,
        *OFFLINE,
        "hypothesis>=6.100,<7",
        "mcap-ros2-support>=0.5,<1",
        "mypy>=2.4,<3",
        "onnx>=1.16,<2",
        "pycocotools>=2.0.8,<3",
        "pytest>=8,<10",
        "pytest-timeout>=2.3,<3",
        "pytest-xdist>=3.5,<4",
        "ruff>=0.17,<0.18",
        "setuptools>=64,<80",
        "types-PyYAML>=6,<7",
    ],
}

setup(
    name=NAME,
    version="0.1.0",
    description="Camera images in, panoptic masks with lasting ids out: segmentation for ROS 2 planners.",
    long_description=Path("README.md").read_text(encoding="utf-8") if Path("README.md").is_file() else "",
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    maintainer="seg_perception maintainers",
    maintainer_email="maintainers@users.noreply.github.com",
    python_requires=">=3.10",
    packages=find_packages(include=[NAME, f"{NAME}.*"]),
    package_data={NAME: ["py.typed", "interfaces/*/msg/*.msg", "evaluation/report/*.css", "evaluation/report/*.js"]},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml"]),
        *shared("launch"),
        *shared("config"),
        *shared("rviz"),
    ],
    install_requires=[
        "numpy>=1.26,<3",
        "opencv-python-headless>=4.6,<6",
        "PyYAML>=6,<7",
        "scipy>=1.11,<2",
    ],
    extras_require=EXTRAS,
    entry_points={
        "console_scripts": [
            "seg_perception = seg_perception.cli:main",
            "segmentation = seg_perception.ros.segmentation_node:main",
            "projection = seg_perception.ros.projection_node:main",
        ],
    },
    zip_safe=False,
)
