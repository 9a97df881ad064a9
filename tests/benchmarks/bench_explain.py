"""`bourse explain`: one period of one tenant, from the journal, against folding the journal alone.

The journal holds everybody's profile, a period's usage and its close (engine_journal.py). Seconds are of the processor.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from engine_journal import PERIOD, POOL, mark_of, opening, usage

from processors.engine import fold
from processors.explain import explained, journal_record
from processors.state import PartitionState
from schemas.model import Event
from streams.codecs import decode, encode


def run(sizes: tuple[int, ...] = (1_000, 100_000)) -> list[dict[str, object]]:
    """Rows of {name, value, unit, baseline, baseline_value, ratio, goal, met}; a ratio of 1: nothing beside the fold."""
    return [row for tenants in sizes for row in _of(tenants)]


def _of(tenants: int) -> list[dict[str, object]]:
    records = [decode(data) for data in (*opening(tenants), *usage(tenants), encode(mark_of("usage")))]
    tenant = f"tenant-{tenants // 2:06}"
    folding, _ = _timed(lambda: _folded(records))
    noting, record = _timed(lambda: journal_record(enumerate(records), POOL, PERIOD, tenant))
    telling, _ = _timed(lambda: explained(record, tenant, searching=False))
    searching, _ = _timed(lambda: explained(record, tenant))
    many = f"{tenants:,} tenants"
    return [
        _row(f"explain one of {many}, from the journal", noting + searching, folding),
        _row(f"the same without what would have changed it, {many}", noting + telling, folding),
    ]


def _folded(records: list[Event]) -> None:
    state = PartitionState()
    for offset, record in enumerate(records):
        fold(state, record, offset)


def _row(name: str, value: float, folding: float) -> dict[str, object]:
    return {
        "name": name,
        "value": value,
        "unit": "s",
        "baseline": "folding the journal",
        "baseline_value": folding,
        "ratio": folding / max(value, 1e-9),
        "goal": None,
        "met": None,
    }


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    start = time.process_time()
    result = work()
    return time.process_time() - start, result
