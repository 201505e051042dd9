"""Quality of service: what this node offers, and how it decides what to ask of a camera."""

from __future__ import annotations

from collections.abc import Sequence

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.topic_endpoint_info import TopicEndpointInfo

# Each call returns a new profile: rclpy writes parameter overrides into the one it is given.


def output() -> QoSProfile:
    """Masks: RELIABLE, because a best-effort publisher never connects to Hydra, elevation mapping or RViz defaults."""
    return QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)


def latched() -> QoSProfile:
    """Label information: the last message is kept for whoever comes later."""
    return QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)


def image_input(reliability: ReliabilityPolicy, depth: int) -> QoSProfile:
    """Images; the depth is the queue in front of the latest-frame slot."""
    return QoSProfile(depth=depth, reliability=reliability)


def camera_info_input() -> QoSProfile:
    """Calibrations: they are repeated with every image, so that losing one costs nothing and anybody may offer."""
    return QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)


def reliability(setting: str, publishers: Sequence[TopicEndpointInfo]) -> ReliabilityPolicy:
    """What to ask for: ``setting`` itself (``reliable``, ``best_effort``), or for ``auto`` RELIABLE when there are
    publishers and every one of them offers it.

    Asking for BEST_EFFORT connects to everybody but loses large images; asking for RELIABLE does not connect to a
    best-effort camera at all.
    """
    if setting != "auto":
        return ReliabilityPolicy[setting.upper()]
    offered = {publisher.qos_profile.reliability for publisher in publishers}
    return ReliabilityPolicy.RELIABLE if offered == {ReliabilityPolicy.RELIABLE} else ReliabilityPolicy.BEST_EFFORT


def publishers_in_words(node: Node, topic: str) -> str:
    """Who publishes ``topic`` and what they offer, for a person who asks why nothing arrives."""
    found = node.get_publishers_info_by_topic(topic)
    if not found:
        return "nobody publishes it"
    return "published by " + ", ".join(
        f"{p.node_namespace.rstrip('/')}/{p.node_name} ({p.topic_type}, {_word(p.qos_profile.reliability)}, "
        f"{_word(p.qos_profile.durability)})"
        for p in found
    )


def _word(policy: ReliabilityPolicy | DurabilityPolicy) -> str:
    return policy.name.lower().replace("_", " ")
