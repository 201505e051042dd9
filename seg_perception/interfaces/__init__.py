"""The message definitions this package reads and writes where no ROS installation gives them.

``vision_msgs/msg/*.msg`` are the field lists of vision_msgs 4.1 (https://github.com/ros-perception/vision_msgs, branch
ros2), which PyPI lacks: an interface is a fact, and names, types and order are the real package's, so that hashes and
bytes are too. The bag writer reads them here; where there is no apt ROS they also build into an interface package.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

VISION_MSGS = Path(__file__).parent / "vision_msgs" / "msg"


@cache
def typestore() -> Typestore:
    """Every type of ROS 2 Jazzy's common interfaces, and vision_msgs."""
    store = get_typestore(Stores.ROS2_JAZZY)
    types: dict[str, Any] = {}
    for path in sorted(VISION_MSGS.glob("*.msg")):
        types.update(get_types_from_msg(path.read_text(encoding="utf-8"), f"vision_msgs/msg/{path.stem}"))
    store.register(types)
    return store


def definition(type_name: str) -> str:
    """The full text of a type for a bag: its own fields, then those of every type within it (``ros2msg`` encoding)."""
    return typestore().generate_msgdef(type_name, ros_version=2)[0]


def type_hash(type_name: str) -> str:
    """The type's hash as DDS endpoints announce it, ``RIHS01_...`` (REP 2016)."""
    return typestore().hash_rihs01(type_name)


def serialised(type_name: str, message: object) -> bytes:
    """The message as little-endian CDR with its encapsulation header, as a bag holds it.

    ``message`` has the type's fields as attributes: a record (:mod:`seg_perception.records`) does, by its contract.
    """
    return bytes(typestore().serialize_cdr(message, type_name, little_endian=True))
