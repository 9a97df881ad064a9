"""`seed`: the auction as the source states it. Highest bids first, and the rest in proportion to elasticity."""

import numpy as np

from processors.allocation.exact import Ints, Wide, descending_order, first_above, times_millionths
from processors.allocation.guarantee import room_at
from processors.allocation.hamilton import water_fill
from processors.allocation.model import AuctionInput, SurplusShares


def share_surplus(inp: AuctionInput, supply: int) -> SurplusShares:
    """Each in the order of bids takes min(bid, room, what is left); what remains is shared within the rooms by elasticity.

    A bid is elasticity · demand: tokens. All surplus is paid at the reserve price.
    """
    exact_bid = times_millionths(inp.elasticity, inp.demand)
    bid = exact_bid.saturated() if isinstance(exact_bid, Wide) else exact_bid
    room = room_at(inp, inp.reserve_price)
    order = descending_order(exact_bid)
    taken = _taken_in_order(np.minimum(bid, room), order, supply)
    rest = supply - int(taken.sum())
    surplus = taken + water_fill(rest, inp.elasticity, room - taken)
    rank = np.empty_like(order)
    rank[order] = np.arange(1, order.size + 1)
    return SurplusShares(inp.reserve_price, surplus, bid, room, rank=rank, taken=taken)


def _taken_in_order(wanted: Ints, order: Ints, supply: int) -> Ints:
    """Who comes first takes what it wants; the first whose wish does not fit takes what is left."""
    wanted = np.minimum(wanted, supply)[order]
    served, sold = first_above(wanted, supply)
    taken = np.zeros_like(wanted)
    taken[order[:served]] = wanted[:served]
    taken[order[served : served + 1]] = supply - sold
    return taken
