"""What a report says of the numbers alone, of one run or of many bags together: no pictures, no order of frames."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from seg_perception.evaluation.confusion import taken_for
from seg_perception.evaluation.numbers import confusion_matrix
from seg_perception.evaluation.report import charts
from seg_perception.evaluation.report.document import Section
from seg_perception.evaluation.report.tables import classes, distances, groups, sizes
from seg_perception.evaluation.report.words import HEADLINES, NAMES, TRUTHLESS, shown
from seg_perception.evaluation.result import Evaluation


def facts(evaluation: Evaluation) -> list[str]:
    """How much was judged, in which label space, of which models."""
    models = ", ".join(str(m.get("model", "?")) for m in evaluation.about["prediction"]["run"].get("models", ()))
    return [
        f"{len(evaluation.frames)} frames",
        f"label space '{evaluation.labels.name}', {len(evaluation.labels)} classes",
        *([f"models: {models}"] if models else []),
    ]


def notes(evaluation: Evaluation) -> str:
    """What a reader has to know before the numbers."""
    listed = "".join(f"<li>{escape(note)}</li>" for note in evaluation.about["notes"])
    return f"<ul class=notes>{listed}</ul>" if listed else ""


def headlines(evaluation: Evaluation, numbers: Mapping[str, Any]) -> list[str]:
    """The names of the numbers that stand above all others, of those that are known."""
    held = evaluation.against != "nothing"
    return [name for name in HEADLINES if numbers.get(name) is not None and (held or name in TRUTHLESS)]


def tiles(evaluation: Evaluation, numbers: Mapping[str, Any]) -> str:
    """The headline numbers."""
    drawn = "".join(_tile(name, numbers) for name in headlines(evaluation, numbers)) + _latency_tile(evaluation)
    return f'<div class="tiles">{drawn}</div>'


def standing(evaluation: Evaluation, numbers: Mapping[str, Any]) -> list[Section]:
    """The sections of classes, groups, sizes and distances, confusion, precision and recall, and confidence."""
    held = evaluation.against != "nothing"
    parts = groups(numbers) + sizes(numbers) + distances(numbers) if held else ""
    return [
        Section("classes", "Classes", "Percent, but for id switches. A click on a head sorts.",
                classes(evaluation, numbers)),
        Section("groups", "Groups, sizes, distances", "", parts),
        Section("confusion", "What is taken for what",
                "Rows are the truth and sum to 100 percent; green is right, red is wrong. The pointer tells each cell.",
                _confusion(evaluation) if held else ""),
        Section("precision", "Precision and recall", "", _precision(evaluation) if held else ""),
        Section("calibration", "Confidence", "Is it as often right as it says?" if held else "",
                _confidence(evaluation, held)),
    ]  # fmt: skip


def _tile(name: str, numbers: Mapping[str, Any]) -> str:
    value = numbers[name]
    unit = "" if isinstance(value, int) else " <small>%</small>"
    more = ""
    if name == "pq":
        parts = [(n, numbers[n]) for n in ("pq_things", "pq_stuff") if numbers.get(n) is not None]
        more = " " + ", ".join(f"{NAMES[n].short} {shown(v)}" for n, v in parts) + "."
    said = f"<span>{NAMES[name].short}</span><em>{NAMES[name].long}.{more}</em>"
    return f"<div class=tile><b>{shown(value)}{unit}</b>{said}</div>"


def _latency_tile(evaluation: Evaluation) -> str:
    told = evaluation.about.get("timing", {}).get("latency")
    if not told:
        return ""
    p50, p95 = 1000 * told["p50"], 1000 * told["p95"]
    more = f"95 % within {p95:.1f} ms; " if p95 > p50 else ""
    return (
        f"<div class=tile><b>{p50:.1f} <small>ms</small></b><span>latency, median</span><em>{more}"
        f"{escape(str(told['from']))}.</em></div>"
    )


def _confusion(evaluation: Evaluation) -> str:
    names = [c.name for c in evaluation.labels.classes]
    drawn, worst = charts.confusion(evaluation), taken_for(confusion_matrix(evaluation), names, 12)
    items = "".join(f"<li>{100 * part:.1f} % of {escape(a)} taken for {escape(b)}</li>" for a, b, part in worst)
    listed = f"<div><h3>Most often taken for something else</h3><ol>{items}</ol></div>" if worst else ""
    return f'<div class="beside">{drawn}{listed}</div>' if drawn else ""


def _precision(evaluation: Evaluation) -> str:
    drawn = [
        ("Pixels of each class", charts.pixel_precision_recall(evaluation)),
        ("Things ranked by score, at IoU 0.5", charts.precision_recall_curves(evaluation)),
    ]
    parts = "".join(f"<div><h3>{title}</h3>{content}</div>" for title, content in drawn if content)
    return f'<div class="pair">{parts}</div>' if parts else ""


def _confidence(evaluation: Evaluation, held: bool) -> str:
    drawn = charts.reliability(evaluation) if held else ""
    stated = charts.stated_confidence(evaluation)
    return drawn + (f"<h3>Stated confidence by class</h3>{stated}" if stated and not held else "")
