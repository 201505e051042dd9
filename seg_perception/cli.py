"""The command ``seg_perception``. Each subcommand is one function here that calls the room that does the work; that
room is imported only then, so that no subcommand needs another one's packages.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from seg_perception.errors import SegPerceptionError

REFUSED, INTERRUPTED = 2, 130
"""Exit statuses: something that the user can mend (said on stderr), and Ctrl-C."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand; returns the exit status."""
    arguments, rest = _parser().parse_known_args(argv)
    if rest and arguments.call is not node:
        arguments.parser.error(f"unrecognized arguments: {' '.join(rest)}")
    arguments.rest = rest
    try:
        return int(arguments.call(arguments))
    except SegPerceptionError as error:
        return _refuse(str(error))
    except ModuleNotFoundError as error:
        from seg_perception.doctor import remedy

        module = (error.name or "").split(".")[0]
        advice = remedy(module)
        if advice is None:  # not a package that one may lack: a fault of ours
            raise
        return _refuse(f"'{arguments.parser.prog}' needs {module}, which is not installed; {advice}")
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output has seen enough (| head)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _refuse(sentence: str) -> int:
    print(f"seg_perception: {sentence}", file=sys.stderr)
    return REFUSED


def models(arguments: argparse.Namespace) -> int:
    """``models list | info NAME | check NAME``."""
    from seg_perception.models import commands

    if arguments.what == "list":
        return commands.list_models()
    if arguments.what == "info":
        return commands.info(arguments.model)
    return commands.check(arguments.model)


def run(arguments: argparse.Namespace) -> int:
    """``run BAG -o OUT.mcap``."""
    from seg_perception.offline.run import run as run_bag
    from seg_perception.scenario import load

    config = load(arguments.config, arguments.set)
    return run_bag(arguments.bag, arguments.output, config, topic=arguments.topic, progress=not arguments.quiet)


def play(arguments: argparse.Namespace) -> int:
    """``play BAG``."""
    from seg_perception.ros.play import play as play_bag

    return play_bag(
        arguments.bag,
        topics=arguments.topics,
        rate=arguments.rate,
        loop=arguments.loop,
        clock=arguments.clock,
        wait=arguments.wait,
    )


def record(arguments: argparse.Namespace) -> int:
    """``record TOPIC... -o OUT.mcap``."""
    from seg_perception.ros.record import record as record_topics

    return record_topics(arguments.topics, arguments.output)


def node(arguments: argparse.Namespace) -> int:
    """``node [--ros-args ...]``: what ``ros2 run seg_perception segmentation`` does."""
    from seg_perception.ros.segmentation_node import main as run_node

    return run_node([arguments.parser.prog, *arguments.rest])


def doctor(arguments: argparse.Namespace) -> int:
    """``doctor [--dds]``."""
    from seg_perception import doctor as room

    return room.main(dds=arguments.dds)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="seg_perception", description="Camera images in, panoptic masks with lasting ids out."
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    models_parser = _command(commands, models, "the networks: what there is, what one does, whether it works here")
    kinds = models_parser.add_subparsers(dest="what", metavar="list | info | check", required=True)
    kinds.add_parser("list", help="every shipped model, and whether its weights are here")
    for kind, help_text in (("info", "one model in full"), ("check", "load one model and try it")):
        kinds.add_parser(kind, help=help_text).add_argument("model", help="a shipped name, or a manifest's path")

    run_parser = _command(commands, run, "take every frame of a bag through the pipeline, without DDS")
    run_parser.add_argument("bag", type=Path, help="a bag: folder, .mcap or .db3")
    run_parser.add_argument("-o", "--output", type=Path, required=True, metavar="OUT.mcap", help="the bag to write")
    run_parser.add_argument("--topic", metavar="TOPIC", help="the image topic; needed where the bag has several")
    run_parser.add_argument("--config", type=Path, metavar="FILE.yaml", help="configuration or ROS parameter file")
    run_parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="one value, e.g. models.instance=yolov8n_seg"
    )
    run_parser.add_argument("--quiet", action="store_true", help="no progress bar")

    play_parser = _command(commands, play, "publish a bag's messages to DDS")
    play_parser.add_argument("bag", type=Path, help="a bag: folder, .mcap or .db3")
    play_parser.add_argument("--topics", nargs="+", default=[], metavar="TOPIC", help="these only")
    play_parser.add_argument("--rate", type=float, default=1.0, help="times the recorded speed (default 1)")
    play_parser.add_argument("--loop", action="store_true", help="start again at the end")
    play_parser.add_argument("--clock", action="store_true", help="publish /clock")
    play_parser.add_argument("--wait", type=float, default=0.0, metavar="SECONDS", help="wait so long for subscribers")

    record_parser = _command(commands, record, "write topics into a bag, with their receive times, until Ctrl-C")
    record_parser.add_argument("topics", nargs="+", metavar="TOPIC")
    record_parser.add_argument("-o", "--output", type=Path, required=True, metavar="OUT.mcap", help="the bag to write")

    _command(commands, node, "the segmentation node; ROS arguments follow (--ros-args ...)")

    doctor_parser = _command(commands, doctor, "what is right and wrong on this machine")
    doctor_parser.add_argument("--dds", action="store_true", help="also send 720p images between two processes")
    return parser


def _command(commands: Any, call: Callable[[argparse.Namespace], int], help_text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        call.__name__, help=help_text, description=f"{help_text[0].upper()}{help_text[1:]}."
    )
    parser.set_defaults(call=call, parser=parser)
    return parser
