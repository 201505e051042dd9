"""Where a model's weights are: beside its manifest, in a folder of ``$SEG_PERCEPTION_WEIGHTS``, in the cache, or
downloaded into the cache; never used when the checksum is wrong.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

from seg_perception.errors import ModelError
from seg_perception.models.manifest import RANDOM, Manifest

VARIABLE = "SEG_PERCEPTION_WEIGHTS"
"""Environment variable: folders with weights, separated like ``PATH``."""

# As the type of an operation stands in a file: field 4 of an ONNX node (protobuf's tag and length before it), an
# attribute in OpenVINO's XML. Names and comments may hold the words too.
_QUANTIZED = (b'"\x0eQuantizeLinear', b'"\x10DequantizeLinear', b'"\x15DynamicQuantizeLinear', b'type="FakeQuantize"')
_LONGEST = max(map(len, _QUANTIZED))
_BLOCK = 1 << 20
_TIMEOUT = 30.0


def cache() -> Path:
    """The folder that downloads go to: ``$XDG_CACHE_HOME/seg_perception/weights``, by default below ``~/.cache``."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if base else Path.home() / ".cache") / "seg_perception" / "weights"


def folders(manifest: Manifest) -> list[Path]:
    """Where weights are looked for, in this order."""
    listed = [Path(p).expanduser() for p in os.environ.get(VARIABLE, "").split(os.pathsep) if p]
    return [manifest.folder, *listed, cache()]


def find(manifest: Manifest) -> Path | None:
    """The file as it lies on this machine, its content unchecked; None if it is nowhere."""
    given = Path(manifest.weights.file).expanduser()
    return next((f / given for f in folders(manifest) if (f / given).is_file()), None)  # an absolute path stays itself


def whereabouts(manifest: Manifest) -> str:
    """In a few words: the file as it lies on this machine, or why it does not."""
    if manifest.network is not None and manifest.network.pretrained == RANDOM:
        return "none: random numbers"
    if manifest.network is not None and manifest.network.pretrained:
        return f"{manifest.network.pretrained}, which {manifest.network.library} fetches and keeps"
    return str(find(manifest) or ("to be downloaded" if manifest.weights.url else "missing"))


def obtain(manifest: Manifest) -> Path:
    """The checked file, downloaded first if need be.

    Raises :class:`ModelError` when it is nowhere and cannot be downloaded, or is not the file that the checksum says.
    """
    path = find(manifest)
    if path is None:
        path = _download(manifest)
    verify(manifest, path)
    return path


def verify(manifest: Manifest, path: Path) -> None:
    """Raise :class:`ModelError` when the file cannot be read or its sha256 is not the manifest's (if that has one)."""
    expected = manifest.weights.sha256
    if not expected:
        return
    try:
        found = checksum(path)
    except OSError as error:
        raise ModelError(f"model '{manifest.name}': weights {path} cannot be read: {error.strerror}") from error
    if found != expected:
        raise ModelError(
            f"model '{manifest.name}': weights {path} have sha256 {found[:12]}… but the manifest expects "
            f"{expected[:12]}…; the file is damaged or another version: delete it and fetch it again"
        )


def checksum(path: Path) -> str:
    """The file's sha256 in hex digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def is_quantized(path: Path) -> bool:
    """Whether the graph in an ONNX or OpenVINO file has 8-bit integers in place of floats: whether it has an operation
    that makes them.
    """
    tail = b""
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            if any(operation in tail + block for operation in _QUANTIZED):
                return True
            tail = block[-_LONGEST:]
    return False


def _download(manifest: Manifest) -> Path:
    weights = manifest.weights
    searched = ", ".join(str(f) for f in folders(manifest))
    if not weights.url:
        raise ModelError(
            f"model '{manifest.name}': weights {weights.file} are in none of {searched}; put the file into one of "
            f"them, or its folder into ${VARIABLE}{f' (it comes from {manifest.source})' if manifest.source else ''}"
        )
    target = cache() / Path(weights.file).name
    partial: Path | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with (
            urllib.request.urlopen(weights.url, timeout=_TIMEOUT) as response,
            tempfile.NamedTemporaryFile(dir=target.parent, suffix=".part", delete=False) as file,
        ):
            partial = Path(file.name)
            while block := response.read(_BLOCK):
                file.write(block)
        verify(manifest, partial)
        partial.replace(target)  # atomic: nobody ever sees half a file under the final name
    except (OSError, ValueError) as error:  # URLError is an OSError; ValueError is a malformed URL
        reason = getattr(error, "reason", None) or error
        raise ModelError(
            f"model '{manifest.name}': weights are in none of {searched} and cannot be downloaded ({reason}); fetch "
            f"{weights.url} on a connected machine and put it at {target}"
        ) from error
    finally:
        if partial is not None:
            partial.unlink(missing_ok=True)
    return target
