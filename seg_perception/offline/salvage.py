"""Reading what can be read of a bag file that was never closed, or lost its end or its index.

In file order and without an index: an MCAP's records up to the first broken one, a database's rows up to the first
page that is missing.
"""

from __future__ import annotations

import sqlite3
import struct
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import closing
from pathlib import Path

from mcap.exceptions import EndOfFile
from mcap.records import Channel, Message, Schema
from mcap.stream_reader import StreamReader
from rosbags.interfaces import Connection, ConnectionExtRosbag2, MessageDefinition, MessageDefinitionFormat
from rosbags.rosbag2.metadata import parse_qos

from seg_perception.errors import BagError

Row = tuple[Connection, int, bytes]


class Salvaged:
    """One bag file, read as far as it goes; ``damage`` says why no further, empty where it has no damage."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.damage = ""
        counts: Counter[int] = Counter()
        found: dict[int, Connection] = {}
        try:
            for connection, _, _ in self._rows():
                found[connection.id] = connection
                counts[connection.id] += 1
        except Exception as error:  # bytes from a broken disk may fail in any way
            self.damage = reason(error)
        self.connections = [c._replace(msgcount=counts[c.id]) for c in found.values()]

    def _rows(self) -> Iterator[Row]:
        return _mcap_rows(self._path) if self._path.suffix == ".mcap" else _sqlite_rows(self._path)

    def messages(self, connections: Collection[Connection]) -> Iterator[Row]:
        """Connection, log time and bytes of each message; raises :class:`BagError` with the reason at the damage."""
        wanted = {connection.id for connection in connections}
        readable = sum(connection.msgcount for connection in self.connections)
        for (connection, log_time, cdr), _ in zip(self._rows(), range(readable), strict=False):
            if connection.id in wanted:
                yield connection, log_time, cdr
        if self.damage:
            raise BagError(self.damage)

    def close(self) -> None:
        """Nothing stays open between two readings."""


def reason(error: Exception) -> str:
    """What a parser's exception means for somebody who wants to read the bag."""
    if isinstance(error, (EndOfFile, struct.error)):
        return "the file ends too early, as when its recorder is killed or a copy stops"
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__


def _mcap_rows(path: Path) -> Iterator[Row]:
    schemas: dict[int, Schema] = {}
    connections: dict[int, Connection] = {}
    with path.open("rb") as file:
        for record in StreamReader(file, validate_crcs=True).records:
            if isinstance(record, Schema):
                schemas[record.id] = record
            elif isinstance(record, Channel):
                schema = schemas.get(record.schema_id)
                connections[record.id] = _connection(
                    record.id,
                    record.topic,
                    schema.name if schema else "",
                    schema.data.decode() if schema and schema.encoding == "ros2msg" else "",
                    record.message_encoding,
                    record.metadata.get("offered_qos_profiles", ""),
                )
            elif isinstance(record, Message):
                yield connections[record.channel_id], record.log_time, record.data


def _sqlite_rows(path: Path) -> Iterator[Row]:
    with path.open("rb") as file:
        page = int.from_bytes(file.read(18)[16:], "big") or 1
    if path.stat().st_size % (65536 if page == 1 else page):
        # SQLite would take the missing part of the last page for zeros, and give them out as pixels.
        raise BagError(f"the file ends in the middle of a page; try `sqlite3 {path.name} .recover`")
    # With a write-ahead log beside it the log's rows belong to the bag; without one nobody else touches the file.
    unclosed = path.with_name(f"{path.name}-wal").exists()
    mode = "mode=ro" if unclosed else "mode=ro&immutable=1"
    address = f"{path.resolve().as_uri()}?{mode}"
    # One thread at a time, but not always the same: the player reads ahead.
    with closing(sqlite3.connect(address, uri=True, check_same_thread=False)) as database:
        # Otherwise SQLite refuses every row of a file that is shorter than its header says.
        database.execute("PRAGMA writable_schema=ON")
        columns = {row[1] for row in database.execute("PRAGMA table_info(topics)")}
        offered = "offered_qos_profiles" if "offered_qos_profiles" in columns else "''"
        topics = database.execute(f"SELECT id, name, type, serialization_format, {offered} FROM topics ORDER BY id")
        connections = {row[0]: _connection(row[0], row[1], row[2], "", row[3], row[4]) for row in topics}
        for topic_id, log_time, cdr in database.execute("SELECT topic_id, timestamp, data FROM messages ORDER BY id"):
            yield connections[topic_id], log_time, cdr


def _connection(number: int, topic: str, kind: str, text: str, encoding: str, offered: str) -> Connection:
    form = MessageDefinitionFormat.MSG if text else MessageDefinitionFormat.NONE
    extension = ConnectionExtRosbag2(encoding, parse_qos(offered))
    return Connection(number, topic, kind, MessageDefinition(form, text), "", 0, extension, None)
