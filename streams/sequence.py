"""The numbers that a signing key counts its commands with: each is greater than all before it, whatever crashes.

The engine refuses a number that is not above the last one it saw of the key. So a number is drawn only when a file says that it may
have been: before the first of a block is used, the block's end is on the disk.

    1. take the file's lock: two clients with one key would overtake each other (give each one a key of its own)
    2. write the end of a block that begins above the last one's end, and wait until it is on the disk
    3. draw numbers up to there; then again from 2
    A crash after 2 loses at most what is left of a block. A clean close writes the last number that was drawn.

A number is the time in microseconds where that is greater, so that a lost file, or a key that was moved to another machine without
it, begins above everything it has drawn: unless that machine's clock is behind.
"""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from streams.errors import BadInput, UserError

BLOCK = 5_000_000
"""Five seconds of numbers: a client that is never idle waits for the disk once in five seconds (some ms)."""

MOST = 2**53
"""Above it JSON numbers of common parsers are no longer exact. The time in microseconds reaches it in 2255."""


class KeyInUse(UserError):  # noqa: N818  names the state of the key, as its user sees it
    """Another client draws numbers for this key. Exit code 1."""


class SequenceFile:
    """Draws numbers; only one of a file is open at a time.

    Args:
        path: of the file; made where there is none.

    Raises:
        KeyInUse: it is open elsewhere.
        BadInput: it can't be opened, or holds something else.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise BadInput(f"{path}: {error.strerror}") from error
        try:
            self._lock()
            self._last = self._end = self._read()
        except BaseException:  # the lock must not outlive us, whatever ended this, an interruption too
            os.close(self._file)
            raise

    @property
    def is_spent(self) -> bool:
        """Whether the next number waits for the disk."""
        return self._next() > self._end

    def draw(self) -> int:
        """The next number.

        Raises:
            BadInput: the disk is full, or the file gone bad.
        """
        drawn = self._next()
        if drawn > self._end:
            self._write(drawn + BLOCK)
        self._last = drawn
        return drawn

    def close(self) -> None:
        """Gives back what is left of the block, and the lock; safe to call twice."""
        if self._file < 0:
            return
        try:
            if self._last < self._end:
                self._write(self._last)
        finally:
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _next(self) -> int:
        return max(self._last + 1, time.time_ns() // 1000)

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise KeyInUse(
                f"{self._path}: another client signs with this key; give each one a key of its own (bourse keys new)"
            ) from None

    def _read(self) -> int:
        text = os.pread(self._file, 64, 0).decode("ascii", "replace").strip()
        if not text:
            return 0
        if not text.isdigit() or int(text) > MOST:
            raise BadInput(f"{self._path}: holds {text!r}, not a sequence number; without the file numbers go on by the clock")
        return int(text)

    def _write(self, end: int) -> None:
        # In place, as a lock is the file's, not its name's. One write of one line of one length is whole or was never done.
        try:
            os.pwrite(self._file, b"%020d\n" % end, 0)
            os.fsync(self._file)
        except OSError as error:
            raise BadInput(f"{self._path}: {error.strerror}") from error
        self._end = end


def beside(key: Path) -> Path:
    """Where a key file's numbers are kept."""
    return key.with_name(key.name + ".seq")
