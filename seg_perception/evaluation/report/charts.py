"""The charts of a report, from an evaluation; each is a piece of HTML, empty where there is nothing to show."""

from __future__ import annotations

import colorsys
from html import escape

import numpy as np

from seg_perception.evaluation.average_precision import RECALLS
from seg_perception.evaluation.counts import weighted
from seg_perception.evaluation.numbers import confusion_matrix, per_frame
from seg_perception.evaluation.report.svg import Axis, Line, Span, bars, chart, legend, matrix, rows, scatter
from seg_perception.evaluation.result import Evaluation
from seg_perception.types import Float64Array, Int64Array

MOST_TRACKS = 60
MOST_CURVES = 8
BINS = 15


def colour(evaluation: Evaluation, label: int) -> str:
    """The class's colour as ``#rrggbb``."""
    return "#{:02x}{:02x}{:02x}".format(*evaluation.labels.classes[label].colour)


def seconds(evaluation: Evaluation) -> Float64Array:
    """``(F,)`` time from the first frame; for images that are no video, their number."""
    stamps = evaluation.frames.stamps
    return (stamps - stamps[0]) / 1e9 if evaluation.video else np.arange(len(stamps), dtype=np.float64)


def over_time(evaluation: Evaluation) -> str:
    """mIoU and PQ frame by frame."""
    values, at = per_frame(evaluation), seconds(evaluation)
    lines = [
        Line(name, at, values[key], kind)
        for name, key, kind in (("mIoU", "miou", "c0"), ("PQ", "pq", "c1"))
        if not np.isnan(values[key]).all()
    ]
    if not lines or len(at) < 2:
        return ""
    axis = Axis("seconds" if evaluation.video else "frame", 0.0, float(at[-1]))
    drawn = chart(lines, axis, Axis("percent, of a frame", 0.0, 1.0, "%"), width=900)
    return f'<div class="legend">{legend([(line.name, line.kind) for line in lines])}</div>{drawn}'


def consistency(evaluation: Evaluation) -> str:
    """Part of the pixels that changed their class though the picture only moved, frame by frame."""
    table, at = evaluation.frames.consistency, seconds(evaluation)
    total = table.compared.sum(-1)
    if not total.any():
        return ""
    part = np.where(total > 0, table.changed.sum(-1) / np.maximum(total, 1), np.nan)
    top = max(0.02, float(np.nanmax(part)) * 1.1)
    axis = Axis("seconds" if evaluation.video else "frame", 0.0, float(at[-1]))
    return chart([Line("inconsistency", at, part, "c2")], axis, Axis("percent", 0.0, top, "%"), width=900)


def confusion(evaluation: Evaluation) -> str:
    """The confusion matrix of the classes that occur, rows summing to 1."""
    judged = confusion_matrix(evaluation).judged
    there = np.flatnonzero((judged.sum(1) + judged[:, :-1].sum(0)) > 0)
    if not len(there):
        return ""
    names = [evaluation.labels.classes[i].name for i in there]
    last = [judged.shape[1] - 1] if judged[:, -1].any() else []
    part = judged[np.ix_(there, [*there, *last])] / np.maximum(judged[there].sum(1, keepdims=True), 1)
    columns = [*names, *(["unlabelled"] if last else [])]
    return f'<div class="scroll">{matrix(part, names, columns)}</div>'


def pixel_precision_recall(evaluation: Evaluation) -> str:
    """Every class as a point; the larger, the more of it there is."""
    pixels = weighted(evaluation.frames.pixels, np.ones(len(evaluation.frames)))
    precision, recall = pixels.precision, pixels.recall
    there = np.flatnonzero(~np.isnan(precision) & ~np.isnan(recall))
    if not len(there):
        return ""
    part = pixels.true / max(int(pixels.true.sum()), 1)
    order = there[np.argsort(-part[there], kind="stable")]
    points = [
        (float(recall[i]), float(precision[i]), 4 + 14 * float(part[i]) ** 0.5, evaluation.labels.classes[i].name,
         colour(evaluation, i))
        for i in order.tolist()
    ]  # fmt: skip
    return scatter(points, Axis("recall, percent", 0.0, 1.0, "%"), Axis("precision, percent", 0.0, 1.0, "%"))


def precision_recall_curves(evaluation: Evaluation) -> str:
    """Instances ranked by score, at IoU 0.5; the classes with the most true objects."""
    precision = evaluation.precision()
    if precision is None or not precision.wanted.any():
        return ""
    curves: dict[int, Float64Array] = {}
    for label in np.flatnonzero(precision.wanted).tolist():
        mine = np.flatnonzero(precision.classes == label)
        mine = mine[np.argsort(-precision.scores[mine], kind="stable")]
        right = precision.right[mine, 0][~precision.ignored[mine, 0]]
        hits = np.cumsum(right)
        best = np.maximum.accumulate((hits / np.arange(1, len(hits) + 1))[::-1])[::-1]
        reached = np.searchsorted(hits / precision.wanted[label], RECALLS)
        curves[label] = np.append(best, 0.0)[reached]
    shown = sorted(curves, key=lambda label: -int(precision.wanted[label]))[:MOST_CURVES]
    lines, names = list[Line](), list[tuple[str, str]]()
    if len(curves) > 1:
        lines.append(Line("mean of all", RECALLS, np.mean(list(curves.values()), axis=0), "mean"))
        names.append((f"mean of {len(curves)}", "mean"))
    for k, label in enumerate(shown):
        name = evaluation.labels.classes[label].name
        lines.append(Line(name, RECALLS, curves[label], f"c{k}"))
        names.append((f"{name} ({int(precision.wanted[label])})", f"c{k}"))
    drawn = chart(lines[::-1], Axis("recall, percent", 0, 1, "%"), Axis("precision, percent", 0, 1, "%"), height=300)
    return f'<div class="legend">{legend(names)}</div>{drawn}'


def reliability(evaluation: Evaluation) -> str:
    """Accuracy over stated confidence, and how many pixels state it."""
    table = weighted(evaluation.frames.calibration, np.ones(len(evaluation.frames)))
    right, total, stated = table.binned(BINS)
    if not total.any():
        return ""
    there = total > 0
    at, accuracy = stated[there] / total[there], right[there] / total[there]
    share = total / total.sum()
    edges = np.linspace(0, 1, BINS + 1)
    ideal = np.array([0.0, 1.0])
    lines = [Line("perfect", ideal, ideal, "ideal"), Line("measured", at, accuracy, "c0", True)]
    axes = Axis("stated confidence, percent", 0, 1, "%"), Axis("right, percent", 0, 1, "%")
    drawn = chart(lines, *axes, height=300, width=420)
    share_axis = Axis("stated confidence (1 is sure)", 0.0, 1.0)
    keys = legend([("measured", "c0"), ("perfect: as often right as it says", "ideal")])
    histogram = bars(edges, 100 * share, share_axis, "percent of pixels")
    return f'<div class="pair"><div><div class="legend">{keys}</div>{drawn}</div><div>{histogram}</div></div>'


def stated_confidence(evaluation: Evaluation) -> str:
    """Mean confidence of each class, most sure first."""
    table = weighted(evaluation.frames.coverage, np.ones(len(evaluation.frames)))
    pixels, stated = table.pixels[:-1], table.confidence[:-1]
    there = np.flatnonzero((pixels > 0) & (stated > 0))
    if not len(there):
        return ""
    mean = stated[there] / pixels[there] / 255
    order = np.argsort(-mean, kind="stable")
    named = [
        (evaluation.labels.classes[there[i]].name,
         [Span(0.0, 100 * float(mean[i]), colour(evaluation, int(there[i])), f"{100 * mean[i]:.1f} %")])
        for i in order
    ]  # fmt: skip
    return rows(named, Axis("mean stated confidence, percent", 0.0, 100.0))


def latency(evaluation: Evaluation) -> str:
    """Histogram and timeline of the latency."""
    values = 1000 * evaluation.frames.latency
    known = values[~np.isnan(values)]
    if not len(known):
        return ""
    top = float(known.max())
    if np.ptp(known) < 1e-9:
        return f"<p>Every frame is taken to last {known[0]:.1f} ms ({escape(str(_source(evaluation)))}).</p>"
    counts, edges = np.histogram(known, bins=min(40, max(8, len(known) // 4)), range=(0, top))
    p50, p95, p99 = np.percentile(known, (50, 95, 99))
    source = escape(str(_source(evaluation)))
    said = f"<p>Median {p50:.1f} ms, 95 % within {p95:.1f} ms, 99 % within {p99:.1f} ms ({source}).</p>"
    at = seconds(evaluation)
    line = chart([Line("latency", at, values, "c0")], Axis("seconds", 0.0, float(at[-1])), Axis("ms", 0.0, top * 1.05))
    histogram = bars(edges, counts.astype(np.float64), Axis("latency, ms", 0.0, top), "frames")
    return f'{said}<div class="pair"><div>{histogram}</div><div>{line}</div></div>'


def _source(evaluation: Evaluation) -> object:
    return evaluation.about.get("timing", {}).get("latency", {}).get("from", "unknown")


def tracks(evaluation: Evaluation) -> str:
    """When each true object was there, and under which id it was found; the longest first."""
    if not evaluation.video:
        return ""
    segments, labels = evaluation.segments, evaluation.labels
    mine = labels.things[segments.classes] & (segments.truth >> 16 > 0)
    objects, lengths = np.unique(segments.truth[mine], return_counts=True)
    order = objects[np.argsort(-lengths, kind="stable")][:MOST_TRACKS]
    at, step = seconds(evaluation), _step(evaluation)
    named = []
    for number in sorted(order.tolist(), key=lambda n: (n & 0xFFFF, n)):
        chosen = np.flatnonzero(mine & (segments.truth == number))
        name = labels.classes[number & 0xFFFF].name
        spans = _runs(at[segments.frame[chosen]], segments.predicted[chosen] >> 16, step)
        named.append((f"{name} {number >> 16}", spans))
    if not named:
        return _answer_tracks(evaluation)
    left_out = f" The {MOST_TRACKS} longest of {len(objects)}." if len(objects) > MOST_TRACKS else ""
    keys = legend([("there, not found", "missed")])
    words = "A row is a true object; a colour is the id it was found under, so a change of colour is a switch."
    return f'<p class="hint">{words}{left_out} {keys}</p>' + rows(
        named, Axis("seconds", float(at[0]), float(at[-1]) + step)
    )


def _answer_tracks(evaluation: Evaluation) -> str:
    """When each predicted track was painted, where no true objects are known."""
    overlaps, labels = evaluation.overlaps, evaluation.labels
    mine = overlaps.predicted >> 16 > 0
    objects, counts = np.unique(overlaps.predicted[mine], return_counts=True)
    at, step = seconds(evaluation), _step(evaluation)
    named = []
    for number in sorted(objects[np.argsort(-counts, kind="stable")][:MOST_TRACKS].tolist()):
        frames = np.unique(overlaps.frame[mine & (overlaps.predicted == number)])
        label = labels.classes[number & 0xFFFF]
        spans = _runs(at[frames], np.full(len(frames), number >> 16), step)
        named.append((f"{label.name} #{number >> 16}", spans))
    if not named:
        return ""
    words = f'<p class="hint">A row is an id that was given; {len(objects)} in all.</p>'
    return words + rows(named, Axis("seconds", float(at[0]), float(at[-1]) + step))


def _step(evaluation: Evaluation) -> float:
    steps = np.diff(seconds(evaluation))
    return float(np.median(steps[steps > 0])) if (steps > 0).any() else 1.0


def _runs(at: Float64Array, ids: Int64Array, step: float) -> list[Span]:
    """Stretches of one id without a gap; -1 is missed."""
    order = np.argsort(at, kind="stable")
    at, ids = at[order], ids[order]
    cuts = np.flatnonzero((np.diff(ids) != 0) | (np.diff(at) > 1.5 * step)) + 1
    spans = []
    for part in np.split(np.arange(len(at)), cuts):
        start, end, number = float(at[part[0]]), float(at[part[-1]]) + step, int(ids[part[0]])
        if number < 0:
            spans.append(Span(start, end, "missed", f"not found, {start:.2f} to {end:.2f} s"))
        else:
            spans.append(Span(start, end, _id_colour(number), f"id {number}, {start:.2f} to {end:.2f} s"))
    return spans


def _id_colour(number: int) -> str:
    # Ids must differ at a glance, whatever the class: the golden ratio sends each to another place of the wheel.
    red, green, blue = colorsys.hls_to_rgb((number * 0.61803398875) % 1.0, 0.52, 0.62)
    return f"#{round(255 * red):02x}{round(255 * green):02x}{round(255 * blue):02x}"
