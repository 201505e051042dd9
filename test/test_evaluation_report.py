"""The report: whole, without anything from outside, and alive in a browser."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rosbags", reason="the sources need rosbags")
pytest.importorskip("mcap", reason="the bag needs mcap")

from seg_perception import cli, records
from seg_perception.evaluation.evaluating import Request, Side, evaluate
from seg_perception.evaluation.report.frames import FILM_BYTES, _film
from seg_perception.evaluation.report.page import page
from seg_perception.evaluation.report.svg import Axis, Line, chart, matrix, scatter, ticks
from seg_perception.evaluation.result import Evaluation
from seg_perception.interfaces import serialised
from seg_perception.labels import LabelSpace
from seg_perception.offline.writer import BagWriter, qos

SPACE = LabelSpace.load("navigation")
ROAD, SKY, PERSON = (SPACE.id(name) for name in ("road", "sky", "person"))
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
EMPTY = {"meta", "link", "img", "input", "br"}


class Tags(HTMLParser):
    """Refuses elements that are not closed, and collects what attributes point to."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "action", "data")]
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def image(stamp: int, encoding: str, pixels: np.ndarray) -> bytes:
    message = records.Image.of(records.Header.of(stamp, "camera"), encoding, pixels)
    return serialised(message.TYPE, message)


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve frames of a person who walks; picture, truth, and an answer under two ids with its confidence."""
    path = tmp_path_factory.mktemp("bags") / "<walk>.mcap"
    topics = ("/cam/image_raw", "/cam/panoptic/image_raw", "/cam/semantic/confidence", "/truth/panoptic")
    rng = np.random.default_rng(0)
    with BagWriter(path) as writer:
        for topic in topics:
            writer.add_topic(topic, records.Image.TYPE, [qos()])
        for k in range(12):
            stamp = 10**18 + k * 10**8
            truth = np.full((90, 160), ROAD, np.int32)
            truth[:30] = SKY
            truth[20:70, 10 + 8 * k : 30 + 8 * k] = 1 << 16 | PERSON
            answer = np.where(truth > 0xFFFF, (7 if k < 6 else 8) << 16 | PERSON, np.roll(truth & 0xFFFF, 2, 0))
            picture = np.repeat((truth & 0xFF).astype(np.uint8)[..., None] * 10 + 60, 3, 2)
            confidence = rng.integers(100, 256, truth.shape, dtype=np.uint8)
            pictures = ("rgb8", picture), ("32SC1", answer), ("mono8", confidence), ("32SC1", truth)
            for topic, (encoding, pixels) in zip(topics, pictures, strict=True):
                writer.write(topic, image(stamp, encoding, pixels), stamp + (10**7 if "panoptic" in topic else 0))
    return path


@pytest.fixture(scope="module")
def written(bag: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the command writes of it."""
    out = tmp_path_factory.mktemp("out")
    words = ["evaluate", str(bag), str(bag), "--labels", "navigation", "--latency", "40", "-o", str(out)]
    assert cli.main(words) == 0
    return out


def read(text: str) -> Tags:
    tags = Tags()
    tags.feed(text)
    assert tags.open == []
    return tags


def test_the_command_writes_page_numbers_and_counts(written: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sorted(path.name for path in written.iterdir()) == ["evaluation.json", "evaluation.npz", "report.html"]
    content = json.loads((written / "evaluation.json").read_text())
    assert content["against"] == "truth"
    assert content["summary"]["frames"] == 12
    assert content["summary"]["id_switches"] == 1
    assert content["summary"]["pq_things"] == pytest.approx(1.0)
    assert len(Evaluation.load(written).frames) == 12


@pytest.mark.parametrize(
    "wrong", ["--latency=nan", "--latency=-5", "--max-offset=nan", "--max-offset=-1", "--min-thing=-4"]
)
def test_a_number_that_makes_no_sense_is_refused(
    wrong: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert (
        cli.main(["evaluate", str(tmp_path / "a.mcap"), str(tmp_path / "b.mcap"), "-o", str(out), wrong]) == cli.REFUSED
    )
    assert f"{wrong.partition('=')[0]} " in capsys.readouterr().err
    assert not out.exists()


def test_nothing_points_outside(written: Path) -> None:
    text = (written / "report.html").read_text()
    tags = read(text)
    assert tags.addresses
    assert all(address.startswith(("data:", "#")) for address in tags.addresses)
    assert not re.search(r"https?://|url\(|@import", text.replace("http-equiv", ""))
    assert "&lt;walk&gt;.mcap" in text


def test_the_page_has_every_section(written: Path) -> None:
    text = (written / "report.html").read_text()
    sections = re.findall(r'<section id="(\w+)"', text)
    assert sections == ["time", "film", "classes", "groups", "confusion", "precision", "calibration", "consistency",
                        "latency", "ids", "worst", "made"]  # fmt: skip
    for what in ("id 7,", "id 8,", "mean over classes", "Every frame is taken to last 40.0 ms", "missed", "invented"):
        assert what in text, what


def test_without_a_truth_nothing_is_called_right(bag: Path) -> None:
    evaluated = evaluate(Request(Side(bag, labels="navigation")))
    text = page(evaluated)
    tags = read(text)
    said = " ".join(tags.texts[: tags.texts.index("Film") if "Film" in tags.texts else None])
    assert "What can be said without a truth" in text
    assert not re.search(r"\b(mIoU|PQ|AP|HOTA|pixels right)\b", said)
    assert evaluated.evaluation.against == "nothing"
    assert 'id="consistency"' in text
    assert 'id="confusion"' not in text


def test_another_model_is_no_truth(bag: Path) -> None:
    evaluated = evaluate(Request(Side(bag, labels="navigation"), other=Side(bag, labels="navigation")))
    assert evaluated.evaluation.against == "another model"
    text = page(evaluated)
    assert "How far two models agree (neither is the truth)" in text
    assert "other model" in text


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium, chromium-browser or google-chrome is installed")
def test_it_lives_in_a_browser(written: Path, tmp_path: Path) -> None:
    assert CHROMIUM is not None
    words = [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
             f"--user-data-dir={tmp_path}", "--enable-logging=stderr", "--virtual-time-budget=3000", "--dump-dom",
             (written / "report.html").as_uri()]  # fmt: skip
    done = subprocess.run(words, capture_output=True, text=True, timeout=240, check=True)
    # The policy in the page makes every request outside, and the console every fault of the script, a line in the log.
    assert not [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    assert re.search(r"<output>1 of 12, 0.00 s, mIoU \d+\.\d", done.stdout)
    assert re.search(r'<div class="film"><img alt="overlay" src="data:image/jpeg;base64,', done.stdout)


def test_a_long_film_is_thinned_until_the_page_can_be_mailed() -> None:
    frames = [{"at": k / 10, "picture": "x" * 10**6, "said": str(k)} for k in range(30)]
    drawn = _film(frames, True)
    assert 4e6 < len(drawn) < FILM_BYTES + 1e5
    kept = json.loads(re.findall(r"json\">(.*)</script>", drawn)[0])
    assert [frame["said"] for frame in kept] == [str(k) for k in range(0, 30, 4)]
    assert kept[0]["lasts"] == pytest.approx(0.4)


@pytest.mark.parametrize("classes", [3, 133])
def test_every_name_that_is_written_is_apart_from_the_others(classes: int) -> None:
    rng = np.random.default_rng(classes)
    points = [(float(a), float(b), 5.0, f"class {i}", "#808080") for i, (a, b) in enumerate(rng.random((classes, 2)))]
    drawn = scatter(points, Axis("recall", 0, 1, "%"), Axis("precision", 0, 1, "%"))
    assert drawn.count("<circle") == classes
    written = re.findall(r'class="name" x="([\d.]+)" y="([\d.]+)"[^>]*>([^<]+)<', drawn)
    assert len(written) >= min(classes, 30)
    worst = min(points, key=lambda point: point[0] + point[1])
    assert worst[3] in {name for _, _, name in written}
    places = [(float(x), float(y)) for x, y, _ in written]
    assert all(abs(a[1] - b[1]) > 8 or abs(a[0] - b[0]) > 40 for i, a in enumerate(places) for b in places[:i])


@pytest.mark.parametrize("classes", [3, 133])
def test_a_confusion_matrix_has_a_name_for_every_row(classes: int) -> None:
    names = [f"class {i}" for i in range(classes)]
    drawn = matrix(np.eye(classes), names, names)
    assert drawn.count("<text") == 2 * classes + (classes if classes <= 24 else 0)
    assert drawn.count('class="right"') == classes
    assert min(map(float, re.findall(r'font-size="(\d+)"', drawn))) >= 9


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (0.0, 11.9), (3.0, 3.0), (0.0, 1e6), (-0.2, 0.3)])
def test_ticks_are_few_and_inside(low: float, high: float) -> None:
    found = ticks(low, high)
    assert 1 <= len(found) <= 7
    assert all(low - 1e-9 <= value <= high + 1e-9 for value in found)
    assert not any(str(value).startswith("-0.0") for value in found)


def test_a_gap_breaks_a_line() -> None:
    x = np.arange(6.0)
    y = np.array([1.0, 2.0, np.nan, 3.0, 4.0, 5.0])
    assert chart([Line("a", x, y, "c0")], Axis("x", 0, 5), Axis("y", 0, 5)).count("<polyline") == 2
