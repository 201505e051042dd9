"""One camera's road into space: masks, depth images, clouds and transforms in, labelled points out.

The same object runs beside the segmentation, in a node of its own, and offline. It never raises for what comes in:
what cannot be used is counted by reason and said, and the rest goes on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from seg_perception.calibration import camera_model
from seg_perception.errors import ConfigError, InputError
from seg_perception.frames import stamp_of
from seg_perception.labels import LabelSpace
from seg_perception.outputs import View, scaled_camera
from seg_perception.projection.camera import Camera
from seg_perception.projection.clouds import Cloud, read_cloud
from seg_perception.projection.depth import Registration, depth_metres, organised
from seg_perception.projection.grid import GridConfig
from seg_perception.projection.ground import FlatConfig, flat_ground, ground_table, mounted
from seg_perception.projection.labelling import Kinds, LabellingConfig, label_pixels, label_points
from seg_perception.projection.motion import seen_from
from seg_perception.projection.objects import ObjectsConfig
from seg_perception.projection.pairing import Kind, Masks, Pair, Pairing
from seg_perception.projection.transforms import Matrix, TransformBuffer, TransformError
from seg_perception.records import Header
from seg_perception.schema import option
from seg_perception.types import NANOSECONDS, CameraModel, Float32Array, LabelledPoints


@dataclass(frozen=True)
class ProjectionConfig:
    """How masks are carried into space."""

    enabled: bool = option(False, "carry the masks onto depth images and point clouds, in this process", live=False)
    input_rectified: bool = option(
        True,
        "the camera's images are rectified, so that P holds; false: they are raw, and K with D and R hold",
        live=False,
    )
    depth_rectified: bool = option(True, "the same for depth images", live=False)
    fixed_frame: str = option(
        "", "frame that stands still while the robot moves; empty: odom above the camera, else the topmost frame"
    )
    extrinsics: tuple[str, ...] = option(
        (),
        "static transforms that are not on /tf_static, each as 'parent child x y z qx qy qz qw', or with 'roll pitch "
        "yaw' in radians for the quaternion",
        live=False,
    )
    max_offset: float = option(
        0.1, "seconds that a cloud's middle may lie from the stamp of its mask", ge=0.0, le=10.0, live=False
    )
    depth_offset: float = option(
        0.005, "seconds that a depth image's stamp may lie from that of its mask", ge=0.0, le=1.0, live=False
    )
    tf_timeout: float = option(0.3, "seconds to wait for a transform that is late; masks never wait", ge=0.0, le=10.0)
    point_times: bool = option(True, "use the time that a cloud gives each point")
    source: str = option(
        "auto",
        "what obstacles, clearing, objects and costmap are made from; auto: LiDAR where clouds come, else depth; flat: "
        "the masks alone, laid onto flat ground",
        choices=("auto", "depth", "lidar", "flat"),
    )
    obstacles: str = option("obstacle", "group of classes whose points go out on obstacles/points", live=False)
    clearing: str = option("traversable", "group of classes whose points go out on clearing/points", live=False)
    flat: FlatConfig = field(default_factory=FlatConfig)
    labelling: LabellingConfig = field(default_factory=LabellingConfig)
    objects: ObjectsConfig = field(default_factory=ObjectsConfig)
    grid: GridConfig = field(default_factory=GridConfig)


@dataclass(frozen=True)
class Projection:
    """What the masks of one image say about the points of one depth image or cloud.

    ``points`` are in ``frame_id`` at ``stamp``: for ``depth`` and ``flat`` the mask's own (one point per pixel, row by
    row, as ``shape`` says), for ``lidar`` the cloud's. ``optical`` ``(N, 3)`` float32 are the same points in the frame
    of ``masks`` at its stamp, where robot and camera stood when the image was taken; ``camera`` projects them onto its
    pixels. ``to_fixed`` takes those into
    ``fixed_frame``; None where transforms do not say. ``leading`` says whether obstacles, objects and grid are made
    from this source.
    """

    kind: Kind
    stamp: int
    frame_id: str
    points: LabelledPoints
    shape: tuple[int, int] | None
    optical: Float32Array
    masks: Masks
    camera: Camera
    labels: LabelSpace
    fixed_frame: str
    to_fixed: Matrix | None
    leading: bool

    @property
    def header(self) -> Header:
        """Stamp and frame of the points."""
        return Header.of(self.stamp, self.frame_id)


@dataclass(slots=True)
class _Depth:
    """A depth image that waits for its masks."""

    stamp: int
    frame_id: str
    metres: Float32Array
    until: float | None = None


@dataclass(slots=True)
class _Lidar:
    """A cloud that waits for its masks or transforms."""

    cloud: Cloud
    until: float | None = None


@dataclass(slots=True)
class _Flat:
    """Masks that are laid onto flat ground wait for transforms alone."""

    until: float | None = None


_Item: TypeAlias = _Depth | _Lidar | _Flat


class Projector:
    """Give it what comes in, in any order, and take what is ready. One thread at a time.

    ``say(sentence)`` hears of everything that cannot be used; ``counts`` has how often, by reason: ``tf_missing``,
    ``tf_late``, ``tf_extrapolated``, ``tf_jumped``, ``bad_calibration``, ``bad_depth``, ``bad_cloud``, ``empty_depth``,
    ``empty_cloud``, ``unpaired_depth``, ``unpaired_lidar``, ``no_fixed_frame``, ``time_jumps``; and what was projected,
    as ``depth``, ``lidar`` and ``flat``.

    Raises :class:`ConfigError` for extrinsics that cannot be read.
    """

    def __init__(
        self, labels: LabelSpace, config: ProjectionConfig, transforms: TransformBuffer, say: Callable[[str], None]
    ) -> None:
        self.config = config
        """Replaced as a whole; only options that are ``live`` have an effect."""
        self.transforms = transforms
        self.counts: Counter[str] = Counter()
        self._labels, self._kinds, self._say = labels, Kinds.of(labels), say
        self._ground = ground_table(labels)
        self._pairing: Pairing[_Item] = Pairing(
            round(config.depth_offset * NANOSECONDS), round(config.max_offset * NANOSECONDS)
        )
        self._late: list[Pair[_Item]] = []
        self._cameras: dict[str, tuple[bytes, Camera]] = {}
        self._registration: tuple[Camera, Camera, Matrix, Registration] | None = None
        self._depth_model: CameraModel | None = None
        self._last_lidar: int | None = None
        for line in config.extrinsics:
            add_extrinsic(transforms, line)

    def add_masks(self, masks: Masks) -> None:
        """The masks of the next image."""
        if self._pairing.goes_back(masks):
            self.counts["time_jumps"] += 1
            self.transforms.rewind(masks.stamp)
            self.forget()
        self._pairing.add_masks(masks)
        if self.config.source == "flat":
            self._pairing.add("flat", masks.stamp, _Flat())

    def forget(self) -> None:
        """Let go of the masks, and count depth images and clouds that wait for theirs or for a transform."""
        self._pairing.clear()
        self.counts["tf_late"] += len(self._late)
        self._late.clear()
        self._last_lidar = None

    def add_view(self, view: View) -> None:
        """The masks of the next image, as the pipeline's own process has them."""
        if view.camera is None:
            self.counts["bad_calibration"] += 1
            self._say("images without a usable calibration are not projected")
            return
        self.add_masks(Masks(view.frame.stamp, view.frame.frame_id, view.panoptic, view.camera))

    def add_depth(self, message: Any) -> None:
        """A ``sensor_msgs/Image`` of depth."""
        with self._counting("bad_depth"):
            stamp, frame_id, metres = stamp_of(message), message.header.frame_id, depth_metres(message)
            if not np.isfinite(metres).any():
                self.counts["empty_depth"] += 1
                self._say(f"a depth image in '{frame_id}' has no depth")
            self._pairing.add("depth", stamp, _Depth(stamp, frame_id, metres))

    def add_depth_calibration(self, message: Any) -> None:
        """The ``sensor_msgs/CameraInfo`` of the depth images."""
        with self._counting("bad_calibration", "depth: "):
            self._depth_model = None
            self._depth_model = camera_model(message)

    def add_cloud(self, message: Any) -> None:
        """A ``sensor_msgs/PointCloud2``."""
        with self._counting("bad_cloud"):
            cloud = read_cloud(message, times=self.config.point_times)
            if not np.isfinite(cloud.xyz[:, 0]).any():
                self.counts["empty_cloud"] += 1
                self._say(f"a point cloud in '{cloud.frame_id}' has no points")
            middle = 0 if cloud.times is None or not len(cloud) else int(cloud.times.max() + cloud.times.min()) // 2
            self._pairing.add("lidar", cloud.stamp + middle, _Lidar(cloud))

    def ready(self, now: float, *, end: bool = False) -> Iterator[Projection]:
        """What can be projected by now; ``now`` are seconds of a steady clock, by which late transforms are waited for
        (infinite: they are not). ``end``: nothing will follow.
        """
        pairs = [*self._late, *self._pairing.pairs(end=end)]
        self._late = []
        for pair in pairs:
            try:
                yield self._project(pair.masks, pair.item)
                self.counts[pair.kind] += 1
            except TransformError as error:
                if error.reason == "late" and self._waits(pair.item, now):
                    self._late.append(pair)
                    continue
                self.counts[f"tf_{error.reason}"] += 1
                self._say(f"{error}; its points are not projected")
            except InputError as error:
                self.counts["bad_calibration"] += 1
                self._say(str(error))
        for kind, count in self._pairing.unpaired.items():
            self.counts[f"unpaired_{kind}"] = count

    @property
    def waiting(self) -> bool:
        """Whether something waits for a late transform."""
        return bool(self._late)

    def _waits(self, item: _Item, now: float) -> bool:
        if item.until is None:
            item.until = now + self.config.tf_timeout
        return now < item.until

    def _counting(self, reason: str, where: str = "") -> _Counting:
        return _Counting(self, reason, where)

    def _project(self, masks: Masks, item: _Item) -> Projection:
        if isinstance(item, _Depth):
            return self._depth(masks, item)
        return self._lidar(masks, item) if isinstance(item, _Lidar) else self._flat(masks)

    def _lidar(self, masks: Masks, item: _Lidar) -> Projection:
        cloud, camera = item.cloud, self._camera("colour", masks.camera, self.config.input_rectified)
        fixed = self._fixed_frame(masks.frame_id)
        optical = seen_from(cloud, self.transforms, masks.frame_id, masks.stamp, fixed)
        points = label_points(cloud.xyz, optical, camera, masks.panoptic, self._kinds, self.config.labelling)
        self._last_lidar = cloud.stamp
        to_fixed = self._standing(fixed, masks)
        leads = self._leads("lidar", cloud.stamp)
        return Projection(
            "lidar", cloud.stamp, cloud.frame_id, points, None, optical, masks, camera, self._labels, fixed, to_fixed,
            leads,
        )  # fmt: skip

    def _depth(self, masks: Masks, item: _Depth) -> Projection:
        registration, camera = self._registered(masks, item)
        points = organised(registration(item.metres), camera)
        labelled = label_pixels(points, masks.panoptic, self.config.labelling)
        fixed = self._fixed_frame(masks.frame_id)
        return self._organised("depth", labelled, masks, camera, fixed, self._standing(fixed, masks))

    def _flat(self, masks: Masks) -> Projection:
        flat, camera = self.config.flat, self._camera("colour", masks.camera, self.config.input_rectified)
        pose = (
            mounted(flat.height, flat.pitch)
            if flat.height
            else self.transforms.lookup(flat.frame, masks.frame_id, masks.stamp)
        )
        points = flat_ground(masks.panoptic, camera, pose, self._ground, flat.reach)
        fixed = self._fixed_frame(flat.frame)
        below = self._pose(fixed, flat.frame, masks.stamp)
        return self._organised("flat", points, masks, camera, fixed, None if below is None else below @ pose)

    def _organised(
        self,
        kind: Kind,
        points: LabelledPoints,
        masks: Masks,
        camera: Camera,
        fixed: str,
        to_fixed: Matrix | None,
    ) -> Projection:
        height, width = masks.panoptic.semantic.shape
        leads = self._leads(kind, masks.stamp)
        return Projection(
            kind, masks.stamp, masks.frame_id, points, (height, width), points.xyz, masks, camera, self._labels, fixed,
            to_fixed, leads,
        )  # fmt: skip

    def _standing(self, fixed: str, masks: Masks) -> Matrix | None:
        """The camera's pose in ``fixed``, whose z axis points up; None where it is not known."""
        if fixed == masks.frame_id.lstrip("/"):
            self.counts["no_fixed_frame"] += 1
            self._say(
                f"no transform leads from '{fixed}', whose z axis looks ahead, to a frame whose z axis is up: boxes "
                "and costmap are not made; publish one on /tf or /tf_static, or name a frame by projection.fixed_frame"
            )
            return None
        return self._pose(fixed, masks.frame_id, masks.stamp)

    def _pose(self, fixed: str, frame: str, stamp: int) -> Matrix | None:
        """The pose of ``frame`` in ``fixed``; None where it is not known and the wait for it would be in vain."""
        try:
            return self.transforms.lookup(fixed, frame, stamp)
        except TransformError as error:
            if error.reason == "late":
                raise  # worth the wait: boxes and grid stand in the fixed frame
            return None

    def _leads(self, kind: Kind, stamp: int) -> bool:
        if self.config.source != "auto":
            return kind == self.config.source
        lidar_comes = self._last_lidar is not None and abs(stamp - self._last_lidar) < NANOSECONDS
        return kind == "lidar" or not lidar_comes

    def _fixed_frame(self, frame: str) -> str:
        return self.config.fixed_frame or self.transforms.fixed_frame(frame)

    def _camera(self, role: str, model: CameraModel, rectified: bool) -> Camera:
        key = b"".join(part.tobytes() for part in (model.k, model.d, model.r, model.p))
        key += f"{model.width}x{model.height} {model.distortion_model}".encode()
        known = self._cameras.get(role)
        if known is not None and known[0] == key:
            return known[1]
        camera = Camera(model, rectified=rectified)
        if np.isfinite(camera.limit) and camera.blind > 0:
            self._say(
                f"the {role} camera's lens model cannot be inverted beyond {np.degrees(np.arctan(camera.limit)):.1f} "
                f"degrees from its axis: {100 * camera.blind:.1f} % of its image carry no points"
            )
        self._cameras[role] = key, camera
        return camera

    def _registered(self, masks: Masks, item: _Depth) -> tuple[Registration, Camera]:
        height, width = item.metres.shape
        same_frame = item.frame_id.lstrip("/") == masks.frame_id.lstrip("/")
        model = self._depth_model
        if model is None:
            if not same_frame:
                raise InputError(
                    f"the depth images are in '{item.frame_id}', the colour images in '{masks.frame_id}', and no "
                    "usable camera_info came with the depth: publish it as depth/camera_info"
                )
            # Depth that was registered by its driver looks through the colour camera.
            model = scaled_camera(masks.camera, width, height)
        if (model.width, model.height) != (width, height):
            raise InputError(
                f"the depth image is {width}x{height}, its calibration is for {model.width}x{model.height}; publish "
                "the depth/camera_info that belongs to it"
            )
        depth = self._camera("depth", model, self.config.depth_rectified)
        colour = self._camera("colour", masks.camera, self.config.input_rectified)
        pose = np.eye(4) if same_frame else self.transforms.lookup(masks.frame_id, item.frame_id, masks.stamp)
        known = self._registration
        if known is None or known[0] is not depth or known[1] is not colour or not np.array_equal(known[2], pose):
            known = self._registration = depth, colour, pose, Registration(depth, colour, pose)
        return known[3], colour


class _Counting:
    """Counts and says an :class:`InputError` that the block raises, and goes on."""

    def __init__(self, projector: Projector, reason: str, where: str) -> None:
        self._projector, self._reason, self._where = projector, reason, where

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> bool:
        if isinstance(error, InputError):
            self._projector.counts[self._reason] += 1
            self._projector._say(f"{self._where}{error}")
        return isinstance(error, InputError)


def add_extrinsic(transforms: TransformBuffer, line: str) -> None:
    """Take a static transform from a line of a parameter; raises :class:`ConfigError`."""
    words = line.split()
    try:
        numbers = [float(word) for word in words[2:]]
    except ValueError:
        numbers = []
    itself = len(words) > 1 and words[0].lstrip("/") == words[1].lstrip("/")
    no_turn = len(numbers) == 7 and not np.any(numbers[3:])
    if len(numbers) not in (6, 7) or not np.isfinite(numbers).all() or itself or no_turn:
        raise ConfigError(
            f"projection.extrinsics: '{line}' cannot be read; expected 'parent child x y z qx qy qz qw' or 'parent "
            "child x y z roll pitch yaw', of two frames and with a quaternion that is not zero"
        )
    position = (numbers[0], numbers[1], numbers[2])
    turn = _quaternion(*numbers[3:]) if len(numbers) == 6 else (numbers[3], numbers[4], numbers[5], numbers[6])
    transforms.add(words[0], words[1], 0, position, turn, static=True)


def _quaternion(roll: float, pitch: float, yaw: float) -> tuple[float, float, float, float]:
    """x, y, z, w of fixed-axis angles (REP 103)."""
    cr, sr, cp, sp, cy, sy = (f(a / 2) for a in (roll, pitch, yaw) for f in (np.cos, np.sin))
    return (
        float(sr * cp * cy - cr * sp * sy),
        float(cr * sp * cy + sr * cp * sy),
        float(cr * cp * sy - sr * sp * cy),
        float(cr * cp * cy + sr * sp * sy),
    )
