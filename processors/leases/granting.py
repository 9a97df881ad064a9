"""Each tick, for every pool that gateways share: leases that have ended, and new ones where parts of limits move.

1. A lease of which no report came for its time has ended: its share is free.
2. Every limit of every tenant (nominal, borrowing and kept, in three dimensions) is split by what was wanted at each gateway of
   late, and so is the pool's capacity, such that each gateway's part carries what is promised and kept there: its admission takes
   it.
3. Gateways that go by their newest lease get another one if anything moves. `splitting` says when, and how much.
A tenant that may borrow without limit may do so at every gateway: there it is limited by the gateway's part of the capacity.

What a request may cost at most is what its gateway has of its tenant's limit: a tenant whose requests are as large as its limit is
served where it asks, if that is one gateway (all but a 64th of the limit moves there), and by several only in turn.

What is promised has each gateway at which it was wanted, and an equal part of what is left. A guaranteed tenant that left it, and
comes back at another gateway than before, has it there after two reports and two ticks, and once what runs on it has ended; where
its part stands, at once. A gateway's requests wait for that, and what waits is reported as wanted.

How long: what waits is reported within half a second (streams/leases.py, SOON_MS), the tick after that takes the part where it
stands idle, that gateway says so before the next tick, and this one grants it: 2.5 s and the way of four messages. Of a rate, that
is all for the first that waits, and less for those behind it, if the owner then stays: what piled up is worked off faster than it
grew. But an owner of a part p of its promise that moves again within 2.5 s × p ÷ (1 - p), which is 10 s for p = 0.8, adds to what
waits still, up to the longest wait of the queue. Of one that asks for half of its promise, at gateways that change every 5 to 20 s,
while others want all of the pool (test_lease_promises.py, five seeds):

    refused; waits P50, P90, P99          no queue, as all else is split    no queue, so    queue, so
    at 2 gateways                                                 5.7 %           0.9 %      0 %; 0, 0 and 0.4 s
    at 2 gateways, always at both                                 2.1 %           0.2 %      0 %; 0, 0 and 0 s
    at 4 gateways                                                28.6 %           9.4 %      0 %; 0, 1.2 and 2.7 s
    at 2 gateways, 0.8 of its promise                            16.2 %          11.6 %      0 %; 0.4, 3.7 and 4.7 s

Tenants of whom nothing is wanted anywhere and whose limits did not change are not looked at, but for their sums.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from processors.allocation.exact import Flags, Ints
from processors.entitlement import GUARANTEED, TIERS, UNLIMITED, Dimension
from processors.leases.reports import end
from processors.leases.splitting import (
    BAND,
    BAND_OF_RATE,
    BAND_WHEN_SHORT,
    Part,
    alike,
    fitted,
    renewed,
    split,
    steadied,
    trimmed,
    weights,
    where_claimed,
    where_wanted,
)
from processors.leases.state import GRANTED, NEVER, NO_LIMIT, WANTED, Gateway
from processors.sharing.state import DIMENSIONS
from processors.stamping import Stamp
from processors.state import PartitionState, PoolState
from schemas.fact import CHUNK_ROWS, Fact
from schemas.lease_facts import CapacityLeased, LeaseEnd, LeasesGranted

SHORT_MS = 5_000
"""A refusal counts for so long: a part of a limit that moves takes two reports and two ticks, 3 s at most."""

TURN_MS = 10_000
"""So long a gateway stands first, and has what can't be divided: several times what it takes to move a part to it."""


def decide_leases(state: PartitionState, stamp: Stamp) -> Iterator[Fact]:
    """All pools that gateways share, in byte order."""
    for name in sorted(state.pools):
        pool = state.pools[name]
        if pool.leases is not None:
            yield from _ends(state, pool, stamp)
        if pool.leases is not None and pool.open is not None:
            for grant in _grants(state, pool):
                yield from _tell(state, pool, grant, stamp)


def _ends(state: PartitionState, pool: PoolState, stamp: Stamp) -> Iterator[Fact]:
    gateways = {} if pool.leases is None else dict(pool.leases.gateways)
    shared = pool.sharing is not None and pool.sharing.terms is not None
    for name in sorted(gateways):
        if not shared:
            yield from end(state, pool, name, LeaseEnd.NOT_SHARED, stamp)
        elif gateways[name].ends_ms <= state.now_ms:
            yield from end(state, pool, name, LeaseEnd.SILENT, stamp)


@dataclass(frozen=True, slots=True)
class _Grant:
    """A new lease: the gateway's part of the capacity, and of tenants' limits where they change."""

    gateway: str
    incarnation: str
    capacity: tuple[int, ...]
    slots: Ints
    tier: Ints
    granted: dict[str, Ints]


@dataclass(frozen=True, slots=True)
class _Round:
    """What is split, and among whom.

    Attributes:
        pool: its tenants' limits.
        gateways: in the order in which they stand now.
        ready: which of them may be given another lease.
        slots: tenants that are looked at.
        others: those of whom only sums count.
        short: of those that are looked at, who was refused of late.
    """

    pool: PoolState
    gateways: list[Gateway]
    ready: Flags
    slots: Ints
    others: Ints
    short: Flags

    def told(self, name: str) -> Ints:
        """The limits to be split."""
        return self.pool.tenants[f"told_{name}"][self.slots]

    def column(self, name: str) -> Ints:
        """Of tenants that are looked at, a column a gateway."""
        return np.stack([gateway.rows.at(name, self.slots) for gateway in self.gateways], axis=1)

    def reserved(self, slots: Ints) -> Flags:
        """Whose nominal quotas are promised."""
        promised: Flags = self.pool.tenants["told_tier"][slots] <= GUARANTEED
        return promised


@dataclass(frozen=True, slots=True)
class _Dimension:
    """One dimension of a round, before it is renewed; a column a gateway.

    Attributes:
        parts: nominal, borrowing and kept.
        needed: what of the capacity the others' promises and shares take up (promised, kept).
        capacity: what each has of it.
        crowded: promises or what is kept stand where they leave too little for what is wanted elsewhere: everybody's have to move.
        fits: where they stand they take up no more than the capacity.
    """

    parts: list[Part]
    needed: tuple[Ints, Ints]
    capacity: Part
    crowded: bool
    fits: bool


def _grants(state: PartitionState, pool: PoolState) -> list[_Grant]:
    """Everything is computed before the first fact, as recording it changes what it was computed from."""
    if pool.leases is None or pool.sharing is None or pool.sharing.terms is None:
        return []
    names = sorted(pool.leases.gateways)
    turn = state.now_ms // TURN_MS % len(names)
    names = [*names[turn:], *names[:turn]]
    gateways = [pool.leases.gateways[name] for name in names]
    there = np.flatnonzero(pool.tenants["told_tier"] >= 0)
    ready = np.array([gateway.ready for gateway in gateways])
    moving = _moving(pool, gateways, there)
    refused = _refused_since(state, gateways, there)
    capacity = pool.sharing.terms.capacity

    def dimensions(looked_at: Flags) -> tuple[_Round, list[_Dimension]]:
        chosen = _Round(pool, gateways, ready, there[looked_at], there[~looked_at], refused[looked_at])
        return chosen, [_dimension(chosen, place, each) for place, each in enumerate(capacity)]

    chosen, found = dimensions(moving)
    if any(each.crowded for each in found) and not moving.all():
        chosen, found = dimensions(np.ones(there.size, np.bool_))
    return _changed(chosen, names, [_renewed(chosen, each) for each in found])


def _moving(pool: PoolState, gateways: list[Gateway], slots: Ints) -> Flags:
    """Tenants to be looked at: something is wanted of them, or their limits are not split as they are now."""
    tenants = pool.tenants
    moving = np.zeros(slots.size, np.bool_)
    tier = tenants["told_tier"][slots]
    for gateway in gateways:
        moving |= gateway.rows.at("tier", slots) != tier
        for name in WANTED:
            moving |= gateway.rows.at(name, slots) > 0
    for name in GRANTED:
        told = tenants[f"told_{name}"][slots]
        granted = [gateway.rows.at(name, slots) for gateway in gateways]
        if name.endswith("_borrowing"):
            free = told == UNLIMITED
            for part in granted:
                moving |= (part == NO_LIMIT) != free
            told, granted = np.where(free, 0, told), [np.maximum(part, 0) for part in granted]
        together = granted[0].copy()
        for part in granted[1:]:
            together += part
        moving |= together != told
    return moving


def _refused_since(state: PartitionState, gateways: list[Gateway], slots: Ints) -> Flags:
    """Who was refused somewhere of late."""
    since = state.tick - max(SHORT_MS // state.tick_ms, 1)
    found = np.zeros(slots.size, np.bool_)
    for gateway in gateways:
        at = gateway.rows.at("refused_tick", slots)
        found |= (at != NEVER) & (at >= since)
    return found


def _dimension(chosen: _Round, place: int, capacity: int) -> _Dimension:
    """How one dimension shall be split, without moving for noise if that fits.

    Where it doesn't, all goes by what is wanted alone. To cut what was steadied would make a target of where parts happen to stand,
    and cut rows would leave their bands in turn: shares would move for ever although nothing changes.
    """
    found = _targets(chosen, place, capacity, steady=True)
    return found if found.fits or chosen.others.size else _targets(chosen, place, capacity, steady=False)


def _targets(chosen: _Round, place: int, capacity: int, *, steady: bool) -> _Dimension:
    """All parts of a dimension, and the capacity that carries them.

    A promise takes up capacity where it stands. Where that is more than is wanted there, and somebody is refused, promises move: of
    each no more stays than its owner wanted of late, and what is lent of it goes where it is wanted.
    """
    name = DIMENSIONS[place]
    wanted = chosen.column(f"wanted_{name}")
    of_all = np.array([[int(gateway.rows[WANTED[place]].sum()) for gateway in chosen.gateways]], np.int64)
    short = np.array([bool(chosen.short.any())])
    weight, of_pool = weights(wanted, chosen.short, of_all), weights(of_all, short)
    parts = [_part(chosen, f"{name}_{each}", weight, wanted > 0, steady=steady) for each in ("nominal", "borrowing", "kept")]
    promised = np.flatnonzero(chosen.reserved(chosen.slots))
    band = BAND_OF_RATE if place == Dimension.THROUGHPUT else BAND_WHEN_SHORT
    claimed = where_claimed(parts[0].total[promised], wanted[promised], weight[promised])
    parts = _claimed(chosen, parts, promised, claimed, band if steady else None)
    elsewhere = _taken_up_by_others(chosen, name)
    needs = _needs(parts, promised, elsewhere)
    by_demand = split(np.array([capacity], np.int64), of_pool, of_all > 0)[0]
    pinned = bool(short[0]) and bool((needs > by_demand + capacity // BAND).any())
    if pinned and not chosen.others.size:
        weight_here = weights(wanted[promised], chosen.short[promised])
        loosened = where_wanted(parts[0].total[promised], wanted[promised], weight_here, of_pool)
        parts = _claimed(chosen, parts, promised, loosened, band if steady else None)
        needs = _needs(parts, promised, elsewhere)
    fits = int(needs.sum()) <= capacity
    target = _capacity(chosen, place, capacity, needs, of_pool)
    if not fits and not chosen.others.size:
        parts[0] = _with_rows(parts[0], promised, fitted(parts[0].target[promised], target))
        parts[2] = parts[2]._replace(target=fitted(parts[2].target, target))
    granted, held = (
        np.array([[getattr(gateway, each)[place] for gateway in chosen.gateways]], np.int64)
        for each in ("capacity", "held_capacity")
    )
    whole = Part(np.array([capacity], np.int64), granted, held, target[None, :])
    return _Dimension(parts, elsewhere, whole, pinned or not fits, fits)


def _part(chosen: _Round, name: str, weight: Ints, wants: Flags, *, steady: bool) -> Part:
    """One limit of the tenants that are looked at; of those that have none, nothing is to be split."""
    total = chosen.told(name)
    total = np.where(total == UNLIMITED, 0, total) if name.endswith("_borrowing") else total
    granted = np.maximum(chosen.column(name), 0)
    target = split(total, weight, wants)
    if steady:
        target = steadied(total, granted, target, chosen.short)
    return Part(total, granted, chosen.column(f"held_{name}"), target)


def _taken_up_by_others(chosen: _Round, name: str) -> tuple[Ints, Ints]:
    """What is promised and kept at each gateway for tenants that are not looked at."""
    reserved = chosen.others[chosen.reserved(chosen.others)]
    return (
        np.array([gateway.rows.at(f"{name}_nominal", reserved).sum() for gateway in chosen.gateways], np.int64),
        np.array([gateway.rows.at(f"{name}_kept", chosen.others).sum() for gateway in chosen.gateways], np.int64),
    )


def _needs(parts: list[Part], promised: Ints, elsewhere: tuple[Ints, Ints]) -> Ints:
    """What of the capacity each gateway's promises and shares take up."""
    nominal, _, kept = parts
    needs: Ints = np.maximum(elsewhere[0] + nominal.target[promised].sum(axis=0), elsewhere[1] + kept.target.sum(axis=0))
    return needs


def _claimed(chosen: _Round, parts: list[Part], promised: Ints, target: Ints, band: int | None) -> list[Part]:
    """Promises split otherwise than other limits: such that each has where it is wanted as much as was wanted of late.

    What is left of them is everywhere alike; where that takes up what others want, they are loosened: it goes where these want it.
    What is kept for their owners stands where the promises do, and so takes up no more of a gateway's capacity than these. `band`:
    of those that were refused; None: what is wanted now, however little it is that moves.
    """
    nominal, borrowing, kept = parts
    short = chosen.short[promised]

    def steady(part: Part, rows: Ints) -> Part:
        if band is not None:
            rows = steadied(part.total[promised], part.granted[promised], rows, short, band)
        return _with_rows(part, promised, rows)

    nominal = steady(nominal, target)
    return [nominal, borrowing, steady(kept, alike(kept.total[promised], nominal.target[promised]))]


def _with_rows(part: Part, rows: Ints, target: Ints) -> Part:
    moved = part.target.copy()
    moved[rows] = target
    return part._replace(target=moved)


def _capacity(chosen: _Round, place: int, capacity: int, needs: Ints, of_pool: Ints) -> Ints:
    """The capacity's split: what each gateway needs for its tenants, and the rest by what is wanted of the pool."""
    short = np.array([bool(chosen.short.any())])
    rest = capacity - int(needs.sum())
    if rest < 0:
        by_need: Ints = split(np.array([capacity], np.int64), weights(needs[None, :], short), needs[None, :] > 0)[0]
        return by_need
    target: Ints = needs + split(np.array([rest], np.int64), of_pool, of_pool > 0)[0]
    granted = np.array([gateway.capacity[place] for gateway in chosen.gateways], np.int64)
    calm: Ints = steadied(np.array([capacity], np.int64), granted[None, :], target[None, :], short)[0]
    return calm if (calm >= needs).all() else target


def _renewed(chosen: _Round, of: _Dimension) -> tuple[Ints, list[Ints]]:
    """What gateways have of one dimension next: the capacity, and nominal, borrowing and kept of the tenants that are looked at.

    A gateway's promises and what is kept there fit its capacity, also where that could not grow yet.
    """
    capacity: Ints = renewed(of.capacity, chosen.ready)[0]
    nominal, borrowing, kept = (renewed(part, chosen.ready) for part in of.parts)
    # Who gets no new lease keeps the parts of the old one, which fitted.
    room = [np.where(chosen.ready, capacity - elsewhere, UNLIMITED) for elsewhere in of.needed]
    promised = np.flatnonzero(chosen.reserved(chosen.slots))
    nominal[promised] = trimmed(nominal[promised], room[0])
    return capacity, [nominal, borrowing, trimmed(kept, room[1])]


def _changed(chosen: _Round, names: list[str], found: list[tuple[Ints, list[Ints]]]) -> list[_Grant]:
    """New leases for those of whom something changes."""
    tier = chosen.pool.tenants["told_tier"][chosen.slots]
    columns = dict(zip(GRANTED, [part for _, parts in found for part in parts], strict=True))
    for name, column in columns.items():
        if name.endswith("_borrowing"):
            column[chosen.told(name) == UNLIMITED] = NO_LIMIT
    grants = []
    for place in np.flatnonzero(chosen.ready).tolist():
        gateway = chosen.gateways[place]
        capacity = tuple(int(each[place]) for each, _ in found)
        differs = gateway.rows.at("tier", chosen.slots) != tier
        for name, column in columns.items():
            differs |= gateway.rows.at(name, chosen.slots) != column[:, place]
        rows = np.flatnonzero(differs)
        if rows.size or list(capacity) != gateway.capacity:
            granted = {name: column[rows, place] for name, column in columns.items()}
            grants.append(_Grant(names[place], gateway.incarnation, capacity, chosen.slots[rows], tier[rows], granted))
    return grants


def _tell(state: PartitionState, pool: PoolState, grant: _Grant, stamp: Stamp) -> Iterator[Fact]:
    moment = {"at": state.now_ms, "tick": state.tick, "period": pool.present, "gateway": grant.gateway}
    throughput, kv, concurrency = grant.capacity
    yield stamp.fact(
        CapacityLeased,
        pool.name,
        **moment,
        incarnation=grant.incarnation,
        throughput=throughput,
        kv=kv,
        concurrency=concurrency,
        tenants=int(grant.slots.size),
    )
    names = pool.tenants.names
    for start in range(0, grant.slots.size, CHUNK_ROWS):
        part = slice(start, start + CHUNK_ROWS)
        yield stamp.fact(
            LeasesGranted,
            pool.name,
            **moment,
            tenant=[names[slot] for slot in grant.slots[part].tolist()],
            tier=[TIERS[tier] for tier in grant.tier[part].tolist()],
            **{name: _told(name, column[part]) for name, column in grant.granted.items()},
        )


def _told(name: str, column: Ints) -> list[int | None]:
    values: list[int | None] = column.tolist()
    return [None if value == NO_LIMIT else value for value in values] if name.endswith("_borrowing") else values
