"""What gets installed, where, and with which dependencies declared."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SHARED = ("config", "launch", "rviz")

# Module -> what provides it: the rosdep key in package.xml, or the distribution in setup.py.
ROSDEP_KEYS = {
    "numpy": "python3-numpy",
    "cv2": "python3-opencv",
    "scipy": "python3-scipy",
    "tqdm": "python3-tqdm",
    "yaml": "python3-yaml",
}
DISTRIBUTIONS = {
    "numpy": "numpy",
    "cv2": "opencv-python-headless",
    "scipy": "scipy",
    "yaml": "PyYAML",
    "onnxruntime": "onnxruntime",
    "openvino": "openvino",
    "rosbags": "rosbags",
    "mcap": "mcap",
    "tqdm": "tqdm",
    "pycocotools": "pycocotools",
    "torch": "torch",
    "torchvision": "torchvision",
    "transformers": "transformers",
    "safetensors": "safetensors",
    "segmentation_models_pytorch": "segmentation-models-pytorch",
    "onnx": "onnx",
    "onnxscript": "onnxscript",
    "ray": "ray",
}


def imports(folder: str) -> Iterator[str]:
    """The top-level modules from elsewhere that the Python files below ``folder`` import, at any place."""
    for path in (ROOT / folder).rglob("*.py"):
        for statement in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(statement, ast.Import):
                names = [alias.name for alias in statement.names]
            elif isinstance(statement, ast.ImportFrom) and not statement.level:
                names = [statement.module or ""]
            else:
                continue
            for name in names:
                top = name.split(".")[0]
                if top not in sys.stdlib_module_names and top != "seg_perception":
                    yield top


def manifest() -> ElementTree.Element:
    return ElementTree.parse(ROOT / "package.xml").getroot()


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The prefix that colcon's installation of an ament_python package makes."""
    pytest.importorskip("setuptools", reason="the installation needs setuptools")
    prefix, work = tmp_path_factory.mktemp("prefix"), tmp_path_factory.mktemp("build")
    subprocess.run(
        [
            *(sys.executable, "-W", "ignore", "setup.py", "-q", "egg_info", "--egg-base", work),
            *("build", "--build-base", work, "install", "--prefix", prefix, "--record", work / "record"),
            "--single-version-externally-managed",
        ],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    return prefix


def installed_python(prefix: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    site = next(prefix.glob("**/seg_perception/__init__.py")).parents[1]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])}
    return subprocess.run(
        [sys.executable, *arguments], cwd=prefix, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("folder", SHARED)
def test_every_shared_file_is_installed(installed: Path, folder: str) -> None:
    share = next(installed.glob("**/share/seg_perception"))
    ours = {p.relative_to(ROOT) for p in (ROOT / folder).rglob("*") if p.is_file() and "__pycache__" not in p.parts}
    assert {p.relative_to(share) for p in (share / folder).rglob("*") if p.is_file()} == ours


def test_ament_finds_the_package(installed: Path) -> None:
    share = next(installed.glob("**/share/seg_perception"))
    assert (share / "package.xml").read_text() == (ROOT / "package.xml").read_text()
    assert (share.parent / "ament_index/resource_index/packages/seg_perception").is_file()


def test_ros2_run_finds_the_executables(installed: Path) -> None:
    folder = next(installed.glob("**/lib/seg_perception"))
    assert sorted(p.name for p in folder.iterdir()) == ["projection", "seg_perception", "segmentation"]
    assert all(os.access(p, os.X_OK) for p in folder.iterdir())


def test_the_installed_package_finds_its_files_and_lists_its_models(installed: Path) -> None:
    share = next(installed.glob("**/share/seg_perception"))
    found = installed_python(installed, "-c", "from seg_perception import resources; print(resources.share())")
    assert Path(found.stdout.strip()) == share, found.stderr
    listed = installed_python(installed, "-m", "seg_perception", "models", "list")
    assert listed.returncode == 0, listed.stderr
    assert all(path.stem in listed.stdout for path in (ROOT / "config" / "models").glob("*.yaml"))


def test_field_lists_and_type_marker_are_installed(installed: Path) -> None:
    package = next(installed.glob("**/seg_perception/__init__.py")).parent
    assert (package / "py.typed").is_file()
    lists = {p.relative_to(ROOT / "seg_perception") for p in (ROOT / "seg_perception").rglob("*.msg")}
    assert {p.relative_to(package) for p in package.rglob("*.msg")} == lists
    assert lists


def test_package_xml_declares_every_ros_and_system_import() -> None:
    declared = {element.text for element in manifest() if element.tag in ("depend", "exec_depend")}
    pip_only = set(DISTRIBUTIONS) - set(ROSDEP_KEYS)
    used = {ROSDEP_KEYS.get(name, name) for folder in ("seg_perception", "launch") for name in imports(folder)}
    assert used - pip_only <= declared


def test_setup_declares_every_import_that_pip_can_serve() -> None:
    text = (ROOT / "setup.py").read_text(encoding="utf-8")
    for module in set(imports("seg_perception")) & set(DISTRIBUTIONS):
        assert re.search(rf'"{DISTRIBUTIONS[module]}>=[\d.]+,<[\d.]+"', text), module


def test_one_version_everywhere() -> None:
    version = manifest().findtext("version")
    assert f'version="{version}"' in (ROOT / "setup.py").read_text(encoding="utf-8")
    assert re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)[1] == version


def test_the_core_imports_neither_ros_nor_a_network_runtime() -> None:
    code = (
        "import sys, seg_perception.pipeline, seg_perception.outputs, seg_perception.scenario\n"
        "print(*{'rclpy', 'rosbags', 'mcap', 'torch', 'onnxruntime', 'openvino'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


@pytest.mark.parametrize(
    ("message", "digest"),
    [  # from the real package, version 4.1.1
        ("Detection2DArray", "RIHS01_214274120007f4a683866481336b70310268cfa107aebe9d594a6acf75bda968"),
        ("Detection3DArray", "RIHS01_793f5eab9595ac1c0da07873cc859db42eae51f0ee76056db8562515d830e018"),
        ("LabelInfo", "RIHS01_3d37df4015cdf660cc851c51897f2acd957e1ca6205ba0a99aebffb9406b0783"),
    ],
)
def test_vision_msgs_of_this_environment_speaks_with_the_real_one(message: str, digest: str) -> None:
    vision_msgs = pytest.importorskip("vision_msgs.msg", reason="vision_msgs is not installed")
    prefix = Path(vision_msgs.__file__).parents[5]  # PREFIX/lib/python3.x/site-packages/vision_msgs/msg/__init__.py
    description = json.loads((prefix / f"share/vision_msgs/msg/{message}.json").read_text())
    hashes = {entry["type_name"]: entry["hash_string"] for entry in description["type_hashes"]}
    assert hashes[f"vision_msgs/msg/{message}"] == digest
