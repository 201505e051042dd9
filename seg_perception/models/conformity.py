"""Does a loaded graph do what its manifest says?"""

from __future__ import annotations

from collections.abc import Callable

from seg_perception.models import weights
from seg_perception.models.backends import Backend, TensorInfo
from seg_perception.models.manifest import Manifest


def mismatches(manifest: Manifest, backend: Backend) -> list[str]:
    """One sentence for each way in which ``backend``'s graph differs from ``manifest``; empty when it fits."""
    wrong = _input_mismatches(manifest, backend) + _quantisation_mismatches(manifest)
    available = {tensor.name: tensor for tensor in backend.outputs}
    names = manifest.outputs or tuple(available)
    missing = [name for name in names if name not in available]
    if missing:
        return [*wrong, f"output '{missing[0]}' is not in the graph, which has {', '.join(available)}"]
    return wrong + _OUTPUTS[manifest.decoder](manifest, [available[name] for name in names])


def _input_mismatches(manifest: Manifest, backend: Backend) -> list[str]:
    if len(backend.inputs) != 1:
        return [
            f"the graph has {len(backend.inputs)} inputs ({', '.join(i.name for i in backend.inputs)}), expected one"
        ]
    tensor, wrong = backend.inputs[0], []
    if tensor.name != manifest.input.name:
        wrong.append(f"the graph's input is called '{tensor.name}', the manifest says '{manifest.input.name}'")
    if tensor.dtype != "float32":
        wrong.append(f"input '{tensor.name}' is {tensor.dtype}, expected float32")
    if not _fits(tensor.shape, (None, *manifest.input_shape)):
        wrong.append(
            f"input '{tensor.name}' is {_text(tensor.shape)}, the manifest's size makes it "
            f"{_text((None, *manifest.input_shape))}"
        )
    elif (fixed := tensor.shape[0]) and manifest.input.batch not in (1, fixed):
        wrong.append(
            f"input '{tensor.name}' takes {fixed} in a pass, always, the manifest says 'input: batch: "
            f"{manifest.input.batch}': leave that out, or export the graph for any number"
        )
    return wrong


def _quantisation_mismatches(manifest: Manifest) -> list[str]:
    path = weights.find(manifest) if manifest.network is None else None
    said = manifest.weights.quantized == "int8"
    if path is None or weights.is_quantized(path) == said:
        return []
    if said:
        return [f"{path.name} computes in floats, the manifest says 'weights: quantized: int8'"]
    return [f"{path.name} computes in 8-bit integers, which the manifest is to say: 'weights: quantized: int8'"]


def _dense_logits(manifest: Manifest, outputs: list[TensorInfo]) -> list[str]:
    if len(outputs) != 1:
        return [
            f"decoder dense_logits reads one output, found {', '.join(o.name for o in outputs)}; "
            "name the one with the logits under 'outputs:'"
        ]
    logits, classes = outputs[0], len(manifest.channels())
    if len(logits.shape) != 4:
        return [f"output '{logits.name}' is {_text(logits.shape)}, expected batch x classes x height x width"]
    return _dtype(logits) + _classes(logits, logits.shape[1], classes)


def _yolo(manifest: Manifest, outputs: list[TensorInfo]) -> list[str]:
    if [len(o.shape) for o in outputs] != [3, 4]:
        found = ", ".join(f"{o.name} {_text(o.shape)}" for o in outputs)
        return [
            "decoder yolo reads anchors (batch x values x anchors) and prototypes (batch x coefficients x height x "
            f"width), found {found}; name them in this order under 'outputs:'"
        ]
    anchors, prototypes = outputs
    wrong = _dtype(anchors) + _dtype(prototypes)
    values, coefficients = anchors.shape[1], prototypes.shape[1]
    if values is None or coefficients is None:
        return wrong
    return wrong + _classes(anchors, values - 4 - coefficients, len(manifest.channels()))


def _rcnn(manifest: Manifest, outputs: list[TensorInfo]) -> list[str]:
    if [len(o.shape) for o in outputs] != [3, 2, 2, 4]:
        found = ", ".join(f"{o.name} {_text(o.shape)}" for o in outputs)
        return [
            "decoder rcnn reads boxes (batch x things x 4), scores and labels (batch x things) and masks (batch x "
            f"things x height x width), found {found}; name them in this order under 'outputs:'"
        ]
    return [sentence for tensor in outputs for sentence in _dtype(tensor)]


def _queries(manifest: Manifest, outputs: list[TensorInfo]) -> list[str]:
    if [len(o.shape) for o in outputs] != [3, 4]:
        found = ", ".join(f"{o.name} {_text(o.shape)}" for o in outputs)
        return [
            "decoder queries reads class logits (batch x queries x classes and 'no object') and masks (batch x queries "
            f"x height x width), found {found}; name them in this order under 'outputs:'"
        ]
    classes, masks = outputs
    wrong = _dtype(classes) + _dtype(masks)
    if None not in (classes.shape[1], masks.shape[1]) and classes.shape[1] != masks.shape[1]:
        wrong.append(f"'{classes.name}' has {classes.shape[1]} queries and '{masks.name}' {masks.shape[1]}")
    count = classes.shape[2]
    return wrong + _classes(classes, None if count is None else count - 1, len(manifest.channels()))


def _dtype(tensor: TensorInfo) -> list[str]:
    return [] if tensor.dtype == "float32" else [f"output '{tensor.name}' is {tensor.dtype}, expected float32"]


def _classes(tensor: TensorInfo, found: int | None, expected: int) -> list[str]:
    if found is None or found == expected:
        return []
    return [f"output '{tensor.name}' {_text(tensor.shape)} has {found} classes, the manifest names {expected}"]


def _fits(found: tuple[int | None, ...], expected: tuple[int | None, ...]) -> bool:
    return len(found) == len(expected) and all(
        a is None or b is None or a == b for a, b in zip(found, expected, strict=True)
    )


def _text(shape: tuple[int | None, ...]) -> str:
    return " x ".join("any" if n is None else str(n) for n in shape)


_OUTPUTS: dict[str, Callable[[Manifest, list[TensorInfo]], list[str]]] = {
    "dense_logits": _dense_logits,
    "yolo": _yolo,
    "rcnn": _rcnn,
    "queries": _queries,
}
