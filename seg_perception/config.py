"""The configuration of the core, one immutable object: YAML files, ROS parameters and the command line all fill
this.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from seg_perception.cascade import CascadeConfig
from seg_perception.errors import ConfigError
from seg_perception.fusion import FusionConfig
from seg_perception.projection.projector import ProjectionConfig
from seg_perception.schema import option
from seg_perception.support import SupportConfig
from seg_perception.tracking import TrackerConfig


@dataclass(frozen=True)
class ModelsConfig:
    """Which networks run, and on what. Names are those of ``seg_perception models list``, or paths of manifests."""

    semantic: str = option(
        "world_semantic",
        "manifest of the semantic network, or of a panoptic one, which runs alone (a shipped name or a path)",
        live=False,
    )
    instance: str = option("", "manifest of the instance network; empty: none", live=False)
    runtime: str = option(
        "auto",
        "auto takes each manifest's own, or the one that is installed",
        choices=("auto", "onnxruntime", "openvino", "torch"),
        live=False,
    )
    precision: str = option(
        "f32",
        "numeric precision of the runtime; auto takes bf16 where openvino and the CPU have it, else f32; torch has "
        "bf16 too, and f16 on cuda",
        choices=("auto", "f32", "bf16", "f16"),
        live=False,
    )
    device: str = option("cpu", "what torch computes on", choices=("cpu", "cuda"), live=False)
    threads: int = option(0, "CPU threads of each network; 0: one per core", ge=0, le=256, live=False)
    instance_threads: int = option(
        0,
        "CPU threads of the instance network; 0: one in the node, where it works beside the other, else as threads",
        ge=0,
        le=256,
        live=False,
    )


@dataclass(frozen=True)
class OutputConfig:
    """The form of what goes out."""

    width: int = option(0, "width of the masks in pixels; 0: the image's", ge=0, le=16384, live=False)
    height: int = option(0, "height of the masks in pixels; 0: the image's", ge=0, le=16384, live=False)

    def __post_init__(self) -> None:
        if bool(self.width) != bool(self.height):
            raise ConfigError(
                f"output: width is {self.width} and height {self.height}: expected both, or 0 for both (the image's)"
            )

    @property
    def size(self) -> tuple[int, int] | None:
        """Width and height of the masks; None: the image's."""
        return (self.width, self.height) if self.width else None


@dataclass(frozen=True)
class PipelineConfig:
    """Everything that decides what comes out for a frame."""

    labels: str = option("navigation", "active label space (a shipped name or a path)", live=False)
    ego_mask: str = option(
        "", "PNG of the image's size, non-zero where the robot sees itself: unlabelled in every output", live=False
    )
    models: ModelsConfig = field(default_factory=ModelsConfig)
    cascade: CascadeConfig = field(default_factory=CascadeConfig)
    tracker: TrackerConfig = field(default_factory=TrackerConfig)
    support: SupportConfig = field(default_factory=SupportConfig)
    fusion: FusionConfig = field(default_factory=FusionConfig)
    output: OutputConfig = field(default_factory=OutputConfig)
    projection: ProjectionConfig = field(default_factory=ProjectionConfig)
