"""The libraries that build torch networks, by name; each is imported only when it is asked for.

A family is a module with three functions: ``untrained(network, classes)`` and ``pretrained(network, folder)`` make the
library's model, ``named(model, network, folder)`` gives it the outputs that a decoder reads.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from seg_perception.errors import ConfigError, ModelError, SegPerceptionError, first_line
from seg_perception.models.manifest import RANDOM, Manifest, Network

if TYPE_CHECKING:
    from seg_perception.models.families.base import NamedOutputs

EXTRAS = {"torchvision": "torch", "transformers": "transformers", "smp": "smp"}
"""Library -> the pip extra of this package that installs it."""


def build(manifest: Manifest, weights: Path | None) -> NamedOutputs:
    """The network that ``manifest.network`` names, with its numbers, ready to infer.

    ``weights`` is the checked file with the state dict, or None where ``pretrained`` says where the numbers come from.
    Raises :class:`ConfigError` for a library, name or argument that there is not, :class:`ModelError` for numbers that
    are missing or another network's.
    """
    network = manifest.network
    if network is None:
        raise ConfigError(
            f"model '{manifest.name}' has no section 'network:', which says what runtime 'torch' is to build"
        )
    family = _family(network)
    from seg_perception.models.families import base, state  # torch is here, or the family would not be

    try:
        if weights is None and network.pretrained != RANDOM:
            model = family.pretrained(network, manifest.folder)
        else:
            with base.seeded():
                model = family.untrained(network, len(manifest.channels()))
        if weights is not None:
            state.load(model, weights)
        named: NamedOutputs = family.named(model, network, manifest.folder).eval()
        if named.classes not in (None, len(manifest.channels())):
            raise ModelError(
                f"the network has {named.classes} classes, the manifest names {len(manifest.channels())} (the "
                "background is one of them)"
            )
    except SegPerceptionError as error:
        raise type(error)(f"model '{manifest.name}': {error}") from error
    except Exception as error:  # libraries raise what they like for an argument they do not know
        raise ConfigError(
            f"model '{manifest.name}': network: {network.library} cannot make {network.name} from its 'arguments:' "
            f"({', '.join(network.arguments) or 'none'}): {first_line(error)}"
        ) from error
    return named


def _family(network: Network) -> ModuleType:
    try:
        return import_module(f"{__name__}.{network.library}")
    except ImportError as error:
        raise ConfigError(
            f"network: library: {network.library} is not installed ({error}); run pip install "
            f"'seg_perception[{EXTRAS[network.library]}]'"
        ) from error
