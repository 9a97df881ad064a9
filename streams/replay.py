"""The proof by replay (BEY-1): the recorded journal, folded again, must give the recorded facts byte for byte.

Each partition is read twice side by side, journal and facts, from the beginning to where it ends now; memory holds one state and
one fetch of each, whatever the length. One core folds and compares about as fast as an engine decides.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from processors.broken import BrokenJournalError
from processors.engine import fold
from processors.state import PartitionState
from schemas.fact import Fact
from schemas.facts import PeriodClosed
from schemas.model import Event
from streams.asking import patiently
from streams.codecs import UnreadableRecord, decode, encode

FETCH_RECORDS = 2_000
SILENCE_S = 30.0
"""How long the broker may send nothing before the end of a partition before a replay gives up, seconds."""

FactId = tuple[int, int]
"""(journal offset, index)."""


class ReplayError(Exception):
    """The journal or the facts could not be read."""


@dataclass(frozen=True, slots=True)
class Difference:
    """The first fact of a partition that is not what the journal gives.

    `recorded` is None where the topic lacks a fact that the journal gives, `decided` where the journal gives no fact of that id.
    """

    partition: int
    fact: FactId
    decided: Fact | None
    recorded: Fact | None


@dataclass(slots=True)
class PartitionVerdict:
    """What a replay of one journal partition found.

    Attributes:
        journal: records folded.
        facts: facts compared and found equal, byte for byte.
        repeated: facts that stand more than once in the topic, as a recovering engine publishes them again.
        periods: closed periods whose state hash was found equal.
        unpublished: facts that the journal gives beyond the last recorded one: the engine is still at it.
        difference: the first one; the replay of the partition stops there.
    """

    partition: int
    journal: int = 0
    facts: int = 0
    repeated: int = 0
    periods: int = 0
    unpublished: int = 0
    difference: Difference | None = None


Progress = Callable[[int, int, int], None]
"""Called with partition, journal records read, journal records in all."""


def verify(config: Mapping[str, Any], journal: str, facts: str, progress: Progress) -> list[PartitionVerdict]:
    """Replay all partitions.

    Args:
        config: confluent-kafka's connection settings.
        journal: name of the journal's topic.
        facts: name of the facts' topic.
        progress: told now and then how far it is.

    Raises:
        ReplayError: a topic is missing or cut at its beginning, holds what we did not write, or the broker is silent.
    """
    return [verify_partition(config, journal, facts, partition, progress) for partition in partitions_of(config, journal)]


def verify_partition(config: Mapping[str, Any], journal: str, facts: str, partition: int, progress: Progress) -> PartitionVerdict:
    """Replay one partition; see `verify`."""
    verdict = PartitionVerdict(partition)
    state = PartitionState()
    with Recorded(config, facts, partition) as published, Recorded(config, journal, partition) as inputs:
        recorded = _first_copies(published, verdict)
        known = next(recorded, None)
        for offset, data in inputs:
            for fact in _decided(state, data, offset, inputs.name):
                if known is None:
                    verdict.unpublished += 1
                    continue
                if encode(fact) != known[1]:
                    verdict.difference = _difference(partition, fact, known)
                    return verdict
                verdict.facts += 1
                verdict.periods += isinstance(fact, PeriodClosed)
                known = next(recorded, None)
            verdict.journal += 1
            if verdict.journal % FETCH_RECORDS == 0:
                progress(partition, verdict.journal, inputs.length)
        progress(partition, verdict.journal, inputs.length)
        if known is not None:
            verdict.difference = Difference(partition, known[0], None, _fact(known[1], facts))
    return verdict


def fold_again(config: Mapping[str, Any], journal: str, partition: int, keep: Callable[[Event], bool]) -> Iterator[Fact]:
    """What would have been decided if some records had never been appended: folds those that `keep` lets through.

    Offsets are those of the journal as it is. Whatever came of the records that are left out, in the world, is in the others still.

    Args:
        config: confluent-kafka's connection settings.
        journal: name of the journal's topic.
        partition: which of its partitions.
        keep: whether a record counts.

    Raises:
        ReplayError: as of `verify`.
    """
    state = PartitionState()
    with Recorded(config, journal, partition) as inputs:
        for offset, data in inputs:
            record = record_at(data, offset, inputs.name)
            if keep(record):
                yield from _folded(state, record, offset, inputs.name)


def _first_copies(published: Recorded, verdict: PartitionVerdict) -> Iterator[tuple[FactId, bytes]]:
    """Each fact once: ids ascend but where an engine that recovered publishes again what is there already."""
    last: FactId = (-1, -1)
    for offset, data in published:
        fact = _fact(data, f"{published.name}, offset {offset}")
        here = (fact.journal_offset, fact.fact_index)
        if here <= last:
            verdict.repeated += 1
            continue
        last = here
        yield here, data


def _difference(partition: int, decided: Fact, known: tuple[FactId, bytes]) -> Difference:
    """Two facts of one id differ; else the one that comes first has no counterpart."""
    here, recorded = (decided.journal_offset, decided.fact_index), known[0]
    return Difference(
        partition,
        min(here, recorded),
        decided if here <= recorded else None,
        _fact(known[1], "facts") if recorded <= here else None,
    )


def _decided(state: PartitionState, data: bytes, offset: int, journal: str) -> list[Fact]:
    return _folded(state, record_at(data, offset, journal), offset, journal)


def record_at(data: bytes, offset: int, journal: str, read: Callable[[bytes], Event] = decode) -> Event:
    """A journal record. `read`: who reads a whole journal has a `ReportReader` for it.

    Raises:
        ReplayError: we have not written it.
    """
    try:
        return read(data)
    except UnreadableRecord as error:
        raise ReplayError(f"{journal}, offset {offset}: {error}") from error


def _folded(state: PartitionState, record: Event, offset: int, journal: str) -> list[Fact]:
    try:
        return fold(state, record, offset)
    except BrokenJournalError as error:
        raise ReplayError(f"{journal}, offset {offset}: {error}") from error


def _fact(data: bytes, where: str) -> Fact:
    try:
        fact = decode(data)
    except UnreadableRecord as error:
        raise ReplayError(f"{where}: {error}") from error
    if not isinstance(fact, Fact):
        raise ReplayError(f"{where}: a record of kind {fact.KIND!r} stands among the facts")
    return fact


def partitions_of(config: Mapping[str, Any], topic: str) -> list[int]:
    """The partitions of a topic.

    Raises:
        ReplayError: there is no such topic, or the broker is silent.
    """
    consumer = Consumer({**config, "group.id": "bourse-replay", "enable.auto.commit": False})
    try:
        found = consumer.list_topics(topic, timeout=SILENCE_S).topics[topic]
    except KafkaException as error:
        raise ReplayError(f"{topic}: {error.args[0].str()}") from error
    finally:
        consumer.close()
    if found.error is not None:
        raise ReplayError(f"{topic}: {found.error.str()}")
    return sorted(found.partitions)


class Recorded:
    """The messages of one partition from its beginning to where it ended when the reading began."""

    def __init__(self, config: Mapping[str, Any], topic: str, partition: int) -> None:
        self._consumer = Consumer({**config, "group.id": "bourse-replay", "enable.auto.commit": False})
        self.name = f"{topic}/{partition}"
        try:
            place = TopicPartition(topic, partition)
            low, self._end = patiently(lambda: self._consumer.get_watermark_offsets(place, timeout=SILENCE_S))
        except KafkaException as error:
            self._consumer.close()
            raise ReplayError(f"{self.name}: {error.args[0].str()}") from error
        if low > 0:
            self._consumer.close()
            raise ReplayError(f"{self.name}: begins at offset {low}: what stood before is deleted, and proves nothing any more")
        self.length = self._end - low
        self._consumer.assign([TopicPartition(topic, partition, low)])
        self._next = low

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close()

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        """Offset and value of each message."""
        silent_since = time.monotonic()
        while self._next < self._end:
            # consume() waits for a full batch or its whole timeout: a short one, or the end of each partition takes long.
            messages = self._consumer.consume(FETCH_RECORDS, timeout=0.05)
            if messages:
                silent_since = time.monotonic()
            elif time.monotonic() - silent_since > SILENCE_S:
                raise ReplayError(f"{self.name}: nothing came for {SILENCE_S:.0f} s at offset {self._next}")
            for message in messages:
                error = message.error()
                if error is not None:
                    self._raise_if_final(error)
                    continue
                offset, value = message.offset(), message.value()
                if offset is None or offset >= self._end:
                    return
                if value is None:
                    raise ReplayError(f"{self.name}: offset {offset} has no value, and we write none without")
                self._next = offset + 1
                yield offset, value

    def _raise_if_final(self, error: KafkaError) -> None:
        if not error.retriable():
            raise ReplayError(f"{self.name}: {error.str()}")
