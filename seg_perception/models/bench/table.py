"""What was found as text, Markdown and JSON."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace

from seg_perception.models.bench.runs import Row, Settings

_COLUMNS: tuple[tuple[str, Callable[[Row], str]], ...] = (
    ("model", lambda r: r.model),
    ("runtime", lambda r: r.runtime if r.device == "cpu" else f"{r.runtime} ({r.device})"),
    ("precision", lambda r: r.precision),
    ("parameters, M", lambda r: _number(r.parameters, 1e6)),
    ("GMACs", lambda r: _number(r.macs, 1e9)),
    ("input", lambda r: f"{r.input[1]}x{r.input[0]}"),
    ("forward p50, ms", lambda r: f"{r.forward_p50:.1f}"),
    ("p95, ms", lambda r: f"{r.forward_p95:.1f}"),
    ("beyond it, ms", lambda r: f"{r.frame_p50 - r.forward_p50:.1f}"),
    ("frames/s", lambda r: f"{r.rate:.1f}"),
    ("to eager", lambda r: "" if r.to_eager is None else f"{r.to_eager:.1f}x"),
    ("peak, MB", lambda r: f"{r.peak:.0f}" + (f" + {r.peak_device:.0f}" if r.peak_device else "")),
    ("labels agree", lambda r: _part(r.agrees, "{:.4%}")),
    ("mIoU", lambda r: _part(r.miou, "{:.4f}")),
    ("PQ", lambda r: _part(r.pq, "{:.4f}")),
)


def _number(value: int | None, unit: float) -> str:
    return "" if value is None else f"{value / unit:.2f}"


def _part(value: float | None, form: str) -> str:
    return "" if value is None else form.format(value)


def table(rows: Sequence[Row], markdown: bool) -> str:
    """The rows as text, or as Markdown; columns without any entry are left out."""
    columns = [(title, [cell(row) for row in rows]) for title, cell in _COLUMNS]
    columns = [(title, cells) for title, cells in columns if any(cells)]
    widths = [max(map(len, (title, *cells))) for title, cells in columns]
    lines = [[title for title, _ in columns], *zip(*(cells for _, cells in columns), strict=True)]
    if markdown:
        lines.insert(1, ["-" * width for width in widths])
        return "\n".join(f"| {' | '.join(_padded(line, widths))} |" for line in lines)
    return "\n".join("  ".join(_padded(line, widths)).rstrip() for line in lines)


def _padded(cells: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [cell.ljust(width) for cell, width in zip(cells, widths, strict=True)]


def as_json(rows: Sequence[Row], notes: Sequence[str], settings: Settings) -> str:
    """All that was found, and what it depends on."""
    machine = {"machine": platform.processor() or platform.machine(), "python": platform.python_version()}
    return json.dumps(
        {
            "rows": [asdict(row) | {"rate": row.rate} for row in rows],
            "notes": list(notes),
            "settings": asdict(replace(settings, truth=None)),
            **machine,
        },
        indent=1,
        default=str,
    )
