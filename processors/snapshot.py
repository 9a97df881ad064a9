"""A pool's state as bytes: a header and chunks of tenants, the same bytes for the same state on every machine.

The engine keeps them in a Faust table (only chunks that changed are written again) and hashes them at each period end.
100,000 tenants: 50 chunks of 2,000 slots, about 30 MB; dumping and hashing take some 60 ms.
"""

import json
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from typing import Any

import numpy as np

from processors.demand import BID_COLUMNS
from processors.forecast.dumping import dump_forecaster, load_forecaster, moving
from processors.leases.dumping import dump_leases, dump_rows, load_leases
from processors.loops.dumping import dump_latencies, dump_loops, load_loops
from processors.loops.state import LOOP_COLUMNS
from processors.market.dumping import dump_market, load_market
from processors.scaling.dumping import dump_scaling, load_scaling
from processors.sharing.state import SHARING_COLUMNS, Promised, Sharing, SharingTerms
from processors.state import OpenPeriod, PartitionState, PoolState
from processors.tenants import Tenants
from processors.terms import MarketTerms, Terms
from schemas.published import Forecaster, Policy

FORMAT = 2
"""Grows when the layout changes; a snapshot of another format is not loaded, the journal is folded from its beginning instead."""

CHUNK_SLOTS = 2_000
"""Tenants of one chunk: 272 bytes of numbers, in a token pool 576, and a name of at most 128 make 800 KB or 1.4 MB, which pack to a
tenth: most columns are equal or small."""

CHUNK_COMMANDS = 32_768
"""Command keys of one chunk: 512 KB, which don't compress."""

_OPERATORS, _TENANTS = b"o", b"t"
"""How a chunk of commands begins: whose they are."""

_NEWLINE = "\n"
"""Parts the names of a chunk: an id holds no control characters (schemas/units.py)."""


class SnapshotFormatError(ValueError):
    """A snapshot that this version does not read."""


@dataclass(frozen=True, slots=True)
class PoolDump:
    """A pool as bytes: `header` says everything but the tenants, `chunks` hold CHUNK_SLOTS tenants each."""

    header: bytes
    chunks: list[bytes]
    market: list[bytes]
    """processors/market/dumping.py"""
    latencies: list[bytes] = field(default_factory=list)
    """processors/loops/dumping.py"""
    mixture: list[bytes] = field(default_factory=list)
    """processors/forecast/dumping.py"""
    leases: list[bytes] = field(default_factory=list)
    """processors/leases/dumping.py"""

    @property
    def bodies(self) -> dict[str, list[bytes]]:
        """All chunks, by what they hold."""
        return {
            "pool": self.chunks,
            "market": self.market,
            "latencies": self.latencies,
            "mixture": self.mixture,
            "leases": self.leases,
        }


def dump_pool(pool: PoolState) -> PoolDump:
    """The pool's whole state."""
    mixture = [] if pool.mixture is None else dump_forecaster(pool.mixture)
    return PoolDump(
        _header(pool),
        list(_dump_chunks(pool.tenants)),
        dump_market(pool.market),
        dump_latencies(pool.loops),
        mixture,
        dump_rows(pool.leases),
    )


def _header(pool: PoolState) -> bytes:
    head = {
        "format": FORMAT,
        "name": pool.name,
        "period_s": pool.period_s,
        "tick_ms": pool.tick_ms,
        "declared": asdict(pool.declared),
        "open": None if pool.open is None else asdict(pool.open),
        "closed_period": pool.closed_period,
        "closed_tick": pool.closed_tick,
        "ahead": pool.ahead,
        "tenants": len(pool.tenants),
        "columns": pool.tenants.columns,
    }
    if pool.sharing is not None:  # a pool that is none looks as it always did, and so does its hash
        head["sharing"] = asdict(pool.sharing)
    if pool.loops is not None:
        head["loops"] = dump_loops(pool.loops)
    if pool.mixture is not None:
        head["mixture"] = {"learned": pool.mixture.learned, "busy": pool.mixture.busy}
    if pool.leases is not None:
        head["leases"] = dump_leases(pool.leases)
    if pool.scaling is not None:
        head["scaling"] = dump_scaling(pool.scaling)
    return _json(head)


def load_pool(dump: PoolDump) -> PoolState:
    """The inverse of `dump_pool`."""
    head = _parse(dump.header)
    pool = PoolState(head["name"], head["period_s"], head["tick_ms"], _terms(head["declared"]))
    _add_columns(pool.tenants, head["columns"])
    if "sharing" in head:
        _load_sharing(pool.begin_sharing(), head["sharing"])
    if "loops" in head:
        pool.loops = load_loops(head["loops"], dump.latencies)
    known = pool.tenants.columns
    if head["columns"] != list(known):
        raise SnapshotFormatError(f"columns: {head['columns']}, this version keeps {list(known)}")
    if head["open"] is not None:
        running = head["open"]
        pool.open = OpenPeriod(**{**running, "terms": _terms(running["terms"])})
    pool.closed_period = head["closed_period"]
    pool.closed_tick = head["closed_tick"]
    pool.ahead = head["ahead"]
    names: list[str] = []
    columns: list[np.ndarray[Any, np.dtype[np.int64]]] = []
    for chunk in dump.chunks:
        parted_names, values = _load_chunk(chunk)
        names += parted_names
        columns.append(values)
    whole = np.concatenate(columns, axis=1) if columns else np.empty((len(known), 0), np.int64)
    pool.tenants.replace_all(names, dict(zip(known, whole, strict=True)))
    pool.market = load_market(dump.market)
    if "mixture" in head:
        pool.mixture = load_forecaster(pool.period_s, len(names), **head["mixture"], parts=dump.mixture)
    if "leases" in head:
        pool.leases = load_leases(head["leases"], dump.leases)
    if "scaling" in head:
        pool.scaling = load_scaling(head["scaling"])
    pool.promised = int(pool.tenants["declared_base"].sum())
    return pool


def state_hash(pool: PoolState) -> str:
    """BLAKE2b-256 of the pool's whole state, as hex: what two replays must agree on.

    Of the mixture what moves with each period: processors/forecast/dumping.py says why that is enough.
    """
    digest = blake2b(_header(pool), digest_size=32)
    for start in range(0, len(pool.tenants), CHUNK_SLOTS):
        for part in _chunk_parts(pool.tenants, start):
            digest.update(part)
    for chunk in (*dump_market(pool.market), *dump_latencies(pool.loops), *dump_rows(pool.leases)):
        digest.update(chunk)
    for part in () if pool.mixture is None else moving(pool.mixture):
        digest.update(part)
    return digest.hexdigest()


def dump_partition(state: PartitionState) -> bytes:
    """Everything of a partition but its pools and the commands seen."""
    return _json(
        {
            "format": FORMAT,
            "tick": state.tick,
            "tick_ms": state.tick_ms,
            "meter_partitions": state.meter_partitions,
            "grace_ticks": state.grace_ticks,
            "marks": sorted([topic, partition, tick] for (topic, partition), tick in state.marks.items()),
            "reported": sorted(state.reported),
        }
    )


def load_partition(data: bytes) -> PartitionState:
    """The inverse of `dump_partition`."""
    head = _parse(data)
    return PartitionState(
        tick=head["tick"],
        tick_ms=head["tick_ms"],
        meter_partitions=head["meter_partitions"],
        grace_ticks=head["grace_ticks"],
        marks={(topic, partition): tick for topic, partition, tick in head["marks"]},
        reported={(topic, partition, tick, pool, chunk) for topic, partition, tick, pool, chunk in head["reported"]},
    )


def dump_commands(state: PartitionState) -> list[bytes]:
    """The keys of the commands seen, oldest first, 16 bytes each, in chunks of CHUNK_COMMANDS; operators' first, then tenants'."""
    chunks = []
    for whose, seen in ((_OPERATORS, state.commands), (_TENANTS, state.taken)):
        keys = list(seen)
        chunks += [whose + b"".join(keys[start : start + CHUNK_COMMANDS]) for start in range(0, len(keys), CHUNK_COMMANDS)]
    return chunks


def load_commands(state: PartitionState, chunks: list[bytes]) -> None:
    """The inverse of `dump_commands`."""
    state.commands, state.taken = (_load_keys(chunk for chunk in chunks if chunk[:1] == whose) for whose in (_OPERATORS, _TENANTS))


def _load_keys(chunks: Iterable[bytes]) -> OrderedDict[bytes, None]:
    return OrderedDict.fromkeys(chunk[at : at + 16] for chunk in chunks for at in range(1, len(chunk), 16))


def _add_columns(tenants: Tenants, columns: list[str]) -> None:
    """Columns that not every pool has, in the order in which they came to this one."""
    optional = {next(iter(group)): group for group in (SHARING_COLUMNS, BID_COLUMNS, LOOP_COLUMNS)}
    for name in columns:
        tenants.add_columns(optional.get(name, {}))


def _dump_chunks(tenants: Tenants) -> Iterator[bytes]:
    return (b"".join(_chunk_parts(tenants, start)) for start in range(0, len(tenants), CHUNK_SLOTS))


def _chunk_parts(tenants: Tenants, start: int) -> Iterator[bytes | memoryview]:
    """A chunk, one after the other: what is only hashed need not be put together."""
    names = _NEWLINE.join(tenants.names[start : start + CHUNK_SLOTS]).encode()
    yield len(names).to_bytes(4, "little")
    yield names
    for column in tenants.columns:
        yield tenants[column][start : start + CHUNK_SLOTS].astype("<i8", copy=False).data


def _load_chunk(chunk: bytes) -> tuple[list[str], np.ndarray[Any, np.dtype[np.int64]]]:
    length = int.from_bytes(chunk[:4], "little")
    names = chunk[4 : 4 + length].decode().split(_NEWLINE)
    values = np.frombuffer(chunk, "<i8", offset=4 + length).astype(np.int64)
    return names, values.reshape(-1, len(names))


def _terms(fields: dict[str, Any]) -> Terms:
    words = {"policy": Policy(fields["policy"]), "forecaster": Forecaster(fields["forecaster"])}
    return Terms(**{**fields, **words, "market": MarketTerms(**fields["market"])})


def _load_sharing(sharing: Sharing, fields: dict[str, Any]) -> None:
    said = fields["terms"]
    if said is not None:
        knots = {name: tuple(said[name]) for name in ("burst_fill", "burst_scale")}
        sharing.terms = SharingTerms(**{**said, **knots})
    sharing.metered_tick = fields["metered_tick"]
    sharing.promised = Promised(**fields["promised"])


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _parse(data: bytes) -> dict[str, Any]:
    head: dict[str, Any] = json.loads(data)
    if head.get("format") != FORMAT:
        raise SnapshotFormatError(f"format: {head.get('format')!r}, this version reads {FORMAT}")
    return head
