"""``seg_perception record TOPICS -o OUT.mcap``: write what is published, byte for byte, for machines without
``ros2 bag``.

``log_time`` is when a message was received, ``publish_time`` when its publisher sent it. A gap in a publisher's
sequence numbers is a message that was sent and never came: it is counted and said.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seg_perception.errors import BagError
from seg_perception.offline.writer import BagWriter

_LOOK_SECONDS = 0.1
_READER_DEPTH = 100


@dataclass
class Recorded:
    """What was written: messages by topic; those lost by topic, as far as sequence numbers tell (a topic with several
    publishers cannot tell); the topics that could not be recorded with the reason.
    """

    counts: dict[str, int] = field(default_factory=dict)
    lost: dict[str, int] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)


def record(
    out: Path,
    topics: Collection[str] = (),
    *,
    duration: float = 0.0,
    count: int = 0,
    say: Callable[[str], None] = print,
) -> Recorded:
    """Record ``topics`` (all there are and will be, if empty) into the bag ``out`` until ``duration`` seconds have
    passed or ``count`` messages are written (0: no limit), or KeyboardInterrupt. Raises :class:`BagError` when ``out``
    cannot be written, or a limit is none.
    """
    from seg_perception.ros import memory, transport

    if not 0.0 <= duration < math.inf or count < 0:
        raise BagError(f"duration {duration:g}, count {count}: expected 0 (no limit) or more")
    transport.activate()
    memory.keep_large_blocks()
    import rclpy
    from rclpy.context import Context
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.signals import SignalHandlerOptions

    # Uncompressed, like ros2 bag's own default: compressing must not be what makes a recorder lose messages.
    writer = BagWriter(out, compress=False)
    context = Context()
    rclpy.init(args=[], context=context, signal_handler_options=SignalHandlerOptions.NO)
    node = rclpy.create_node("seg_perception_record", context=context, use_global_arguments=False)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    wanted = {name if name.startswith("/") else f"/{name}" for name in topics}
    recorder = _Recorder(node, writer, wanted, say)
    end = time.monotonic() + duration if duration else float("inf")
    look = 0.0
    try:
        while time.monotonic() < end and not (count and recorder.total >= count):
            if time.monotonic() >= look:
                recorder.look_around()
                look = time.monotonic() + _LOOK_SECONDS
            executor.spin_once(timeout_sec=max(0.0, min(look, end) - time.monotonic()))
    except KeyboardInterrupt:
        pass
    finally:
        try:
            executor.remove_node(node)
            node.destroy_node()
            rclpy.shutdown(context=context)
        finally:
            writer.close()  # whatever ended it: what was recorded so far is a whole bag
    return recorder.result(wanted)


class _Recorder:
    """Subscribes to what appears, and writes what comes."""

    def __init__(self, node: Any, writer: BagWriter, wanted: Collection[str], say: Callable[[str], None]) -> None:
        self._node = node
        self._writer = writer
        self._wanted = wanted
        self._say = say
        self._subscriptions: dict[str, Any] = {}
        self._sequences: dict[str, int] = {}
        self._recorded = Recorded()
        self.total = 0

    def look_around(self) -> None:
        """Subscribe to wanted topics that have got a publisher, and again where a new publisher offers less."""
        from seg_perception.ros.recorded import request

        for name, types in self._node.get_topic_names_and_types():
            if (self._wanted and name not in self._wanted) or name in self._recorded.left_out:
                continue
            publishers = [info.qos_profile for info in self._node.get_publishers_info_by_topic(name)]
            if not publishers:
                continue
            asked = request(publishers, _READER_DEPTH)
            current = self._subscriptions.get(name)
            if current is None:
                self._begin(name, types, publishers)
            elif _weaker(asked, current.qos_profile):
                self._node.destroy_subscription(current)
                self._subscribe(name, current.msg_type, asked)
            if len(publishers) > 1:
                self._recorded.lost.pop(name, None)

    def _begin(self, name: str, types: list[str], publishers: list[Any]) -> None:
        from seg_perception.ros.recorded import definition_and_hash, installed_class, offered, request

        kind = installed_class(types[0]) if len(types) == 1 else None
        if kind is None:
            package = types[0].partition("/")[0]
            why = (
                f"{types[0]} has no Python support here; install the package {package}"
                if len(types) == 1
                else f"it has several types: {', '.join(types)}"
            )
            self._recorded.left_out[name] = why
            self._say(f"{name}: not recorded, {why}")
            return
        text, digest = definition_and_hash(types[0])
        self._writer.add_topic(name, types[0], offered(publishers), text, digest)
        self._recorded.lost[name] = 0
        self._subscribe(name, kind, request(publishers, _READER_DEPTH))
        self._say(f"{name}: recording ({types[0]})")

    def _subscribe(self, name: str, kind: Any, profile: Any) -> None:
        def write(cdr: bytes, info: dict[str, int]) -> None:
            self._write(name, cdr, info)

        self._subscriptions[name] = self._node.create_subscription(kind, name, write, profile, raw=True)

    def _write(self, name: str, cdr: bytes, info: dict[str, int]) -> None:
        sequence = info["publication_sequence_number"]
        last = self._sequences.get(name)
        if last is not None and sequence > last and name in self._recorded.lost:
            self._recorded.lost[name] += sequence - last - 1
        self._sequences[name] = sequence
        received = info["received_timestamp"] or time.time_ns()
        self._writer.write(name, cdr, received, info["source_timestamp"] or received, sequence)
        self.total += 1

    def result(self, wanted: Collection[str]) -> Recorded:
        """What was recorded."""
        self._recorded.counts = dict(self._writer.counts)
        for name in sorted(set(wanted) - set(self._recorded.counts) - set(self._recorded.left_out)):
            self._recorded.left_out[name] = "nobody published it"
            self._say(f"{name}: not recorded, nobody published it")
        return self._recorded


def _weaker(asked: Any, current: Any) -> bool:
    from rclpy.qos import DurabilityPolicy, ReliabilityPolicy

    return bool(
        (asked.reliability, current.reliability) == (ReliabilityPolicy.BEST_EFFORT, ReliabilityPolicy.RELIABLE)
        or (asked.durability, current.durability) == (DurabilityPolicy.VOLATILE, DurabilityPolicy.TRANSIENT_LOCAL)
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line of ``seg_perception record``."""
    parser.add_argument("topics", nargs="*", metavar="TOPIC", help="what to record")
    parser.add_argument("-a", "--all", action="store_true", help="every topic there is or will be")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="OUT.mcap", help="the bag to write")
    parser.add_argument("--duration", type=float, default=0.0, metavar="S", help="stop after S seconds")
    parser.add_argument("--count", type=int, default=0, metavar="N", help="stop after N messages")


def command(arguments: argparse.Namespace) -> int:
    """Run ``seg_perception record``; returns the exit status."""
    if bool(arguments.topics) == arguments.all:
        raise BagError("record what? Name the topics, or say --all")
    recorded = record(arguments.output, arguments.topics, duration=arguments.duration, count=arguments.count)
    print(f"{arguments.output}: {sum(recorded.counts.values())} messages")
    for topic, count in recorded.counts.items():
        lost = recorded.lost.get(topic)
        print(f"  {topic}: {count}" + (f", {lost} lost" if lost else ", loss unknown" if lost is None else ""))
    return 0
