"""Where weights are found, and what is said when they are not or are not what they should be."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from seg_perception.errors import ModelError
from seg_perception.models import Manifest, weights

CONTENT = b"these are weights" * 1000
SHA = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Empty folders instead of the user's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv(weights.VARIABLE, raising=False)
    return tmp_path


def manifest(folder: Path, **weights_: str) -> Manifest:
    content = {
        "name": "tiny",
        "task": "semantic",
        "decoder": "dense_logits",
        "runtime": "onnxruntime",
        "weights": {"file": "tiny.onnx", **weights_},
        "input": {"name": "x", "size": [8, 8], "resize": "stretch"},
        "labels": "camvid",
    }
    return Manifest.parse(content, where="tiny.yaml", folder=folder)


def put(folder: Path, content: bytes = CONTENT) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tiny.onnx").write_bytes(content)
    return folder / "tiny.onnx"


def test_manifest_folder_then_listed_folders_then_cache(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(weights.VARIABLE, f"{places / 'a'}:{places / 'b'}")
    order = [places / "manifest", places / "a", places / "b", places / "cache/seg_perception/weights"]
    assert weights.folders(manifest(places / "manifest")) == order
    for folder in reversed(order):
        path = put(folder)
        assert weights.obtain(manifest(places / "manifest", sha256=SHA)) == path


def test_an_absolute_path_is_taken_as_it_is(places: Path) -> None:
    path = put(places / "elsewhere")
    assert weights.obtain(manifest(places / "manifest", file=str(path))) == path


def test_nowhere_and_no_url_says_where_to_put_it(places: Path) -> None:
    with pytest.raises(ModelError) as caught:
        weights.obtain(manifest(places / "manifest"))
    text = str(caught.value)
    assert "tiny.onnx" in text
    assert str(places / "cache/seg_perception/weights") in text
    assert weights.VARIABLE in text
    assert "\n" not in text


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/tiny.onnx", "http://nowhere.invalid/tiny.onnx", "no url at all"])
def test_offline_says_what_to_fetch_and_where_to_put_it(places: Path, url: str) -> None:
    with pytest.raises(ModelError) as caught:
        weights.obtain(manifest(places / "manifest", sha256=SHA, url=url))
    text = str(caught.value)
    assert url in text
    assert str(places / "cache/seg_perception/weights/tiny.onnx") in text
    assert "\n" not in text


def test_a_download_lands_in_the_cache_and_is_used_again(places: Path) -> None:
    source = put(places / "server")
    model = manifest(places / "manifest", sha256=SHA, url=source.as_uri())
    path = weights.obtain(model)
    assert path.read_bytes() == CONTENT
    source.unlink()
    assert weights.obtain(model) == path
    assert list(path.parent.iterdir()) == [path]


def test_a_wrong_download_is_refused_and_leaves_nothing(places: Path) -> None:
    source = put(places / "server", b"an error page")
    with pytest.raises(ModelError, match="sha256"):
        weights.obtain(manifest(places / "manifest", sha256=SHA, url=source.as_uri()))
    assert list(weights.cache().iterdir()) == []


def test_a_damaged_file_is_refused(places: Path) -> None:
    put(places / "manifest", CONTENT[:-1])
    with pytest.raises(ModelError, match="the file is damaged or another version"):
        weights.obtain(manifest(places / "manifest", sha256=SHA))
