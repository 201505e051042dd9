"""Networks as plain objects: a manifest names weights, runtime and decoder; an image goes in, labels or things
come out."""

from seg_perception.models.apart import InstanceProcess
from seg_perception.models.manifest import Manifest
from seg_perception.models.networks import (
    Execution,
    InstanceNetwork,
    PanopticNetwork,
    SemanticNetwork,
    load_instance,
    load_panoptic,
    load_semantic,
)

__all__ = [
    "Execution",
    "InstanceNetwork",
    "InstanceProcess",
    "Manifest",
    "PanopticNetwork",
    "SemanticNetwork",
    "load_instance",
    "load_panoptic",
    "load_semantic",
]
