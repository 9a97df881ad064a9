"""The guarantee that every policy keeps, and what a budget still buys after it (spec: allocation, "Guarantee")."""

from typing import NamedTuple

import numpy as np

from processors.allocation.exact import Ints, exact_sum
from processors.allocation.hamilton import hamilton, shares_in_turn
from processors.allocation.model import UNLIMITED, AuctionInput


class Guarantee(NamedTuple):
    """Tokens of base given and owed per tenant, and the surplus left for the policy."""

    base: Ints
    shortfall: Ints
    surplus: int


def give_bases(inp: AuctionInput) -> Guarantee:
    """Everybody's base, or, when capacity is short of their sum, Hamilton shares of capacity by base.

    With a precedence, those of the lowest number have theirs first, then those of the next (`shares_in_turn`).
    """
    promised = exact_sum(inp.base)
    if promised <= inp.capacity:
        return Guarantee(inp.base, np.zeros_like(inp.base), inp.capacity - promised)
    given = hamilton(inp.capacity, inp.base) if inp.precedence is None else shares_in_turn(inp.capacity, inp.base, inp.precedence)
    return Guarantee(given, inp.base - given, 0)


def money_after_base(inp: AuctionInput) -> Ints:
    """Nanocredits left for surplus, (m − b·base_price)⁺. Meaningless where a tenant is not capped.

    b·base_price <= m exactly if b <= m // base_price, so a product that would leave int64 is never used.
    """
    if not inp.base_price:
        return np.maximum(inp.budget_left, 0)
    pays = inp.base <= inp.budget_left // inp.base_price
    return np.where(pays, inp.budget_left - np.where(pays, inp.base, 0) * inp.base_price, 0)


def room_at(inp: AuctionInput, price: int) -> Ints:
    """Tokens of surplus that each budget still buys at a price of 0 to 2^63−1; `UNLIMITED` without a cap or a price."""
    if not price:
        return np.full(inp.base.size, UNLIMITED)
    return np.where(inp.capped, money_after_base(inp) // price, UNLIMITED)
