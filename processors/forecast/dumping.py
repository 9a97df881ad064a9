"""A forecaster as bytes, and back: raw columns, little-endian, so that the same state gives the same bytes on every machine.

    part 0           what is known of the pool's mean tenant
    parts 1, 4, …    of SLOTS tenants: what moves with every period, column after column (568 bytes a tenant)
    parts 2, 5, …    of the same: the profile of their days (576 bytes a tenant), which changes when one of its buckets closes
    parts 3, 6, …    of the same: the profile of their weeks (672 bytes)

Of 100,000 tenants a period changes 57 MB, which pack to some 30; every ten minutes another 58 MB, every hour 67 MB more. Dumping,
digesting and packing them take 0.8 s, the hash of what moves 0.2 s, loading 0.3 s; 10,000 tenants a tenth of that: 3.4 MB. With
periods of a minute and a snapshot each half of one, every second snapshot finds nothing changed: some 0.5 MB/s go to the broker.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from processors.forecast.calendar import Calendar
from processors.forecast.state import Columns, State

SLOTS = 512
"""Tenants of one part: at most 344 KB, of which the broker's limit holds many."""

CYCLES = ("day", "week")
"""Columns that have parts of their own."""


def dump_forecaster(state: State) -> list[bytes]:
    """The whole state but `learned` and `busy`."""
    parts = [_packed(state.pool, state.pool)]
    for slots in _groups(state.size):
        tenants = state.part(slots)
        parts += [_moving(tenants), *(_packed(tenants, (name,)) for name in CYCLES)]
    return parts


def moving(state: State) -> Iterator[bytes]:
    """Parts of `dump_forecaster` without the profiles of tenants: enough for a hash at each period's end, at a third of the bytes.

    What a profile takes in stands in columns that move, at the end of one period at least: in `day_sum` and `day_count` while its
    bucket is open, then in `day_closed`. So profiles that differ were filled from columns that differed before, which a hash told.
    """
    yield _packed(state.pool, state.pool)
    for slots in _groups(state.size):
        yield _moving(state.part(slots))


def load_forecaster(period_s: int, size: int, learned: int | None, busy: int, parts: Sequence[bytes]) -> State:
    """The inverse of `dump_forecaster`."""
    state = State(Calendar(period_s), learned=learned, busy=busy)
    state.add(size)
    _fill(state.pool, state.pool, parts[0])
    for number, slots in enumerate(_groups(size)):
        tenants = state.part(slots)
        first, *cycles = parts[1 + number * (1 + len(CYCLES)) :][: 1 + len(CYCLES)]
        _fill(tenants, _names(tenants), first)
        for name, part in zip(CYCLES, cycles, strict=True):
            _fill(tenants, (name,), part)
    return state


def _groups(size: int) -> Iterator[slice]:
    return (slice(first, min(first + SLOTS, size)) for first in range(0, size, SLOTS))


def _names(tenants: Columns) -> list[str]:
    return [name for name in tenants if name not in CYCLES]


def _moving(tenants: Columns) -> bytes:
    return _packed(tenants, _names(tenants))


def _packed(columns: Columns, names: Sequence[str] | Columns) -> bytes:
    return b"".join(columns[name].astype(columns[name].dtype.newbyteorder("<"), copy=False).tobytes() for name in names)


def _fill(columns: Columns, names: Sequence[str] | Columns, part: bytes) -> None:
    """Reads columns back into views of them."""
    at = 0
    for name in names:
        column = columns[name]
        column[...] = np.frombuffer(part, column.dtype.newbyteorder("<"), column.size, at).reshape(column.shape)
        at += column.nbytes
