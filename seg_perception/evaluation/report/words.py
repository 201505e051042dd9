"""What the numbers are called, for people; which of them an evaluation has, in what order."""

from __future__ import annotations

from typing import Any, NamedTuple

from seg_perception.evaluation.numbers import summary
from seg_perception.evaluation.result import Against, Evaluation


class Name(NamedTuple):
    """A number's name in a table, and a sentence on what it says."""

    short: str
    long: str


NAMES = {
    "miou": Name("mIoU", "mean over classes of the intersection over union of pixels"),
    "pixel_accuracy": Name("pixels right", "part of the judged pixels that have the right class"),
    "pq": Name("PQ", "panoptic quality: segments matched, and how well"),
    "sq": Name("SQ", "segmentation quality: mean IoU of the matched segments"),
    "rq": Name("RQ", "recognition quality: F1 of finding segments"),
    "pq_things": Name("PQ things", "panoptic quality of countable classes"),
    "pq_stuff": Name("PQ stuff", "panoptic quality of the background classes"),
    "ap": Name("AP", "average precision of masks, mean over IoU 0.50 to 0.95"),
    "ap50": Name("AP50", "average precision of masks at IoU 0.50"),
    "ap75": Name("AP75", "average precision of masks at IoU 0.75"),
    "precision": Name("precision", "part of the pixels predicted as a class that are of it"),
    "recall": Name("recall", "part of a class's pixels that are predicted so"),
    "f1": Name("F1", "harmonic mean of precision and recall of pixels"),
    "boundary_iou": Name("boundary IoU", "IoU of the bands along the borders of classes"),
    "boundary_f1": Name("boundary F1", "border pixels that have one of the other side near"),
    "hota": Name("HOTA", "detection and association of tracks in one"),
    "deta": Name("DetA", "detection accuracy, a part of HOTA"),
    "assa": Name("AssA", "association accuracy, a part of HOTA"),
    "idf1": Name("IDF1", "detections explained by one lasting assignment of ids"),
    "id_switches": Name("id switches", "how often a true object goes on under another id"),
    "mota": Name("MOTA", "1 − (missed + invented + switches) / true"),
    "vpq": Name("VPQ", "panoptic quality of tubes of 1 to 4 frames"),
    "stq": Name("STQ", "segmentation and tracking quality"),
    "ece": Name("ECE", "expected calibration error: how far confidence is from being right"),
    "flicker": Name("flicker", "pixels whose true class stays and whose predicted class changes"),
    "inconsistency": Name(
        "inconsistency", "pixels that change their class while the picture moves on: no truth needed"
    ),
    "coverage": Name("coverage", "part of all pixels that have a class"),
    "streaming_miou": Name("streaming mIoU", "mIoU against the newest answer that was there at the frame's stamp"),
    "iou": Name("IoU", "intersection over union of pixels"),
}

HEADLINES = ("miou", "pq", "pixel_accuracy", "ap", "hota", "id_switches", "boundary_iou", "streaming_miou", "ece",
             "flicker", "inconsistency", "coverage")  # fmt: skip
CLASS_COLUMNS = ("iou", "precision", "recall", "f1", "boundary_iou", "boundary_f1", "pq", "sq", "rq", "ap", "ap50",
                 "hota", "idf1", "id_switches", "flicker")  # fmt: skip
TRUTHLESS = frozenset({"inconsistency", "coverage"})
"""Numbers that say nothing of a truth, with or without one."""

SUBJECT: dict[Against, str] = {
    "truth": "How good it is",
    "another model": "How far two models agree (neither is the truth)",
    "nothing": "What can be said without a truth",
}


def shown(value: float | int | None) -> str:
    """Counts as they are, parts in percent."""
    if value is None:
        return "–"
    return f"{value}" if isinstance(value, int) else f"{100 * value:.1f}"


def table(evaluation: Evaluation) -> str:
    """The numbers for a terminal, in percent: a line per class and one for all."""
    content: dict[str, Any] = summary(evaluation)
    lines = [f"{SUBJECT[evaluation.against]}, {content['frames']} frames, percent"]
    if evaluation.against != "nothing":
        columns = [c for c in CLASS_COLUMNS if any(row.get(c) is not None for row in content["classes"].values())]
        rows = {**content["classes"], "all": content | {"iou": content["miou"]}}
        width = max(map(len, rows))
        lines.append(f"{'':{width}}" + "".join(f"{NAMES[c].short:>14}" for c in columns))
        lines += [
            f"{name:{width}}" + "".join(f"{shown(row.get(c)):>14}" for c in columns) for name, row in rows.items()
        ]
    names = [name for name in HEADLINES if content.get(name) is not None]
    lines += [f"{NAMES[name].short:>16} {shown(content[name]):>6}  {NAMES[name].long}" for name in names]
    return "\n".join(lines)
