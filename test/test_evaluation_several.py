"""Evaluating folders of bags: by name, each once, and together what one evaluation of all would say."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from seg_perception import cli, records
from seg_perception.evaluation.numbers import summary
from seg_perception.evaluation.result import Evaluation
from seg_perception.evaluation.several import bags
from seg_perception.interfaces import serialised
from seg_perception.labels import LabelSpace
from seg_perception.offline.writer import BagWriter, qos

SPACE = LabelSpace.load("navigation")
ROAD, SKY, PERSON = (SPACE.id(name) for name in ("road", "sky", "person"))
WITH_RAY = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed")


def make(path: Path, topic: str, seed: int, wrong: bool, frames: int = 4, scale: int = 1) -> Path:
    """Frames of road, sky and a person, 64 x 36 times ``scale``; with ``wrong`` a patch of each is something else."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with BagWriter(path) as bag:
        bag.add_topic(topic, records.Image.TYPE, [qos()])
        for number in range(frames):
            panoptic = np.full((36, 64), ROAD, np.int32)
            panoptic[:12] = SKY
            panoptic[10:30, 4 * number + seed : 4 * number + seed + 10] = 1 << 16 | PERSON
            if wrong:
                panoptic[20:26, 30 + seed : 44] = SKY
            panoptic = panoptic.repeat(scale, 0).repeat(scale, 1)
            stamp = 10**18 + number * 10**8
            image = records.Image.of(records.Header.of(stamp, "cam"), "32SC1", panoptic)
            bag.write(topic, serialised(image.TYPE, image), stamp)
    return path


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Predictions and truths of three bags."""
    folder = tmp_path_factory.mktemp("bags")
    for seed, name in enumerate(("a", "b", "night/c")):
        make(folder / f"predicted/{name}.mcap", "/cam/panoptic/image_raw", seed, wrong=True)
        make(folder / f"true/{name}.mcap", "/truth/panoptic", seed, wrong=False)
    return folder / "predicted", folder / "true"


def evaluate(predicted: Path, true: Path, out: Path, *options: str) -> int:
    labels = ["--prediction-labels", "navigation", "--truth-labels", "navigation"]
    return cli.main(["evaluate", str(predicted), str(true), "-o", str(out), *labels, *options])


def arrays(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.npz"))}


def test_which_folders_hold_several_bags(folders: tuple[Path, Path], tmp_path: Path) -> None:
    assert [source.name for source in bags(folders[0])] == ["a", "b", "night/c"]
    assert bags(folders[0] / "a.mcap") == []
    assert bags(folders[0] / "night") == []
    assert bags(tmp_path) == []


def test_each_against_the_truth_of_its_name_and_all_together(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(*folders, tmp_path / "all") == 0
    assert "3 bags: 3 done" in capsys.readouterr().out
    together = Evaluation.load(tmp_path / "all")
    assert len(together.frames) == 12
    single = tmp_path / "single"
    assert evaluate(folders[0] / "night/c.mcap", folders[1] / "night/c.mcap", single) == 0
    alone, among = Evaluation.load(single), Evaluation.load(tmp_path / "all/night/c")
    assert np.array_equal(alone.frames.pixels.right, among.frames.pixels.right)
    assert np.array_equal(together.frames.pixels.right[8:], alone.frames.pixels.right)
    assert (tmp_path / "all/night/c/report.html").is_file()
    assert together.sequences == ("a", "b", "night/c")
    about = json.loads((tmp_path / "all/evaluation.json").read_text())["about"]
    assert about["matching"]["matched"] == about["truth"]["frames"] == 12
    assert about["truth"]["path"] == str(folders[1])
    before = arrays(tmp_path / "all")
    assert evaluate(*folders, tmp_path / "all") == 0
    assert "0 done, 3 kept" in capsys.readouterr().out
    assert arrays(tmp_path / "all") == before
    assert evaluate(*folders, tmp_path / "all", "--min-thing", "5") == 0  # another question
    assert "3 done, 0 kept" in capsys.readouterr().out


def test_a_page_leads_to_every_bag_and_says_what_all_score_together(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(folders[0], tmp_path / "predicted")
    make(tmp_path / "predicted/b.mcap", "/cam/panoptic/image_raw", 1, wrong=True, frames=3)
    (tmp_path / "predicted/night/c.mcap").write_bytes(b"nothing")
    shutil.copytree(folders[1], tmp_path / "true")
    make(tmp_path / "true/z.mcap", "/truth/panoptic", 0, wrong=False)
    out = tmp_path / "out"
    assert evaluate(tmp_path / "predicted", tmp_path / "true", out) == 1
    text = (out / "report.html").read_text()
    linked = re.findall(r'<a href="([^"#]+)">([^<]+)</a></td><td>(\d+)</td>', text)
    assert linked == [("a/report.html", "a", "4"), ("b/report.html", "b", "3")]
    assert all((out / report).is_file() for report, _, _ in linked)
    assert "1 of 3 bags could not be evaluated and count nowhere" in text
    assert "<td>night/c</td>" in text
    miou = summary(Evaluation.load(out))["miou"]
    assert re.search(rf"<td>all together</td><td>7</td><td [^>]*>{100 * miou:.1f}</td>", text)
    note = "b: 1 true frame has no prediction, of 4"
    assert note in text
    assert f"1 bag has no prediction, of 4 in {tmp_path}/true, and is not scored (the first is &#x27;z&#x27;)" in text
    assert f"note: {note}" in capsys.readouterr().out
    assert not re.search(r"https?://|url\(|@import", text.replace("http-equiv", ""))


@WITH_RAY
def test_workers_come_to_the_same_results(folders: tuple[Path, Path], tmp_path: Path) -> None:
    assert evaluate(*folders, tmp_path / "serial") == 0
    assert evaluate(*folders, tmp_path / "ray", "--workers", "2", "--threads", "1") == 0
    assert arrays(tmp_path / "ray") == arrays(tmp_path / "serial")


def test_bad_and_missing_bags_are_said(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make(tmp_path / "predicted/a.mcap", "/cam/panoptic/image_raw", 0, wrong=True)
    (tmp_path / "predicted/b.mcap").write_bytes(b"nothing")
    assert evaluate(tmp_path / "predicted", folders[1], tmp_path / "out") == 1
    assert "b: failed: " in capsys.readouterr().out
    assert Evaluation.load(tmp_path / "out").sequences == ("a",)
    make(tmp_path / "predicted/z.mcap", "/cam/panoptic/image_raw", 0, wrong=True)
    assert evaluate(tmp_path / "predicted", folders[1], tmp_path / "out") == cli.REFUSED
    assert "1 of 3 bags have no truth of their name" in capsys.readouterr().err


def test_a_folder_with_one_bag_deep_in_it_is_a_folder_of_bags(folders: tuple[Path, Path], tmp_path: Path) -> None:
    for side, whole in zip(("predicted", "true"), folders, strict=True):
        (tmp_path / side / "night").mkdir(parents=True)
        shutil.copy(whole / "night/c.mcap", tmp_path / side / "night/c.mcap")
    assert evaluate(tmp_path / "predicted", tmp_path / "true", tmp_path / "out") == 0
    assert Evaluation.load(tmp_path / "out").sequences == ("night/c",)
    assert (tmp_path / "out/night/c/report.html").is_file()


def test_what_else_is_in_the_results_folder_stays(folders: tuple[Path, Path], tmp_path: Path) -> None:
    """The truth's bags themselves, and the evaluation of a bag below the name of another."""
    for side, whole in zip(("predicted", "true"), folders, strict=True):
        (tmp_path / side / "b").mkdir(parents=True)
        shutil.copy(whole / "b.mcap", tmp_path / side / "b/b_0.mcap")
        shutil.copy(whole / "a.mcap", tmp_path / side / "a.mcap")
    assert evaluate(tmp_path / "predicted", tmp_path / "true", tmp_path / "true") == 0
    assert (tmp_path / "true/b/b_0.mcap").read_bytes() == (folders[1] / "b.mcap").read_bytes()
    for side, whole in zip(("predicted", "true"), folders, strict=True):
        (tmp_path / side / "a").mkdir(exist_ok=True)
        shutil.copy(whole / "night/c.mcap", tmp_path / side / "a/c.mcap")
    for start in range(2):
        make(tmp_path / "predicted/a.mcap", "/cam/panoptic/image_raw", start, wrong=True)
        assert evaluate(tmp_path / "predicted", tmp_path / "true", tmp_path / "out") == 0
        assert Evaluation.load(tmp_path / "out").sequences == ("a", "a/c", "b")


@pytest.mark.parametrize("damaged", ["predicted", "true"])
def test_a_damaged_bag_counts_as_far_as_it_goes_and_the_status_says_so(
    tmp_path: Path, damaged: str, capsys: pytest.CaptureFixture[str]
) -> None:
    make(tmp_path / "predicted/a.mcap", "/cam/panoptic/image_raw", 0, wrong=True, frames=100, scale=4)
    make(tmp_path / "true/a.mcap", "/truth/panoptic", 0, wrong=False, frames=100, scale=4)
    cut = tmp_path / damaged / "a.mcap"
    whole = cut.read_bytes()
    cut.write_bytes(whole[: len(whole) * 3 // 4])
    make(tmp_path / "predicted/b.mcap", "/cam/panoptic/image_raw", 0, wrong=True)
    make(tmp_path / "true/b.mcap", "/truth/panoptic", 0, wrong=False)
    for folder in ("", "a.mcap"):
        out = tmp_path / f"out{folder}"
        assert evaluate(tmp_path / "predicted" / folder, tmp_path / "true" / folder, out) == 1
        assert "a.mcap: the bag is damaged" in capsys.readouterr().out
        assert 0 < len(Evaluation.load(out).frames) < 100
