"""A tenant's way through each policy: its turn, its sealed bid, its fair share, and who decided what was left for it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from processors.allocation import UNLIMITED, AuctionInput, Outcome
from processors.allocation.exact import Flags, Ints, exact_sum
from processors.allocation.guarantee import money_after_base
from processors.allocation.proportional import share_at
from processors.explain.inputs import Rerun
from schemas.published import Policy

NEIGHBOURS = 3
"""How many of those who came right before a tenant, or who set the price, are named."""


@dataclass(frozen=True, slots=True)
class Bidder:
    """Somebody in the order of bids; tokens."""

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
    last: Bidder | None
    """The first in the order whom the supply did not serve in full; None: it served all."""
    rest: int
    sharers: int
    sharers_elasticity: int
    share: int
    filled: bool
    """Whether the share of the rest came to all that the budget still bought."""


@dataclass(frozen=True, slots=True)
class PriceSetter:
    """Somebody whose firm demand ends at the clearing price: at one nanocredit less it is `dropped` tokens more.

    `by` is "limit" (the price reaches the highest that it pays) or "budget" (its money buys fewer at it).
    """

    tenant: str
    limit: int
    dropped: int
    by: str


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
    set_by: tuple[PriceSetter, ...]
    """Who set the price, those with the most tokens first; empty: the pool's reserve price is it."""
    setters: int
    """How many they are in all."""


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
class ServedShare:
    """Policy `proportional`: a share of the demand, by elasticity and the level that is the same for all. Tokens."""

    need: int
    room: int | None
    level: int
    """In the unit of elasticity, millionths; 0: all demands fit."""
    share: int
    """Of the demand, base included; millionths."""
    limited_by: str
    """What held its surplus down: "base" (it covers the share), "budget", "share" or "headroom"."""
    wanting: int
    """Tenants with a need that their budgets buy something of."""


Steps = Turn | SealedBid | FairShare | ServedShare


def steps_of(again: Rerun, at: int) -> Steps:
    """The way of the tenant in a row through its period's policy."""
    match again.inputs.policy:
        case Policy.SEED:
            return _turn(again.names, again.asked, again.outcome, at)
        case Policy.UNIFORM_PRICE:
            return _sealed_bid(again.names, again.asked, again.outcome, at)
        case Policy.MAX_MIN:
            return _fair_share(again.asked, again.outcome, at)
        case Policy.PROPORTIONAL:
            return _served_share(again.asked, again.outcome, at)


def price_setters(asked: AuctionInput, outcome: Outcome) -> tuple[Ints, Ints]:
    """Rows whose firm demand ends at the clearing price, and by how many tokens, the most first.

    Without them the price would be lower: at one nanocredit less, firm demand exceeds the supply by some of these tokens. No rows
    where the policy has no limit prices, or the price is the lowest allowed.
    """
    price, limit = outcome.price, outcome.why.limit
    if limit is None or price <= max(asked.reserve_price, 1):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    dropped = _firm_demand(asked, outcome, price - 1) - _firm_demand(asked, outcome, price)
    rows = np.flatnonzero(dropped)
    rows = rows[np.argsort(-dropped[rows], kind="stable")]
    return rows, dropped[rows]


def _firm_demand(asked: AuctionInput, outcome: Outcome, price: int) -> Ints:
    """Tokens that each buys at a price of 1 or more if its limit is above it."""
    if outcome.why.limit is None:
        raise RuntimeError("without limit prices nobody has firm demand")
    money = np.where(asked.capped, money_after_base(asked) // price, UNLIMITED)
    return np.where(outcome.why.limit > price, np.minimum(outcome.why.bid, money), 0)


def _room(outcome: Outcome, at: int) -> int | None:
    room = int(outcome.why.room[at])
    return None if room == UNLIMITED else room


def _turn(names: Sequence[str], asked: AuctionInput, outcome: Outcome, at: int) -> Turn:
    why = outcome.why
    if why.rank is None or why.taken is None:
        raise RuntimeError("policy seed ranks bids, but told no ranks")
    ranks, takings = why.rank, why.taken
    rank, bid, taken, room = int(ranks[at]), int(why.bid[at]), int(takings[at]), _room(outcome, at)
    supply = outcome.unallocated + exact_sum(outcome.surplus)
    taken_before = exact_sum(takings[ranks < rank])
    order = np.argsort(ranks)
    sharing: Flags = why.room > takings
    wish = bid if room is None else min(bid, room)
    held_by_wish = "bid" if room is None or bid <= room else "budget"
    unserved = order[(takings < np.minimum(why.bid, why.room))[order]]

    def bidder(row: int) -> Bidder:
        return Bidder(names[row], int(ranks[row]), int(why.bid[row]), int(takings[row]))

    return Turn(
        bid=bid,
        room=room,
        rank=rank,
        bidders=len(names),
        before=tuple(map(bidder, order[max(0, rank - 1 - NEIGHBOURS) : rank - 1].tolist())),
        taken_before=taken_before,
        left=supply - taken_before,
        taken=taken,
        limited_by=held_by_wish if taken == wish else "supply",
        last=bidder(int(unserved[0])) if unserved.size else None,
        rest=supply - exact_sum(takings),
        sharers=int(sharing.sum()),
        sharers_elasticity=exact_sum(asked.elasticity[sharing]),
        share=int(outcome.surplus[at]) - taken,
        filled=room is not None and int(outcome.surplus[at]) == room,
    )


def _sealed_bid(names: Sequence[str], asked: AuctionInput, outcome: Outcome, at: int) -> SealedBid:
    why = outcome.why
    if why.limit is None:
        raise RuntimeError("policy uniform_price has limit prices, but told none")
    price, limit = outcome.price, why.limit
    above, marginal = limit > price, limit == price
    wanted = np.minimum(why.bid, why.room)
    bought = exact_sum(outcome.surplus[above])
    at_reserve = price <= max(asked.reserve_price, 1)
    rows, dropped = price_setters(asked, outcome)
    set_by = zip(rows[:NEIGHBOURS].tolist(), dropped[:NEIGHBOURS].tolist(), strict=True)
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
        cheaper=None if at_reserve else exact_sum(_firm_demand(asked, outcome, price - 1)),
        set_by=tuple(PriceSetter(names[row], int(limit[row]), fewer, _ended_by(limit, row, price)) for row, fewer in set_by),
        setters=len(rows),
    )


def _ended_by(limit: Ints, row: int, price: int) -> str:
    return "limit" if int(limit[row]) == price else "budget"


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


def _served_share(asked: AuctionInput, outcome: Outcome, at: int) -> ServedShare:
    why, surplus = outcome.why, int(outcome.surplus[at])
    if why.level is None:
        raise RuntimeError("policy proportional finds a level, but told none")
    room = _room(outcome, at)
    share = share_at(int(asked.elasticity[at]), why.level)
    return ServedShare(
        need=int(why.bid[at]),
        room=room,
        level=why.level,
        share=share,
        limited_by="base" if not surplus else "budget" if surplus == room else "share" if why.level else "headroom",
        wanting=int(((why.bid > 0) & (why.room > 0)).sum()),
    )
