"""Folds the journal again under each variant, in as many processes as there are processors.

A process reads and decodes the whole partition once, other pools of it included (they share its clock and its meters' marks), and
folds each record under every variant that is its own: decoding is half of a fold's time where all tenants are active each second.
"""

from __future__ import annotations

import multiprocessing
import os
import queue
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any

from infra.backtest.journal import Journal
from infra.backtest.latencies import Cell, Kept
from infra.backtest.measures import Period, Tally
from infra.backtest.stretch import EVERYTHING, Stretch
from infra.backtest.variants import Variant
from processors.broken import BrokenJournalError
from processors.engine import facts_of
from processors.state import PartitionState
from schemas.fact import Fact
from schemas.journal import AdmissionSums, LatencySums
from schemas.model import Event
from streams.errors import BadInput
from streams.meter_reports import ReportReader
from streams.replay import FETCH_RECORDS, ReplayError, record_at

Progress = Callable[[int, int, int], None]
"""Called with the variant's place, journal records read, journal records in all."""

POLL_S = 0.2


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a variant came to; tokens, nanocredits. See `Tally`."""

    variant: Variant
    rows: list[Period]
    demand: dict[str, int]
    served: dict[str, int]
    refused_tokens: int
    refusals: int
    refused: dict[str, str]
    budget: int
    charged: int
    latencies: dict[Cell, Kept]
    digest: str
    records: int
    last_offset: int
    policy: str
    """Of the last period."""


@dataclass(slots=True)
class _Folding:
    """One variant while it is folded."""

    variant: Variant
    tally: Tally
    state: PartitionState = field(default_factory=PartitionState)


def facts_under(state: PartitionState, record: Event, offset: int, variant: Variant, pool: str) -> Iterator[Fact]:
    """The facts of one journal record as it is in a variant; each is recorded in the state before it is given out."""
    return facts_of(state, variant.changed(record, pool), offset)


def fold_variants(
    journal: Journal, tried: Sequence[Variant], pool: str, progress: Callable[[int, int], None], stretch: Stretch = EVERYTHING
) -> list[Outcome]:
    """Fold a journal as it is in each variant, record by record; what does not follow from a variant is done once for all.

    Memory: the state of a partition for each, some 3 KB a tenant.

    Raises:
        BadInput: a version of the pool can't have a variant's settings.
        ReplayError: the journal can't be read, or is broken.
    """
    solved: dict[bytes, list[float]] = {}
    foldings = [_Folding(variant, Tally(pool, stretch, solved)) for variant in tried]
    reader, read, last_offset = ReportReader(), 0, -1
    with journal.opened() as (name, length, records):
        for offset, data in records:
            record = record_at(data, offset, name, reader.read)
            try:
                for folding in foldings:
                    _fold_record(folding, record, offset, pool)
            except BrokenJournalError as error:
                raise ReplayError(f"{name}, offset {offset}: {error}") from error
            read, last_offset = read + 1, offset
            if read % FETCH_RECORDS == 0:
                progress(read, length)
                if all(folding.tally.complete for folding in foldings):
                    break
        progress(length, length)
    return [_outcome(folding, read, last_offset) for folding in foldings]


def _fold_record(folding: _Folding, record: Event, offset: int, pool: str) -> None:
    state, tally = folding.state, folding.tally
    if isinstance(record, (LatencySums, AdmissionSums)):
        tally.reported(state, record)
    for fact in facts_under(state, record, offset, folding.variant, pool):
        if fact.pool == pool:
            tally.take(state, fact)


def _outcome(folding: _Folding, read: int, last_offset: int) -> Outcome:
    tally = folding.tally
    tally.finish()
    budgets = tally.budgets.values()
    return Outcome(
        folding.variant,
        tally.rows,
        tally.demand,
        tally.served,
        tally.refused_tokens,
        tally.refusals,
        tally.refused,
        sum(each.amount for each in budgets),
        sum(each.charged for each in budgets),
        tally.latencies.cells,
        tally.digest(),
        read,
        last_offset,
        tally.policy,
    )


def fold_all(
    journal: Journal,
    tried: Sequence[Variant],
    pool: str,
    progress: Progress,
    *,
    processes: int | None = None,
    stretch: Stretch = EVERYTHING,
) -> list[Outcome]:
    """Fold all variants, the recorded one first, side by side.

    Args:
        journal: the pool's partition.
        tried: the first changes nothing.
        pool: which is measured.
        progress: told now and then how far each is.
        processes: how many at once; None: as many as there are processors, and no more than variants.
        stretch: the periods that are measured. What came before them is folded, too: they follow from it.

    Raises:
        BadInput: no period of the stretch closed, or a variant's settings would be refused.
        ReplayError: the journal can't be read, or is broken.
    """
    # Spawned, not forked: Kafka's client has threads, and a fork would copy its locks as they stand.
    context = multiprocessing.get_context("spawn")
    steps: Any = context.Queue()
    stop: Any = context.Event()
    workers = min(processes or os.cpu_count() or 1, len(tried))
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_begin, initargs=(steps, stop)) as pool_of_workers:
        shares = [range(first, len(tried), workers) for first in range(workers)]
        futures = [pool_of_workers.submit(_fold, journal, {at: tried[at] for at in share}, pool, stretch) for share in shares]
        try:
            _follow(futures, steps, progress)
            folded = dict(
                pair for share, future in zip(shares, futures, strict=True) for pair in zip(share, future.result(), strict=True)
            )
        finally:
            stop.set()  # where one failed, or the user had enough, the others need not read to the end
            pool_of_workers.shutdown(cancel_futures=True)
    return checked([folded[at] for at in range(len(tried))], pool, stretch)


def checked(outcomes: list[Outcome], pool: str, stretch: Stretch = EVERYTHING) -> list[Outcome]:
    """Outcomes that can be compared, the recorded one first.

    Raises:
        BadInput: no period of the pool closed, or a variant's settings were refused.
    """
    recorded = outcomes[0]
    if not recorded.rows:
        where = "yet in the journal" if stretch == EVERYTHING else f"in the journal {stretch}"
        raise BadInput(f"no period of pool {pool!r} has closed {where}: there is nothing to compare")
    for outcome in outcomes[1:]:
        for command, why in outcome.refused.items():
            if command not in recorded.refused:
                raise BadInput(f"{outcome.variant.name}: pool {pool!r}, version {command!r}, would be refused: {why}")
    return outcomes


def _follow(futures: list[Future[list[Outcome]]], steps: Any, progress: Progress) -> None:
    """Tell progress until all are done or one has failed."""
    waiting = set(futures)
    while waiting:
        done, waiting = wait(waiting, timeout=POLL_S)
        while True:
            try:
                progress(*steps.get_nowait())
            except queue.Empty:
                break
        if any(future.exception() is not None for future in done):
            return


_steps: Any = None
"""Of a worker process: where it tells how far it is."""
_stop: Any = None
"""Of a worker process: set when nobody wants to know any more."""


def _begin(steps: Any, stop: Any) -> None:
    global _steps, _stop
    _steps, _stop = steps, stop


def _fold(journal: Journal, tried: Mapping[int, Variant], pool: str, stretch: Stretch) -> list[Outcome]:
    """In a worker process: the variants at these places."""

    def progress(read: int, length: int) -> None:
        if _stop.is_set():
            raise ReplayError("stopped")
        for place in tried:
            _steps.put((place, read, length))

    return fold_variants(journal, list(tried.values()), pool, progress, stretch)
