"""Where a backtest reads the recorded journal: one partition, the pool's, from its beginning to where it ends now."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from schemas.evolution import registry
from schemas.published import PoolCommand
from streams.codecs import HEADER_BYTES, MAGIC, decode
from streams.errors import BadInput
from streams.partitioning import home_partition
from streams.replay import Recorded, ReplayError, partitions_of

NAMED = 8
"""How many pools a message lists."""

Records = Iterable[tuple[int, bytes]]
"""Offsets, ascending, and values."""


class Journal(Protocol):
    """One partition of a journal; picklable, as each variant reads it in a process of its own."""

    def opened(self) -> Any:
        """A context manager of (name, how many records there are, the records)."""


@dataclass(frozen=True, slots=True)
class KafkaJournal:
    """A partition on Kafka. `config`: confluent-kafka's connection settings."""

    config: Mapping[str, Any]
    topic: str
    partition: int

    @contextmanager
    def opened(self) -> Iterator[tuple[str, int, Records]]:
        """Its name, how many records there are, and the records.

        Raises:
            ReplayError: it is missing, cut at its beginning, or the broker is silent.
        """
        with Recorded(self.config, self.topic, self.partition) as records:
            yield records.name, records.length, records


@dataclass(frozen=True, slots=True)
class KeptJournal:
    """A partition in memory."""

    records: tuple[tuple[int, bytes], ...]

    @contextmanager
    def opened(self) -> Iterator[tuple[str, int, Records]]:
        """As of `KafkaJournal`."""
        yield "journal", len(self.records), self.records


def journal_of(config: Mapping[str, Any], topic: str, pool: str | None) -> tuple[KafkaJournal, str]:
    """The journal that a pool's records are in, and the pool: the only one, if none is named.

    Raises:
        BadInput: there is no journal, nothing stands in it, it has no such pool, or several and none is named.
        ReplayError: it can't be read.
    """
    try:
        partitions = partitions_of(config, topic)
    except ReplayError as error:
        raise BadInput(f"there is no journal to fold: {error}") from error
    if pool is not None:
        partitions = [home_partition(pool.encode(), len(partitions))]
    journals = [KafkaJournal(config, topic, partition) for partition in partitions]
    homes = {name: journal for journal in journals for name in pools_in(journal)}
    if pool is None:
        pool = _only(homes)
    if pool not in homes:
        raise BadInput(f"the journal has no pool {pool!r}{_known(homes)}")
    return homes[pool], pool


def pools_in(journal: Journal, seen: Callable[[str], None] = lambda _: None) -> list[str]:
    """Names of the pools that a journal defines. Only their records are decoded: a million others take seconds."""
    headers = {MAGIC + mark for mark, written in registry().items() if written.model is PoolCommand}
    found: dict[str, None] = {}
    with journal.opened() as (_, _, records):
        for _, data in records:
            if data[:HEADER_BYTES] in headers:
                record = decode(data)
                if isinstance(record, PoolCommand) and record.pool not in found:
                    found[record.pool] = None
                    seen(record.pool)
    return list(found)


def _only(homes: Mapping[str, KafkaJournal]) -> str:
    if not homes:
        raise BadInput("the journal defines no pool: there is nothing to fold again")
    if len(homes) > 1:
        raise BadInput(f"--pool: which of them{_known(homes)}")
    return next(iter(homes))


def _known(homes: Mapping[str, KafkaJournal]) -> str:
    names = sorted(homes)
    return f"; known are {', '.join(names[:NAMED])}{', …' if len(names) > NAMED else ''}" if names else ""
