"""Panoptic perception for ROS 2 robots: camera image in, masks with lasting ids out.

The core (everything but :mod:`seg_perception.ros`) imports neither rclpy nor a neural-network runtime at module level;
see ``docs/design.md`` for the rooms and who may know whom.
"""

__version__ = "0.1.0"
