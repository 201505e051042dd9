"""The page on models: what it tells people to do is done here."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from seg_perception import resources
from seg_perception.cli import main
from seg_perception.labels import LabelSpace
from seg_perception.models import load_semantic


def test_the_example_of_a_network_from_a_library_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for package in ("torch", "segmentation_models_pytorch", "onnxscript", "onnxruntime", "openvino"):
        pytest.importorskip(package)
    page = (resources.share() / "docs" / "models.md").read_text(encoding="utf-8")
    section = page.partition("## A network from a library")[2].partition("\n## ")[0]
    blocks = dict(re.findall(r"```(\w+)\n(.*?)```", section, re.DOTALL))
    monkeypatch.chdir(tmp_path)
    exec(compile(blocks["python"], "docs/models.md", "exec"), {})
    (tmp_path / "yard.yaml").write_text(blocks["yaml"])
    for line in blocks["sh"].splitlines():
        program, *words = shlex.split(line, comments=True)
        assert (program, main(words)) == ("seg_perception", 0)
    printed = capsys.readouterr().out
    assert re.search(r"verdict +works", printed)
    assert re.search(r"graph +yard_graph.onnx, any batch", printed)
    load_semantic(tmp_path / "yard_graph.yaml", LabelSpace.load("navigation")).warm(360, 640)
