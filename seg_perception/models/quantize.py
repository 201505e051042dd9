"""Static quantisation: the convolutions of an ONNX file in 8-bit integers, with ranges from the user's own images."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.version_converter
import onnxruntime
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from seg_perception.errors import ConfigError, ModelError, SegPerceptionError, first_line
from seg_perception.labels import LabelSpace
from seg_perception.models import weights
from seg_perception.models.bench import answers, scenes
from seg_perception.models.geometry import views
from seg_perception.models.manifest import Manifest
from seg_perception.models.networks import Execution
from seg_perception.models.prepare import Preparer
from seg_perception.models.writing import quiet, write_manifest, written
from seg_perception.timing import StageTimes
from seg_perception.types import Float32Array, PanopticMap

_HOLD_BACK = 5  # every fifth image is for judging
_LEAST_OPSET = 13  # from which DequantizeLinear has a scale for each channel
_OPERATION = "Conv"  # all that is worth it; with the rest quantised too OpenVINO crashes on some networks


@dataclass(frozen=True)
class Quantized:
    """What was written: the ``graph`` and its ``manifest``. ``labels_agree`` and ``things_agree`` say how much of what
    the network says is as before (the part of the pixels with the same label, None where it tells things alone; the F1
    of finding its things again, None where it tells none), on ``judged`` images, ``held_back`` from the ``calibrated``
    ones or, of few, the same. ``size`` and ``size_before`` are the files' bytes.
    """

    graph: Path
    manifest: Path
    calibrated: int
    judged: int
    held_back: bool
    labels_agree: float | None
    things_agree: float | None
    size: int
    size_before: int


def quantize(manifest: Manifest, images: Sequence[Path], graph: Path) -> Quantized:
    """Write the ONNX file of ``manifest`` with its convolutions but the first in 8-bit integers to ``graph``, and the
    manifest that runs it beside it. The numbers' ranges are those that occur on ``images``, prepared as they will be
    later; every fifth is held back to judge by, where there are as many.

    Raises :class:`ConfigError` for a manifest that has no ONNX file, or one of integers already, for images that cannot
    be read or are none, and for a file that exists; :class:`ModelError` for a graph that is not what the manifest says
    or cannot be quantised.
    """
    with written(graph) as beside:
        source = _source(manifest)
        held, used = images[::_HOLD_BACK], [p for i, p in enumerate(images) if i % _HOLD_BACK]
        held_back = len(images) >= _HOLD_BACK
        if not held_back:
            held, used = images, list(images)
        if not used:
            raise ConfigError(f"model '{manifest.name}' is quantised on images; there are none")
        space = manifest.space()
        reference = _answers(manifest, space, held)  # first, since it tells at once whether graph and manifest fit
        _write(manifest, source, used, graph)
        # The size that a graph was reshaped to is in it now.
        write_manifest(manifest, graph, beside, quantized="int8", input=replace(manifest.input, reshape=False))
        labels_agree, things_agree = _judge(reference, _answers(Manifest.load(beside), space, held), manifest)
        sizes = graph.stat().st_size, source.stat().st_size
        return Quantized(graph, beside, len(used), len(held), held_back, labels_agree, things_agree, *sizes)


def _source(manifest: Manifest) -> Path:
    """The checked file that can be quantised."""
    name = manifest.name
    if manifest.network is not None:
        raise ConfigError(
            f"model '{name}' is built by {manifest.network.library}; write it to a file first ('seg_perception models "
            f"export', to {name}_graph.onnx), and quantise {name}_graph.yaml"
        )
    path = weights.obtain(manifest)
    if path.suffix != ".onnx":
        raise ConfigError(f"model '{name}': only ONNX files can be quantised, not {path}")
    if weights.is_quantized(path):
        raise ConfigError(f"model '{name}': {path} computes in 8-bit integers already")
    return path


def _write(manifest: Manifest, source: Path, images: Sequence[Path], graph: Path) -> None:
    try:
        with quiet(), tempfile.TemporaryDirectory() as folder:
            model, plain = onnx.load(str(source)), Path(folder) / "plain.onnx"
            if _opset(model) < _LEAST_OPSET:
                model = onnx.version_converter.convert_version(model, _LEAST_OPSET)
            given = next(i for i in model.graph.input if i.name == manifest.input.name).type.tensor_type.shape.dim
            if manifest.input.reshape:
                _reshape(model, given, manifest)
            onnx.save(model, str(plain))
            quant_pre_process(str(plain), str(plain), skip_symbolic_shape=True)
            convolutions = _convolutions(plain)
            if len(convolutions) < 2:
                raise ConfigError(f"model '{manifest.name}': {source} has no convolutions that are worth quantising")
            quantize_static(
                str(plain),
                str(graph),
                _Prepared(manifest, images, given[0].dim_value or 1),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=[_OPERATION],
                nodes_to_exclude=convolutions[:1],  # small, and of all it loses most: it sees the pixels
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
            )
    except SegPerceptionError:
        raise
    except Exception as error:  # onnx and onnxruntime raise what they like
        raise ModelError(
            f"model '{manifest.name}' cannot be quantised by onnxruntime {onnxruntime.__version__}: {first_line(error)}"
        ) from error


def _convolutions(path: Path) -> list[str]:
    """The names of the convolutions in the graph at ``path``, in its order; one without gets one."""
    model = onnx.load(str(path))
    found = [node for node in model.graph.node if node.op_type == _OPERATION]
    for number, node in enumerate(found):
        node.name = node.name or f"convolution_{number}"
    onnx.save(model, str(path))
    return [node.name for node in found]


def _opset(model: onnx.ModelProto) -> int:
    """Of ONNX's own operations."""
    return next(int(opset.version) for opset in model.opset_import if opset.domain in ("", "ai.onnx"))


def _reshape(model: onnx.ModelProto, given: Any, manifest: Manifest) -> None:
    """Give a graph whose input is ``given`` the dimensions of ``manifest``, and forget what followed from the old."""
    if manifest.input.batch > 1:
        given[0].dim_param = "batch"  # any number, as OpenVINO reshapes it
    for dimension, size in zip(given[1:], manifest.input_shape, strict=True):
        dimension.dim_value = size
    del model.graph.value_info[:]
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")


class _Prepared(CalibrationDataReader):  # type: ignore[misc, unused-ignore]
    """Every view of every image, as the network will see it; ``batch`` times, where the graph wants as many."""

    def __init__(self, manifest: Manifest, images: Sequence[Path], batch: int) -> None:
        self._name, self._inputs = manifest.input.name, _inputs(manifest, images, batch)

    def get_next(self) -> dict[str, Float32Array] | None:
        """The next input by its name, or None."""
        planes = next(self._inputs, None)
        return None if planes is None else {self._name: planes}


def _inputs(manifest: Manifest, images: Sequence[Path], batch: int) -> Iterator[Float32Array]:
    prepare = Preparer(manifest)
    for path in images:
        image = scenes.read(path)
        for view in views(manifest.input, *image.shape[:2]):
            planes = np.empty(manifest.input_shape, np.float32)
            prepare.fill(image, view, planes)
            yield np.repeat(planes[None], batch, axis=0)


def _judge(
    reference: list[PanopticMap], found: list[PanopticMap], manifest: Manifest
) -> tuple[float | None, float | None]:
    """How much of the labels, and of the things, is the same."""
    labels = None if manifest.task == "instance" else answers.labels_agree(found, reference)
    return labels, None if manifest.task == "semantic" else answers.things_agree(found, reference, manifest.space())


def _answers(manifest: Manifest, space: LabelSpace, images: Sequence[Path]) -> list[PanopticMap]:
    network = answers.load(manifest, space, Execution())
    return [answers.as_map(network(image, StageTimes()), image, space) for image in map(scenes.read, images)]
