"""What ``from_pretrained`` takes: a folder, or an id of Hugging Face's hub."""

from __future__ import annotations

from pathlib import Path

from seg_perception.errors import ModelError, first_line
from seg_perception.models.manifest import Network


def place(network: Network, folder: Path) -> str:
    """``network.pretrained`` as a folder, relative to the manifest's ``folder`` or absolute, or else as the id it is.

    Raises :class:`ModelError` for what is written like a path and is no folder.
    """
    given = network.pretrained
    beside = folder / Path(given).expanduser()
    if given and beside.is_dir():
        return str(beside)
    if given.startswith((".", "/", "~")):
        raise ModelError(f"network: pretrained: there is no folder {beside}")
    return given


def unreachable(source: str, error: BaseException) -> ModelError:
    """The sentence for a model that is not on this machine and cannot be downloaded, or is not a whole one."""
    if Path(source).is_dir():
        return ModelError(f"the folder {source} does not hold such a model: {first_line(error)}")
    return ModelError(
        f"'{source}' is not in Hugging Face's cache and cannot be downloaded ({first_line(error)}); run 'hf download "
        f"{source} --local-dir FOLDER' on a connected machine, copy FOLDER here and name it under 'pretrained:'"
    )
