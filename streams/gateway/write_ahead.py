"""What a gateway must not forget: each request that it let in, and how it ended, in files of its own before anything is told.

A record is a line: the CRC-32 of its text, 8 hex digits, a space, and its text, a JSON array (which has no line breaks). Records go
to the newest *segment* by one write() each, some 4 µs with encoding, and the system keeps what was written when the process is
killed. A thread syncs to disk every `sync_s`: a machine that loses power forgets that much at most.

The gateway writes segments and deletes them; another process reads them behind it, publishes, and writes `told`, the position up to
which Kafka has everything (streams/gateway/following.py, publishing.py). No file has two writers, and nobody waits for anybody.

1. `begin` returns: the request is known, whatever happens to either process. Only then upstream is asked.
2. `end` returns: what it used is known.
   What can't be written then (a full disk) is owed: it is written before anything else, and nothing more begins until it is.
3. A segment of the next number is there: the one before it is written whole, but for a line that broke off when its gateway died.
4. `told` names a position: everything before it is acknowledged by Kafka. A crash between the acknowledgement and this makes a
   batch be told again, under ids that have not changed: that counts once.
5. `tidy` deletes a segment when everything in it is told and no request that began in it runs.

What was begun and never ended is found when the files are opened again: its process died. It ends then, as LOST, at what it had
reserved: nobody can say what it used, and its tenant was entitled to no more. 250 bytes a request: 50,000 requests/s write 13 MB/s,
and a Kafka that is away costs disk, not memory; memory is what runs (some 200 bytes a request). Files hold MOST_BYTES at most:
where Kafka is away for so long that they are full, nothing more begins until it is back.
"""

from __future__ import annotations

import errno
import fcntl
import os
import threading
import zlib
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from pydantic_core import from_json, to_json

from streams.errors import UserError

CHECKSUM_BYTES = 9
"""With its space."""
SEGMENT_BYTES = 64 << 20
SYNC_S = 0.2
READS = 5
"""How often `told` is read until it holds a position: its writer may be writing it."""
MOST_BYTES = 4 << 30
"""17 million requests: five hours of 1,000 a second."""

LOST = "lost"
"""How a request ended of which only the beginning is known."""


class Begun(NamedTuple):
    """A request that is about to be passed on.

    Attributes:
        request: its id.
        started_ms: milliseconds since 1970.
        input_tokens: counted or estimated.
        most_output: reserved besides.
    """

    request: str
    tenant: str
    pool: str
    model: str
    started_ms: int
    input_tokens: int
    most_output: int


class Ended(NamedTuple):
    """What a request came to, with all that is published of it.

    Attributes:
        ended_ms: milliseconds since 1970.
        basis: who says so: reported, counted or reserved.
        latency_ms: None: nobody knows, as of one that was lost.
        ttft_ms: None: nothing came.
        tpot_ms: of the output after its first token; None: there was none.
        status: ok; what upstream refused it with, as `http_400`; or how else it went wrong.
    """

    request: str
    tenant: str
    pool: str
    model: str
    ended_ms: int
    input_tokens: int
    output_tokens: int
    cached_input_tokens: int
    basis: str
    latency_ms: int | None
    ttft_ms: int | None
    tpot_ms: int | None
    status: str


Record = Begun | Ended

_KINDS: dict[str, type[Begun | Ended]] = {"b": Begun, "e": Ended}
_LETTERS = {kind: letter for letter, kind in _KINDS.items()}


class Position(NamedTuple):
    """Between two records."""

    segment: int
    offset: int


class WriteAheadError(UserError):
    """The files can't be used: another gateway has them, or they are damaged. What is in them stays as it is."""


class WriteAhead:
    """The files of one gateway, as it writes them. `begin` and `end` belong to one thread, `tidy` to one that may be another.

    Args:
        directory: of this gateway alone; made if it is missing.
        now_ms: milliseconds since 1970; when the lost ones end.
        segment_bytes: after which a new file is begun.
        sync_s: how much a machine that loses power may forget.
        most_bytes: that the files may hold before nothing more begins.

    Raises:
        WriteAheadError: another process has them, or a record that is followed by others is damaged.
        OSError: the directory can't be written.
    """

    def __init__(
        self,
        directory: Path,
        now_ms: int,
        *,
        segment_bytes: int = SEGMENT_BYTES,
        sync_s: float = SYNC_S,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        self.directory = directory
        self._segment_bytes, self._most_bytes = segment_bytes, most_bytes
        self._owed: deque[Ended] = deque()
        directory.mkdir(parents=True, exist_ok=True)
        self._lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as taken:
            os.close(self._lock)
            raise WriteAheadError(f"{directory}: another gateway writes there; each needs a name of its own (--name)") from taken
        self._running: dict[str, int] = {}  # request -> the segment in which it began
        self._begun_in: Counter[int] = Counter()
        read_told(directory)  # one that can't be read is told of now, before anything is let in
        unended = self._recover()
        self._sizes = {segment: segment_path(directory, segment).stat().st_size for segment in segments(directory)}
        self._older_bytes = sum(self._sizes.values())
        self._segment = max(self._sizes, default=0) + 1
        self._file = self._open_segment(self._segment)
        self._written = 0
        self._first = min(self._sizes, default=self._segment)
        for begun in unended:
            self.end(_lost(begun, now_ms))
        self.lost = len(unended)
        self._closing = threading.Event()
        self._syncing = threading.Thread(target=self._sync_now_and_then, args=(sync_s,), name="write-ahead", daemon=True)
        self._syncing.start()

    @property
    def running(self) -> int:
        """Requests that began and have not ended."""
        return len(self._running)

    @property
    def told_through(self) -> Position:
        """Everything before it is known to Kafka."""
        return read_told(self.directory)

    @property
    def ends(self) -> Position:
        """Behind the last record."""
        return Position(self._segment, self._written)

    def begin(self, begun: Begun) -> None:
        """A request will be passed on.

        Raises:
            OSError: it can't be written (a full disk, or files of `most_bytes`): do not pass it on.
        """
        self.write_owed()
        if self._older_bytes + self._written > self._most_bytes:
            raise OSError(errno.ENOSPC, f"Kafka is away, and files of {self._most_bytes} bytes wait for it", str(self.directory))
        self._append(begun)
        self._running[begun.request] = self._segment
        self._begun_in[self._segment] += 1

    def end(self, ended: Ended) -> None:
        """A request has ended. One that never began is taken as well: it was lost, and comes back.

        Raises:
            OSError: it can't be written. It is owed, and found as lost if the process ends before.
        """
        self._owed.append(ended)
        self.write_owed()

    def write_owed(self) -> None:
        """Ends that could not be written when they came; to be called now and then, and done by `begin`, `end` and `close`.

        Raises:
            OSError: they still can't.
        """
        while self._owed:
            ended = self._owed[0]
            self._append(ended)
            self._owed.popleft()
            segment = self._running.pop(ended.request, None)
            if segment is not None:
                self._begun_in[segment] -= 1

    def tidy(self) -> None:
        """Deletes the segments that nobody needs any more."""
        told = self.told_through
        while self._first < told.segment and not self._begun_in[self._first]:
            self._path(self._first).unlink(missing_ok=True)
            del self._begun_in[self._first]
            self._sizes.pop(self._first, None)
            self._first += 1
        self._older_bytes = sum(tuple(self._sizes.values()))

    def close(self) -> None:
        """Syncs and lets go of the files; safe to call twice."""
        if self._closing.is_set():
            return
        self._closing.set()
        self._syncing.join()
        with suppress(OSError):  # found as lost by the next process
            self.write_owed()
        os.fsync(self._file)
        os.close(self._file)
        self._file = -1  # who ends a request now gets an error, and does not write into what is opened next
        os.close(self._lock)

    def _append(self, record: Record) -> None:
        body = to_json((_LETTERS[type(record)], *record))
        data = b"%08x %b\n" % (zlib.crc32(body), body)
        if self._written + len(data) > self._segment_bytes and self._written:
            self._roll()
        written = os.write(self._file, data)
        if written < len(data):  # a disk that is full takes a part: nobody may read on behind it
            os.ftruncate(self._file, self._written)
            os.lseek(self._file, self._written, os.SEEK_SET)
            raise OSError(f"{self._path(self._segment)}: {written} of {len(data)} bytes could be written")
        self._written += len(data)

    def _roll(self) -> None:
        """The next segment. Where it can't be opened nothing has changed: a number that was closed may be a client's connection."""
        file = self._open_segment(self._segment + 1)
        full, self._file = self._file, file
        self._sizes[self._segment] = self._written
        self._older_bytes = sum(tuple(self._sizes.values()))
        self._segment += 1
        self._written = 0
        try:
            os.fsync(full)
        finally:
            os.close(full)

    def _open_segment(self, segment: int) -> int:
        return os.open(self._path(segment), os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)

    def _path(self, segment: int) -> Path:
        return segment_path(self.directory, segment)

    def _recover(self) -> list[Begun]:
        """Those that began and never ended, in the order in which they began."""
        begun: dict[str, Begun] = {}
        for segment in segments(self.directory):
            path = self._path(segment)
            for record, _ in records(path, path.read_bytes(), 0):
                if isinstance(record, Begun):
                    begun[record.request] = record
                    self._running[record.request] = segment
                    self._begun_in[segment] += 1
                elif begun.pop(record.request, None):
                    self._begun_in[self._running.pop(record.request)] -= 1
        return list(begun.values())

    def _sync_now_and_then(self, every_s: float) -> None:
        synced = Position(0, 0)
        while not self._closing.wait(every_s):
            if self.ends != synced:
                synced = self.ends
                try:
                    os.fsync(self._file)
                except OSError:  # the file was closed when its segment was full, and synced before
                    continue


def records(path: Path, data: bytes, start: int) -> Iterator[tuple[Record, int]]:
    """The records that are whole in a part of a segment, which begins at byte `start`; each with its length.

    A line that breaks off at the end of a segment is no record: its process died while writing it, before anybody relied on it.

    Raises:
        WriteAheadError: a line that is there whole is not what was written.
    """
    lines = data.split(b"\n")
    lines.pop()  # nothing, or what breaks off
    at = start
    for line in lines:
        text = line[CHECKSUM_BYTES:]
        if line[:CHECKSUM_BYTES] != b"%08x " % zlib.crc32(text):
            raise WriteAheadError(f"{path}: the record at byte {at} is damaged; move the file away to go on without it")
        letter, *fields = from_json(text)
        at += len(line) + 1
        yield _KINDS[letter](*fields), len(line) + 1


def _lost(begun: Begun, now_ms: int) -> Ended:
    return Ended(
        begun.request,
        begun.tenant,
        begun.pool,
        begun.model,
        ended_ms=now_ms,
        input_tokens=begun.input_tokens,
        output_tokens=begun.most_output,
        cached_input_tokens=0,
        basis="reserved",
        latency_ms=None,
        ttft_ms=None,
        tpot_ms=None,
        status=LOST,
    )


def segments(directory: Path) -> list[int]:
    """The numbers of those that are there, in their order."""
    return sorted(int(path.stem) for path in directory.glob("*.log"))


def segment_path(directory: Path, segment: int) -> Path:
    """The file of one."""
    return directory / f"{segment:010}.log"


def told_text(through: Position) -> bytes:
    """What stands in `told`: always of the same length, so that it can be written over what stood there, also on a full disk."""
    position = f"{through.segment} {through.offset}"
    return f"{position} {zlib.crc32(position.encode()):08x}".ljust(63).encode() + b"\n"


def read_told(directory: Path) -> Position:
    """Up to where Kafka has what stands in the files.

    Raises:
        WriteAheadError: the file holds no position.
    """
    path = directory / "told"
    for _ in range(READS):
        try:
            text = path.read_bytes()
            if not text:  # it has just been made
                return Position(0, 0)
            segment, offset, _ = text.split()
            position = Position(int(segment), int(offset))
        except FileNotFoundError:
            return Position(0, 0)
        except ValueError:
            continue
        if text == told_text(position):
            return position
    raise WriteAheadError(f"{path}: does not hold a position; delete it to tell everything again, which counts once")
