"""`max_min`: weighted max–min fairness of the surplus, without prices."""

import numpy as np

from processors.allocation.guarantee import room_at
from processors.allocation.hamilton import water_fill
from processors.allocation.model import AuctionInput, SurplusShares


def share_surplus(inp: AuctionInput, supply: int) -> SurplusShares:
    """Water-filling of needs max(0, demand − base) by weight; room limits a need. Surplus is paid at the reserve price."""
    need = np.maximum(inp.demand - inp.base, 0)
    room = room_at(inp, inp.reserve_price)
    surplus = water_fill(supply, inp.weight, np.minimum(need, room))
    return SurplusShares(inp.reserve_price, surplus, bid=need, room=room)
