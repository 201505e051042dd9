"""What the player and the recorder share: message types by name, and the QoS of bag and DDS in each other's words."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rosbags.interfaces import Qos, QosDurability, QosReliability
from rosbags.typesys import get_types_from_msg
from rosbags.typesys.store import Typestore

from seg_perception.interfaces import definition, type_hash, typestore
from seg_perception.offline.writer import qos
from seg_perception.ros.messages import message_class

_LATCHED_KEPT = 1000


def installed_class(type_name: str) -> Any | None:
    """The Python class of ``package/msg/Name``; None where this machine has none."""
    try:
        return message_class(type_name)
    except (ImportError, AttributeError):
        return None


def definition_and_hash(type_name: str) -> tuple[str, str]:
    """A type's full text and its hash: the shipped ones, or those of the installed package; empty where neither is."""
    if type_name in typestore().fielddefs:
        return definition(type_name), type_hash(type_name)
    store = Typestore()
    try:
        _add_installed(store, type_name)
    except (ImportError, OSError):
        return "", ""
    return store.generate_msgdef(type_name, ros_version=2)[0], store.hash_rihs01(type_name)


def _add_installed(store: Typestore, type_name: str) -> None:
    package, kind, name = type_name.split("/")
    # <prefix>/lib/python3.x/site-packages/<package>: its definitions are in <prefix>/share.
    prefix = Path(import_module(package).__path__[0]).parents[3]
    text = (prefix / "share" / package / kind / f"{name}.msg").read_text(encoding="utf-8")
    types = get_types_from_msg(text, type_name)
    store.register(types)
    for _, fields in types.values():
        for _, description in fields:
            # A field's description nests for arrays; a type's name is the text at its bottom.
            inner: Any = description[1]
            while not isinstance(inner, str) and isinstance(inner[0], tuple):
                inner = inner[0][1]
            if isinstance(inner, str) and inner not in store.fielddefs:
                _add_installed(store, inner)


def offer(profiles: Sequence[Qos], count: int) -> QoSProfile:
    """What a player offers for a topic of ``count`` messages: what the recorded publishers did, and where they
    differ, what suits every subscriber of theirs; RELIABLE where the bag does not say.
    """
    best_effort = profiles and all(p.reliability == QosReliability.BEST_EFFORT for p in profiles)
    latched = any(p.durability == QosDurability.TRANSIENT_LOCAL for p in profiles)
    depth = max((p.depth for p in profiles), default=0)
    if latched and (depth == 0 or len(profiles) > 1):
        # Discovery does not tell a depth, and several nodes latch on /tf_static: a late subscriber gets all of it.
        depth = min(count, _LATCHED_KEPT)
    return QoSProfile(
        depth=depth or 10,
        history=HistoryPolicy.KEEP_LAST,
        reliability=ReliabilityPolicy.BEST_EFFORT if best_effort else ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
    )


def request(publishers: Sequence[QoSProfile], depth: int) -> QoSProfile:
    """What a recorder asks for: as much as every one of ``publishers`` offers, so that it hears them all."""
    reliable = all(p.reliability == ReliabilityPolicy.RELIABLE for p in publishers)
    latched = all(p.durability == DurabilityPolicy.TRANSIENT_LOCAL for p in publishers)
    return QoSProfile(
        depth=depth,
        history=HistoryPolicy.KEEP_LAST,
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
    )


def offered(publishers: Sequence[QoSProfile]) -> list[Qos]:
    """What ``publishers`` offer, as a bag's metadata says it; a discovered depth of 0 is unknown."""
    return [
        qos(
            reliable=p.reliability == ReliabilityPolicy.RELIABLE,
            latched=p.durability == DurabilityPolicy.TRANSIENT_LOCAL,
            depth=p.depth,
        )
        for p in publishers
    ]
