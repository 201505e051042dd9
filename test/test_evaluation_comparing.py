"""Comparing runs: planted regressions are found, equal runs are equal, and an interval says what is chance."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seg_perception import cli, records
from seg_perception.conformance import pixels
from seg_perception.errors import ConfigError, InputError
from seg_perception.evaluation.comparing import bootstrap
from seg_perception.evaluation.comparing.changes import Change, Gate, compare
from seg_perception.evaluation.comparing.command import called, load
from seg_perception.evaluation.matching import Sides, matched, translation
from seg_perception.evaluation.measuring import Rules, measure
from seg_perception.evaluation.numbers import additive, scores
from seg_perception.evaluation.result import Evaluation, join
from seg_perception.evaluation.sources import Facts, Key, Labelled
from seg_perception.interfaces import typestore
from seg_perception.labels import LabelSpace
from seg_perception.offline.bags import Bag
from seg_perception.offline.writer import BagWriter
from seg_perception.types import Int32Array

ROOT = Path(__file__).resolve().parents[1]
SPACE = LabelSpace.load("navigation")
ROAD, SIDEWALK, SKY, PERSON = (SPACE.id(name) for name in ("road", "sidewalk", "sky", "person"))
SIZE, FRAMES = (48, 64), 60
Alter = Callable[[Int32Array, int], None]


@dataclass(frozen=True)
class Memory:
    """Labelled frames that are kept in memory."""

    frames: dict[int, Int32Array]
    path: Path = Path("memory")
    facts: Facts = field(default=Facts("frames in memory", video=True, instances=True))
    labels: LabelSpace = SPACE

    @property
    def keys(self) -> list[Key]:
        return list(self.frames)

    def read(self, keys: Collection[Key]) -> Iterator[Labelled]:
        for stamp, panoptic in self.frames.items():
            if stamp in keys:
                yield Labelled(stamp, panoptic, scores={1: 0.9, 2: 0.8})


def scene(number: int) -> Int32Array:
    """Sky over road and sidewalk, and two persons who walk."""
    panoptic = np.full(SIZE, ROAD, np.int32)
    panoptic[:16] = SKY
    panoptic[16:, 40:] = SIDEWALK
    for person, x in ((1, number // 2), (2, 50 - number // 2)):
        panoptic[12 + 6 * person : 24 + 6 * person, x : x + 8] = person << 16 | PERSON
    return panoptic


def noisy(seed: int) -> Alter:
    """A few wrong patches in every frame, others for every seed."""

    def alter(panoptic: Int32Array, number: int) -> None:
        rng = np.random.default_rng(1000 * seed + number)
        for y, x in zip(rng.integers(0, 40, 5), rng.integers(0, 56, 5), strict=True):
            panoptic[y : y + 4, x : x + 4] = rng.choice([ROAD, SIDEWALK, SKY])

    return alter


def remapped(panoptic: Int32Array, number: int) -> None:
    panoptic[panoptic == SIDEWALK] = ROAD


def forgetful(panoptic: Int32Array, number: int) -> None:
    """Every person has another id every third frame."""
    things = panoptic >> 16 > 0
    panoptic[things] += (2 * (number // 3)) << 16


def evaluated(*alterations: Alter, frames: range = range(FRAMES), name: str = "drive") -> Evaluation:
    truth = {number * 100_000_000: scene(number) for number in range(FRAMES)}
    answers = {}
    for number in frames:
        answer = scene(number)
        for alter in alterations:
            alter(answer, number)
        answers[number * 100_000_000] = answer
    prediction, other = Memory(answers), Memory(truth)
    same = translation(SPACE, SPACE, whose="prediction")
    about = {
        "prediction": {"path": "gone.mcap", "topic": None, "labels": same.content()},
        "truth": {"path": "gone.mcap", "topic": None, "labels": same.content()},
        "options": {"max_offset": 0.0},
        "notes": [],
    }
    evaluation = measure(Sides(prediction, other, (same, same), matched(prediction, other)), Rules(), about=about)
    return replace(evaluation, sequences=(name,))


@pytest.fixture(scope="module")
def baseline() -> Evaluation:
    return evaluated(noisy(1))


def test_equal_runs_are_equal(baseline: Evaluation) -> None:
    comparison = compare(baseline, evaluated(noisy(1)), times=100)
    assert {change.verdict for change in comparison.changes.values() if not math.isnan(change.before)} == {"same"}
    assert comparison.losses == comparison.wins == ()
    assert (comparison.frames, comparison.blocks, comparison.unit) == (FRAMES, 6, "block of 1 s")
    assert comparison.failed([Gate("pq", 0), Gate("hota", 0), Gate("id_switches", 0), Gate("iou/person", 0)]) == []


def test_a_class_that_is_called_another_is_found(baseline: Evaluation) -> None:
    comparison = compare(baseline, evaluated(noisy(1), remapped), times=200)
    changes = comparison.changes
    assert changes["iou/sidewalk"].after == 0
    assert changes["iou/sidewalk"].verdict == changes["iou/road"].verdict == changes["pq"].verdict == "worse"
    assert changes["iou/sky"].verdict == changes["hota"].verdict == changes["ap"].verdict == "same"
    assert [gate.name for gate, _ in comparison.failed([Gate("miou", 0.05), Gate("hota", 0.0)])] == ["miou"]
    assert len(comparison.losses) == 4
    assert all(loss.after < loss.before for loss in comparison.losses)


def test_ids_that_do_not_last_are_found(baseline: Evaluation) -> None:
    comparison = compare(baseline, evaluated(noisy(1), forgetful), times=200)
    changes = comparison.changes
    for name in ("idf1", "hota", "assa", "id_switches", "stq", "vpq", "idf1/person", "hota/person"):
        assert changes[name].verdict == "worse", name
    assert changes["miou"].verdict == changes["pq"].verdict == changes["deta"].verdict == "same"
    assert [gate.name for gate, _ in comparison.failed([Gate("id_switches", 5), Gate("pq", 0)])] == ["id_switches"]


def test_chance_is_told_from_change(baseline: Evaluation) -> None:
    """Other noise of the same kind is no change that the interval would call one; twice the noise is."""
    other = compare(baseline, evaluated(noisy(2)), times=500).changes
    assert other["miou"].verdict == other["pixel_accuracy"].verdict == "unclear"
    assert other["miou"].low < 0 < other["miou"].high
    more = compare(baseline, evaluated(noisy(1), noisy(3)), times=500).changes
    assert more["miou"].verdict == more["pixel_accuracy"].verdict == "worse"
    assert compare(evaluated(noisy(1), noisy(3)), baseline, times=500).changes["miou"].verdict == "better"


def test_all_blocks_once_are_all_frames(baseline: Evaluation) -> None:
    pairing = bootstrap.paired(baseline, baseline)
    blocks = bootstrap.blocks(baseline, pairing)
    assert np.array_equal(np.concatenate(blocks.first), np.arange(FRAMES))
    sampled = bootstrap.samples(baseline, blocks.first, np.ones((1, len(blocks))))
    for name, value in additive(baseline).items():
        assert sampled[name][0] == pytest.approx(float(value), nan_ok=True), name
    by_block = scores(baseline, blocks.first).summary()
    for name in ("idf1", "hota", "mota", "id_switches", "vpq", "stq", "ap", "ap50"):
        assert sampled[name][0] == pytest.approx(by_block[name]), name
    whole = scores(baseline).summary()
    found = bootstrap.numbers(baseline, np.arange(FRAMES))
    for name in ("idf1", "hota", "mota", "id_switches", "vpq", "stq", "ap", "ap75", "miou", "pq"):
        assert found[name] == pytest.approx(whole[name]), name
    assert found["idf1/person"] == pytest.approx(whole["classes"]["person"]["idf1"])
    assert found["ap/person"] == pytest.approx(whole["classes"]["person"]["ap"])


def test_a_block_drawn_twice_counts_twice(baseline: Evaluation) -> None:
    blocks = bootstrap.blocks(baseline, bootstrap.paired(baseline, baseline)).first
    weights = np.array([[2.0, 0, 1, 0, 0, 0]])
    drawn = bootstrap.samples(baseline, blocks, weights)
    expected = scores(baseline, [blocks[0], blocks[0], blocks[2]]).summary()
    for name in ("miou", "pq", "idf1", "hota", "id_switches", "vpq", "ap"):
        assert drawn[name][0] == pytest.approx(expected[name]), name


def test_frames_that_only_one_has_are_said_and_left_out(baseline: Evaluation) -> None:
    comparison = compare(baseline, evaluated(noisy(1), frames=range(5, FRAMES)), times=60)
    assert comparison.frames == FRAMES - 5
    assert comparison.notes[0].startswith("compared on 55 frames that both runs have; 5 more are in the first only, 0")
    assert comparison.changes["miou"].verdict == comparison.changes["pq"].verdict == "same"


def test_runs_that_do_not_go_together_are_refused(baseline: Evaluation) -> None:
    other = replace(baseline, labels=replace(SPACE, description="another"))
    with pytest.raises(InputError, match=r"one run was evaluated in 'navigation' .* evaluate both with one --labels"):
        compare(baseline, other)
    later = replace(baseline, frames=replace(baseline.frames, stamps=baseline.frames.stamps + 1))
    with pytest.raises(InputError, match=r"no frame in common: 60 of drive"):
        compare(baseline, later)


def test_runs_that_were_asked_other_questions_are_refused_or_said(baseline: Evaluation) -> None:
    other = replace(baseline, about={**baseline.about, "options": {"max_offset": 0.0, "min_thing": 200}})
    with pytest.raises(InputError, match=r"by different rules \(min-thing None and 200\); evaluate both alike"):
        compare(baseline, other)
    with pytest.raises(InputError, match="the first run was held against truth, the second against nothing"):
        compare(baseline, replace(baseline, against="nothing"))
    known = baseline.detections
    blind = replace(baseline, detections=replace(known, known=np.array(False)))
    assert any(note.startswith("only the first run has ap, ap50, ap75;") for note in compare(baseline, blind).notes)
    pixels = baseline.frames.pixels
    true = pixels.true.copy()
    true[3, ROAD] += 1
    revised = replace(baseline, frames=replace(baseline.frames, pixels=replace(pixels, true=true)))
    note = "the truth itself is another in 1 of 60 frames: a change may be the truth's"
    assert note in compare(baseline, revised, times=60).notes


def test_many_bags_are_drawn_as_bags(baseline: Evaluation) -> None:
    several = join([replace(baseline, sequences=(f"drive {i}",)) for i in range(bootstrap.ENOUGH_BAGS)])
    comparison = compare(several, several, times=60)
    assert (comparison.blocks, comparison.unit) == (bootstrap.ENOUGH_BAGS, "bag")
    assert comparison.frames == FRAMES * bootstrap.ENOUGH_BAGS


def test_what_gets_worse_by_rising() -> None:
    switches = Change("id_switches", 3, 9, 2, 11)
    assert (switches.fall, switches.verdict) == (6, "worse")
    gone = Change("ap", 0.4, math.nan, math.nan, math.nan)
    assert (gone.fall, gone.verdict) == (math.inf, "unclear")
    assert Change("pq", 0.4, 0.5, 0.05, 0.15).verdict == "better"
    assert Change("flicker/road", 0.1, 0.05, -0.06, -0.04).verdict == "better"


@pytest.mark.parametrize("text", ["pq=much", "pq=-1", "pq=nan", "pq=inf"])
def test_a_gate_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--gate pq="):
        Gate.parse(text)


def test_a_gate_without_its_number_is_refused(baseline: Evaluation) -> None:
    comparison = compare(baseline, baseline, times=1)
    assert Gate.parse("pq") == Gate("pq", 0.0)
    for name in ("speed", "iou/animal"):
        with pytest.raises(ConfigError, match=rf"--gate {name}: neither run has this number; there are .*miou"):
            comparison.failed([Gate(name, 0.1)])


def test_runs_are_called_by_what_tells_them_apart() -> None:
    assert called([Path("/x/a"), Path("/x/b")]) == ["a", "b"]
    assert called([Path("/x/a/eval"), Path("/x/b/eval")]) == ["a/eval", "b/eval"]
    assert called([Path("/x/a"), Path("/x/a")]) == ["a", "a"]


# The command


def compared(*words: Any) -> int:
    return cli.main(["compare", *map(str, words)])


@pytest.fixture(scope="module")
def saved(baseline: Evaluation, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    runs = {"a": baseline, "b": baseline, "remapped": evaluated(noisy(1), remapped)}
    for name, evaluation in runs.items():
        (folder / name).mkdir()
        evaluation.save(folder / name)
    return folder


def test_the_gate_decides_the_exit_status(saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert compared(saved / "a", saved / "b", "--gate", "pq=0", "miou=0", "hota=0") == 0
    assert "gates hold: pq, miou, hota" in capsys.readouterr().out
    assert compared(saved / "a", saved / "b", saved / "remapped", "--gate", "iou/sidewalk=0.1") == 1
    said = capsys.readouterr().out
    assert "GATE iou/sidewalk: fell by" in said
    assert "b compared with a: 60 frames" in said
    assert "remapped compared with a: 60 frames" in said
    assert compared(saved / "remapped", saved / "a", "--gate", "iou/sidewalk=0.1") == 0
    assert compared(saved / "a", saved / "b", "--gate", "nothing=1") == cli.REFUSED
    assert compared(saved / "a") == cli.REFUSED
    for wrong in (("--block", "nan"), ("--block", "-1"), ("--pictures", "-1")):
        assert compared(saved / "a", saved / "b", *wrong) == cli.REFUSED


def test_a_part_that_was_cut_off_is_not_taken_for_a_bag(baseline: Evaluation, tmp_path: Path) -> None:
    for name in ("drive", "night.part"):
        (tmp_path / name).mkdir()
        baseline.save(tmp_path / name)
    assert len(load(tmp_path, "run").parts) == 1


def test_a_folder_of_many_bags_counts_as_its_last_evaluation_did(baseline: Evaluation, tmp_path: Path) -> None:
    """A bag may be called as a file of ours is, and one that was evaluated once may be gone."""
    for name in ("evaluation", "gone"):
        (tmp_path / name).mkdir()
        baseline.save(tmp_path / name)
    (tmp_path / "accounts").mkdir()
    (tmp_path / "accounts/evaluation.json").write_text("{}")
    assert [part.sequences for part in load(tmp_path, "run").parts] == [("evaluation",), ("gone",)]
    replace(baseline, sequences=("evaluation",)).save(tmp_path)
    assert [part.sequences for part in load(tmp_path, "run").parts] == [("evaluation",)]
    (tmp_path / "evaluation/evaluation.json").unlink()  # it is being evaluated anew
    with pytest.raises(InputError, match="holds no evaluation that can be read"):
        load(tmp_path, "run")


def test_a_page_of_its_own_and_json(saved: Path, tmp_path: Path) -> None:
    assert compared(saved / "a", saved / "remapped", "-o", tmp_path / "out", "--gate", "pq=0.01") == 1
    (content,) = json.loads((tmp_path / "out/comparison.json").read_text())
    assert content["gates"] == {"pq": {"bound": 0.01, "holds": False}}
    assert content["numbers"]["iou/sidewalk"]["verdict"] == "worse"
    assert len(content["losses"]) == 4
    page = (tmp_path / "out/comparison.html").read_text()
    assert "http://" not in page
    assert "https://" not in page
    assert "sidewalk" in page
    assert page.count("no picture: gone.mcap") == 4  # the sources of these runs were never there


# The demo's bag, the shipped networks


def cut(source: Path, target: Path, frames: int, alter: Callable[[str, Any], None] | None = None) -> Path:
    """The first messages of each topic of a bag; ``alter`` may change the maps' pixels."""
    with Bag(source) as bag, BagWriter(target) as out:
        for name, topic in bag.topics.items():
            out.add_topic(name, topic.type, topic.profiles)
        seen = dict.fromkeys(bag.topics, 0)
        for message in bag.messages(list(bag.topics)):
            seen[message.topic] += 1
            if seen[message.topic] > frames:
                continue
            cdr = message.cdr
            if alter is not None and message.topic.endswith(("semantic/image_raw", "panoptic/image_raw")):
                content: Any = typestore().deserialize_cdr(cdr, records.Image.TYPE)
                shown = pixels(content).copy()
                alter(message.topic, shown)
                content.data = shown.view(np.uint8).reshape(-1)
                cdr = bytes(typestore().serialize_cdr(content, records.Image.TYPE))
            out.write(message.topic, cdr, message.log_time)
    return target


def test_planted_regressions_of_the_demo_are_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A class that is called another, and a tracker that cannot match; two equal runs pass."""
    street = cut(ROOT / "demo/street.mcap", tmp_path / "street.mcap", 24)
    settings = ["models.instance=world_instance", "models.threads=1"]
    images = ["--topic", "/camera/image_raw/compressed"]
    for name, more in (("a", []), ("b", []), ("tracker", ["tracker.overlap=0.95", "tracker.overlap_low=0.95"])):
        words = ["run", str(street), "-o", str(tmp_path / f"{name}.mcap"), *images, "--set", *settings, *more]
        assert cli.main(words) == 0
    assert (tmp_path / "a.mcap").read_bytes() == (tmp_path / "b.mcap").read_bytes()

    def call_the_sidewalk_road(topic: str, shown: Any) -> None:
        shown[(shown & 0xFF) == SIDEWALK] = ROAD

    cut(tmp_path / "a.mcap", tmp_path / "remapped.mcap", 24, call_the_sidewalk_road)
    for name in ("a", "b", "tracker", "remapped"):
        truth = ["--truth-topic", "/truth/panoptic", "--truth-labels", "navigation"]
        labels = ["--prediction-labels", "navigation"]
        words = ["evaluate", str(tmp_path / f"{name}.mcap"), str(street), "-o", str(tmp_path / name), *truth, *labels]
        assert cli.main(words) == 0
    gates = ["--gate", "pq=0.01", "miou=0.01", "hota=0.01"]
    capsys.readouterr()
    assert compared(tmp_path / "a", tmp_path / "b", *gates) == 0
    assert compared(tmp_path / "a", tmp_path / "tracker", *gates, "-o", tmp_path / "page") == 1
    assert "GATE hota: fell by" in capsys.readouterr().out
    page = (tmp_path / "page/comparison.html").read_text()
    assert page.count("<img") >= 3
    assert "no picture" not in page
    assert compared(tmp_path / "a", tmp_path / "remapped", *gates) == 1
    assert "GATE miou: fell by" in capsys.readouterr().out
