"""What every family turns its library's models into."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


class NamedOutputs(nn.Module):
    """A network as the torch runtime runs it and ``models export`` writes it: prepared images ``(B, 3, H, W)`` in, the
    tensors that a decoder reads out, in the order of ``names``. What precedes and follows the network in its library
    (resizing, normalising, thresholds, full-size masks) is left out: that is the manifest's and the decoder's.
    """

    names: tuple[str, ...]
    any_batch = True
    """Whether one exported graph can take any number of images."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    @property
    def classes(self) -> int | None:
        """How many the network tells apart, where the shapes of its outputs do not say so."""
        return None

    def lower(self, dtype: torch.dtype) -> None:
        """Compute in ``dtype`` from now on, as far as the network can."""
        self.to(dtype)


@contextmanager
def seeded() -> Iterator[None]:
    """Random numbers that are the same every time, and leave the process's own sequence alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield
