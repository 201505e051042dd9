"""Everything on a 720p frame but the networks: ours, the plain chain and a competent numpy/OpenCV chain, step by step.

    python benchmarks/chain.py [--json OUT]

Ours are the functions that the package itself runs. ``plain`` is what one writes first, with torch, torchvision,
supervision and numpy. ``numpy and OpenCV`` is what somebody writes who has measured it: bytes are resized before they
become floats, classes are compared one by one, no ``np.unique``, colours by table. Its tracker is the package
``trackers``, the quickest peer.

All three run with the malloc settings of the package's processes: none pays for fresh pages. The third makes all that
ours makes: labels, confidence (from the coarse logits) and ids. The plain one makes no confidence, which ours makes
within its time. What a step gives is checked before it is timed:

preprocess  to a grey level (torch interpolates floats, the others round to bytes first)
logits      the same labels on all but 1 in 100 000 pixels, where two classes are equal to rounding
paste       overlap of the masks (IoU): 0.999
tracker     not comparable frame by frame: see tracker.py
merge       the same segments, pixel by pixel
overlay     the same colours to a grey level, where no outline and no tag lies
fill        the same bytes

Each step is timed with all ways taking turns; the sums come from the steps done in a row, ours beside one peer at a
time.

The logits are ESPNet's for the Cityscapes frame at 1/8 of its input where the test data and onnxruntime are there, else
smooth noise. Image messages are filled as rclpy fills them; without rclpy an ``array.array`` stands in for the message,
which then costs the plain way what its list costs.
"""

from __future__ import annotations

import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import logits as logits_benchmark
import merge as merge_benchmark
import numpy as np
import paste as paste_benchmark
import preprocess as preprocess_benchmark
import torch
import tracker as tracker_benchmark
from side_by_side import DATA, ONE_THREAD, OURS, Row, options, report, timed, with_one_thread
from torchvision.models.detection.roi_heads import paste_masks_in_image

from seg_perception.fusion import FusionConfig, fuse
from seg_perception.labels import LabelSpace
from seg_perception.models.decoders import dense_logits
from seg_perception.models.geometry import views
from seg_perception.models.manifest import Manifest
from seg_perception.models.prepare import Preparer
from seg_perception.records import Header
from seg_perception.records import Image as Record
from seg_perception.rendering import OPACITY, overlay, shade
from seg_perception.ros.memory import keep_large_blocks
from seg_perception.types import PanopticMap, SemanticMap, Tracks

WIDTH, HEIGHT = 1280, 720
BOXES = (10, 50, 200)
PLAIN, COMPETENT = "plain", "numpy and OpenCV"
FONT = cv2.FONT_HERSHEY_SIMPLEX


@dataclass(frozen=True)
class Step:
    """One step of the chain, done in three ways that were checked to agree."""

    name: str
    ways: dict[str, Callable[[], Any]]
    agreement: str


def require(name: str, agrees: bool) -> None:
    if not agrees:
        raise AssertionError(f"{name}: the ways do not agree, so their times mean nothing")


def picture() -> np.ndarray:
    """A 720p RGB image: the Cityscapes frame, or smooth noise."""
    for path in (DATA / "cityscapes_frame").glob("*leftImg8bit.png"):
        return np.ascontiguousarray(cv2.resize(cv2.imread(str(path)), (WIDTH, HEIGHT))[:, :, ::-1])
    noise = np.random.default_rng(0).integers(0, 256, (90, 160, 3), np.uint8)
    return cv2.resize(noise, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)


def network_output() -> np.ndarray:
    """Logits at 1/8: ESPNet's, or smooth noise."""
    if DATA.is_dir() and find_spec("onnxruntime"):
        return next(logits_benchmark.real())[1]
    noise = np.random.default_rng(0).normal(0, 3, (19, 12, 20)).astype(np.float32)
    return np.stack([cv2.resize(plane, (160, 90), interpolation=cv2.INTER_CUBIC) for plane in noise])


def preprocess(image: np.ndarray) -> Step:
    manifest = Manifest.parse(preprocess_benchmark.CONTENT, where=__file__, folder=Path())
    prepare, (view,) = Preparer(manifest), views(manifest.input, HEIGHT, WIDTH)
    planes = np.empty((3, 360, 640), np.float32)
    std = np.float32(preprocess_benchmark.STD)
    factor, shift = 1 / (255 * std), -np.float32(preprocess_benchmark.MEAN) / std

    def ours() -> np.ndarray:
        prepare.fill(image, view, planes)
        return planes

    def competent() -> np.ndarray:
        out = np.empty((3, 360, 640), np.float32)
        for plane, channel, a, b in zip(out, cv2.split(cv2.resize(image, (640, 360))), factor, shift, strict=True):
            np.multiply(channel, a, out=plane)
            plane += b
        return out

    def plain() -> torch.Tensor:
        return preprocess_benchmark.torchs(image)

    grey_level = float(factor.max())
    require("preprocess", np.abs(ours() - competent()).max() < 1e-5)
    require("preprocess", np.abs(ours() - plain()[0].numpy()).max() < grey_level)
    return Step("preprocess", {OURS: ours, PLAIN: plain, COMPETENT: competent}, "to a grey level")


def logits(values: np.ndarray) -> Step:
    manifest = Manifest.parse(preprocess_benchmark.CONTENT, where=__file__, folder=Path())
    (view,) = views(manifest.input, HEIGHT, WIDTH)
    table = np.arange(256, dtype=np.uint8)
    tensor = torch.from_numpy(values)

    def ours() -> np.ndarray:
        labels, confidence = (np.empty((HEIGHT, WIDTH), np.uint8) for _ in range(2))
        dense_logits.decode(values, view, manifest.input.size, table, labels, confidence)
        return labels

    def plain() -> torch.Tensor:
        return logits_benchmark.torchs(tensor, (HEIGHT, WIDTH))

    def competent() -> tuple[np.ndarray, np.ndarray]:
        best, labels = cv2.resize(values[0], (WIDTH, HEIGHT)), np.zeros((HEIGHT, WIDTH), np.uint8)
        value, over = np.empty_like(best), np.empty_like(labels)
        for number, plane in enumerate(values[1:], start=1):
            cv2.resize(plane, (WIDTH, HEIGHT), dst=value)
            cv2.compare(value, best, cv2.CMP_GT, dst=over)
            over &= number
            cv2.max(labels, over, dst=labels)
            cv2.max(best, value, dst=best)
        weights = np.exp(values - values.max(axis=0))
        confidence = cv2.resize((255 / weights.sum(axis=0)).astype(np.uint8), (WIDTH, HEIGHT))
        return labels, confidence

    differing = max(float((ours() != other).mean()) for other in (plain().numpy(), competent()[0]))
    require("logits", differing <= 1e-5)
    return Step("logits", {OURS: ours, PLAIN: plain, COMPETENT: competent}, f"{differing:.1e} of the labels differ")


def paste() -> Step:
    grids, boxes = paste_benchmark.masks()
    tensors = torch.from_numpy(grids)[:, None], torch.from_numpy(boxes)

    def ours() -> Any:
        return paste_benchmark.ours(grids, boxes)

    def plain() -> torch.Tensor:
        return paste_masks_in_image(*tensors, (HEIGHT, WIDTH))[:, 0] > 0.5

    def competent() -> np.ndarray:
        full = np.zeros((len(grids), HEIGHT, WIDTH), np.bool_)
        centre, half = (
            (boxes[:, :2] + boxes[:, 2:]) / 2,
            (boxes[:, 2:] - boxes[:, :2]) / 2 * (1 + 2 / paste_benchmark.GRID),
        )
        low, high = (centre - half).astype(int), (centre + half).astype(int) + 1
        top, bottom = np.maximum(low, 0), np.minimum(high, (WIDTH, HEIGHT))
        bordered = np.pad(grids, ((0, 0), (1, 1), (1, 1)))
        for i, size in enumerate((high - low).tolist()):
            fine, ((x, y), (x0, y0), (x1, y1)) = cv2.resize(bordered[i], size), (low[i], top[i], bottom[i])
            full[i, y0:y1, x0:x1] = fine[y0 - y : y1 - y, x0 - x : x1 - x] > 0.5
        return full

    overlaps = [paste_benchmark.overlap(ours(), full) for full in (plain().numpy(), competent())]
    require("paste", min(overlaps) > 0.999)
    agreement = f"IoU {overlaps[0]:.4f} and {overlaps[1]:.4f}"
    return Step("paste", {OURS: ours, PLAIN: plain, COMPETENT: competent}, agreement)


@dataclass(frozen=True)
class Scene:
    """A semantic map and the tracks to be painted into it."""

    semantic: SemanticMap
    tracks: Tracks
    labels: LabelSpace

    @property
    def fused(self) -> PanopticMap:
        return fuse(self.semantic, self.tracks, self.labels, FusionConfig(max_overlap=merge_benchmark.OVERLAP))


def merge(scene: Scene) -> Step:
    tracks, semantic = scene.tracks, scene.semantic
    masks = merge_benchmark.full_size(tracks, (HEIGHT, WIDTH))
    stuff = merge_benchmark.stuff_only(semantic)
    tensors = torch.from_numpy(masks), torch.from_numpy(tracks.scores), torch.from_numpy(stuff)

    def plain() -> merge_benchmark.Merged:
        return merge_benchmark.torch_merge(*tensors)

    def competent() -> PanopticMap:
        labels, confidence = semantic.labels.copy(), semantic.confidence.copy()
        panoptic, claimed = semantic.labels.astype(np.int32), np.zeros((HEIGHT, WIDTH), np.bool_)
        for i in np.argsort(-tracks.scores, kind="stable"):
            free = masks[i] & ~claimed
            area, left = np.count_nonzero(masks[i]), np.count_nonzero(free)
            if left and area - left <= merge_benchmark.OVERLAP * area:
                labels[free] = tracks.labels[i]
                confidence[free] = round(tracks.scores[i] * 255)
                panoptic[free] = int(tracks.track_ids[i]) << 16 | int(tracks.labels[i])
                claimed |= free
        return PanopticMap(labels, confidence, panoptic)

    merge_benchmark.check_equal(scene.fused, plain(), tracks, semantic, scene.labels)
    for name in ("semantic", "confidence", "panoptic"):
        require("merge", np.array_equal(getattr(scene.fused, name), getattr(competent(), name)))
    return Step("merge", {OURS: lambda: scene.fused, PLAIN: plain, COMPETENT: competent}, "equal")


def draw(image: np.ndarray, scene: Scene, outlines: list[list[np.ndarray]]) -> np.ndarray:
    """Outlines and tags in the way of OpenCV's tutorials, the same in both peers."""
    for i, lines in enumerate(outlines):
        name, track_id = scene.labels.classes[scene.tracks.labels[i]].name, int(scene.tracks.track_ids[i])
        colour = shade(scene.labels.classes[scene.tracks.labels[i]].colour, track_id)
        cv2.polylines(image, lines, True, (255, 255, 255), 1, cv2.LINE_AA)
        tag, (x, y) = f"{name} #{track_id} {scene.tracks.scores[i]:.2f}", scene.tracks.boxes[i, :2].astype(int).tolist()
        (width, height), below = cv2.getTextSize(tag, FONT, 0.5, 1)
        cv2.rectangle(image, (x, y - height - below), (x + width, y), colour, cv2.FILLED)
        cv2.putText(image, tag, (x, y - below), FONT, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
    return image


def contours(mask: np.ndarray) -> list[np.ndarray]:
    return list(cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[0])


def draw_overlay(image: np.ndarray, scene: Scene) -> Step:
    panoptic, tracks, labels = scene.fused, scene.tracks, scene.labels
    ids = tracks.track_ids.tolist()

    def plain() -> np.ndarray:
        colours = labels.colours[panoptic.semantic]
        outlines = []
        for track_id, label in zip(ids, tracks.labels.tolist(), strict=True):
            mask = panoptic.panoptic >> 16 == track_id
            colours[mask] = shade(labels.classes[label].colour, track_id)
            outlines.append(contours(mask))
        blended = ((1 - OPACITY) * image + OPACITY * colours).round().astype(np.uint8)
        return draw(blended, scene, outlines)

    def competent() -> np.ndarray:
        index, palette = panoptic.semantic.copy(), labels.colours.copy()
        outlines = []
        for i, (track_id, label) in enumerate(zip(ids, tracks.labels.tolist(), strict=True)):
            mask = panoptic.panoptic == (track_id << 16 | label)
            palette[len(labels) + i] = shade(labels.classes[label].colour, track_id)
            index[mask] = len(labels) + i
            outlines.append(contours(mask))
        colours = cv2.LUT(cv2.merge([index] * 3), palette[None])
        return draw(cv2.addWeighted(image, 1 - OPACITY, colours, OPACITY, 0), scene, outlines)

    def ours() -> np.ndarray:
        return overlay(image, panoptic, tracks, labels)

    free = np.ones((HEIGHT, WIDTH), np.bool_)
    for x0, y0, x1, y1 in tracks.boxes.astype(int).tolist():
        free[max(y0 - 40, 0) : y1 + 40, max(x0 - 10, 0) : max(x1 + 10, x0 + 240)] = False
    for other in (plain(), competent()):
        require("overlay", np.abs(ours()[free].astype(int) - other[free]).max() <= 1)
    agreement = f"to a grey level on the {free.mean():.0%} without outlines and tags"
    return Step("overlay", {OURS: ours, PLAIN: plain, COMPETENT: competent}, agreement)


class Message:
    """Stands in for sensor_msgs/Image where rclpy is absent: an assigned value becomes an ``array.array``."""

    def __init__(self, **fields: Any) -> None:
        self._data = array.array("B")

    @property
    def data(self) -> array.array[int]:
        return self._data

    @data.setter
    def data(self, value: Any) -> None:
        self._data = array.array("B", value)


def fill(scene: Scene) -> Step:
    fused = scene.fused
    pictures = (("mono8", fused.semantic), ("32SC1", fused.panoptic))
    real = find_spec("rclpy") is not None
    if real:
        from sensor_msgs.msg import Image as Empty

        from seg_perception.ros.messages import to_message
    else:
        Empty = Message  # noqa: N806 - a class either way

        def to_message(record: Record) -> Message:
            message = Message()
            message.data.frombytes(record.data.data)
            return message

    def ours() -> list[Any]:
        return [to_message(Record.of(Header.of(1, "camera"), encoding, pixels)) for encoding, pixels in pictures]

    def filled(put: Callable[[Any, np.ndarray], None]) -> list[Any]:
        messages = []
        for encoding, pixels in pictures:
            messages.append(Empty(height=HEIGHT, width=WIDTH, encoding=encoding, step=pixels.strides[0]))
            put(messages[-1], pixels)
        return messages

    def assigned(message: Any, pixels: np.ndarray) -> None:
        message.data = pixels.view(np.uint8).reshape(-1).tolist()

    ways = {
        OURS: ours,
        PLAIN: lambda: filled(assigned),
        COMPETENT: lambda: filled(lambda message, pixels: message.data.frombytes(pixels.tobytes())),
    }
    for name, way in ways.items():
        for message, (_, pixels) in zip(way(), pictures, strict=True):
            require(f"fill, {name}", bytes(message.data) == pixels.tobytes())
    return Step("fill" if real else "fill (array.array)", ways, "equal")


def tracker_row(boxes: int) -> Row:
    """The three trackers scene by scene; the best scene's median frame, as in tracker.py."""
    known = tracker_benchmark.ways()
    names = {OURS: OURS, PLAIN: "supervision ByteTrack", COMPETENT: "trackers ByteTrackTracker"}
    scenes = [tracker_benchmark.scene(boxes, tracker_benchmark.FIRST_SEED + i) for i in range(3)]
    ms = {way: min(tracker_benchmark.run(known[name], looks)[0] for looks in scenes) for way, name in names.items()}
    # They run in the interpreter's own thread: no need to time them once more.
    both = {n: ms[name] for name in (PLAIN, COMPETENT) for n in (name, name + ONE_THREAD)}
    return {"case": f"tracker, {boxes} boxes", "ms": {OURS: ms[OURS], **both}, "agreement": "ids: see tracker.py"}


def steps() -> Iterator[Step]:
    image = picture()
    scene = Scene(*merge_benchmark.scene(WIDTH, HEIGHT, 8), merge_benchmark.label_space())
    yield preprocess(image)
    yield logits(network_output())
    yield paste()
    yield merge(scene)
    yield draw_overlay(image, scene)
    yield fill(scene)


def main() -> None:
    arguments = options(__doc__, runs=11)
    keep_large_blocks()  # as the package's processes do; all three gain by it
    trackers = [tracker_row(boxes) for boxes in BOXES]
    everything = list(steps())
    core = [step for step in everything if step.name != "overlay"]
    together = {peer: in_a_row(core, peer, arguments.runs) for peer in (COMPETENT, PLAIN)}
    rows: list[Row] = []
    for step in everything:
        ms = timed({OURS: step.ways[OURS], **both_threads(step.ways, PLAIN, COMPETENT)}, arguments.runs)
        rows.append({"case": step.name, "ms": ms, "agreement": step.agreement})
    overlays = [row for row in rows if row["case"] == "overlay"]
    busy = zip(BOXES, trackers, strict=True)
    whole = [(f"one frame with {boxes} boxes and an overlay", [row, *overlays]) for boxes, row in busy]
    whole.append(("every core step once, trackers at 10, 50 and 200 boxes", trackers))
    sums = [summed(case, peer, [row, *more]) for peer, row in together.items() for case, more in whole]
    report("the steps of one 720p frame", [*trackers, *rows, *together.values(), *sums], arguments.json)
    for row in sums:
        ours, *others = row["ms"].values()
        print(f"{row['case']}: {min(others) / ours:.1f} x {row['beside']} at its better number of threads")


def both_threads(ways: dict[str, Callable[[], Any]], *peers: str) -> dict[str, Callable[[], Any]]:
    """These peers with many threads and with one."""
    return with_one_thread({peer: ways[peer] for peer in peers})


def in_a_row(chain: list[Step], peer: str, runs: int) -> Row:
    """The steps one after the other, as on a robot: each way works with the caches as its own steps leave them, and
    beside one peer alone: torch's idle threads spin a while on the cores of what comes next.
    """
    ways = {name: partial(run, [step.ways[name] for step in chain]) for name in (OURS, peer)}
    case = f"{', '.join(step.name for step in chain)} in a row"
    return {"case": case, "beside": peer, "ms": timed({OURS: ways[OURS], **both_threads(ways, peer)}, runs)}


def run(calls: list[Callable[[], Any]]) -> None:
    for call in calls:
        call()


def summed(case: str, peer: str, rows: list[Row]) -> Row:
    """The rows' milliseconds, ours and this peer's, added up."""
    names = (OURS, peer, peer + ONE_THREAD)
    return {"case": case, "beside": peer, "ms": {name: sum(row["ms"][name] for row in rows) for name in names}}


if __name__ == "__main__":
    main()
