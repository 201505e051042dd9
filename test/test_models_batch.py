"""Several images in one pass, with the shipped network made to take any number."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("rosbags", reason="bags need rosbags")

from seg_perception.frames import compressed_frame  # noqa: E402
from seg_perception.labels import LabelSpace  # noqa: E402
from seg_perception.models import Execution, Manifest, backends, load_instance, weights  # noqa: E402
from seg_perception.models.networks import Shown  # noqa: E402
from seg_perception.offline.bags import Bag  # noqa: E402
from seg_perception.timing import StageTimes  # noqa: E402

DEMO = Path(__file__).parents[1] / "demo" / "street.mcap"


@pytest.mark.parametrize("runtime", backends.GRAPH_RUNTIMES)
def test_several_images_in_one_pass_are_what_each_is_alone(
    tmp_path: Path, runtime: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip(runtime)
    shipped = Manifest.load("world_instance")
    graph = onnx.load(str(weights.obtain(shipped)))
    for tensor in (*graph.graph.input, *graph.graph.output):
        tensor.type.tensor_type.shape.dim[0].dim_param = "any"
    onnx.save(graph, str(tmp_path / "any.onnx"))
    text = (shipped.folder / "world_instance.yaml").read_text().replace("  pad: 114", "  pad: 114\n  batch: 3")
    text = text.replace(shipped.weights.sha256, weights.checksum(tmp_path / "any.onnx"))
    (tmp_path / "any.yaml").write_text(text.replace("world_instance.onnx", "any.onnx"))
    network = load_instance(tmp_path / "any.yaml", LabelSpace.load("navigation"), Execution(runtime, threads=1))
    assert network.batch == 3
    with Bag(DEMO) as bag:
        street = compressed_frame(next(iter(bag.contents("/camera/image_raw/compressed")))).image
    flipped = np.ascontiguousarray(street[:, ::-1])
    boxes = network(street, StageTimes()).boxes
    widest = boxes[(boxes[:, 2] - boxes[:, 0]).argmax()]
    cut = float(np.rint((widest[0] + widest[2]) / 2))
    crops = np.array([[0, 0, cut, 360], [cut, 0, 640, 360]], np.float32)
    asked = [Shown(street), Shown(flipped), Shown(street, crops)]
    passes: list[int] = []
    backend = network._engine.backend
    run = backend.run
    monkeypatch.setattr(backend, "run", lambda batch, outputs: (passes.append(len(batch)), run(batch, outputs))[1])
    together = network.together(asked, StageTimes())
    assert passes == [3, 1]
    for ask, found in zip(asked, together, strict=True):
        alone = network(ask.image, StageTimes(), ask.regions)
        np.testing.assert_allclose(found.boxes, alone.boxes, atol=0.01)
        np.testing.assert_array_equal(found.labels, alone.labels)
    assert len(together[0]) > 2
    assert len(together[2]) > 0
    assert (np.abs(together[2].boxes[:, [0, 2]] - cut) > 1).all(), "a thing that a crop cuts is not found in it"
