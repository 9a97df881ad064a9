"""Reads what a gateway writes down (streams/gateway/write_ahead.py) from another process, and keeps the position that is told."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from streams.gateway.write_ahead import Ended, Position, read_told, records, segment_path, segments, told_text

CHUNK_BYTES = 1 << 20
"""So much is read at once: some 5,000 records, 5 ms. The longest line fits: its names are bounded to a few hundred bytes each."""


class Following:
    """The one reader of a gateway's files who may say what is told; waits until an earlier one has ended.

    Args:
        directory: of the files.

    Raises:
        WriteAheadError: `told` holds no position.
        OSError: the directory can't be written.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = os.open(directory / "told.lock", os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self.told_through = read_told(directory)
        self._told = os.open(directory / "told", os.O_WRONLY | os.O_CREAT, 0o600)

    def read(self, most: int) -> tuple[list[Ended], Position]:
        """As `read`, behind what is told."""
        return read(self._directory, self.told_through, most)

    def told(self, through: Position) -> None:
        """Kafka has everything before a position: it will not be told again, and the gateway may delete what is before it.

        Raises:
            OSError: the position can't be written, so the next process tells again what is behind the last one.
        """
        self.told_through = through
        os.pwrite(self._told, told_text(through), 0)  # over the old one, which takes no space; whoever reads a mixture reads again

    def close(self) -> None:
        """Lets another one follow."""
        os.close(self._told)
        os.close(self._lock)


def read(directory: Path, start: Position, most: int) -> tuple[list[Ended], Position]:
    """What ended behind a position, in its order, and where to read on; a chunk more than `most` at most.

    The gateway writes on meanwhile. A line without its end is not read: the gateway is writing it, or died while it did, which is
    so when a segment follows. Whether one follows is looked at before what is there is read, so nothing can be passed over.

    Raises:
        WriteAheadError: a record is damaged.
    """
    found: list[Ended] = []
    segment, offset = start
    while len(found) < most:
        behind = next((number for number in segments(directory) if number > segment), None)
        before = offset
        for record, length in records(*_chunk(directory, segment, offset), offset):
            offset += length
            if isinstance(record, Ended):
                found.append(record)
        if offset > before:
            continue
        if behind is None:
            break
        segment, offset = behind, 0
    return found, Position(segment, offset)


def _chunk(directory: Path, segment: int, offset: int) -> tuple[Path, bytes]:
    """Bytes of a segment; none of one that is deleted, or was never there."""
    path = segment_path(directory, segment)
    try:
        with path.open("rb") as file:
            file.seek(offset)
            return path, file.read(CHUNK_BYTES)
    except FileNotFoundError:
        return path, b""
