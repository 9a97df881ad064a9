"""What only a fold of the journal tells of a period (streams/period_rows.py says what that is), in a process of its own.

Others are served meanwhile. A fold from the journal's beginning takes as long as deciding took, the memory of one state, and a
second for the process to begin.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Mapping
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

from processors.broken import BrokenJournalError
from processors.explain import Circumstances, NotToldError, journal_record
from streams.partitioning import home_partition
from streams.replay import Recorded, ReplayError, partitions_of, record_at

PATIENCE_S = 60.0
"""How long a fold may take, as somebody waits for it: some 14 hours of 1,000 tenants, a tenth of them active each second."""


class NotFoldedError(Exception):
    """Nobody can tell, or not in time; the message is for people."""


class Asked(NamedTuple):
    """Whose period, and where the journal is. `config`: confluent-kafka's connection settings."""

    config: Mapping[str, Any]
    journal: str
    pool: str
    period: int
    tenant: str


def folded_period(asked: Asked, patience_s: float = PATIENCE_S) -> Circumstances:
    """All that surrounds the tenant's auction.

    Raises:
        NotFoldedError: the journal can't be read, does not have the period, or is too long to be folded in this time.
    """
    context = multiprocessing.get_context("spawn")
    answer, telling = context.Pipe(duplex=False)
    folding = context.Process(target=_tell, args=(telling, asked), name="fold", daemon=True)
    folding.start()
    telling.close()
    try:
        if not answer.poll(patience_s):
            raise NotFoldedError(f"the journal was not folded within {patience_s:g} s")
        told = answer.recv()
    except EOFError as ended:
        raise NotFoldedError("the fold ended without an answer; the log tells why") from ended
    finally:
        folding.kill()
        folding.join()
        answer.close()
    if isinstance(told, str):
        raise NotFoldedError(told)
    around: Circumstances = told
    return around


def _tell(telling: Connection, asked: Asked) -> None:
    try:
        telling.send(_folded(asked))
    except (ReplayError, BrokenJournalError, NotToldError) as error:
        telling.send(str(error))


def _folded(asked: Asked) -> Circumstances:
    partition = home_partition(asked.pool.encode(), len(partitions_of(asked.config, asked.journal)))
    with Recorded(asked.config, asked.journal, partition) as records:
        decoded = ((offset, record_at(data, offset, records.name)) for offset, data in records)
        return journal_record(decoded, asked.pool, asked.period, asked.tenant).around
