"""Why a tenant got what it got in a period (BEY-2): the rule is run again on the period's recorded inputs, and its steps are told.

The recomputed row is held against the recorded one, and so are the others: a second and 200 MB for 100,000 tenants.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from processors.allocation import UNLIMITED, AuctionInput, Outcome, allocate
from processors.allocation.exact import Flags, Ints, exact_sum
from processors.allocation.guarantee import money_after_base
from processors.entitlement import precedence
from schemas.published import Policy, Tier

NEIGHBOURS = 3
"""How many of those who came right before a tenant are named."""

COMPARED = ("base", "bid", "rank", "surplus", "allocated", "charge", "shortfall")
"""Columns of a row that follow from the others."""

TRADED = ("bought", "sold")
"""What the market added to a row; it is told, not recomputed."""


@dataclass(frozen=True, slots=True)
class PeriodInputs:
    """A closed period as it was recorded.

    Attributes:
        rows: the table's columns by name, one value a tenant: `tenant`, the inputs `elasticity`, `weight`, `demand`,
            `budget_left` (None: no cap), COMPARED and TRADED; tokens, nanocredits and millionths. `base` is what was given:
            what was declared is that and the shortfall.
        bidders: who had a profile in force; the others only used something, and took no part.
        tiers: of the bidders, in a token pool: whose base came first where capacity was short; None in others.
    """

    pool: str
    period: int
    policy: Policy
    capacity: int
    base_price: int
    reserve_price: int
    price: int
    unallocated: int
    rows: Mapping[str, Sequence[object]]
    bidders: frozenset[str]
    tiers: Mapping[str, Tier] | None = None


@dataclass(frozen=True, slots=True)
class Bidder:
    """Somebody who came before; tokens."""

    tenant: str
    rank: int
    bid: int
    taken: int


@dataclass(frozen=True, slots=True)
class Turn:
    """Policy `seed`: a turn in the order of bids, then a share of the rest by elasticity. Tokens; a room of None has no limit."""

    bid: int
    room: int | None
    rank: int
    bidders: int
    before: tuple[Bidder, ...]
    taken_before: int
    left: int
    taken: int
    limited_by: str
    """What held the turn's tokens down: "bid", "budget" or "supply"."""
    rest: int
    sharers: int
    sharers_elasticity: int
    share: int
    filled: bool
    """Whether the share of the rest came to all that the budget still bought."""


@dataclass(frozen=True, slots=True)
class SealedBid:
    """Policy `uniform_price`: a sealed bid against the clearing price. Tokens; prices in nanocredits per token."""

    quantity: int
    limit: int
    affordable: int | None
    price: int
    standing: str
    """The limit is "above", "at" or "below" the clearing price."""
    buyers_above: int
    bought_above: int
    buyers_at: int
    wanted_at: int
    left_at: int
    cheaper: int | None
    """Firm demand at one nanocredit less, which is more than the supply; None at the lowest price allowed."""


@dataclass(frozen=True, slots=True)
class FairShare:
    """Policy `max_min`: a need, and the water level. Tokens; weights in millionths."""

    need: int
    room: int | None
    satisfied: bool
    needing: int
    satisfied_in_all: int
    shared: int
    """Tokens that those share by weight whose need is not met."""
    weight_of_unmet: int


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a tenant asked, what there was, what it got by which rule, and whether that is what was recorded."""

    pool: str
    period: int
    tenant: str
    policy: Policy
    took_part: bool
    tier: Tier | None
    """In a token pool, where bases go by it."""
    declared_base: int
    elasticity: int
    weight: int
    demand: int
    budget_left: int | None
    capacity: int
    promised: int
    supply: int
    base: int
    shortfall: int
    surplus: int
    bought: int
    sold: int
    allocated: int
    used: int
    price: int
    base_price: int
    charge_for_base: int
    charge_for_surplus: int
    charge: int
    rule: Turn | SealedBid | FairShare | None
    differences: tuple[tuple[str, object, object], ...]
    """(column, recorded, recomputed) of this tenant's row; empty: equal."""
    other_rows_differing: int

    @property
    def proved(self) -> bool:
        """Whether the recorded row is what the rule gives."""
        return not self.differences


class UnknownTenantError(LookupError):
    """The period has no row of the tenant."""


def explain(inputs: PeriodInputs, tenant: str) -> Explanation:
    """Run the period's rule again and tell a tenant's way through it.

    Raises:
        UnknownTenantError: the tenant has no row in the period.
    """
    recorded = _rows_by_tenant(inputs)
    if tenant not in recorded:
        raise UnknownTenantError(tenant)
    names = sorted(inputs.bidders & recorded.keys())
    asked = _auction(inputs, [recorded[name] for name in names])
    outcome = allocate(inputs.policy, asked)
    recomputed = _recomputed(names, outcome)
    different = {name: _differences(recorded[name], recomputed.get(name, _NOTHING)) for name in recorded}
    row = recorded[tenant]
    at = names.index(tenant) if tenant in inputs.bidders else None
    base, surplus = (0, 0) if at is None else (int(outcome.base[at]), int(outcome.surplus[at]))
    whole = _whole_differs(inputs, outcome)
    return Explanation(
        pool=inputs.pool,
        period=inputs.period,
        tenant=tenant,
        policy=inputs.policy,
        took_part=at is not None,
        tier=None if inputs.tiers is None else inputs.tiers.get(tenant),
        declared_base=0 if at is None else int(asked.base[at]),
        **{name: _whole(row[name]) for name in ("elasticity", "weight", "demand", "used", *TRADED)},
        budget_left=None if row["budget_left"] is None else _whole(row["budget_left"]),
        capacity=inputs.capacity,
        promised=exact_sum(asked.base),
        supply=outcome.unallocated + exact_sum(outcome.surplus),
        base=base,
        shortfall=0 if at is None else int(outcome.shortfall[at]),
        surplus=surplus,
        allocated=base + surplus + _traded(row),
        price=outcome.price,
        base_price=inputs.base_price,
        charge_for_base=base * inputs.base_price,
        charge_for_surplus=surplus * outcome.price,
        charge=base * inputs.base_price + surplus * outcome.price,
        rule=None if at is None else _rule(inputs, names, asked, outcome, at),
        differences=(*different.pop(tenant), *whole),
        other_rows_differing=sum(map(bool, different.values())),
    )


_Row = Mapping[str, object]

_NOTHING: _Row = {name: None if name == "rank" else 0 for name in COMPARED}
"""What follows for a tenant that takes no part."""


def _rows_by_tenant(inputs: PeriodInputs) -> dict[str, _Row]:
    columns = list(inputs.rows)
    rows = (dict(zip(columns, values, strict=True)) for values in zip(*inputs.rows.values(), strict=True))
    return {str(row["tenant"]): row for row in rows}


def _whole(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError(f"a whole number is expected, not {value!r}")
    return value


def _auction(inputs: PeriodInputs, rows: Sequence[_Row]) -> AuctionInput:
    def column(*names: str) -> Ints:
        return np.array([sum(_whole(row[name]) for name in names) for row in rows], np.int64)

    left = [row["budget_left"] for row in rows]
    return AuctionInput(
        capacity=inputs.capacity,
        base_price=inputs.base_price,
        reserve_price=inputs.reserve_price,
        base=column("base", "shortfall"),
        elasticity=column("elasticity"),
        demand=column("demand"),
        budget_left=np.array([0 if money is None else _whole(money) for money in left], np.int64),
        capped=np.array([money is not None for money in left], np.bool_),
        weight=column("weight"),
        precedence=None if inputs.tiers is None else precedence([inputs.tiers[str(row["tenant"])] for row in rows]),
    )


def _recomputed(names: Sequence[str], outcome: Outcome) -> dict[str, _Row]:
    rank = [None] * len(names) if outcome.why.rank is None else outcome.why.rank.tolist()
    columns = {
        "base": outcome.base.tolist(),
        "bid": outcome.why.bid.tolist(),
        "rank": rank,
        "surplus": outcome.surplus.tolist(),
        "allocated": (outcome.base + outcome.surplus).tolist(),
        "charge": outcome.charge.tolist(),
        "shortfall": outcome.shortfall.tolist(),
    }
    return {name: {column: values[at] for column, values in columns.items()} for at, name in enumerate(names)}


def _differences(recorded: _Row, recomputed: _Row) -> tuple[tuple[str, object, object], ...]:
    follows = {**recomputed, "allocated": _whole(recomputed["allocated"]) + _traded(recorded)}
    return tuple((name, recorded[name], follows[name]) for name in COMPARED if recorded[name] != follows[name])


def _traded(row: _Row) -> int:
    return _whole(row["bought"]) - _whole(row["sold"])


def _whole_differs(inputs: PeriodInputs, outcome: Outcome) -> tuple[tuple[str, object, object], ...]:
    whole = {"price": (inputs.price, outcome.price), "unallocated": (inputs.unallocated, outcome.unallocated)}
    return tuple((name, *pair) for name, pair in whole.items() if pair[0] != pair[1])


def _rule(
    inputs: PeriodInputs, names: Sequence[str], asked: AuctionInput, outcome: Outcome, at: int
) -> Turn | SealedBid | FairShare:
    match inputs.policy:
        case Policy.SEED:
            return _turn(names, asked, outcome, at)
        case Policy.UNIFORM_PRICE:
            return _sealed_bid(asked, outcome, at)
        case Policy.MAX_MIN:
            return _fair_share(asked, outcome, at)


def _room(outcome: Outcome, at: int) -> int | None:
    room = int(outcome.why.room[at])
    return None if room == UNLIMITED else room


def _turn(names: Sequence[str], asked: AuctionInput, outcome: Outcome, at: int) -> Turn:
    why = outcome.why
    if why.rank is None or why.taken is None:
        raise RuntimeError("policy seed ranks bids, but told no ranks")
    rank, bid, taken, room = int(why.rank[at]), int(why.bid[at]), int(why.taken[at]), _room(outcome, at)
    supply = outcome.unallocated + exact_sum(outcome.surplus)
    taken_before = exact_sum(why.taken[why.rank < rank])
    order = np.argsort(why.rank)[max(0, rank - 1 - NEIGHBOURS) : rank - 1]
    sharing: Flags = why.room > why.taken
    wish = bid if room is None else min(bid, room)
    held_by_wish = "bid" if room is None or bid <= room else "budget"
    return Turn(
        bid=bid,
        room=room,
        rank=rank,
        bidders=len(names),
        before=tuple(Bidder(names[one], int(why.rank[one]), int(why.bid[one]), int(why.taken[one])) for one in order.tolist()),
        taken_before=taken_before,
        left=supply - taken_before,
        taken=taken,
        limited_by=held_by_wish if taken == wish else "supply",
        rest=supply - exact_sum(why.taken),
        sharers=int(sharing.sum()),
        sharers_elasticity=exact_sum(asked.elasticity[sharing]),
        share=int(outcome.surplus[at]) - taken,
        filled=room is not None and int(outcome.surplus[at]) == room,
    )


def _sealed_bid(asked: AuctionInput, outcome: Outcome, at: int) -> SealedBid:
    why = outcome.why
    if why.limit is None:
        raise RuntimeError("policy uniform_price has limit prices, but told none")
    price, limit = outcome.price, why.limit
    above, marginal = limit > price, limit == price
    wanted = np.minimum(why.bid, why.room)
    bought = exact_sum(outcome.surplus[above])
    cheaper = None
    if price > max(asked.reserve_price, 1):
        money = np.where(asked.capped, money_after_base(asked) // (price - 1), UNLIMITED)
        cheaper = exact_sum(np.minimum(why.bid, money)[limit > price - 1])
    return SealedBid(
        quantity=int(why.bid[at]),
        limit=int(limit[at]),
        affordable=_room(outcome, at),
        price=price,
        standing="above" if above[at] else "at" if marginal[at] else "below",
        buyers_above=int((above & (wanted > 0)).sum()),
        bought_above=bought,
        buyers_at=int((marginal & (wanted > 0)).sum()),
        wanted_at=exact_sum(wanted[marginal]),
        left_at=outcome.unallocated + exact_sum(outcome.surplus) - bought,
        cheaper=cheaper,
    )


def _fair_share(asked: AuctionInput, outcome: Outcome, at: int) -> FairShare:
    wanted = np.minimum(outcome.why.bid, outcome.why.room)
    unmet = outcome.surplus < wanted
    return FairShare(
        need=int(outcome.why.bid[at]),
        room=_room(outcome, at),
        satisfied=not unmet[at],
        needing=int((wanted > 0).sum()),
        satisfied_in_all=int(((wanted > 0) & ~unmet).sum()),
        shared=exact_sum(outcome.surplus[unmet]),
        weight_of_unmet=exact_sum(asked.weight[unmet]),
    )
