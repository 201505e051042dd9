"""A sequence as an ordinary bag: sensors on the usual topics, truth on ``/truth/...``.

Times count from a fixed date, so that a seed gives the same file on every day. Class ids are those of the label space
``navigation``.
"""

from __future__ import annotations

from collections.abc import Sequence as List
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from seg_perception.interfaces import serialised, typestore
from seg_perception.labels import LabelSpace
from seg_perception.offline.writer import BagWriter, qos
from tools.world.camera import FloatArray
from tools.world.lidar import Lidar, Sweep
from tools.world.sequence import Moment, Sequence
from tools.world.variants import CLASSES

EPOCH = 1_767_225_600_000_000_000
"""1 January 2026 in nanoseconds: the stamp of the first frame."""

MAP, BASE, CAMERA, LIDAR = "map", "base_link", "camera_optical_frame", "lidar"
TF_PERIOD = 0.02
LEAD = 0.1
"""Seconds of TF before the first and after the last frame."""

_TYPES = {
    "/camera/image_raw": "sensor_msgs/msg/Image",
    "/camera/image_raw/compressed": "sensor_msgs/msg/CompressedImage",
    "/camera/camera_info": "sensor_msgs/msg/CameraInfo",
    "/camera/depth/image_raw": "sensor_msgs/msg/Image",
    "/camera/depth/camera_info": "sensor_msgs/msg/CameraInfo",
    "/lidar/points": "sensor_msgs/msg/PointCloud2",
    "/tf": "tf2_msgs/msg/TFMessage",
    "/tf_static": "tf2_msgs/msg/TFMessage",
    "/truth/semantic": "sensor_msgs/msg/Image",
    "/truth/panoptic": "sensor_msgs/msg/Image",
    "/truth/objects": "sensor_msgs/msg/PointCloud2",
    "/truth/points": "sensor_msgs/msg/PointCloud2",
}

OBJECT = np.dtype(
    [(name, "<f4") for name in ("x", "y", "z", "vx", "vy", "vz", "length", "width", "height", "yaw")]
    + [("label", "<u4"), ("instance", "<u4"), ("confidence", "<f4"), ("age", "<f4")]
)
"""``/truth/objects``, in the map: confidence is 1 for what is seen in this frame, age the time since it last was."""
POINT = np.dtype([("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("intensity", "<f4"), ("ring", "<u2"), ("time", "<f4")])
"""``/lidar/points``: time in seconds after the header's stamp."""
POINT_TRUTH = np.dtype([("label", "<u4"), ("instance", "<u4")])
"""``/truth/points``: one entry for each point of the sweep with the same stamp."""

_DATATYPE = {"<f4": 7, "<u4": 6, "<u2": 4}


def write_bag(output: Path, seed: int, frames: int, rate: int, compressed: bool, lidar: Lidar) -> None:
    """Render ``frames`` frames of ``seed`` and write the bag ``output`` (``.mcap``)."""
    sequence = Sequence(seed, frames, rate)
    with BagWriter(output) as writer:
        _Recorder(writer, sequence, compressed, lidar).record()
        writer.note(
            "world", {"seed": str(seed), "split": sequence.scene.split, "frames": str(frames), "rate": str(rate)}
        )


def _message(kind: str, /, **values: Any) -> Any:
    return typestore().types[kind](**values)


def _header(time: float, frame: str) -> Any:
    stamp = EPOCH + round(time * 1e9)
    instant = _message("builtin_interfaces/msg/Time", sec=stamp // 10**9, nanosec=stamp % 10**9)
    return _message("std_msgs/msg/Header", stamp=instant, frame_id=frame)


def _image(time: float, encoding: str, pixels: NDArray[Any]) -> Any:
    height, width = pixels.shape[:2]
    data = np.ascontiguousarray(pixels).view(np.uint8).ravel()
    return _message(
        "sensor_msgs/msg/Image", header=_header(time, CAMERA), height=height, width=width, encoding=encoding,
        is_bigendian=0, step=data.size // height, data=data,
    )  # fmt: skip


def _cloud(time: float, frame: str, points: NDArray[Any]) -> Any:
    fields = [
        _message("sensor_msgs/msg/PointField", name=name, offset=entry[1], datatype=_DATATYPE[entry[0].str], count=1)
        for name, entry in (points.dtype.fields or {}).items()
    ]
    return _message(
        "sensor_msgs/msg/PointCloud2", header=_header(time, frame), height=1, width=len(points), fields=fields,
        is_bigendian=False, point_step=points.dtype.itemsize, row_step=points.nbytes,
        data=points.view(np.uint8).ravel() if len(points) else np.zeros(0, np.uint8), is_dense=True,
    )  # fmt: skip


def _transform(time: float, parent: str, child: str, pose: FloatArray) -> Any:
    x, y, z, w = quaternion(pose[:3, :3])
    translation = _message("geometry_msgs/msg/Vector3", x=float(pose[0, 3]), y=float(pose[1, 3]), z=float(pose[2, 3]))
    turn = _message("geometry_msgs/msg/Quaternion", x=x, y=y, z=z, w=w)
    both = _message("geometry_msgs/msg/Transform", translation=translation, rotation=turn)
    return _message(
        "geometry_msgs/msg/TransformStamped", header=_header(time, parent), child_frame_id=child, transform=both
    )


def quaternion(r: FloatArray) -> tuple[float, float, float, float]:
    """x, y, z, w of a rotation: the eigenvector of Bar-Itzhack's symmetric matrix (2000), w >= 0."""
    k = np.array(
        [
            [r[0, 0] - r[1, 1] - r[2, 2], 0, 0, 0],
            [r[0, 1] + r[1, 0], r[1, 1] - r[0, 0] - r[2, 2], 0, 0],
            [r[0, 2] + r[2, 0], r[1, 2] + r[2, 1], r[2, 2] - r[0, 0] - r[1, 1], 0],
            [r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1], r.trace()],
        ]
    )
    q = np.linalg.eigh(k)[1][:, -1]
    q = q if q[3] >= 0 else -q
    return (float(q[0]), float(q[1]), float(q[2]), float(q[3]))


class _Recorder:
    """Writes the messages of one sequence, each topic in the order of its stamps."""

    def __init__(self, writer: BagWriter, sequence: Sequence, compressed: bool, lidar: Lidar) -> None:
        self._writer, self._sequence, self._lidar = writer, sequence, lidar
        self._camera = "/camera/image_raw/compressed" if compressed else "/camera/image_raw"
        space = LabelSpace.load("navigation")
        self._ids = np.array([space.id(name) for name in CLASSES], np.uint8)
        self._seen: dict[int, float] = {}
        for topic, kind in _TYPES.items():
            if topic.startswith("/camera/image_raw") and topic != self._camera:
                continue
            writer.add_topic(topic, kind, [qos(latched=topic == "/tf_static")])

    def record(self) -> None:
        """All of it."""
        self._static_transforms()
        self._moving_transforms()
        due = 0.0
        for moment in self._sequence.moments():
            self._frame(moment)
            if moment.time >= due - 1e-9:
                self._sweep(due - self._lidar.period / 2)
                due += self._lidar.period

    def _write(self, topic: str, message: Any, time: float) -> None:
        self._writer.write(topic, serialised(_TYPES[topic], message), EPOCH + round(time * 1e9))

    def _transforms(self, topic: str, time: float, entries: List[Any]) -> None:
        self._write(topic, _message("tf2_msgs/msg/TFMessage", transforms=list(entries)), time)

    def _static_transforms(self) -> None:
        robot = self._sequence.scene.robot
        entries = [_transform(-LEAD, BASE, CAMERA, robot.camera), _transform(-LEAD, BASE, LIDAR, robot.lidar)]
        self._transforms("/tf_static", -LEAD, entries)

    def _moving_transforms(self) -> None:
        robot = self._sequence.scene.robot
        for tick in range(round(-LEAD / TF_PERIOD), round((self._sequence.duration + LEAD) / TF_PERIOD) + 1):
            time = tick * TF_PERIOD
            self._transforms("/tf", time, [_transform(time, MAP, BASE, robot.base(time))])

    def _frame(self, moment: Moment) -> None:
        time, lens = moment.time, self._sequence.scene.lens
        if self._camera.endswith("compressed"):
            quality = [cv2.IMWRITE_JPEG_QUALITY, self._sequence.scene.optics.jpeg]
            _, data = cv2.imencode(".jpg", moment.image[..., ::-1], quality)
            picture = _message(
                "sensor_msgs/msg/CompressedImage",
                header=_header(time, CAMERA),
                format="rgb8; jpeg compressed bgr8",
                data=data.ravel(),
            )
        else:
            picture = _image(time, "rgb8", moment.image)
        self._write(self._camera, picture, time)
        self._write("/camera/camera_info", self._camera_info(time, lens.width, lens.height, lens.k), time)
        self._write("/camera/depth/image_raw", _image(time, "16UC1", moment.depth), time)
        half = lens.k / [[2], [2], [1]]
        self._write("/camera/depth/camera_info", self._camera_info(time, lens.width // 2, lens.height // 2, half), time)
        semantic = self._ids[moment.view.semantic]
        self._write("/truth/semantic", _image(time, "mono8", semantic), time)
        self._write("/truth/panoptic", _image(time, "32SC1", moment.view.thing << 16 | semantic), time)
        self._write("/truth/objects", _cloud(time, MAP, self._objects(moment)), time)

    def _camera_info(self, time: float, width: int, height: int, k: FloatArray) -> Any:
        region = _message(
            "sensor_msgs/msg/RegionOfInterest", x_offset=0, y_offset=0, height=0, width=0, do_rectify=False
        )
        return _message(
            "sensor_msgs/msg/CameraInfo", header=_header(time, CAMERA), height=height, width=width,
            distortion_model="plumb_bob", d=np.zeros(5), k=k.ravel(), r=np.eye(3).ravel(),
            p=np.column_stack([k, np.zeros(3)]).ravel(), binning_x=0, binning_y=0, roi=region,
        )  # fmt: skip

    def _objects(self, moment: Moment) -> NDArray[Any]:
        rows = []
        for box in moment.boxes:
            if box.visible:
                self._seen[box.number] = moment.time
            age = moment.time - self._seen.get(box.number, -np.inf)
            rows.append(
                (
                    *box.centre,
                    *box.velocity,
                    *box.size,
                    box.yaw,
                    self._ids[box.label],
                    box.number,
                    float(box.visible),
                    age,
                )
            )
        return np.array(rows, OBJECT)

    def _sweep(self, start: float) -> None:
        sweep = self._sequence.sweep(start, self._lidar)
        cloud, truth = self._clouds(sweep)
        end = start + self._lidar.period
        self._write("/lidar/points", _cloud(start, LIDAR, cloud), end)
        self._write("/truth/points", _cloud(start, LIDAR, truth), end)

    def _clouds(self, sweep: Sweep) -> tuple[NDArray[Any], NDArray[Any]]:
        scene = self._sequence.scene
        cloud = np.zeros(len(sweep.points), POINT)
        for axis, name in enumerate("xyz"):
            cloud[name] = sweep.points[:, axis]
        cloud["intensity"], cloud["ring"], cloud["time"] = sweep.intensity, sweep.ring, sweep.time
        truth = np.zeros(len(sweep.points), POINT_TRUTH)
        truth["label"], truth["instance"] = self._ids[scene.labels[sweep.geom]], scene.numbers[sweep.geom]
        return cloud, truth
