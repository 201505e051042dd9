"""A comparison as one self-contained HTML page."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from seg_perception.errors import SegPerceptionError
from seg_perception.evaluation.comparing.changes import Change, Comparison, FrameChange, Gate
from seg_perception.evaluation.comparing.reopened import key, reopened
from seg_perception.evaluation.comparing.words import CLASS_COLUMNS, by_class, interval, shown
from seg_perception.evaluation.report.document import document
from seg_perception.evaluation.report.pictures import Look, data_uri, drawn, looks
from seg_perception.evaluation.report.words import HEADLINES, NAMES
from seg_perception.evaluation.result import Evaluation
from seg_perception.evaluation.sources import Key

Shot = Look | str
"""A frame to draw, or why it cannot be drawn."""

MORE_STYLE = """
.better { color: var(--good); font-weight: 600; } .worse { color: var(--bad); font-weight: 600; }
.unclear, .same { color: var(--muted); }
svg.interval { width: 220px; height: 16px; } .zero { stroke: var(--line); }
svg .better { fill: var(--good); stroke: var(--good); } svg .worse { fill: var(--bad); stroke: var(--bad); }
svg .unclear, svg .same { fill: var(--muted); stroke: var(--muted); }
"""


@dataclass(frozen=True)
class Run:
    """An evaluated run: ``parts``, its evaluations one by one, and the ``whole`` of them."""

    name: str
    parts: tuple[Evaluation, ...]
    whole: Evaluation

    def place(self, frame: int) -> tuple[int, int]:
        """Which of the parts a frame of the whole is in, and its position there."""
        ends = np.cumsum([len(part.frames) for part in self.parts])
        part = int(np.searchsorted(ends, frame, side="right"))
        return part, frame - int(ends[part] - len(self.parts[part].frames))


def page(runs: Sequence[Run], comparisons: Sequence[Comparison], gates: Sequence[Gate]) -> str:
    """The page for runs of which each is compared with the first."""
    title = f"{', '.join(run.name for run in runs[1:])} compared with {runs[0].name}"
    body = "\n".join(
        part
        for run, comparison in zip(runs[1:], comparisons, strict=True)
        for part in _comparison(runs[0], run, comparison, gates)
    )
    return document(title, f"<h1>{escape(title)}</h1>", f"<main>{body}</main>", style=MORE_STYLE)


def _comparison(first: Run, second: Run, comparison: Comparison, gates: Sequence[Gate]) -> Iterator[str]:
    yield (
        f"<h2>{escape(second.name)}</h2><p class=sub>{comparison.frames} frames, numbers in percent; intervals hold "
        f"the true difference with 95 % confidence (paired bootstrap, {comparison.blocks} × {comparison.unit})</p>"
    )
    failed = {gate.name for gate, _ in comparison.failed(gates)}
    notes = [f"gate {g.name} (at most {g.bound:g}) {'is broken' if g.name in failed else 'holds'}" for g in gates]
    lines = "".join(f"<li>{escape(note)}" for note in (*notes, *comparison.notes))
    yield f"<ul class=notes>{lines}</ul>" if lines else ""
    yield _headlines(comparison)
    yield _classes(comparison)
    shown_frames = (*comparison.losses, *comparison.wins)
    before = _shots(first, (frame.first for frame in shown_frames))
    after = _shots(second, (frame.second for frame in shown_frames))
    for title, frames in (("Losses", comparison.losses), ("Wins", comparison.wins)):
        if frames:
            yield f"<h3>{title}: frames whose PQ changed most, one of each block</h3>"
            yield from _figures(first, second, frames, before, after)


def _headlines(comparison: Comparison) -> str:
    changes = [comparison.changes[name] for name in HEADLINES if name in comparison.changes]
    known = [change for change in changes if not math.isnan(change.before)]
    ends = [abs(v) for c in known if not _counts(c) for v in (c.delta, c.low, c.high) if math.isfinite(v)]
    widest = max(ends, default=0.0) or 1.0
    rows = "".join(
        f"<tr><td title='{escape(NAMES[c.name].long)}'>{NAMES[c.name].short}<td>{shown(c, c.before)}<td>"
        f"{shown(c, c.after)}<td class={c.verdict}>{shown(c, c.delta, '+')}<td>{interval(c)}<td>"
        f"{'' if _counts(c) else _bar(c, widest)}"
        for c in known
    )
    head = "".join(f"<th>{word}" for word in ("", "before", "after", "change", "interval", "worse or better"))
    return f"<table class=plain><thead><tr>{head}<tbody>{rows}</table>"


def _counts(change: Change) -> bool:
    return "." not in shown(change, 0.0)


def _bar(change: Change, widest: float) -> str:
    """The interval and the change on a common scale, zero in the middle, better on the right."""
    if not math.isfinite(change.delta):
        return ""
    way = -1 if change.fall * change.delta > 0 else 1

    def x(value: float) -> float:
        return 110 + 100 * way * value / widest

    ends = [x(v) if math.isfinite(v) else x(change.delta) for v in (change.low, change.high)]
    return (
        f"<svg class=interval viewBox='0 0 220 16'><line class=zero x1=110 x2=110 y1=0 y2=16 />"
        f"<line class={change.verdict} x1={ends[0]:.1f} x2={ends[1]:.1f} y1=8 y2=8 stroke-width=3 />"
        f"<circle class={change.verdict} cx={x(change.delta):.1f} cy=8 r=4 /></svg>"
    )


def _classes(comparison: Comparison) -> str:
    rows = []
    for name, row in by_class(comparison):
        cells = "".join(
            f"<td class={c.verdict} title='{shown(c, c.before)} → {shown(c, c.after)} {interval(c)}'>"
            f"{shown(c, c.delta, '+')}"
            if c
            else "<td>"
            for c in row
        )
        rows.append(f"<tr><td>{escape(name)}{cells}")
    head = "".join(f"<th>{NAMES[column].short}" for column in CLASS_COLUMNS)
    return (
        "<h3>Change by class</h3><div class=scroll><table class=plain>"
        f"<thead><tr><th>{head}<tbody>{''.join(rows)}</table></div>"
    )


def _figures(
    first: Run, second: Run, frames: Sequence[FrameChange], before: Mapping[int, Shot], after: Mapping[int, Shot]
) -> Iterator[str]:
    whole = first.whole
    for frame in frames:
        sequence, name = whole.sequences[int(whole.frames.sequence[frame.first])], whole.frames.names[frame.first]
        caption = f"{sequence}, {name}: PQ {100 * frame.before:.1f} → {100 * frame.after:.1f}"
        shots = before[frame.first], after[frame.second]
        missing = next((shot for shot in shots if isinstance(shot, str)), None)
        if missing is not None:
            yield f"<p class=hint>{escape(caption)} (no picture: {escape(missing)})</p>"
            continue
        old, new = (shot for shot in shots if isinstance(shot, Look))
        panels = (("truth", old, old.true), (first.name, old, old.predicted), (second.name, new, new.predicted))
        images = "".join(
            f'<div><img alt="{escape(whose)}" src="{data_uri(drawn(look.picture, panoptic, whole.labels))}">'
            f"<span class=hint>{escape(whose)}</span></div>"
            for whose, look, panoptic in panels
        )
        yield f"<figure><figcaption>{escape(caption)}</figcaption><div class=panels>{images}</div></figure>"


def _shots(run: Run, frames: Iterable[int]) -> dict[int, Shot]:
    """Each of the ``frames`` of the whole run drawn from its sources, or why it cannot be; each source is read once."""
    by_part: dict[int, dict[Key, int]] = {}
    for frame in frames:
        part, place = run.place(frame)
        by_part.setdefault(part, {})[key(run.parts[part], place)] = frame
    shots: dict[int, Shot] = {}
    for part, wanted in by_part.items():
        shots |= dict.fromkeys(wanted.values(), "it is not where it was")
        try:
            for look in looks(reopened(run.parts[part]), wanted):
                shots[wanted[look.key]] = look
        except SegPerceptionError as error:
            shots |= dict.fromkeys(wanted.values(), str(error))
    return shots
