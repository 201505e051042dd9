"""``seg_perception run BAG -o OUT.mcap``: the pipeline over every frame of a bag, without DDS.

Same core, same table of outputs, same headers as the node; every frame is taken, in the bag's order. The result depends
on bag, configuration, model and runtime alone: two runs write the same bytes. How long things took goes into OUT.json.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from rosbags.serde import SerdeError
from tqdm import tqdm

from seg_perception import scenario
from seg_perception.calibration import camera_model
from seg_perception.config import PipelineConfig
from seg_perception.ego import load_ego_mask
from seg_perception.errors import BagError, ConfigError, InputError
from seg_perception.images import decode_compressed, decode_image
from seg_perception.interfaces import serialised, typestore
from seg_perception.labels import LabelSpace
from seg_perception.offline import many
from seg_perception.offline.bags import Bag, Message, Topic, namespace
from seg_perception.offline.collection import Source, find, refuse_within
from seg_perception.offline.projection import BagProjection, projected_outputs
from seg_perception.offline.report import RunReport, as_note, provenance
from seg_perception.offline.writer import BagWriter, qos
from seg_perception.outputs import LABEL_INFO_TOPIC, Output, label_info, table, view
from seg_perception.pipeline import Looks, Networks, Pipeline
from seg_perception.records import CameraInfo, CompressedImage, LabelInfo
from seg_perception.timing import StageTimes
from seg_perception.types import NANOSECONDS, CameraModel, Frame, Perception

Load = Callable[[PipelineConfig, LabelSpace], Looks]
V = TypeVar("V")
_NAMESPACE = re.compile(r"/?[A-Za-z_]\w*(/[A-Za-z_]\w*)*/?", re.ASCII)


def run_bag(
    bag: Path,
    out: Path,
    config: PipelineConfig,
    *,
    topic: str | None = None,
    camera: str | None = None,
    outputs: Sequence[str] = (),
    depth: str | None = None,
    points: str | None = None,
    load: Load = Networks.load,
    say: Callable[[str], None] = print,
    progress: bool = True,
) -> RunReport:
    """Perceive every frame on ``topic`` of ``bag`` (the only image topic, if None) and write ``out``, and OUT.json
    beside it.

    Topics are named below ``camera`` (the image topic's namespace, if None). ``outputs`` are names or patterns of
    :func:`seg_perception.outputs.table`; empty means all but the group masks, the PNG masks and the overlay. Messages
    carry the source image's header, and the source message's log time as their own.

    ``depth`` and ``points`` name topics of the bag (depth images, clouds) onto which the masks are carried; the outputs
    are then those of :func:`seg_perception.projection.outputs.table` too, as they are where ``projection.source`` is
    ``flat``.

    A frame that cannot be used is counted by reason and said once; a damaged bag gives what could be read of it, and
    ``damage`` in the report. Raises :class:`BagError`, :class:`ConfigError` or :class:`ModelError` when there is
    nothing to do or no way to do it; then nothing is written.
    """
    if camera and not _NAMESPACE.fullmatch(camera):
        raise ConfigError(f"--camera {camera}: is no namespace of ROS; expected a name such as /front or robot/front")
    labels = LabelSpace.load(config.labels)
    projects = depth is not None or points is not None or config.projection.source == "flat"
    everything = table(labels), projected_outputs(labels, config.projection) if projects else ()
    chosen = select([output for rows in everything for output in rows], outputs)
    flat = [output for output in everything[0] if output in chosen]
    spatial = [output for output in everything[1] if output in chosen]
    ego_mask = load_ego_mask(config.ego_mask)
    with Bag(bag) as source:
        image = source.image_topic(topic)
        root = f"/{(camera or namespace(image.name)).strip('/') or 'camera'}"
        networks = load(config, labels)
        origin = provenance(bag, image.name, config, labels, networks)
        pipeline = Pipeline(networks, labels, config, ego_mask)
        with BagWriter(out, [bag]) as writer:

            def write(outputs: Sequence[Output[V]], scene: V, log_time: int) -> None:
                for output in outputs:
                    record = output.build(scene)
                    if record is not None:
                        writer.write(f"{root}/{output.topic}", serialised(record.TYPE, record), log_time)

            space = BagProjection(source, depth, points, labels, config.projection, partial(write, spatial), say)
            stream = _Stream(source, image, say, space.takers)
            writer.add_topic(f"{root}/{LABEL_INFO_TOPIC}", LabelInfo.TYPE, [qos(latched=True, depth=1)])
            for output in chosen:
                writer.add_topic(f"{root}/{output.topic}", output.type, [qos()])
            for log_time, frame, model, times in tqdm(stream, total=image.count, unit="frame", disable=not progress):
                if stream.goes_back(frame):
                    pipeline.reset()
                try:
                    result = pipeline(frame)
                except InputError as error:
                    stream.refuse(str(error))
                    continue
                if not stream.report.written:
                    info = label_info(labels, frame.stamp, frame.frame_id)
                    writer.write(f"{root}/{LABEL_INFO_TOPIC}", serialised(info.TYPE, info), log_time)
                with times.stage("write"):
                    scene = view(frame, result, labels, model, config.output.size)
                    write(flat, scene, log_time)
                if projects:
                    with times.stage("project"):
                        space.masks(scene, log_time)
                stream.report.written += 1
                stream.account(result, times)
            space.finish()
            stream.report.projection = space.counts
            if not stream.report.read:
                raise BagError(stream.report.damage or f"{bag}: {image.name} has no messages")
            if not stream.report.written:
                why, count = stream.report.refused.most_common(1)[0]
                raise BagError(f"{bag}: no frame of {image.name} can be used, {count} of {stream.report.read}: {why}")
            writer.note("seg_perception", as_note(origin))
    report = stream.report
    beside = out.with_suffix(".json")
    try:
        beside.write_text(json.dumps(report.content(origin), indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise BagError(f"{beside}: cannot be written ({error.strerror}); {out} is whole") from error
    return report


def select(outputs: Sequence[Output[Any]], patterns: Sequence[str]) -> tuple[Output[Any], ...]:
    """The outputs that ``patterns`` name (``masks/*``), or those that are always made where there are none; raises
    :class:`ConfigError` for a pattern that names none.
    """
    if not patterns:
        return tuple(output for output in outputs if output.demand == "always")
    for pattern in patterns:
        if not any(fnmatchcase(output.topic, pattern) for output in outputs):
            raise ConfigError(f"there is no output '{pattern}'; expected {', '.join(o.topic for o in outputs)}")
    return tuple(output for output in outputs if any(fnmatchcase(output.topic, p) for p in patterns))


class _Stream:
    """The usable frames of a bag's image topic, each with the calibration that holds for it; keeps the account."""

    def __init__(
        self, bag: Bag, image: Topic, say: Callable[[str], None], takers: Mapping[str, Callable[[Message], None]]
    ) -> None:
        """``takers`` are given the messages of other topics, in the bag's order."""
        self.report = RunReport()
        self._bag, self._image, self._say, self._takers = bag, image, say, takers
        self._info = bag.camera_info_topic(image)
        self._model: CameraModel | None = None
        self._said: set[str] = set()
        self._last_stamp: int | None = None

    def __iter__(self) -> Iterator[tuple[int, Frame, CameraModel | None, StageTimes]]:
        topics = [*self._takers, *(topic.name for topic in (self._image, self._info) if topic is not None)]
        self._first_calibration()
        messages = self._bag.messages(topics)
        while True:
            times = StageTimes()
            try:
                with times.stage("read"):
                    message = next(messages)
            except StopIteration:
                return
            except BagError as error:
                self.report.damage = str(error)
                self._say(str(error))
                return
            if message.topic in self._takers:
                self._takers[message.topic](message)
                continue
            if message.topic != self._image.name:
                self._calibrate(message)
                continue
            self.report.read += 1
            try:
                with times.stage("image"):
                    frame = self._frame(message)
            except InputError as error:
                self.refuse(str(error))
                continue
            yield message.log_time, frame, self._model_for(frame), times

    def account(self, result: Perception, times: StageTimes) -> None:
        """Add a frame that was written, and the looks that came back with it."""
        report, seconds = self.report, {**result.seconds, **times.seconds}
        report.add_times({**seconds, "frame": sum(seconds.values())})
        for look in result.looks:
            report.looks[look.outcome] += 1
            report.add_times(look.seconds)  # part of the stage "cascade", in which a virtual look works
            if look.error is not None:
                self._say_once(f"the instance network failed with {type(look.error).__name__}: {look.error}")
        if result.looked is not None:
            report.ages.append(result.instance_age)

    def refuse(self, reason: str) -> None:
        """Count a frame that cannot be used."""
        self.report.refused[reason] += 1
        self._say_once(f"{self._image.name}: a frame is refused: {reason}")

    def goes_back(self, frame: Frame) -> bool:
        """Whether time jumps backwards at this frame, as where a recorded simulation starts anew."""
        last, self._last_stamp = self._last_stamp, frame.stamp
        if last is None or frame.stamp > last:
            return False
        if frame.stamp == last:
            self.report.standing_stamps += 1
            self._say_once(f"{self._image.name}: frames carry the stamp of the one before; tracks cannot move")
            return False
        self.report.time_jumps += 1
        self._say_once(
            f"{self._image.name}: time goes back by {(last - frame.stamp) / NANOSECONDS:.3f} s; tracks start anew"
        )
        return True

    def _frame(self, message: Message) -> Frame:
        try:
            content: Any = typestore().deserialize_cdr(message.cdr, self._image.type)
        except SerdeError as error:
            raise InputError(f"the message is damaged ({error})") from error
        if self._image.type == CompressedImage.TYPE:
            pixels = decode_compressed(content.format, content.data)
        else:
            pixels = decode_image(
                content.height, content.width, content.encoding, content.is_bigendian, content.step, content.data
            )
        stamp = content.header.stamp
        return Frame(stamp.sec * NANOSECONDS + stamp.nanosec, content.header.frame_id, pixels)

    def _first_calibration(self) -> None:
        # In many bags the first image comes a moment before the first calibration; the one holds for the other.
        if self._info is not None:
            try:
                first = next(self._bag.messages([self._info.name]), None)
            except BagError:
                return  # said when the frames are read
            if first is not None:
                self._calibrate(first)

    def _calibrate(self, message: Message) -> None:
        try:
            self._model = camera_model(typestore().deserialize_cdr(message.cdr, CameraInfo.TYPE))
        except (InputError, SerdeError) as error:
            self._model = None
            self._bad_calibration(message.topic, str(error))

    def _model_for(self, frame: Frame) -> CameraModel | None:
        model, (height, width) = self._model, frame.image.shape[:2]
        if model is None or self._info is None or (model.width, model.height) == (width, height):
            return model
        found = f"the calibration is for {model.width}x{model.height}, the image is {width}x{height}"
        self._bad_calibration(self._info.name, found)
        return None

    def _bad_calibration(self, topic: str, reason: str) -> None:
        self.report.bad_calibrations += 1
        self._say_once(f"{topic}: {reason}; semantic/camera_info is not written")

    def _say_once(self, sentence: str) -> None:
        if sentence not in self._said:
            self._said.add(sentence)
            self._say(sentence)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line of ``seg_perception run``."""
    parser.add_argument("bags", type=Path, nargs="+", metavar="BAG", help="folder, .mcap or .db3; a folder of bags")
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="OUT", help="the .mcap to write; of many bags, their folder"
    )
    parser.add_argument("--topic", help="the image topic; found where there is only one")
    parser.add_argument("--camera", help="namespace of the topics; the image topic's own")
    parser.add_argument(
        "--topics", nargs="+", default=[], metavar="NAME", help="outputs, names or patterns ('masks/*')"
    )
    parser.add_argument("--depth", metavar="TOPIC", help="depth images onto which the masks are carried")
    parser.add_argument("--points", metavar="TOPIC", help="point clouds onto which the masks are carried")
    parser.add_argument("--config", type=Path, metavar="YAML", help="a scenario: pipeline or ROS parameter file")
    parser.add_argument(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        metavar="KEY=VALUE",
        help="change it: models.semantic=espnet_camvid",
    )
    many.add_arguments(parser)


def command(arguments: argparse.Namespace) -> int:
    """Run ``seg_perception run``; returns the exit status, 1 for a damaged bag."""
    sources = find(arguments.bags)
    if len(sources) > 1 or not arguments.output.suffix:
        return _command_many(sources, arguments)
    report = run_bag(
        sources[0].path,
        arguments.output,
        scenario.load(arguments.config, arguments.set),
        topic=arguments.topic,
        camera=arguments.camera,
        outputs=arguments.topics,
        depth=arguments.depth,
        points=arguments.points,
        say=lambda sentence: tqdm.write(sentence, file=sys.stderr),
        progress=sys.stderr.isatty(),
    )
    refused = sum(report.refused.values())
    print(f"{arguments.output}: {report.written} of {report.read} frames written, {refused} refused")
    if report.projection:
        print("projection: " + ", ".join(f"{name} {count}" for name, count in sorted(report.projection.items())))
    return 1 if report.damage else 0


def _command_many(sources: Sequence[Source], arguments: argparse.Namespace) -> int:
    from seg_perception.offline.runs import jobs

    if arguments.output.suffix == ".mcap":
        raise ConfigError(f"-o {arguments.output}: {len(sources)} bags do not go into one file; expected a folder")
    refuse_within(arguments.output, arguments.bags)
    workers = many.chosen(arguments)
    config = workers.configured(scenario.load(arguments.config, arguments.set))
    todo = jobs(
        sources,
        arguments.output,
        config,
        topic=arguments.topic,
        camera=arguments.camera,
        outputs=arguments.topics,
        depth=arguments.depth,
        points=arguments.points,
    )
    outcomes = many.report(many.carry_out(todo, arguments.output, workers), len(todo), print)
    return 0 if all(outcome.whole for outcome in outcomes) else 1
