"""Who gives whom tokens of its base, so that the sum stays: tenants of lower priority pay first, and have it back last.

The SLA loop (processors/sla.py) lends so, from period to period. What a token pool lends of an idle quota, tick by tick and within
its lending limit, is processors/limits.py.

Priority is the tier, then the weight: a number from 0 (lowest) up, the same for tenants of the same tier and weight. Nobody pays
for a tenant of its own priority or a lower one. Within a priority everybody takes part in proportion (Hamilton shares), ties to the
smaller row. Everything here is sorting and running sums: 100,000 tenants, all of different priority, take 60 ms and 20 MB.
"""

from typing import NamedTuple

import numpy as np

from processors.allocation.exact import INT64_MAX, MILLION, Ints, exact_sum
from processors.allocation.hamilton import hamilton


class Moves(NamedTuple):
    """Tokens that went from one tenant's base to another's; int64 columns of one length.

    Attributes:
        giver: a row.
        taker: a row.
        tokens: at least 1.
    """

    giver: Ints
    taker: Ints
    tokens: Ints


def share_of(tokens: Ints, millionths: int) -> Ints:
    """A share of at most 1, floored, without leaving int64: what is above and below a million apart."""
    part: Ints = tokens // MILLION * millionths + tokens % MILLION * millionths // MILLION
    return part


def priorities(tier: Ints, weight: Ints) -> Ints:
    """Each tenant's priority, 0 for the lowest.

    Args:
        tier: codes of processors/entitlement.py: 0 is dedicated, the highest.
        weight: in millionths; decides within a tier.
    """
    order = np.lexsort((weight, -tier))
    differs = (np.diff(tier[order], prepend=tier[order[:1]]) != 0) | (np.diff(weight[order], prepend=weight[order[:1]]) != 0)
    priority = np.empty(tier.size, np.int64)
    priority[order] = np.cumsum(differs)
    return priority


def in_turn(total: int, amounts: Ints, turn: Ints) -> Ints:
    """Everybody's amount as far as the total goes, those of the lowest turn first; the first group that it does not fill shares it.

    What `shares_in_turn` of processors/allocation does for few turns, for as many as there are rows.

    Args:
        total: units to divide; what exceeds all amounts stays undivided.
        amounts: non-negative int64 units per row, of which nobody gets more. Their sum fits int64.
        turn: one number per row.

    Raises:
        OverflowError: the amounts' sum leaves int64.
    """
    if exact_sum(amounts) > INT64_MAX:
        raise OverflowError("amounts: their sum leaves int64")
    order = np.argsort(turn, kind="stable")
    running = np.cumsum(amounts[order])
    last = np.flatnonzero(np.diff(turn[order], append=turn[order[-1:]] + 1)) if order.size else np.empty(0, np.intp)
    full = int(np.searchsorted(running[last], total, side="right"))
    filled = int(last[full - 1]) + 1 if full else 0
    given = np.zeros(amounts.size, np.int64)
    given[order[:filled]] = amounts[order[:filled]]
    if full < last.size:
        sharing = order[filled : int(last[full]) + 1]
        left = total - (int(running[filled - 1]) if filled else 0)
        # A Hamilton share of no more than the weights' sum never exceeds its own weight.
        given[sharing] = hamilton(left, amounts[sharing])
    return given


def lend(asked: Ints, room: Ints, priority: Ints) -> tuple[Ints, Ints]:
    """What each asking tenant gets, and what each tenant pays for it: the lowest priority pays first, the highest gets first.

    Payers stand in one row, the lowest priority first, and are used up from there. A tenant gets what is left of the room below its
    own priority. Since those above it were served before, whoever has to pay finds nothing left below it: nobody gets and pays.

    Args:
        asked: tokens.
        room: tokens that each could pay.
        priority: as `priorities` gives it.
    """
    classes = int(priority.max(initial=-1)) + 1
    room_of, asked_of = np.zeros(classes, np.int64), np.zeros(classes, np.int64)
    np.add.at(room_of, priority, room)
    np.add.at(asked_of, priority, asked)
    below = np.cumsum(room_of) - room_of
    through = np.cumsum(asked_of[::-1])[::-1]
    granted = np.maximum(np.minimum(through, below) - (through - asked_of), 0)
    total = int(granted.sum())
    return in_turn(total, asked, -priority), in_turn(total, room, priority)


def give_back(total: int, paid: Ints, priority: Ints) -> Ints:
    """What each tenant has back of what it paid: the highest priority first, as it paid last."""
    return in_turn(total, paid, -priority)


def matched(given: Ints, taken: Ints, giving: Ints, taking: Ints) -> Moves:
    """Who gave to whom: givers and takers stand in two rows of the same length in tokens, and whoever face each other are partners.

    At most as many moves as there are givers and takers together.

    Args:
        given: tokens that each tenant gives.
        taken: tokens that each gets; the sums are the same.
        giving: the order of givers, by this number, then by row.
        taking: the order of takers.
    """
    givers, takers = _standing(given, giving), _standing(taken, taking)
    given_through, taken_through = np.cumsum(given[givers]), np.cumsum(taken[takers])
    ends = np.union1d(given_through, taken_through)
    starts = np.concatenate((np.zeros(1, np.int64), ends))[: ends.size]
    return Moves(
        givers[np.searchsorted(given_through, starts, side="right")],
        takers[np.searchsorted(taken_through, starts, side="right")],
        ends - starts,
    )


def _standing(amounts: Ints, order: Ints) -> Ints:
    rows = np.flatnonzero(amounts)
    return rows[np.argsort(order[rows], kind="stable")]
