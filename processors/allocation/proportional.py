"""`proportional`: proportional fairness of served demand, in which a token is worth less the more of the demand is met.

To have the share s of its demand d served is worth d·e·(ln s − s) to a tenant of elasticity e. What has the largest sum of that
serves e / (e + λ) of each demand, with the one level λ at which supply is used up: a further token is then worth λ to everybody,
e·(1/s − 1). The logarithm is proportional fairness (F. Kelly, "Charging and rate control for elastic traffic", European
Transactions on Telecommunications 8, 1997): nobody who wants anything is left without. The other term is ours: nothing is worth
more than all of the demand, so the elastic come before the others, but never to more than they need.

Shares are millionths of a demand; λ is in the unit of elasticity, millionths.
"""

from typing import NamedTuple

import numpy as np

from processors.allocation.exact import INT64_MAX, MILLION, Ints, exact_sum
from processors.allocation.guarantee import room_at
from processors.allocation.hamilton import hamilton, water_fill
from processors.allocation.model import AuctionInput, SurplusShares

HIGHEST_WORTH = 9 * 10**12
"""An elasticity above nine million counts as that: a million times it, and the highest level besides, stay in int64."""
HIGHEST_LEVEL = HIGHEST_WORTH * MILLION
"""At this level every share is below a millionth: nobody wants anything."""
HEADROOM = 4
"""Beyond all demands each gets up to a quarter of its own: it is a forecast, and what is over would be lost."""


class _Wishes(NamedTuple):
    """What those want who may get something, beyond their bases. A demand is `millions` · 1,000,000 + `units`."""

    worth: Ints
    millions: Ints
    units: Ints
    base: Ints
    room: Ints

    def at(self, level: int) -> Ints:
        """Tokens of surplus at a level: fewer, the higher it is."""
        share = self.worth * MILLION // (self.worth + level) if level else MILLION
        # The floor of demand · share / 1,000,000; both parts stay in int64, as no share is above a million.
        served = self.millions * share + self.units * share // MILLION
        surplus: Ints = np.minimum(np.maximum(served - self.base, 0), self.room)
        return surplus


def share_at(elasticity: int, level: int) -> int:
    """The share of its demand that a tenant is served at a level, base included; millionths."""
    worth = min(elasticity, HIGHEST_WORTH)
    return worth * MILLION // (worth + level) if level else MILLION


def share_surplus(inp: AuctionInput, supply: int) -> SurplusShares:
    """Each is served the share e / (e + λ) of its demand, base included, as far as its room goes; all surplus at the reserve price.

    λ is the smallest at which that fits the supply; what is then left goes to those who would get more at λ − 1, by how much
    more. Where all demands fit, what is left is shared by demand, up to a quarter of it for each.
    """
    need = np.maximum(inp.demand - inp.base, 0)
    room = room_at(inp, inp.reserve_price)
    rows = np.flatnonzero((need > 0) & (room > 0))
    wishes = _Wishes(
        np.minimum(inp.elasticity, HIGHEST_WORTH)[rows], *np.divmod(inp.demand[rows], MILLION), inp.base[rows], room[rows]
    )
    level = _level(wishes, supply)
    served = wishes.at(level)
    if level:
        served += hamilton(supply - exact_sum(served), wishes.at(level - 1) - served)
    surplus = np.zeros_like(need)
    surplus[rows] = served
    if not level:
        surplus += water_fill(supply - exact_sum(served), inp.demand, _headroom(inp, room) - surplus)
    return SurplusShares(inp.reserve_price, surplus, bid=need, room=room, level=level)


def _headroom(inp: AuctionInput, room: Ints) -> Ints:
    """The most surplus that each may get."""
    spare = inp.demand // HEADROOM
    most = np.minimum(inp.demand, INT64_MAX - spare) + spare
    headroom: Ints = np.minimum(np.maximum(most - inp.base, 0), room)
    return headroom


def _level(wishes: _Wishes, supply: int) -> int:
    """The smallest level at which all wishes together fit the supply.

    They never grow with the level. First its number of binary digits is found, by halving; then, where the sum is nearly straight,
    the level by a straight line between the two ends and by halving in turn: 12 to 20 steps, of some 20 ms for a million tenants.
    """
    if exact_sum(wishes.at(0)) <= supply:
        return 0
    too_few_digits, digits = 0, HIGHEST_LEVEL.bit_length()
    while digits - too_few_digits > 1:
        middle = (too_few_digits + digits) // 2
        if exact_sum(wishes.at(1 << middle)) <= supply:
            digits = middle
        else:
            too_few_digits = middle
    low, high = (1 << too_few_digits) if too_few_digits else 0, min(1 << digits, HIGHEST_LEVEL)
    above, below = exact_sum(wishes.at(low)), exact_sum(wishes.at(high))
    straight = True
    while high - low > 1:
        middle = low + (high - low) * (above - supply) // (above - below) if straight else (low + high) // 2
        middle = min(max(middle, low + 1), high - 1)
        straight = not straight
        wanted = exact_sum(wishes.at(middle))
        if wanted <= supply:
            high, below = middle, wanted
        else:
            low, above = middle, wanted
    return high
