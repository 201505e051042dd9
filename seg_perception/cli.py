"""The command ``seg_perception``. Each subcommand belongs to a room with ``add_arguments(parser)`` and
``command(arguments)``; only the room that is asked for is imported, so that none needs another one's packages.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NamedTuple

from seg_perception.errors import SegPerceptionError

REFUSED, INTERRUPTED = 2, 130
"""Exit statuses: something that the user can mend (said on stderr), and Ctrl-C."""


class Room(NamedTuple):
    """Where a subcommand lives, and what it is for."""

    module: str
    help: str


NODE = Room("seg_perception.ros.segmentation_node", "the segmentation node; ROS arguments follow (--ros-args ...)")
COMMANDS = {
    "models": Room("seg_perception.models.commands", "the networks: what there is, what one does, whether it works"),
    "run": Room("seg_perception.offline.run", "take every frame of a bag through the pipeline, without DDS"),
    "compare": Room("seg_perception.evaluation.comparing.command", "evaluated runs side by side, and a gate for CI"),
    "mine": Room("seg_perception.mining.commands", "choose frames worth labelling next, with pre-labels"),
    "view": Room("seg_perception.offline.view", "a picture of the labelled points, boxes and ways of a processed bag"),
    "play": Room("seg_perception.ros.play", "publish a bag's messages to DDS"),
    "record": Room("seg_perception.ros.record", "write topics into a bag, with their receive times"),
    "listen": Room("seg_perception.ros.listener", "subscribe as a planner does, and check every message"),
    "evaluate": Room("seg_perception.evaluation.command", "how good the masks of a run are, and where they fail"),
    "node": NODE,
    "doctor": Room("seg_perception.doctor", "what is right and wrong on this machine"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand; returns the exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    # A script's background job starts with SIGINT ignored; and who stops us by SIGTERM wants our files closed as well.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        return _run(words)
    except SegPerceptionError as error:
        return _refuse(str(error))
    except ModuleNotFoundError as error:
        from seg_perception.doctor import remedy

        module = (error.name or "").split(".")[0]
        advice = remedy(module)
        if advice is None:  # not a package that one may lack: a fault of ours
            raise
        return _refuse(f"'seg_perception {words[0]}' needs {module}, which is not installed; {advice}")
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output has seen enough (| head)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _run(words: list[str]) -> int:
    chosen = words[0] if words else ""
    if chosen == "node":  # what follows is for ROS
        return int(import_module(NODE.module).main(words))
    parser = argparse.ArgumentParser(
        prog="seg_perception", description="Camera images in, panoptic masks with lasting ids out."
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, room in COMMANDS.items():
        subparser = commands.add_parser(name, help=room.help, description=f"{room.help[0].upper()}{room.help[1:]}.")
        if name == chosen:
            module = import_module(room.module)
            module.add_arguments(subparser)
            subparser.set_defaults(call=module.command)
    arguments = parser.parse_args(words)
    return int(arguments.call(arguments))


def _refuse(sentence: str) -> int:
    print(f"seg_perception: {sentence}", file=sys.stderr)
    return REFUSED
