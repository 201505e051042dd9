"""``seg_perception play BAG``: publish a bag to DDS, for machines without ``ros2 bag``.

The recorded bytes go out as they are, at their recorded times: each message is due at an absolute time, so that one
late message delays no other.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from seg_perception.errors import BagError
from seg_perception.offline.bags import Bag, Message, Topic
from seg_perception.types import NANOSECONDS

# A writer matches a reader before the reader has matched it; what a best-effort writer sends in between is lost.
_SETTLE_SECONDS = 0.3
_ACKNOWLEDGE_SECONDS = 5.0


@dataclass(frozen=True)
class PlayOptions:
    """How a bag is played. ``topics`` are names or patterns, empty for all; ``remap`` recorded name -> published
    name; ``rate`` 2 is twice as fast; ``clock`` is how often /clock is published in Hz, 0 for never; ``start`` and
    ``duration`` are seconds of the bag, 0 for from its start and to its end; ``wait`` is how many seconds to wait until
    each topic has its ``subscribers`` (topic as published -> number; 1 for those not named).
    """

    topics: tuple[str, ...] = ()
    remap: Mapping[str, str] = field(default_factory=dict)
    rate: float = 1.0
    loop: bool = False
    clock: float = 0.0
    start: float = 0.0
    duration: float = 0.0
    wait: float = 0.0
    subscribers: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("rate", "clock", "start", "duration", "wait"):
            value = getattr(self, name)
            if not (0.0 <= value < math.inf and (value or name != "rate")):
                expected = "a number above 0" if name == "rate" else "0 or more"
                raise BagError(f"{name} {value:g}: expected {expected}")


@dataclass
class Played:
    """What was published: messages by topic as published, the seconds it took, how late the latest message was, and the
    topics that could not be published with the reason.
    """

    counts: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    late: float = 0.0
    left_out: dict[str, str] = field(default_factory=dict)


def play(path: Path, options: PlayOptions, say: Callable[[str], None] = print) -> Played:
    """Publish the bag at ``path``; ends when it is played, or at KeyboardInterrupt.

    Raises :class:`BagError` for a bag, topic or remapping that cannot be used, and for a damaged bag once everything
    before the damage is published.
    """
    with Bag(path) as bag:
        chosen = _chosen(bag, options)
        return _play(bag, chosen, options, say)


def _chosen(bag: Bag, options: PlayOptions) -> list[Topic]:
    chosen = list(bag.topics.values())
    if options.topics:
        patterns = [p if p.startswith(("/", "*")) else f"/{p}" for p in options.topics]
        for pattern in patterns:
            if not any(fnmatchcase(name, pattern) for name in bag.topics):
                raise BagError(f"{bag.path}: has no topic {pattern}; it has {', '.join(sorted(bag.topics))}")
        chosen = [t for t in chosen if any(fnmatchcase(t.name, p) for p in patterns)]
    for name in options.remap:
        if name not in bag.topics:
            raise BagError(f"{bag.path}: has no topic {name} to remap; it has {', '.join(sorted(bag.topics))}")
    published = [options.remap.get(topic.name, topic.name) for topic in chosen]
    for name in options.subscribers:
        if name not in published:
            raise BagError(f"{name} is not published, so nobody subscribes; published: {', '.join(sorted(published))}")
    return chosen


def _play(bag: Bag, chosen: Collection[Topic], options: PlayOptions, say: Callable[[str], None]) -> Played:
    from seg_perception.ros import memory, transport

    transport.activate()
    memory.keep_large_blocks()
    import rclpy
    from rclpy.context import Context
    from rclpy.signals import SignalHandlerOptions

    played = Played()
    context = Context()
    rclpy.init(args=[], context=context, signal_handler_options=SignalHandlerOptions.NO)
    node = rclpy.create_node("seg_perception_play", context=context, use_global_arguments=False)
    try:
        publishers = _publishers(node, chosen, options, played)
        for topic, why in played.left_out.items():
            say(f"{topic}: not played, {why}")
        if not publishers:
            raise BagError(f"{bag.path}: none of its topics can be published here")
        clock = _Clock(node, options.clock) if options.clock else None
        began = time.monotonic()
        try:
            _wait(node, publishers, options, say)
            began = time.monotonic()
            _pass(bag, publishers, options, clock, played)
            while options.loop:
                _pass(bag, publishers, options, clock, played)
        except KeyboardInterrupt:
            pass
        played.seconds = time.monotonic() - began
        _acknowledge(publishers)
    finally:
        node.destroy_node()
        rclpy.shutdown(context=context)
    return played


def _publishers(node: Any, chosen: Collection[Topic], options: PlayOptions, played: Played) -> dict[str, Any]:
    from rclpy.exceptions import InvalidTopicNameException

    from seg_perception.ros.lifecycle import RCLError
    from seg_perception.ros.recorded import installed_class, offer

    publishers = {}
    for topic in chosen:
        name = options.remap.get(topic.name, topic.name)
        kind = installed_class(topic.type)
        if kind is None:
            package = topic.type.partition("/")[0]
            played.left_out[name] = f"{topic.type} has no Python support here; install the package {package}"
            continue
        try:
            publisher = node.create_publisher(kind, name, offer(topic.profiles, topic.count))
        except (InvalidTopicNameException, RCLError) as error:
            played.left_out[name] = f"it cannot be published: {' '.join(str(error).split())}"
            continue
        publishers[topic.name] = publisher
        played.counts[publisher.topic_name] = 0
    return publishers


def _wait(node: Any, publishers: Mapping[str, Any], options: PlayOptions, say: Callable[[str], None]) -> None:
    """Until every topic has its subscribers, or the time for it is over. A node that subscribes twice counts once."""
    if not options.wait:
        return
    expected = {p: options.subscribers.get(p.topic_name, 1) for p in publishers.values()}
    end = time.monotonic() + options.wait
    while time.monotonic() < end and any(_subscribing(node, p) < n for p, n in expected.items()):
        time.sleep(0.02)
    for publisher, number in expected.items():
        matched = _subscribing(node, publisher)
        if matched < number:
            say(f"{publisher.topic_name}: {matched} of {number} subscribers after {options.wait:g} s; playing anyway")
    time.sleep(_SETTLE_SECONDS)


def _subscribing(node: Any, publisher: Any) -> int:
    """How many nodes are connected to ``publisher``."""
    if not publisher.get_subscription_count():
        return 0
    subscriptions = node.get_subscriptions_info_by_topic(publisher.topic_name)
    return len({(s.node_namespace, s.node_name) for s in subscriptions})


def _pass(bag: Bag, publishers: Mapping[str, Any], options: PlayOptions, clock: _Clock | None, played: Played) -> None:
    """Once through the bag."""
    zero = 0.0
    for message, offset in _window(bag, publishers, options):
        zero = zero or time.monotonic() - offset / options.rate
        due = zero + offset / options.rate
        if clock is not None:
            clock.run_until(due, message.log_time, options.rate)
        _sleep_until(due)
        played.late = max(played.late, time.monotonic() - due)
        publisher = publishers[message.topic]
        publisher.publish(message.cdr)
        played.counts[publisher.topic_name] += 1


def _window(bag: Bag, publishers: Mapping[str, Any], options: PlayOptions) -> Iterator[tuple[Message, float]]:
    """The messages to play and their seconds since the start of what is played. What was latched before ``start``
    comes first, as a subscriber at that time would have found it. Raises :class:`BagError` where there is nothing else.
    """
    start, duration = round(options.start * NANOSECONDS), round(options.duration * NANOSECONDS)
    first: int | None = None
    inside = False
    for message in _read_ahead(bag.messages(set(publishers))):
        first = message.log_time if first is None else first
        offset = message.log_time - first - start
        if duration and offset >= duration:
            break
        inside = inside or offset >= 0
        if offset >= 0 or _latched(publishers[message.topic]):
            yield message, max(offset, 0) / NANOSECONDS
    if not inside:
        raise BagError(f"{bag.path}: has no message to play in the part that was asked for")


def _read_ahead(messages: Iterator[Message]) -> Iterator[Message]:
    """The next message is read, and its chunk unpacked, while the one before waits for its time."""
    with ThreadPoolExecutor(max_workers=1) as reader:
        following = reader.submit(next, messages, None)
        while (message := following.result()) is not None:
            following = reader.submit(next, messages, None)
            yield message


def _latched(publisher: Any) -> bool:
    from rclpy.qos import DurabilityPolicy

    return bool(publisher.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL)


class _Clock:
    """/clock, in even steps of played time whether or not there are messages."""

    def __init__(self, node: Any, frequency: float) -> None:
        from rosgraph_msgs.msg import Clock

        self._message = Clock()
        self._publisher = node.create_publisher(Clock, "/clock", 10)
        self._period = 1.0 / frequency
        self._next = 0.0

    def run_until(self, due: float, stamp: int, rate: float) -> None:
        """Publish until ``due``, when it will be ``stamp`` nanoseconds in the bag."""
        while (tick := max(self._next, time.monotonic())) < due:
            _sleep_until(tick)
            self._publish(stamp - round((due - tick) * rate * NANOSECONDS))
        if self._next <= tick:  # behind time: the clock goes on with the messages
            self._publish(stamp)

    def _publish(self, stamp: int) -> None:
        self._message.clock.sec, self._message.clock.nanosec = divmod(stamp, NANOSECONDS)
        self._publisher.publish(self._message)
        self._next = max(self._next, time.monotonic() - self._period) + self._period


def _sleep_until(due: float) -> None:
    remaining = due - time.monotonic()
    if remaining > 0:
        time.sleep(remaining)


def _acknowledge(publishers: Mapping[str, Any]) -> None:
    """Let reliable readers fetch the last messages before their writer goes."""
    from rclpy.duration import Duration

    for publisher in publishers.values():
        publisher.wait_for_all_acked(Duration(seconds=_ACKNOWLEDGE_SECONDS))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line of ``seg_perception play``."""
    parser.add_argument("bag", type=Path, help="folder, .mcap or .db3")
    parser.add_argument("--topics", nargs="+", default=[], metavar="NAME", help="only these (names or patterns)")
    parser.add_argument("--remap", nargs="+", default=[], metavar="OLD:=NEW", help="publish OLD as NEW")
    parser.add_argument("--rate", type=float, default=1.0, help="2 plays twice as fast")
    parser.add_argument("--loop", action="store_true", help="again and again, until interrupted")
    parser.add_argument("--clock", type=float, nargs="?", const=40.0, default=0.0, metavar="HZ", help="publish /clock")
    parser.add_argument("--start", type=float, default=0.0, metavar="S", help="skip the first S seconds")
    parser.add_argument("--duration", type=float, default=0.0, metavar="S", help="play S seconds")
    parser.add_argument(
        "--wait", type=float, nargs="?", const=10.0, default=0.0, metavar="S", help="up to S seconds for subscribers"
    )
    parser.add_argument(
        "--subscribers",
        nargs="+",
        default=[],
        metavar="TOPIC=N",
        help="how many nodes to wait for, 1 for each topic else",
    )


def command(arguments: argparse.Namespace) -> int:
    """Run ``seg_perception play``; returns the exit status."""
    played = play(arguments.bag, _options(arguments))
    total = sum(played.counts.values())
    print(f"played {total} messages in {played.seconds:.2f} s, at most {played.late * 1000:.1f} ms late")
    for topic, count in played.counts.items():
        print(f"  {topic}: {count}")
    return 0


def _options(arguments: argparse.Namespace) -> PlayOptions:
    return PlayOptions(
        topics=tuple(arguments.topics),
        remap={_absolute(old): _absolute(new) for old, new in (_pair(t, ":=") for t in arguments.remap)},
        rate=arguments.rate,
        loop=arguments.loop,
        clock=arguments.clock,
        start=arguments.start,
        duration=arguments.duration,
        wait=arguments.wait,
        subscribers=dict(_subscribers(text) for text in arguments.subscribers),
    )


def _subscribers(text: str) -> tuple[str, int]:
    topic, number = _pair(text, "=")
    if not number.isdecimal():
        raise BagError(f"--subscribers {text}: expected TOPIC=N with a whole number N")
    return _absolute(topic), int(number)


def _absolute(name: str) -> str:
    return name if name.startswith("/") else f"/{name}"


def _pair(text: str, separator: str) -> tuple[str, str]:
    left, found, right = text.partition(separator)
    if not (left and found and right):
        raise BagError(f"'{text}': expected LEFT{separator}RIGHT")
    return left, right
