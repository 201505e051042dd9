"""The training's parts: batches, assignment, losses, scores, and the layout of what is exported."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs torch: pip install torch")

import torch

from tools.train import variety
from tools.train.data import SMALLEST, Batch, Shards, VariedBatches, plain_batch, training_batch
from tools.train.evaluate import decode, score
from tools.train.losses import assign, iou, losses, semantic_losses, total
from tools.train.networks import (
    InstanceNetwork,
    Network,
    SemanticNetwork,
    cell_centres,
    deepened,
    parameters,
    restored,
)
from tools.train.run import PEAK, TASKS, VARIED_PEAK, Trainer, Varied
from tools.world.variants import CLASS_ID, CLASSES, THINGS


def _view() -> np.ndarray:
    """Road below, sky above, a person 40x100, a box 60x60, and a cone of 3x3 pixels."""
    view = np.zeros((288, 512, 5), np.uint8)
    view[:140, :, 3] = CLASS_ID["sky"]
    for number, (label, y, x, h, w) in enumerate(
        [("person", 100, 60, 100, 40), ("box", 150, 300, 60, 60), ("cone", 200, 450, 3, 3)]
    ):
        view[y : y + h, x : x + w, 3:] = CLASS_ID[label], number + 1
        view[y : y + h, x : x + w, :3] = 60 * (number + 1)
    return view


@pytest.fixture
def shards(tmp_path: Path) -> Shards:
    np.save(tmp_path / "00000.npy", np.stack([_view()] * 4))
    return Shards(tmp_path)


def test_plain_batch_has_the_things_that_are_large_enough(shards: Shards) -> None:
    batch = plain_batch(shards, range(2), (512, 288))
    assert batch.image.shape == (2, 3, 288, 512)
    assert batch.number[0].tolist() == [1, 2]
    assert batch.label[0].tolist() == [THINGS.index("person"), THINGS.index("box")]
    assert batch.box[0].tolist() == [[60, 100, 100, 200], [300, 150, 360, 210]]
    assert SMALLEST > 9


def test_training_batch_keeps_picture_and_truth_together(shards: Shards) -> None:
    for seed in range(8):
        batch = training_batch(shards, np.random.default_rng(seed), 2, (320, 192), 0.6)
        assert batch.image.shape == (2, 3, 192, 320)
        _is_consistent(batch)


def _is_consistent(batch: Batch) -> None:
    np.testing.assert_array_equal((batch.thing > 0).numpy(), (batch.semantic >= CLASSES.index("person")).numpy())
    for p, number in zip(*torch.nonzero(batch.number, as_tuple=True), strict=True):
        x0, y0, x1, y1 = batch.box[p, number].int().tolist()
        inside = batch.thing[p] == batch.number[p, number]
        assert inside.sum() == inside[y0:y1, x0:x1].sum()
        assert inside[y0:y1, x0].any()
        assert inside[y0, x0:x1].any()


def test_varied_batch_keeps_picture_and_truth_together(shards: Shards, tmp_path: Path) -> None:
    (tmp_path / "drives").mkdir()
    np.save(tmp_path / "drives" / "00000.npy", np.zeros((2, 360, 640, 5), np.uint8))
    drives = Shards(tmp_path / "drives")
    batches = VariedBatches((320, 192), fours=0.5)
    numbers = set()
    for seed in range(8):
        batch = batches.draw([shards, drives], np.random.default_rng(seed), 2)
        assert batch.image.shape == (2, 3, 192, 320)
        assert 0 <= batch.image.min() < batch.image.max() <= 1
        _is_consistent(batch)
        numbers |= set(batch.number.unique().tolist())
    assert max(numbers) > variety.PART_LIMIT, "no picture was put together of four with things in the later ones"


def test_repainting_changes_whole_segments_only() -> None:
    view = _view()
    bank, other = variety.patterns(4), np.random.default_rng(0).integers(0, 255, view.shape, np.uint8)
    changed = 0
    for seed in range(6):
        image = variety.repaint(view[..., :3], view[..., 3:], other, bank, np.random.default_rng(seed))
        assert image.shape == view[..., :3].shape
        assert image.dtype == np.uint8
        differs = np.abs(image.astype(int) - view[..., :3]).max(-1) > 1
        assert not differs[205:, :290].any()  # road: ground is told apart by its colours alone
        box = differs[152:208, 302:358]
        assert not box.any() or box.mean() > 0.5
        changed += int(box.any())
    assert changed > 0


def test_the_rate_starts_anew_for_the_varied_steps(shards: Shards, tmp_path: Path) -> None:
    for name in ("train", "val", "drives"):
        (tmp_path / name).mkdir()
        np.save(tmp_path / name / "00000.npy", np.stack([_view()] * 2))
    trainer = Trainer(
        Network(), TASKS["both"], tmp_path, tmp_path / "out", 400, Varied(200, VariedBatches((64, 32)), VARIED_PEAK), 0
    )
    rates = []
    for step in (0, 300, 399, 400, 500, 599):
        trainer.step = step
        rates.append(trainer.rate)
    assert rates[0] < 0.01 * PEAK
    assert rates[1] < PEAK
    assert rates[2] == pytest.approx(0.01 * PEAK, rel=0.01)
    assert rates[3] < 0.011 * VARIED_PEAK
    assert 0.4 * VARIED_PEAK < rates[4] < 0.6 * VARIED_PEAK
    assert rates[5] == pytest.approx(0.01 * VARIED_PEAK, rel=0.05)


def test_no_shards_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no shards; make them"):
        Shards(tmp_path)


def test_iou_of_known_boxes() -> None:
    a = torch.tensor([[0.0, 0, 2, 2], [0, 0, 1, 1], [0, 0, 4, 1]])
    b = torch.tensor([[1.0, 1, 3, 3], [2, 2, 3, 3], [0, 0, 4, 1]])
    assert iou(a, b).tolist() == pytest.approx([1 / 7, 0, 1])


def _perfect(batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """Corners and scores that every cell inside a thing's box would give if it knew the truth."""
    centres = torch.cat([cell_centres(288 // s, 512 // s, s) for s in (8, 16, 32)])
    corners = torch.cat([centres - 1, centres + 1], 1).repeat(len(batch.image), 1, 1)
    scores = torch.full((len(batch.image), len(centres), len(THINGS)), 0.01)
    for p in range(len(batch.image)):
        for number, label, box in zip(batch.number[p], batch.label[p], batch.box[p], strict=True):
            if number:
                inside = ((centres > box[:2]) & (centres < box[2:])).all(1)
                corners[p, inside] = box
                scores[p, inside, label] = 0.9
    return corners, scores


def test_assignment_takes_the_best_cells_of_each_thing(shards: Shards) -> None:
    batch = plain_batch(shards, range(1), (512, 288))
    corners, scores = _perfect(batch)
    match = assign(corners, scores, batch)
    for slot in (0, 1):
        mine = match.found[0] & (match.thing[0] == slot)
        assert mine.sum() >= 10
        assert match.quality[0][mine].tolist() == pytest.approx([1.0] * int(mine.sum()), abs=1e-4)
        assert (corners[0][mine] == batch.box[0, slot]).all()
    centres = torch.cat([cell_centres(288 // s, 512 // s, s) for s in (8, 16, 32)])
    on_cone = batch.thing[0, centres[:, 1].long(), centres[:, 0].long()] == 3
    assert not match.counts[0][on_cone].any()
    assert match.counts[0][~on_cone].all()


def test_losses_fall_when_the_answer_is_right(shards: Shards) -> None:
    batch = plain_batch(shards, range(1), (512, 288))
    corners, scores = _perfect(batch)
    truth = torch.nn.functional.one_hot(batch.semantic[:, ::2, ::2], len(CLASSES)).permute(0, 3, 1, 2).float()
    prototypes = torch.zeros(1, 32, 144, 256)
    prototypes[0, 0] = 20.0 * (batch.thing[0, ::2, ::2] > 0) - 10.0
    coefficients = torch.zeros(1, corners.shape[1], 32)
    coefficients[..., 0] = 1.0
    right = losses((20 * truth, prototypes, (corners, scores.logit(), coefficients)), batch, None, (0, 0))
    wrong = losses((-20 * truth, -prototypes, (corners + 8, -scores.logit(), coefficients)), batch, None, (0, 0))
    for name in ("semantic", "classes", "boxes", "masks"):
        assert right[name] < 0.5 * wrong[name], name
    assert right["semantic"] < 0.01
    assert right["boxes"] < 0.01


def test_a_picture_without_things_gives_finite_losses() -> None:
    empty = torch.zeros(1, 1, dtype=torch.long)
    plain = torch.zeros(1, 96, 160, dtype=torch.long)
    batch = Batch(torch.rand(1, 3, 96, 160), plain, plain, empty, empty, torch.zeros(1, 1, 4))
    found = total(losses(Network().train()(torch.rand(2, 3, 96, 160)), _doubled(batch), None, (1, 1)))
    found.backward()
    assert torch.isfinite(found)


def test_the_semantic_half_alone_has_the_same_loss(shards: Shards) -> None:
    torch.manual_seed(0)
    network, batch = Network().eval(), plain_batch(shards, range(2), (160, 96))
    both = losses(network(batch.image), batch, None, (0, 1))
    alone = semantic_losses(network.segment(batch.image), batch, None, (0, 1))
    assert alone.keys() == {"semantic"}
    torch.testing.assert_close(alone["semantic"], both["semantic"])


def test_a_deeper_network_begins_with_what_the_other_knows() -> None:
    torch.manual_seed(0)
    network, image = Network().train(), torch.rand(2, 3, 96, 160)
    network(image)  # running means that are not zero
    deeper = deepened(network, (1, 2, 3, 2, 2)).eval()
    for mine, other in zip(_flat(deeper(image)), _flat(network.eval()(image)), strict=True):
        torch.testing.assert_close(mine, other)
    again = restored(deeper.state_dict()).eval()
    torch.testing.assert_close(again.segment(image), deeper.segment(image))
    loss = deeper.train().segment(image).square().mean()
    loss.backward()
    assert deeper.backbone.stages[0][1].second[1].weight.grad.abs().max() > 0  # the new block learns


def _flat(outputs: tuple[torch.Tensor, torch.Tensor, tuple[torch.Tensor, ...]]) -> list[torch.Tensor]:
    return [outputs[0], outputs[1], *outputs[2]]


def _doubled(batch: Batch) -> Batch:
    names = ("image", "semantic", "thing", "number", "label", "box")
    return Batch(*(torch.cat([getattr(batch, name)] * 2) for name in names))


def test_decoding_gives_the_masks_back_and_suppresses_doubles() -> None:
    rows = np.zeros((4, 42), np.float32)
    rows[0, :4], rows[0, 4], rows[0, 10] = (80, 150, 40, 100), 0.9, 1.0
    rows[1, :4], rows[1, 4], rows[1, 10] = (81, 150, 40, 100), 0.8, 1.0
    rows[2, :4], rows[2, 9], rows[2, 10] = (330, 180, 60, 60), 0.7, 1.0
    prototypes = np.full((32, 144, 256), -1.0, np.float32)
    prototypes[0] = np.where((_view()[::2, ::2, 4] > 0), 5.0, -5.0)
    found = decode(rows, prototypes)
    assert found.labels.tolist() == [0, 5]
    np.testing.assert_array_equal(found.masks[0], _view()[::2, ::2, 4] == 1)
    np.testing.assert_array_equal(found.masks[1], _view()[::2, ::2, 4] == 2)


def test_a_network_that_knows_nothing_scores_nothing_and_a_score_is_complete(shards: Shards) -> None:
    torch.manual_seed(0)
    scores = score(Network(), shards, (256, 160), 2)
    assert set(scores.iou) == set(CLASSES)
    assert np.isnan(scores.iou["vehicle"]) or scores.iou["vehicle"] == 0
    assert np.isnan(scores.ap50["vehicle"])
    assert scores.ap50["person"] < 0.5


def test_exported_halves_have_the_documented_layout() -> None:
    network = Network().eval()
    image = torch.rand(1, 3, 288, 512)
    with torch.no_grad():
        logits = SemanticNetwork(network)(image)
        rows, prototypes = InstanceNetwork(network)(image)
    assert logits.shape == (1, len(CLASSES), 144, 256)
    assert rows.shape == (1, 4 + len(THINGS) + 32, 36 * 64 + 18 * 32 + 9 * 16)
    assert prototypes.shape == (1, 32, 144, 256)
    assert ((rows[:, 4:10] > 0) & (rows[:, 4:10] < 1)).all()
    assert (rows[:, 2:4] > 0).all()
    semantic = parameters(network.backbone) + parameters(network.pyramid) + parameters(network.semantic)
    assert semantic <= 1_500_000


def test_export_is_half_as_large_says_the_same_and_signs_its_manifest(tmp_path: Path) -> None:
    onnx, onnxruntime = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    from tools.train.export import export

    torch.manual_seed(1)
    module, path, manifest = SemanticNetwork(Network()).eval(), tmp_path / "small.onnx", tmp_path / "small.yaml"
    manifest.write_text("weights:\n  file: small.onnx\n  sha256: unknown\ninput:\n  size: [1, 2]\n")
    export(module, path, (512, 288), ["logits"], CLASSES)  # compares with torch by itself
    model = onnx.load(str(path))
    learned = sum(int(np.prod(a.dims)) for a in model.graph.initializer)
    assert path.stat().st_size < 2.2 * learned
    assert {p.key: p.value for p in model.metadata_props}["names"] == str(dict(enumerate(CLASSES)))
    assert hashlib.sha256(path.read_bytes()).hexdigest() in manifest.read_text()
    assert "size: [288, 512]" in manifest.read_text()
    image = np.random.default_rng(0).random((1, 3, 288, 512), np.float32)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    with torch.no_grad():
        expected = module(torch.from_numpy(image)).numpy()
    (got,) = session.run(None, {"images": image})
    assert (got.argmax(1) == expected.argmax(1)).mean() > 0.98


def test_the_card_gets_its_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tools.train import card

    path, scores = tmp_path / "card.md", tmp_path / "scores.json"
    path.write_text(f"before\n{card.BEGIN}\nold\n{card.END}\nafter\n")
    content = {"frames": 5, "miou": 0.5, "pq": 0.25, "id_switches": 3, "classes": {"road": {"iou": 0.875, "pq": None}}}
    scores.write_text(json.dumps({"void": {card.VOID: content}}))
    monkeypatch.setattr("sys.argv", ["card", str(scores), str(path)])
    card.main()
    lines = path.read_text().splitlines()
    assert (lines[0], lines[-1], "old" in lines) == ("before", "after", False)
    assert "| road | 87.5 |  |  |  |  |  |  |" in lines
    assert "| **all, 5 frames** | 50.0 | 25.0 |  |  |  |  | 3 |" in lines
    assert card.BEGIN in card.CARD.read_text()
