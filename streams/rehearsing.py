"""A dry run of a bot over the recorded journal of its pool (processors/bots/rehearsal.py). Reads; writes nothing.

One core folds the journal once up to the range, and twice in it: about as fast as an engine decides.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from processors.bots.rehearsal import FOREVER, Refused, Rehearsal
from processors.broken import BrokenJournalError
from schemas.market import BotCommand
from streams.errors import BadInput
from streams.partitioning import home_partition
from streams.replay import FETCH_RECORDS, Recorded, ReplayError, partitions_of, record_at

Progress = Callable[[int, int], None]
"""Called with journal records read, journal records in all."""


def rehearse(
    config: Mapping[str, Any],
    journal: str,
    command: BotCommand,
    progress: Progress,
    *,
    from_ms: int | None = None,
    to_ms: int | None = None,
) -> Rehearsal:
    """What the bot would have done.

    Args:
        config: confluent-kafka's connection settings.
        journal: name of the journal's topic.
        command: the bot as it would be set; it needs no signature.
        progress: told now and then how far it is.
        from_ms: it is set at the first tick from then on, milliseconds since 1970; None: as early as can be.
        to_ms: the run ends before this moment; None: where the journal ends now.

    Raises:
        BadInput: the settings are refused, or the journal has no such pool or tenant in the range.
        ReplayError: as of `verify`.
    """
    rehearsal = Rehearsal(command, from_ms or 0, FOREVER if to_ms is None else to_ms)
    home = home_partition(command.pool.encode(), len(partitions_of(config, journal)))
    with Recorded(config, journal, home) as records:
        for read, (offset, data) in enumerate(records):
            _take(rehearsal, data, offset, records.name)
            if read % FETCH_RECORDS == 0:
                progress(read, records.length)
            if rehearsal.over:
                break
        progress(records.length, records.length)
    if rehearsal.begun_ms is None:
        raise BadInput(
            f"the journal never has tenant {command.tenant!r} in pool {command.pool!r} in this range: nothing to try it on"
        )
    rehearsal.close()
    return rehearsal


def _take(rehearsal: Rehearsal, data: bytes, offset: int, journal: str) -> None:
    try:
        rehearsal.take(record_at(data, offset, journal), offset)
    except BrokenJournalError as error:
        raise ReplayError(f"{journal}, offset {offset}: {error}") from error
    except Refused as refused:
        raise BadInput(f"the settings would be refused: {refused}") from refused
