"""State dicts: a file with tensors by name, into the network that they belong to."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from seg_perception.errors import ModelError, first_line

_WRAPPERS = ("state_dict", "model")  # under which training scripts store it, beside the optimiser's state
_PARALLEL = "module."  # what DataParallel puts before every name


def load(model: nn.Module, path: Path) -> None:
    """Fill ``model`` with the tensors in ``path`` (``.safetensors``, or what ``torch.save`` wrote).

    Nothing but tensors is read, so a file cannot run code. Raises :class:`ModelError` for a file that holds anything
    else, or the tensors of another network.
    """
    state = dict(_read(path))
    if all(name.startswith(_PARALLEL) for name in state):
        state = {name.removeprefix(_PARALLEL): tensor for name, tensor in state.items()}
    own = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    given = {name: tuple(tensor.shape) for name, tensor in state.items()}
    wrong = [
        *_named("misses", own.keys() - given.keys()),
        *_named("has beyond the network's", given.keys() - own.keys()),
        *_named(
            "has in another shape", {f"{n} {given[n]} for {own[n]}" for n in own if given.get(n, own[n]) != own[n]}
        ),
    ]
    if wrong:
        raise ModelError(f"weights {path} are another network's: the file {' and '.join(wrong)}")
    model.load_state_dict(state)


def _named(what: str, names: set[str]) -> list[str]:
    """``what`` happened to these tensors, the first of them by name; nothing for none."""
    if not names:
        return []
    shown = ", ".join(sorted(names)[:3])
    return [f"{what} {len(names)} tensors ({shown}{', …' if len(names) > 3 else ''})"]


def _read(path: Path) -> Mapping[str, Tensor]:
    if path.suffix == ".safetensors":
        try:
            from safetensors import SafetensorError
            from safetensors.torch import load_file
        except ImportError as error:
            raise ModelError(f"weights {path} need safetensors ({error}); pip install safetensors") from error
        try:
            return dict(load_file(path))
        except (SafetensorError, OSError) as error:
            raise ModelError(f"weights {path} cannot be read as safetensors: {first_line(error)}") from error
    try:
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"weights {path} are refused: they hold more than tensors, and reading that could run code; on a machine "
            "that trusts the file, save model.state_dict() again, as safetensors or with torch.save"
        ) from error
    except Exception as error:  # what is no such file at all is unpickled as if it were, and fails in any way
        raise ModelError(
            f"weights {path} cannot be read by torch ({first_line(error)}); expected what torch.save wrote"
        ) from error
    for wrapper in _WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    if not isinstance(content, Mapping) or not all(isinstance(v, Tensor) for v in content.values()):
        raise ModelError(f"weights {path} hold no state dict: expected tensors by name, found {type(content).__name__}")
    return content
