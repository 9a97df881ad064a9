"""`uniform_price`: a sealed-bid auction in which every token of surplus costs the same clearing price."""

from typing import NamedTuple

import numpy as np

from processors.allocation.exact import (
    INT64_MAX,
    Ints,
    Wide,
    at_rows,
    equals,
    exact_sum,
    exceeds,
    largest_value,
    times_millionths,
)
from processors.allocation.guarantee import money_after_base
from processors.allocation.hamilton import hamilton
from processors.allocation.model import UNLIMITED, AuctionInput, SurplusShares


class _Bids(NamedTuple):
    """Sealed bids: the first `capped` rows buy within their money, the others without limit."""

    quantity: Ints
    limit: Ints | Wide
    money: Ints
    capped: int

    def firm_demand(self, price: int) -> int:
        """F(p): tokens bought at a price by those whose limit is above it."""
        bought = self.quantity.copy()
        bought[: self.capped] = _affordable(self.quantity[: self.capped], self.money, price)
        bought[~exceeds(self.limit, price)] = 0
        return exact_sum(bought)

    def above(self, price: int) -> "_Bids":
        """The bids that count at this price or a higher one, once they are clearly fewer than all."""
        rows = np.flatnonzero(exceeds(self.limit, price))
        if rows.size > 0.75 * self.quantity.size:
            return self
        capped = int(np.searchsorted(rows, self.capped))
        return _Bids(self.quantity[rows], at_rows(self.limit, rows), self.money[rows[:capped]], capped)


def share_surplus(inp: AuctionInput, supply: int) -> SurplusShares:
    """Bids: quantity max(0, demand − base), limit price elasticity · reserve. All pay the clearing price."""
    quantity = np.maximum(inp.demand - inp.base, 0)
    limit = times_millionths(inp.elasticity, inp.reserve_price)
    money = money_after_base(inp)
    price = _clearing_price(_sealed(inp, quantity, limit, money), supply, max(inp.reserve_price, 1))
    room = np.where(inp.capped, _affordable(np.full_like(money, UNLIMITED), money, price), UNLIMITED)
    wanted = np.minimum(quantity, room)
    surplus = np.where(exceeds(limit, price), wanted, 0)
    marginal = np.flatnonzero(equals(limit, price))
    left = supply - int(surplus.sum())
    tied = wanted[marginal]
    surplus[marginal] = tied if exact_sum(tied) <= left else hamilton(left, tied)
    shown_limit = limit.saturated() if isinstance(limit, Wide) else limit
    return SurplusShares(price, surplus, bid=quantity, room=room, limit=shown_limit)


def _sealed(inp: AuctionInput, quantity: Ints, limit: Ints | Wide, money: Ints) -> _Bids:
    """Bids for something, those with a cap first."""
    capped = np.flatnonzero(inp.capped & (quantity > 0))
    rows = np.concatenate((capped, np.flatnonzero(~inp.capped & (quantity > 0))))
    return _Bids(quantity[rows], at_rows(limit, rows), money[capped], capped.size)


def _affordable(quantity: Ints, money: Ints, price: int) -> Ints:
    """min(quantity, money // price); no money reaches a price beyond int64."""
    if price > INT64_MAX:
        return np.zeros_like(quantity)
    return np.minimum(quantity, money // price)


def _clearing_price(bids: _Bids, supply: int, lowest: int) -> int:
    """The smallest integer price from `lowest` on at which firm demand fits the supply.

    Firm demand never rises with the price (fewer limits lie above it, and money buys less), so bisection finds it: at
    most 64 steps (107 where limit prices leave int64) of a few milliseconds per million bids, over ever fewer bids. At
    the highest limit firm demand is 0.
    """
    if bids.firm_demand(lowest) <= supply:
        return lowest
    bids = bids.above(lowest)
    highest = max(lowest, largest_value(bids.limit))
    while lowest < highest:
        middle = (lowest + highest) // 2
        if bids.firm_demand(middle) <= supply:
            highest = middle
        else:
            lowest = middle + 1
            bids = bids.above(lowest)
    return lowest
