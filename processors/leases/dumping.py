"""A pool's leases as plain values and bytes, and back: for snapshots and state hashes."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from processors.leases.state import COLUMNS, Gateway, Leases, Rows

CHUNK_SLOTS = 2_000
"""Tenants of one chunk: 416 KB, which pack to a tenth, as most columns are equal or small."""

_SCALARS = ("sequence", "chunks", "answers", "ends_ms", "lease_ms", "number", "applied")
_LISTS = ("capacity", "held_capacity", "in_use", "coming", "parts")


def dump_leases(leases: Leases) -> dict[str, Any]:
    """All but tenants' rows, for the pool's header."""
    return {
        name: {
            "incarnation": gateway.incarnation,
            "rows": len(gateway.rows),
            **{each: getattr(gateway, each) for each in (*_SCALARS, *_LISTS)},
        }
        for name, gateway in sorted(leases.gateways.items())
    }


def dump_rows(leases: Leases | None) -> list[bytes]:
    """Rows in chunks of CHUNK_SLOTS, gateway by gateway in the byte order of their names."""
    gateways = {} if leases is None else leases.gateways
    return [chunk for _, gateway in sorted(gateways.items()) for chunk in _chunks(gateway.rows)]


def load_leases(fields: dict[str, Any], chunks: Iterable[bytes]) -> Leases:
    """The inverse of `dump_leases` and `dump_rows`."""
    coming = iter(chunks)
    return Leases({name: _load(dict(said), coming) for name, said in sorted(fields.items())})


def _chunks(rows: Rows) -> Iterator[bytes]:
    for start in range(0, len(rows), CHUNK_SLOTS):
        yield rows.table()[:, start : start + CHUNK_SLOTS].astype("<i8").tobytes()


def _load(said: dict[str, Any], chunks: Iterator[bytes]) -> Gateway:
    many = -(-said.pop("rows") // CHUNK_SLOTS)
    parts = [np.frombuffer(next(chunks), "<i8").astype(np.int64).reshape(COLUMNS, -1) for _ in range(many)]
    return Gateway(**said, rows=Rows(np.concatenate(parts, axis=1) if parts else None))
