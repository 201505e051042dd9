"""``python -m tools.train.card SCORES.json``: write scores by class into docs/model_card.md.

``SCORES.json`` is what ``tools.world.score --json`` writes.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

CARD = Path(__file__).resolve().parents[2] / "docs" / "model_card.md"
COLUMNS = {
    "iou": "IoU",
    "pq": "PQ",
    "sq": "SQ",
    "rq": "RQ",
    "ap50": "AP50",
    "idf1": "IDF1",
    "id_switches": "id switches",
}
VOID = "225/500"
BEGIN, END = "<!-- quality: written by tools.train.card -->", "<!-- end of quality -->"


def main() -> None:
    """Replace what is between the card's two marks."""
    parser = argparse.ArgumentParser(prog="python -m tools.train.card", description=__doc__)
    parser.add_argument("scores", type=Path)
    parser.add_argument("card", type=Path, nargs="?", default=CARD)
    chosen = parser.parse_args()
    text, found = re.subn(
        rf"(?s){re.escape(BEGIN)}.*?{re.escape(END)}",
        lambda _: f"{BEGIN}\n{table(json.loads(chosen.scores.read_text())['void'][VOID])}\n{END}",
        chosen.card.read_text(encoding="utf-8"),
    )
    assert found == 1, f"{chosen.card}: expected one place between {BEGIN} and {END}"
    chosen.card.write_text(text, encoding="utf-8")


def table(scores: dict[str, Any]) -> str:
    """Markdown: a line per class and one for all, parts in percent."""
    rows = {**scores["classes"], f"**all, {scores['frames']} frames**": scores | {"iou": scores["miou"]}}
    lines = [f"| class | {' | '.join(COLUMNS.values())} |", "|---" * (len(COLUMNS) + 1) + "|"]
    lines += [f"| {name} | {' | '.join(shown(row.get(key)) for key in COLUMNS)} |" for name, row in rows.items()]
    return "\n".join(lines)


def shown(value: float | int | None) -> str:
    """Counts as they are, parts in percent, nothing where there is nothing to score."""
    if value is None:
        return ""
    return str(value) if isinstance(value, int) else f"{100 * value:.1f}"


if __name__ == "__main__":
    main()
