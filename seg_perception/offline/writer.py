"""Writing a bag: one ``.mcap`` file that ``ros2 bag``, Foxglove and :mod:`seg_perception.offline.bags` open as it is.

The same messages give the same bytes: nothing in the file comes from the clock, the machine or a path.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import IO

from mcap.writer import CompressionType, Writer
from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from rosbags.rosbag2.metadata import dump_qos_v8

from seg_perception import __version__
from seg_perception.errors import BagError
from seg_perception.interfaces import definition, type_hash

_FOREVER = QosTime(9223372036, 854775807)
_CHUNK_BYTES = 4 * 1024 * 1024


def qos(*, reliable: bool = True, latched: bool = False, depth: int = 5) -> Qos:
    """A keep-last profile; ``latched`` is transient local, as for ``label_info`` and ``tf_static``."""
    return Qos(
        QosHistory.KEEP_LAST,
        depth,
        QosReliability.RELIABLE if reliable else QosReliability.BEST_EFFORT,
        QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE,
        _FOREVER,
        _FOREVER,
        QosLiveliness.AUTOMATIC,
        _FOREVER,
        False,
    )


class BagWriter:
    """Messages into ``path``, which appears whole when the ``with`` block ends, or not at all when it fails.

    Until then the file is ``path`` with ``.part`` behind it. ``inputs`` are the bags it is made from; with ``compress``
    its chunks are packed with zstd. Raises :class:`BagError` when ``path`` is an input or lies in one, does not end in
    ``.mcap``, or cannot be written.
    """

    def __init__(self, path: Path, inputs: Iterable[Path] = (), *, compress: bool = True) -> None:
        self.path = path
        _check(path, inputs)
        self._part = path.with_name(f"{path.name}.part")
        try:
            self._file: IO[bytes] = self._part.open("wb")
        except OSError as error:
            raise BagError(f"{path}: cannot be written ({error.strerror})") from error
        compression = CompressionType.ZSTD if compress else CompressionType.NONE
        self._writer = Writer(self._file, chunk_size=_CHUNK_BYTES, compression=compression)
        self._writer.start(profile="ros2", library=f"seg_perception {__version__}")
        self._schemas: dict[str, int] = {}
        self._channels: dict[str, int] = {}
        self.counts: dict[str, int] = {}
        """Messages written so far, by topic."""

    def add_topic(
        self, topic: str, type_name: str, profiles: Iterable[Qos], text: str | None = None, digest: str | None = None
    ) -> None:
        """Announce ``topic`` before its first message. ``text`` is the type's full ``ros2msg`` definition and
        ``digest`` its ``RIHS01_...`` hash; without them they come from the shipped definitions.
        """
        if type_name not in self._schemas:
            schema = (definition(type_name) if text is None else text).encode()
            self._schemas[type_name] = self._writer.register_schema(type_name, "ros2msg" if schema else "", schema)
        # Numbers instead of names for the policies: every distribution from Humble on reads them.
        metadata = {
            "offered_qos_profiles": dump_qos_v8(list(profiles)),
            "topic_type_hash": type_hash(type_name) if digest is None else digest,
        }
        self._channels[topic] = self._writer.register_channel(topic, "cdr", self._schemas[type_name], metadata)
        self.counts[topic] = 0

    def write(
        self, topic: str, cdr: bytes, log_time: int, publish_time: int | None = None, sequence: int | None = None
    ) -> None:
        """Append one serialised message; times in nanoseconds, ``publish_time`` is ``log_time`` unless known,
        ``sequence`` counts from 1 unless the publisher's own is known.
        """
        self.counts[topic] += 1
        with self._writing():
            self._writer.add_message(
                self._channels[topic],
                log_time=log_time,
                data=cdr,
                publish_time=log_time if publish_time is None else publish_time,
                sequence=self.counts[topic] if sequence is None else sequence,
            )

    def note(self, name: str, entries: Mapping[str, str]) -> None:
        """Key-value metadata beside the messages: where the bag comes from."""
        with self._writing():
            self._writer.add_metadata(name, dict(entries))

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise BagError(f"{self.path}: cannot be written any further ({error.strerror})") from error

    def close(self) -> None:
        """Complete the file and give it its name."""
        try:
            self._writer.finish()
            self._file.close()
            os.replace(self._part, self.path)
        except OSError as error:
            raise BagError(f"{self.path}: cannot be completed ({error.strerror}); see {self._part}") from error

    def abandon(self) -> None:
        """Leave nothing behind."""
        with suppress(OSError):  # what the disk had no room for is thrown away all the same
            self._file.close()
        self._part.unlink(missing_ok=True)

    def __enter__(self) -> BagWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        else:
            self.abandon()


def _check(path: Path, inputs: Iterable[Path]) -> None:
    if path.suffix != ".mcap":
        raise BagError(f"{path}: the output is one MCAP file, so its name must end in .mcap")
    if path.is_dir():
        raise BagError(f"{path}: is a folder; name a file that ends in .mcap")
    target = path.resolve()
    for source in inputs:
        if source.resolve() in (target, target.parent):
            raise BagError(f"{path}: would overwrite or extend the input bag {source}; write it somewhere else")
