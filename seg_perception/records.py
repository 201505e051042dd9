"""The messages this package sends and reads, as plain data classes that mirror the ROS definitions field by field.

One value serves both roads: :mod:`seg_perception.ros` turns it into the rclpy message of the same type,
:mod:`seg_perception.offline` into CDR for a bag. ``TYPE`` is the ROS type name; a field's name is the message field's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from seg_perception.types import NANOSECONDS, UInt8Array


@dataclass(frozen=True, slots=True)
class Time:
    """builtin_interfaces/Time."""

    TYPE: ClassVar[str] = "builtin_interfaces/msg/Time"
    sec: int
    nanosec: int

    @classmethod
    def of(cls, stamp: int) -> Time:
        """From integer nanoseconds."""
        return cls(*divmod(stamp, NANOSECONDS))


@dataclass(frozen=True, slots=True)
class Header:
    """std_msgs/Header."""

    TYPE: ClassVar[str] = "std_msgs/msg/Header"
    stamp: Time
    frame_id: str

    @classmethod
    def of(cls, stamp: int, frame_id: str) -> Header:
        """From integer nanoseconds and a frame."""
        return cls(Time.of(stamp), frame_id)


@dataclass(frozen=True, slots=True)
class Image:
    """sensor_msgs/Image; ``data`` is a flat uint8 array of ``height * step`` bytes."""

    TYPE: ClassVar[str] = "sensor_msgs/msg/Image"
    header: Header
    height: int
    width: int
    encoding: str
    is_bigendian: int
    step: int
    data: UInt8Array

    @classmethod
    def of(cls, header: Header, encoding: str, pixels: NDArray[np.generic]) -> Image:
        """From ``pixels`` ``(H, W)`` or ``(H, W, C)``, little-endian, rows without padding; no copy where they are
        contiguous.
        """
        flat = np.ascontiguousarray(pixels).view(np.uint8).reshape(-1)
        height, width = pixels.shape[:2]
        return cls(header, height, width, encoding, 0, flat.size // height, flat)


@dataclass(frozen=True, slots=True)
class CompressedImage:
    """sensor_msgs/CompressedImage."""

    TYPE: ClassVar[str] = "sensor_msgs/msg/CompressedImage"
    header: Header
    format: str
    data: UInt8Array


@dataclass(frozen=True, slots=True)
class RegionOfInterest:
    """sensor_msgs/RegionOfInterest."""

    TYPE: ClassVar[str] = "sensor_msgs/msg/RegionOfInterest"
    x_offset: int = 0
    y_offset: int = 0
    height: int = 0
    width: int = 0
    do_rectify: bool = False


@dataclass(frozen=True, slots=True)
class CameraInfo:
    """sensor_msgs/CameraInfo."""

    TYPE: ClassVar[str] = "sensor_msgs/msg/CameraInfo"
    header: Header
    height: int
    width: int
    distortion_model: str
    d: NDArray[np.float64]
    k: NDArray[np.float64]
    r: NDArray[np.float64]
    p: NDArray[np.float64]
    binning_x: int = 0
    binning_y: int = 0
    roi: RegionOfInterest = field(default_factory=RegionOfInterest)


@dataclass(frozen=True, slots=True)
class PointField:
    """sensor_msgs/PointField."""

    TYPE: ClassVar[str] = "sensor_msgs/msg/PointField"
    name: str
    offset: int
    datatype: int
    count: int


@dataclass(frozen=True, slots=True)
class PointCloud2:
    """sensor_msgs/PointCloud2; ``data`` is a flat uint8 array of ``height * row_step`` bytes."""

    TYPE: ClassVar[str] = "sensor_msgs/msg/PointCloud2"
    header: Header
    height: int
    width: int
    fields: tuple[PointField, ...]
    is_bigendian: bool
    point_step: int
    row_step: int
    data: UInt8Array
    is_dense: bool


@dataclass(frozen=True, slots=True)
class VisionClass:
    """vision_msgs/VisionClass."""

    TYPE: ClassVar[str] = "vision_msgs/msg/VisionClass"
    class_id: int
    class_name: str


@dataclass(frozen=True, slots=True)
class LabelInfo:
    """vision_msgs/LabelInfo."""

    TYPE: ClassVar[str] = "vision_msgs/msg/LabelInfo"
    header: Header
    class_map: tuple[VisionClass, ...]
    threshold: float


@dataclass(frozen=True, slots=True)
class Point2D:
    """vision_msgs/Point2D."""

    TYPE: ClassVar[str] = "vision_msgs/msg/Point2D"
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Pose2D:
    """vision_msgs/Pose2D."""

    TYPE: ClassVar[str] = "vision_msgs/msg/Pose2D"
    position: Point2D
    theta: float = 0.0


@dataclass(frozen=True, slots=True)
class BoundingBox2D:
    """vision_msgs/BoundingBox2D: centre and size in pixels."""

    TYPE: ClassVar[str] = "vision_msgs/msg/BoundingBox2D"
    center: Pose2D
    size_x: float
    size_y: float


@dataclass(frozen=True, slots=True)
class Point:
    """geometry_msgs/Point."""

    TYPE: ClassVar[str] = "geometry_msgs/msg/Point"
    x: float = 0.0
    y: float = 0.0
    z: float = 0.0


@dataclass(frozen=True, slots=True)
class Quaternion:
    """geometry_msgs/Quaternion."""

    TYPE: ClassVar[str] = "geometry_msgs/msg/Quaternion"
    x: float = 0.0
    y: float = 0.0
    z: float = 0.0
    w: float = 1.0


@dataclass(frozen=True, slots=True)
class Pose:
    """geometry_msgs/Pose."""

    TYPE: ClassVar[str] = "geometry_msgs/msg/Pose"
    position: Point = field(default_factory=Point)
    orientation: Quaternion = field(default_factory=Quaternion)


@dataclass(frozen=True, slots=True)
class PoseWithCovariance:
    """geometry_msgs/PoseWithCovariance."""

    TYPE: ClassVar[str] = "geometry_msgs/msg/PoseWithCovariance"
    pose: Pose = field(default_factory=Pose)
    covariance: NDArray[np.float64] = field(default_factory=lambda: np.zeros(36))


@dataclass(frozen=True, slots=True)
class ObjectHypothesis:
    """vision_msgs/ObjectHypothesis."""

    TYPE: ClassVar[str] = "vision_msgs/msg/ObjectHypothesis"
    class_id: str
    score: float


@dataclass(frozen=True, slots=True)
class ObjectHypothesisWithPose:
    """vision_msgs/ObjectHypothesisWithPose."""

    TYPE: ClassVar[str] = "vision_msgs/msg/ObjectHypothesisWithPose"
    hypothesis: ObjectHypothesis
    pose: PoseWithCovariance = field(default_factory=PoseWithCovariance)


@dataclass(frozen=True, slots=True)
class Detection2D:
    """vision_msgs/Detection2D."""

    TYPE: ClassVar[str] = "vision_msgs/msg/Detection2D"
    header: Header
    results: tuple[ObjectHypothesisWithPose, ...]
    bbox: BoundingBox2D
    id: str


@dataclass(frozen=True, slots=True)
class Detection2DArray:
    """vision_msgs/Detection2DArray."""

    TYPE: ClassVar[str] = "vision_msgs/msg/Detection2DArray"
    header: Header
    detections: tuple[Detection2D, ...]


@dataclass(frozen=True, slots=True)
class Vector3:
    """geometry_msgs/Vector3."""

    TYPE: ClassVar[str] = "geometry_msgs/msg/Vector3"
    x: float = 0.0
    y: float = 0.0
    z: float = 0.0


@dataclass(frozen=True, slots=True)
class BoundingBox3D:
    """vision_msgs/BoundingBox3D: size along the axes of the centre's pose, metres."""

    TYPE: ClassVar[str] = "vision_msgs/msg/BoundingBox3D"
    center: Pose
    size: Vector3


@dataclass(frozen=True, slots=True)
class Detection3D:
    """vision_msgs/Detection3D."""

    TYPE: ClassVar[str] = "vision_msgs/msg/Detection3D"
    header: Header
    results: tuple[ObjectHypothesisWithPose, ...]
    bbox: BoundingBox3D
    id: str


@dataclass(frozen=True, slots=True)
class Detection3DArray:
    """vision_msgs/Detection3DArray."""

    TYPE: ClassVar[str] = "vision_msgs/msg/Detection3DArray"
    header: Header
    detections: tuple[Detection3D, ...]


@dataclass(frozen=True, slots=True)
class Duration:
    """builtin_interfaces/Duration."""

    TYPE: ClassVar[str] = "builtin_interfaces/msg/Duration"
    sec: int = 0
    nanosec: int = 0


@dataclass(frozen=True, slots=True)
class ColorRGBA:
    """std_msgs/ColorRGBA, each 0..1."""

    TYPE: ClassVar[str] = "std_msgs/msg/ColorRGBA"
    r: float = 0.0
    g: float = 0.0
    b: float = 0.0
    a: float = 0.0


@dataclass(frozen=True, slots=True)
class UVCoordinate:
    """visualization_msgs/UVCoordinate."""

    TYPE: ClassVar[str] = "visualization_msgs/msg/UVCoordinate"
    u: float = 0.0
    v: float = 0.0


@dataclass(frozen=True, slots=True)
class MeshFile:
    """visualization_msgs/MeshFile."""

    TYPE: ClassVar[str] = "visualization_msgs/msg/MeshFile"
    filename: str = ""
    data: UInt8Array = field(default_factory=lambda: np.zeros(0, np.uint8))


@dataclass(frozen=True, slots=True)
class Marker:
    """visualization_msgs/Marker; only the kinds and actions that are used are named here."""

    TYPE: ClassVar[str] = "visualization_msgs/msg/Marker"
    LINE_LIST: ClassVar[int] = 5
    TEXT_VIEW_FACING: ClassVar[int] = 9
    TRIANGLE_LIST: ClassVar[int] = 11
    ADD: ClassVar[int] = 0
    DELETEALL: ClassVar[int] = 3
    header: Header
    ns: str = ""
    id: int = 0
    type: int = 0
    action: int = 0
    pose: Pose = field(default_factory=Pose)
    scale: Vector3 = field(default_factory=Vector3)
    color: ColorRGBA = field(default_factory=ColorRGBA)
    lifetime: Duration = field(default_factory=Duration)
    frame_locked: bool = False
    points: tuple[Point, ...] = ()
    colors: tuple[ColorRGBA, ...] = ()
    texture_resource: str = ""
    texture: CompressedImage = field(
        default_factory=lambda: CompressedImage(Header.of(0, ""), "", np.zeros(0, np.uint8))
    )
    uv_coordinates: tuple[UVCoordinate, ...] = ()
    text: str = ""
    mesh_resource: str = ""
    mesh_file: MeshFile = field(default_factory=MeshFile)
    mesh_use_embedded_materials: bool = False


@dataclass(frozen=True, slots=True)
class MarkerArray:
    """visualization_msgs/MarkerArray."""

    TYPE: ClassVar[str] = "visualization_msgs/msg/MarkerArray"
    markers: tuple[Marker, ...]


@dataclass(frozen=True, slots=True)
class MapMetaData:
    """nav_msgs/MapMetaData; ``origin`` is the corner of cell (0, 0)."""

    TYPE: ClassVar[str] = "nav_msgs/msg/MapMetaData"
    map_load_time: Time
    resolution: float
    width: int
    height: int
    origin: Pose


@dataclass(frozen=True, slots=True)
class OccupancyGrid:
    """nav_msgs/OccupancyGrid; ``data`` is a flat int8 array, row by row from the origin: 0..100, or -1 unknown."""

    TYPE: ClassVar[str] = "nav_msgs/msg/OccupancyGrid"
    header: Header
    info: MapMetaData
    data: NDArray[np.int8]


Record = (
    Image
    | CompressedImage
    | CameraInfo
    | PointCloud2
    | LabelInfo
    | Detection2DArray
    | Detection3DArray
    | MarkerArray
    | OccupancyGrid
)
