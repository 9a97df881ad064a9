"""What an engine tells besides facts, for one journal partition: what has to be told again, and the records that tell it.

`note` each fact that was decided; `round` gives what became of all that was noted since the last one: however often a key changed
in between, it is told once. Nothing is kept for a crash: a new owner can't know what the old one still told, so it tells
everything, and says of the instruments that closed lately that they have.

100,000 tenants whose limits all change with a period: the round begins after 10 ms; its records take 10 µs each, 1 s in slices of
5 ms, between which facts go first. 0.8 MB keep what was told last. A trade by itself: two limits and a depth, 0.1 ms. Of token
pools each limit that a tick changed is told, 20 µs a record, and the pool's capacity when it is stated.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import NamedTuple

import numpy as np

from processors.market.data import all_limits_touched, depth_of, instrument_touched, limit, limit_of, limits, limits_touched
from processors.sharing.data import capacity_of, capacity_touched, limits_told, shares_touched
from processors.state import PartitionState, PoolState
from processors.tenants import Column
from schemas.fact import Fact
from schemas.outputs import Depth, output_key
from streams.codecs import encode
from streams.lease_outputs import LeaseOutputs
from streams.scale_outputs import ScaleOutputs
from streams.transport import Outgoing

SLICE_RECORDS = 500

UNTOLD = -1
"""In place of a limit: what was last told is not known."""


@dataclass(slots=True)
class _Told:
    """One pool's limits.

    Attributes:
        last: what was told last, by tenant's slot.
        touched: tenants of whom something happened since.
        everyone: whether that may be so of all.
        shares: tenants of whose limits in other dimensions than tokens this was so.
        capacity: whether it may be so of a token pool's capacity.
    """

    last: Column = field(default_factory=lambda: np.empty(0, np.int64))
    touched: set[str] = field(default_factory=set)
    everyone: bool = True
    shares: set[str] = field(default_factory=set)
    capacity: bool = True

    def forget(self) -> None:
        """Tell everything again."""
        self.last[:] = UNTOLD
        self.everyone = self.capacity = True

    def reach(self, size: int) -> Column:
        """`last` for this many tenants."""
        if size > len(self.last):
            self.last = np.concatenate([self.last, np.full(size - len(self.last), UNTOLD, np.int64)])
        return self.last


class _Changed(NamedTuple):
    """Limits to be told of one pool: slots, tokens and what else token pools tell, as they are in `period`."""

    pool: PoolState
    period: int
    slots: list[int]
    tokens: list[int]
    told: list[Mapping[str, object]]


class Outputs:
    """The outputs of one journal partition.

    Args:
        state: as the engine has it; read only.
        partition: of the journal, and so of the topics that are written.
        limits: full name of their topic.
        market: likewise.
        leases: likewise.
        scaling: likewise.
    """

    def __init__(self, state: PartitionState, partition: int, *, limits: str, market: str, leases: str, scaling: str) -> None:
        self._state = state
        self._partition = partition
        self._limits = limits
        self._market = market
        self._instruments: dict[tuple[str, int], None] = {
            (pool.name, period): None
            for pool in state.pools.values()
            for period in (*pool.market.instruments, *_lately_closed(pool))
        }
        self._pools: dict[str, _Told] = {name: _Told() for name in state.pools}
        self._leases = LeaseOutputs(state, partition, leases)
        self._scales = ScaleOutputs(state, scaling)
        self.pending = bool(self._pools)

    def note(self, fact: Fact) -> None:
        """A fact was decided and recorded."""
        period = instrument_touched(fact)
        pool = self._state.pools.get(fact.pool)
        if pool is None:
            return  # an order in a pool that nobody has defined was refused
        if period is not None:
            self._instruments[fact.pool, period] = None
            self.pending = True
        self._leases.note(fact)
        self._scales.note(fact)
        self.pending |= self._leases.pending or self._scales.pending
        if capacity_touched(fact):
            self._told(fact.pool).forget()
            self.pending = True
        elif shares := shares_touched(fact):
            self._told(fact.pool).shares.update(shares)
            self.pending = True
        elif all_limits_touched(fact):
            self._told(fact.pool).everyone = True
            self.pending = True
        elif pool.open is not None:
            touched = limits_touched(fact, pool.open.period)
            if touched:
                self._told(fact.pool).touched |= touched
                self.pending = True

    def round(self, journal_offset: int) -> Iterator[list[Outgoing]]:
        """What is to be told, as it is now, in slices of SLICE_RECORDS records; leases first, as gateways wait for them.

        Values are taken at once; only their encoding waits for the slices to be asked for. What is noted meanwhile is told by the
        next round.

        Args:
            journal_offset: the last that the state has.
        """
        self.pending = False
        instruments, self._instruments = self._instruments, {}
        depths = [self._depth(pool, period, journal_offset) for pool, period in instruments]
        pools = [(self._state.pools[name], told) for name, told in self._pools.items()]
        capacities = [self._capacity(pool, journal_offset) for pool, told in pools if told.capacity and pool.sharing is not None]
        changed = [self._changed(pool, told) for pool, told in pools]
        scales = self._scales.round(journal_offset)
        return chain(self._leases.round(), scales, self._slices(depths, capacities, changed, journal_offset))

    def _slices(
        self,
        depths: list[tuple[bytes, Depth | None]],
        capacities: list[Outgoing],
        changed: list[_Changed],
        journal_offset: int,
    ) -> Iterator[list[Outgoing]]:
        for start in range(0, len(depths), SLICE_RECORDS):
            yield [
                Outgoing(self._market, self._partition, key, None if depth is None else encode(depth))
                for key, depth in depths[start : start + SLICE_RECORDS]
            ]
        for start in range(0, len(capacities), SLICE_RECORDS):
            yield capacities[start : start + SLICE_RECORDS]
        for pool, period, slots, tokens, others in changed:
            for start in range(0, len(slots), SLICE_RECORDS):
                part = slice(start, start + SLICE_RECORDS)
                rows = zip(slots[part], tokens[part], others[part], strict=True)
                told = [limit_of(pool, period, slot, most, journal_offset, shares=shares) for slot, most, shares in rows]
                yield [Outgoing(self._limits, self._partition, output_key(each.pool, each.tenant), encode(each)) for each in told]

    def _capacity(self, pool: PoolState, journal_offset: int) -> Outgoing:
        """A token pool's capacity, or that it is none any more."""
        capacity = capacity_of(pool, journal_offset)
        return Outgoing(self._limits, self._partition, output_key(pool.name, ""), None if capacity is None else encode(capacity))

    def _depth(self, pool: str, period: int, journal_offset: int) -> tuple[bytes, Depth | None]:
        instrument = self._state.pools[pool].market.instruments.get(period)
        return output_key(pool, period), None if instrument is None else depth_of(pool, instrument, journal_offset)

    def _changed(self, pool: PoolState, told: _Told) -> _Changed:
        """The limits that are not as they were told; from now on they are."""
        told.capacity = False
        if pool.open is None:
            return _Changed(pool, 0, [], [], [])  # a period that opens touches everyone
        last = told.reach(len(pool.tenants))
        if told.everyone:
            now = limits(pool)
            changed = now != last
            changed[[pool.tenants.slots[tenant] for tenant in told.shares]] = True
            # Who has no profile has no limit to be told; its usage alone made it known.
            slots = np.flatnonzero(changed & (pool.tenants["declared_version"] > 0)).tolist()
            tokens = now[slots].tolist()
        else:
            told.touched |= told.shares
            found = {slot: limit(pool, slot) for slot in sorted(pool.tenants.slots[tenant] for tenant in told.touched)}
            slots = [slot for slot, most in found.items() if most != last[slot] or pool.tenants.names[slot] in told.shares]
            tokens = [found[slot] for slot in slots]
        last[slots] = tokens
        told.everyone, told.touched, told.shares = False, set(), set()
        return _Changed(pool, pool.open.period, slots, tokens, limits_told(pool, slots))

    def _told(self, name: str) -> _Told:
        return self._pools.setdefault(name, _Told())


def _lately_closed(pool: PoolState) -> range:
    """Periods that may have closed just before a crash, untold: at most as many as were traded at once."""
    return range(max(0, pool.closed_period - pool.declared.market.forward_periods), pool.closed_period + 1)
