"""The cascade: when and where the instance network looks (:mod:`policies`, :mod:`regions`), and how its answer comes
back (:mod:`runners`). Nothing here reads a clock to decide anything.
"""

from seg_perception.cascade.config import CascadeConfig
from seg_perception.cascade.decision import Cascade, Plan
from seg_perception.cascade.runners import Finished, Job, Network, Runner, Virtual
from seg_perception.cascade.scene import Scene
from seg_perception.cascade.watcher import Watcher, whole
from seg_perception.cascade.worker import InstanceWorker

__all__ = [
    "Cascade",
    "CascadeConfig",
    "Finished",
    "InstanceWorker",
    "Job",
    "Network",
    "Plan",
    "Runner",
    "Scene",
    "Virtual",
    "Watcher",
    "whole",
]
