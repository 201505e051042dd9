"""Build vision_msgs into the virtual environment of the interpreter that runs this.

vision_msgs is not on PyPI, so a machine whose ROS 2 came from there has none. An interface is a list of fields: the
lists in ``seg_perception/interfaces/vision_msgs/msg`` have the names and types of the real package's, and therefore
speak with it over DDS. Needs ``scripts/build_vision_msgs.txt`` installed, a C and a C++ compiler, and Python's headers;
takes about a minute. On a robot, apt's vision_msgs is used instead.

    python scripts/build_vision_msgs.py [FOLDER_WITH_MSG_FILES]

Exit status: 0 built or up to date, 3 the machine lacks a tool (said on stderr), 1 the build failed.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from importlib import metadata
from pathlib import Path

PREFIX = Path(sys.prefix)
LISTS = Path(__file__).resolve().parents[1] / "seg_perception" / "interfaces" / "vision_msgs" / "msg"
STAMP = PREFIX / "share" / "vision_msgs" / "built_from"
LACKING = 3

PACKAGE_XML = """<?xml version="1.0"?>
<package format="3">
  <name>vision_msgs</name>
  <version>4.1.1</version>
  <description>Messages of vision_msgs, from field lists.</description>
  <maintainer email="maintainers@users.noreply.github.com">seg_perception maintainers</maintainer>
  <license>Apache-2.0</license>
  <buildtool_depend>ament_cmake</buildtool_depend>
  <buildtool_depend>rosidl_default_generators</buildtool_depend>
  <depend>std_msgs</depend>
  <depend>geometry_msgs</depend>
  <exec_depend>rosidl_default_runtime</exec_depend>
  <member_of_group>rosidl_interface_packages</member_of_group>
  <export><build_type>ament_cmake</build_type></export>
</package>
"""

CMAKE_LISTS = """cmake_minimum_required(VERSION 3.22)
project(vision_msgs)
find_package(ament_cmake REQUIRED)
find_package(rosidl_default_generators REQUIRED)
find_package(std_msgs REQUIRED)
find_package(geometry_msgs REQUIRED)
rosidl_generate_interfaces(${{PROJECT_NAME}}
  {files}
  DEPENDENCIES std_msgs geometry_msgs)
ament_export_dependencies(rosidl_default_runtime)
ament_package()
"""


def main(folder: Path) -> int:
    lists = sorted(folder.glob("*.msg"))
    if not lists:
        print(f"build_vision_msgs: no .msg files in {folder}", file=sys.stderr)
        return 1
    lacking = missing_tools()
    if lacking:
        print(f"build_vision_msgs: not built, for lack of {', '.join(lacking)}", file=sys.stderr)
        return LACKING
    state = fingerprint(lists)
    if STAMP.is_file() and STAMP.read_text() == state:
        print("vision_msgs: up to date")
        return 0
    mend_exported_paths()
    with tempfile.TemporaryDirectory(prefix="vision_msgs_") as work:
        build(lists, Path(work))
    STAMP.write_text(state)
    print(f"vision_msgs: {len(lists)} messages built into {PREFIX}")
    return 0


def missing_tools() -> list[str]:
    """What a person must install before this can run, in his words."""
    lacking = []
    if not any(shutil.which(name) for name in (os.environ.get("CC", ""), "cc", "gcc", "clang")):
        lacking.append("a C compiler (apt: build-essential)")
    if not any(shutil.which(name) for name in (os.environ.get("CXX", ""), "c++", "g++", "clang++")):
        lacking.append("a C++ compiler (apt: build-essential)")
    if not (Path(sysconfig.get_path("include")) / "Python.h").is_file():
        lacking.append(f"Python's headers (apt: python{sys.version_info.major}.{sys.version_info.minor}-dev)")
    return lacking


def fingerprint(lists: list[Path]) -> str:
    """Changes when a list, the generators or the interpreter's ABI do."""
    digest = hashlib.sha256()
    for path in lists:
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    for package in ("ros-rosidl-generator-py", "ros-rmw-fastrtps-cpp", "ros-std-msgs"):
        digest.update(f"{package} {metadata.version(package)}\n".encode())
    digest.update(str(sysconfig.get_config_var("SOABI")).encode())
    return digest.hexdigest()


def mend_exported_paths() -> None:
    """The wheels' exported CMake targets name the include folders of the machine that built them; name ours."""
    import numpy as np

    numpy_include, python_include = np.get_include(), sysconfig.get_path("include")
    for path in (PREFIX / "share").glob("*/cmake/*.cmake"):
        text = path.read_text(encoding="utf-8")
        if "/opt/python/" not in text:
            continue
        text = re.sub(r"/opt/python/[^;\"' ]*/numpy/_core/include", numpy_include, text)
        text = re.sub(r"/opt/python/[^;\"' ]*/include/python3\.\d+", python_include, text)
        path.write_text(text, encoding="utf-8")


def build(lists: list[Path], work: Path) -> None:
    """Generate the package in ``work``, compile it, and install it into this environment."""
    (work / "msg").mkdir()
    for path in lists:
        shutil.copy(path, work / "msg")
    (work / "package.xml").write_text(PACKAGE_XML)
    files = "\n  ".join(f'"msg/{path.name}"' for path in lists)
    (work / "CMakeLists.txt").write_text(CMAKE_LISTS.format(files=files))

    site = Path(sysconfig.get_path("purelib"))
    libraries = [PREFIX / "lib", *site.glob("ros_*.libs")]
    environment = {
        **os.environ,
        "PATH": f"{PREFIX / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "AMENT_PREFIX_PATH": str(PREFIX),
        "CMAKE_PREFIX_PATH": str(PREFIX),
        "LD_LIBRARY_PATH": os.pathsep.join(map(str, libraries)),
    }
    environment.pop("PYTHONPATH", None)
    commands = [
        [
            *("cmake", "-S", str(work), "-B", str(work / "build"), "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release"),
            *("-DBUILD_TESTING=OFF", f"-DPython3_EXECUTABLE={sys.executable}", f"-DCMAKE_INSTALL_PREFIX={PREFIX}"),
        ],
        ["cmake", "--build", str(work / "build")],
        ["cmake", "--install", str(work / "build")],
    ]
    for command in commands:
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            print(done.stdout, file=sys.stderr)
            raise SystemExit(f"build_vision_msgs: {' '.join(command[:2])} failed; its output is above")


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else LISTS))
