"""`bourse publish`: JSON lines from a file or standard input to a topic, each acknowledged or told."""

from __future__ import annotations

import json
import os
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import IO, Annotated, get_args

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TransferSpeedColumn

from streams.complaints import Refusal
from streams.door import OBSERVED, Door, Observation, Published, TopicKind
from streams.errors import BadInput, Unavailable
from streams.outbox import MAX_MESSAGE_BYTES, Letter, Outbox, PublishFailed, PublishTimeout, UndeliveredError
from streams.settings import Settings

KINDS: tuple[TopicKind, ...] = get_args(TopicKind)
TOLD_LINES = 20
"""Refusals that are told one by one; a file of another format would otherwise fill the terminal."""
ANSWER = timedelta(seconds=10)
"""How long Kafka may take to say that the topic is there."""


@dataclass(slots=True)
class Tally:
    """What became of the lines; `published` were handed to the producer, `refused` were not."""

    topic: str
    published: int = 0
    acknowledged: int = 0
    failed: int = 0
    refused: int = 0
    complete: bool = True
    """False if it stopped before the last line."""

    @property
    def exit_code(self) -> int:
        """1 if something was not acknowledged, 2 if a line could not be taken."""
        return 1 if self.failed or not self.complete else 2 if self.refused else 0

    def __str__(self) -> str:
        refused = f", refused {self.refused:,}" if self.refused else ""
        return f"published {self.published:,}, acknowledged {self.acknowledged:,}, failed {self.failed:,}{refused}"


class LineRefused(Exception):  # noqa: N818  says what became of the line; caught where it is told
    """A line that no door would take, and why; it is not sent."""


@dataclass(frozen=True, slots=True)
class Letters:
    """Turns lines into messages: as they are, or only those that the topic's door would take."""

    kind: TopicKind
    topic: str
    door: Door
    raw: bool
    key: str | None
    source: str | None

    def letter(self, line: bytes) -> Letter:
        """The message of one line.

        Raises:
            LineRefused: it has more bytes than any message may, or the door would not take it.
        """
        if len(line) >= MAX_MESSAGE_BYTES:
            raise LineRefused(f"too_large: the line has {MAX_MESSAGE_BYTES:,} bytes or more, which no message may have")
        key = None if self.key is None else self.key.encode()
        if self.raw:
            return Letter(self.topic, key or _key_as_written(line, self.kind), line)
        value = line if self.source is None else _with_source(line, self.source)
        read = self.door.read(self.kind, value, (), key, time.time_ns() // 1_000_000)
        if isinstance(read, Refusal):
            raise LineRefused(f"{read.problem}: {read.detail}")
        return Letter(self.topic, _key_of(read), value)


def publish(
    topic: Annotated[str, typer.Argument(help=f"One of {', '.join(KINDS)}; with or without the prefix of topics.")],
    source_file: Annotated[str, typer.Argument(metavar="[FILE]", help="JSON lines; - for standard input.")] = "-",
    *,
    raw: Annotated[bool, typer.Option("--raw", help="Send each line's bytes as they are, unchecked.")] = False,
    key: Annotated[str | None, typer.Option(help="Key of every message; default: the line's tenant or pool.")] = None,
    source: Annotated[str | None, typer.Option(help="`source` of lines that have none.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Stop after this many lines.")] = None,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds in which a message must be acknowledged.")] = 60.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the counts as one JSON object.")] = False,
) -> None:
    """Publish JSON lines to a topic and wait until Kafka has acknowledged them.

    Each line is checked as the topic's door will check it. A line that would be refused is told with its number and not sent; the
    others are. Exit code 0 if every line was acknowledged, 1 if Kafka did not acknowledge some, 2 if lines were refused.
    """
    settings = Settings.load()
    kind = next((kind for kind in KINDS if topic in {kind, settings.topic(kind)}), None)
    if kind is None:
        raise BadInput(f"topic {topic!r}: one of {', '.join(KINDS)} is expected")
    door = Door(
        max_event_bytes=settings.max_event_bytes, max_ahead_ms=settings.max_ahead_ms, max_age_ms=settings.max_age_ms, registry=None
    )
    letters = Letters(kind, settings.topic(kind), door, raw, key, source)
    with _opened(source_file) as lines:
        tally = send(lines, letters, settings, limit=limit, timeout=timedelta(seconds=timeout))
    typer.echo(json.dumps(asdict(tally)) if as_json else str(tally))
    raise typer.Exit(tally.exit_code)


def send(lines: IO[bytes], letters: Letters, settings: Settings, *, limit: int | None, timeout: timedelta) -> Tally:
    """Sends every line that can be taken. Memory does not depend on how many lines there are.

    Raises:
        Unavailable: Kafka does not answer, or has no such topic; nothing was sent.
    """
    outbox: Outbox[int] = Outbox(settings, max_wait=timeout, delivery_timeout=timeout)
    try:
        outbox.check(letters.topic, min(ANSWER, timeout))
    except Unavailable:
        outbox.close()
        raise
    sending = _Sending(outbox, letters, Tally(letters.topic), Console(stderr=True))
    with _progress(sending.console, lines) as progress:
        task = progress.add_task("", total=_size(lines), told="")
        try:
            for number, line in _numbered(lines, limit):
                sending.send(number, line)
                progress.update(task, advance=len(line) + 1, told=str(sending.tally))
        except (PublishTimeout, PublishFailed) as stopped:
            sending.stop(f"stopped: {stopped}")
        except KeyboardInterrupt:
            sending.stop("interrupted: waiting for what was sent")
        sending.settle()
    return sending.tally


@dataclass(frozen=True, slots=True)
class _Sending:
    """One run: where messages go, and what is told of them."""

    outbox: Outbox[int]
    letters: Letters
    tally: Tally
    console: Console

    def send(self, number: int, line: bytes) -> None:
        """Sends or refuses one line."""
        try:
            letter = self.letters.letter(line)
        except LineRefused as refusal:
            self._refuse(number, refusal)
            return
        self.outbox.put(letter, number)
        self.tally.published += 1
        if self.tally.published % 1000 == 0:
            self.tally.acknowledged = self.outbox.delivered().acknowledged

    def _refuse(self, number: int, refusal: LineRefused) -> None:
        self.tally.refused += 1
        if self.tally.refused <= TOLD_LINES:
            self._tell(f"line {number}: {refusal}")
        elif self.tally.refused == TOLD_LINES + 1:
            self._tell("… further refused lines are only counted")

    def stop(self, why: str) -> None:
        """Notes that lines were left over."""
        self._tell(why)
        self.tally.complete = False

    def settle(self) -> None:
        """Waits for all acknowledgements; the producer gives a message up after its delivery timeout, so this ends."""
        try:
            self.outbox.close()
        except UndeliveredError as lost:
            self.tally.failed = len(lost.undelivered)
            for one in lost.undelivered[:TOLD_LINES]:
                self._tell(f"line {one.event}: not acknowledged: {one.reason}")
        self.tally.acknowledged = self.outbox.delivered().acknowledged

    def _tell(self, text: str) -> None:
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)


def _numbered(lines: IO[bytes], limit: int | None) -> Iterator[tuple[int, bytes]]:
    """(line number, its bytes without the line's end), empty lines left out. Of an endless line only the beginning is kept."""
    number = taken = 0
    while (limit is None or taken < limit) and (line := lines.readline(MAX_MESSAGE_BYTES + 2)):
        number += 1
        if len(line) > MAX_MESSAGE_BYTES:
            _skip_rest(lines, line)
        line = line.rstrip(b"\r\n")
        if line.strip():
            taken += 1
            yield number, line


def _skip_rest(lines: IO[bytes], part: bytes) -> None:
    while part and not part.endswith(b"\n"):
        part = lines.readline(MAX_MESSAGE_BYTES)


def _key_of(event: Published) -> bytes:
    return (event.tenant if isinstance(event, Observation) else event.pool).encode()


def _key_as_written(line: bytes, kind: str) -> bytes | None:
    """The tenant or pool of a line if it can be read; a line that can't has no key, as from a client that failed to write one."""
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        return None
    name = said.get("tenant" if kind in OBSERVED else "pool") if isinstance(said, dict) else None
    return name.encode("utf-8", "surrogatepass") if isinstance(name, str) and name else None


def _with_source(line: bytes, source: str) -> bytes:
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        return line
    if not isinstance(said, dict) or "source" in said:
        return line
    return json.dumps({**said, "source": source}, ensure_ascii=False).encode("utf-8", "surrogatepass")


@contextmanager
def _opened(name: str) -> Iterator[IO[bytes]]:
    if name == "-":
        yield sys.stdin.buffer
        return
    try:
        file = Path(name).open("rb")  # noqa: SIM115  closed below; the error belongs to opening alone
    except OSError as failed:
        raise BadInput(f"{name}: {failed.strerror}") from failed
    with file:
        yield file


def _size(lines: IO[bytes]) -> int | None:
    """Bytes of a regular file; None for a pipe, of which nobody knows the end."""
    status = os.fstat(lines.fileno())
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def _progress(console: Console, lines: IO[bytes]) -> Progress:
    known = [BarColumn()] if _size(lines) else []
    told = TextColumn("{task.fields[told]}")
    return Progress(
        SpinnerColumn(), *known, TransferSpeedColumn(), told, console=console, transient=True, disable=not console.is_terminal
    )
