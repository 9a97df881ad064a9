"""A pool's loops as plain values and bytes, and back: for snapshots and state hashes. Their columns are dumped with the tenants."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from processors.latencies import Collected, Entries
from processors.loops.state import Gathering, Loops
from processors.rebalance import RebalanceSettings
from processors.sla import SlaSettings

CHUNK_ENTRIES = 50_000
"""14 bytes each: 700 KB, which packs to a third."""

_PERIODS = (b"o", b"a")
"""How a chunk begins: of the open period, or of the one after it."""

_TYPES = ("<u4", "<u2", "<i8")
"""Owner (a slot), bucket, requests."""


def dump_loops(loops: Loops) -> dict[str, Any]:
    """All but latencies, for the pool's header."""
    return {
        "rebalanced_in": loops.rebalanced_in,
        "rebalanced_as_of": loops.rebalanced_as_of,
        "gathering": loops.gathering,
        "sla": None if loops.sla is None else loops.sla._asdict(),
        "rebalance": None if loops.rebalance is None else loops.rebalance._asdict(),
    }


def load_loops(fields: dict[str, Any], chunks: Iterable[bytes]) -> Loops:
    """The inverse of `dump_loops` and `dump_latencies`."""
    parts: dict[bytes, list[Entries]] = {period: [] for period in _PERIODS}
    for chunk in chunks:
        parts[chunk[:1]].append(_load(chunk[1:]))
    sla, rebalance, gathering = (fields[name] for name in ("sla", "rebalance", "gathering"))
    latencies, ahead = (_collected(parts[period]) for period in _PERIODS)
    return Loops(
        sla=None if sla is None else SlaSettings(**sla),
        rebalance=None if rebalance is None else RebalanceSettings(**rebalance),
        latencies=latencies,
        ahead=ahead,
        rebalanced_in=fields["rebalanced_in"],
        rebalanced_as_of=fields["rebalanced_as_of"],
        gathering=None if gathering is None else Gathering(*gathering),
    )


def _collected(parts: list[Entries]) -> Collected:
    return Collected(Entries(*map(np.concatenate, zip(*parts, strict=True))) if parts else None)


def dump_latencies(loops: Loops | None) -> list[bytes]:
    """Latencies in chunks of CHUNK_ENTRIES, merged: the same bytes in whatever records they came."""
    if loops is None:
        return []
    collected = zip(_PERIODS, (loops.latencies, loops.ahead), strict=True)
    return [period + chunk for period, each in collected for chunk in _chunks(each.whole())]


def _chunks(entries: Entries) -> Iterator[bytes]:
    for start in range(0, entries.owner.size, CHUNK_ENTRIES):
        part = slice(start, start + CHUNK_ENTRIES)
        yield b"".join(column[part].astype(kind).tobytes() for column, kind in zip(entries, _TYPES, strict=True))


def _load(chunk: bytes) -> Entries:
    sizes = [np.dtype(kind).itemsize for kind in _TYPES]
    count = len(chunk) // sum(sizes)
    starts = np.cumsum([0, *sizes[:-1]]) * count
    return Entries(
        *(np.frombuffer(chunk, kind, count, int(start)).astype(np.int64) for kind, start in zip(_TYPES, starts, strict=True))
    )
