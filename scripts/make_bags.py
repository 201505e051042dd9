#!/usr/bin/env python3
"""Make ROS 2 bags from folders of real sensor data, to try and test the package on.

The pictures, clouds, calibration and labels are the data set's own; the bag, its stamps and its topic names are made
here, because the folders have none. Each bag says so in its metadata (``seg_perception/source``).

    python scripts/make_bags.py kitti  DATA/kitti_seq  kitti.mcap [--raw] [--points]
    python scripts/make_bags.py camvid DATA/camvid_val camvid.mcap
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from seg_perception import records
from seg_perception.errors import BagError, SegPerceptionError
from seg_perception.interfaces import serialised, typestore
from seg_perception.labels import LabelSpace
from seg_perception.offline.writer import BagWriter, qos
from seg_perception.types import UNLABELLED

START = 1_700_000_000 * records.NANOSECONDS
"""The first stamp; the data sets' folders carry none."""

KITTI_CAMERA = "/image_02"
KITTI_FRAME = "camera_color_optical"
KITTI_LIDAR_FRAME = "velodyne"

CAMVID_CAMERA = "/camera"
CAMVID_FRAME = "camera_color_optical"
CAMVID_TRUTH = "/truth/semantic"
CAMVID_CLASSES = (
    "Sky", "Building", "Pole", "Road", "Pavement", "Tree", "SignSymbol", "Fence", "Car", "Pedestrian", "Bicyclist",
)  # fmt: skip
"""The classes of the label PNGs by id; 11 is unlabelled."""


def kitti(folder: Path, out: Path, *, raw: bool = False, points: bool = False) -> int:
    """A 10 Hz bag of the left colour camera, rectified; returns the number of frames.

    The camera's frame is the rectified camera 0, as KITTI's 3x4 projection ``P2`` demands: its fourth column carries
    the offset between the two, and ``CameraInfo.p`` takes it whole. ``points`` adds the LiDAR and its ``tf_static``.
    """
    pictures = _files(folder / "image_02", "*.jpg")
    calibration = _calibration(folder / "calib.txt")
    height, width = _picture(pictures[0]).shape[:2]
    with BagWriter(out, [folder]) as bag:
        image_topic = f"{KITTI_CAMERA}/image_raw" if raw else f"{KITTI_CAMERA}/image_raw/compressed"
        image_type = records.Image.TYPE if raw else records.CompressedImage.TYPE
        bag.add_topic(f"{KITTI_CAMERA}/camera_info", records.CameraInfo.TYPE, [qos()])
        bag.add_topic(image_topic, image_type, [qos()])
        if points:
            bag.add_topic("/tf_static", "tf2_msgs/msg/TFMessage", [qos(latched=True)])
            bag.add_topic("/velodyne/points", "sensor_msgs/msg/PointCloud2", [qos()])
            bag.write("/tf_static", _tf_static(calibration), START)
        for number, picture in enumerate(pictures):
            stamp = START + number * records.NANOSECONDS // 10
            header = records.Header.of(stamp, KITTI_FRAME)
            bag.write(f"{KITTI_CAMERA}/camera_info", _camera_info(header, width, height, calibration["P2"]), stamp)
            bag.write(image_topic, _image(header, picture) if raw else _jpeg(header, picture), stamp)
            if points:
                cloud = folder / "velodyne" / f"{picture.stem}.npz"
                bag.write("/velodyne/points", _cloud(stamp, cloud), stamp)
        _say_source(bag, "KITTI raw data (CC BY-NC-SA 3.0), left colour camera, rectified; stamps are made, 10 Hz")
    return len(pictures)


def camvid(folder: Path, out: Path) -> int:
    """A 15 Hz bag of the video and its true labels in the shipped ``camvid`` space; returns the number of frames."""
    pictures = _files(folder / "images", "*.png")
    space = LabelSpace.load("camvid")
    ids = np.full(256, UNLABELLED, np.uint8)
    ids[: len(CAMVID_CLASSES)] = [space.id(name) for name in CAMVID_CLASSES]
    image_topic = f"{CAMVID_CAMERA}/image_raw"
    with BagWriter(out, [folder]) as bag:
        bag.add_topic(image_topic, records.Image.TYPE, [qos()])
        bag.add_topic(CAMVID_TRUTH, records.Image.TYPE, [qos()])
        for number, picture in enumerate(pictures):
            stamp = START + number * records.NANOSECONDS // 15
            header = records.Header.of(stamp, CAMVID_FRAME)
            labels = ids[_picture(folder / "labels" / picture.name, cv2.IMREAD_UNCHANGED)]
            truth = records.Image.of(header, "mono8", labels)
            bag.write(image_topic, _image(header, picture), stamp)
            bag.write(CAMVID_TRUTH, serialised(truth.TYPE, truth), stamp)
        _say_source(bag, f"CamVid validation video (CC BY-NC 4.0), labels '{space.name}'; stamps are made, 15 Hz")
    return len(pictures)


def _say_source(bag: BagWriter, data: str) -> None:
    note = "real sensor data in a bag that seg_perception's scripts/make_bags.py wrote"
    bag.note("seg_perception/source", {"data": data, "note": note})


def _files(folder: Path, pattern: str) -> list[Path]:
    files = sorted(folder.glob(pattern))
    if not files:
        raise BagError(f"{folder}: holds no {pattern}; expected the data set's own folder layout")
    return files


def _picture(path: Path, flags: int = cv2.IMREAD_COLOR) -> NDArray[np.uint8]:
    pixels = cv2.imread(str(path), flags)
    if pixels is None:
        raise BagError(f"{path}: is not a picture that OpenCV can read")
    return np.asarray(pixels, np.uint8)


def _image(header: records.Header, path: Path) -> bytes:
    rgb = np.asarray(cv2.cvtColor(_picture(path), cv2.COLOR_BGR2RGB))
    return serialised(records.Image.TYPE, records.Image.of(header, "rgb8", rgb))


def _jpeg(header: records.Header, path: Path) -> bytes:
    data = np.fromfile(path, np.uint8)
    message = records.CompressedImage(header, "rgb8; jpeg compressed bgr8", data)
    return serialised(message.TYPE, message)


def _calibration(path: Path) -> dict[str, NDArray[np.float64]]:
    lines = (line.split(":", 1) for line in path.read_text(encoding="ascii").splitlines() if ":" in line)
    return {name.strip(): np.array(values.split(), np.float64) for name, values in lines}


def _camera_info(header: records.Header, width: int, height: int, p2: NDArray[np.float64]) -> bytes:
    k = p2.reshape(3, 4)[:, :3].reshape(-1)
    info = records.CameraInfo(header, height, width, "plumb_bob", np.zeros(5), k, np.eye(3).reshape(-1), p2)
    return serialised(info.TYPE, info)


def _tf_static(calibration: dict[str, NDArray[np.float64]]) -> bytes:
    to_camera = calibration["Tr_velo_to_cam"].reshape(3, 4)
    to_rectified = calibration["R0_rect"].reshape(3, 3) @ to_camera
    types: dict[str, Any] = typestore().types
    x, y, z, w = Rotation.from_matrix(to_rectified[:, :3]).as_quat().tolist()
    transform = types["geometry_msgs/msg/Transform"](
        translation=types["geometry_msgs/msg/Vector3"](*to_rectified[:, 3].tolist()),
        rotation=types["geometry_msgs/msg/Quaternion"](x, y, z, w),
    )
    stamped = types["geometry_msgs/msg/TransformStamped"](
        records.Header.of(START, KITTI_FRAME), KITTI_LIDAR_FRAME, transform
    )
    return serialised("tf2_msgs/msg/TFMessage", types["tf2_msgs/msg/TFMessage"]([stamped]))


def _cloud(stamp: int, path: Path) -> bytes:
    points = np.ascontiguousarray(np.load(path)["points"], np.float32)
    types: dict[str, Any] = typestore().types
    fields = [
        types["sensor_msgs/msg/PointField"](name, 4 * column, 7, 1)  # 7: FLOAT32
        for column, name in enumerate(("x", "y", "z", "intensity"))
    ]
    header = records.Header.of(stamp, KITTI_LIDAR_FRAME)
    data = points.reshape(-1).view(np.uint8)
    cloud = types["sensor_msgs/msg/PointCloud2"](
        header, 1, len(points), fields, False, 16, 16 * len(points), data, True
    )
    return serialised("sensor_msgs/msg/PointCloud2", cloud)


def main(arguments: list[str] | None = None) -> int:
    """Run as a script; returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    sets = parser.add_subparsers(dest="data_set", required=True)
    for name in ("kitti", "camvid"):
        one = sets.add_parser(name)
        one.add_argument("folder", type=Path)
        one.add_argument("out", type=Path, help="the bag to write, OUT.mcap")
    sets.choices["kitti"].add_argument("--raw", action="store_true", help="rgb8 images instead of the JPEG files")
    sets.choices["kitti"].add_argument("--points", action="store_true", help="the LiDAR too, with its tf_static")
    chosen = parser.parse_args(arguments)
    try:
        if chosen.data_set == "kitti":
            frames = kitti(chosen.folder, chosen.out, raw=chosen.raw, points=chosen.points)
        else:
            frames = camvid(chosen.folder, chosen.out)
    except SegPerceptionError as error:
        print(f"make_bags: {error}", file=sys.stderr)
        return 1
    print(f"{chosen.out}: {frames} frames of real sensor data in a bag made here")
    return 0


if __name__ == "__main__":
    sys.exit(main())
