"""A node's trouble in its log."""

from __future__ import annotations

from rclpy.impl.rcutils_logger import RcutilsLogger

from seg_perception.once import Once


class Complaints(Once):
    """Warns of each kind of trouble once (:class:`~seg_perception.once.Once`)."""

    def __init__(self, logger: RcutilsLogger) -> None:
        super().__init__(lambda sentence: logger.warning(f"{sentence} (said once)"))
