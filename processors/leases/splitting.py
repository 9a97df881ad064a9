"""How limits are split among gateways: exact integers, all rows (tenants) at once, a column a gateway.

Ties are broken by the order of columns; whoever calls puts another gateway first from time to time, so that each has its turn.

A split is in two phases. What a gateway loses is free only once it is known to have stopped using it; what another gains is granted
out of what is free. So the sum of what gateways may be using never grows beyond a limit; where the limit itself fell, it falls to
it as gateways say that they have given up their part.
"""

from typing import NamedTuple

import numpy as np

from processors.allocation.exact import Flags, Ints
from processors.allocation.hamilton import hamilton

RESERVE = 8
"""One part in so many of each limit is split equally, so that a gateway at which a tenant has not been seen can admit something."""

RESERVE_WHEN_SHORT = 64
"""The same where the tenant was refused lately: what lies idle at one gateway is what another refuses."""

DIGITS = 12
"""Binary digits of what is wanted at a gateway, relative to where most is: shares are right to a 4,000th. It keeps products in
int64: 32 gateways of weights up to 2^12, times RESERVE_WHEN_SHORT and 32 again, sum to 2^28, and a remainder times a weight is
below 2^56."""

BAND = 8
"""Nothing is taken from a gateway unless it has too much by more than one in so many of the limit, and by more than 1."""

BAND_WHEN_SHORT = 64
"""The same where the tenant was refused lately; then a single slot moves, too."""

BAND_OF_RATE = 8
"""The same of a promised rate. One that moves is nobody's for a tick, begins spent where it comes, and what had been saved of it is
lost where it goes: to move it for the noise of a second costs its owner more than it lacks. With 16 an owner of 0.8 of its promise
waits 23 % longer in the mean (test_lease_promises.py, eight seeds)."""


class Part(NamedTuple):
    """One limit of every tenant. `total` has a value a row, the others a row and a column a gateway.

    Attributes:
        total: the limit.
        granted: by gateways' newest leases.
        held: the most that each may be using.
        target: how it shall be split.
    """

    total: Ints
    granted: Ints
    held: Ints
    target: Ints


def weights(wanted: Ints, short: Flags, otherwise: Ints | None = None) -> Ints:
    """By what a tenant's limits are split: what was wanted at each gateway, and the reserve.

    Args:
        wanted: a row a tenant.
        short: who was refused of late.
        otherwise: stands for rows in which nothing was wanted, such as what was wanted of all tenants; zeros: equal parts.
    """
    gateways = wanted.shape[1]
    if otherwise is not None:
        wanted = np.where((wanted.max(axis=1) > 0)[:, None], wanted, otherwise)
    parts = _digits(wanted)
    whole = parts.sum(axis=1)
    reserve = np.where(short, RESERVE_WHEN_SHORT, RESERVE)
    by_use: Ints = parts * ((reserve - 1) * gateways)[:, None] + whole[:, None]
    return by_use


def _digits(amounts: Ints) -> Ints:
    """Rows in proportion, of DIGITS digits; equal parts where all is 0."""
    scale = np.maximum(amounts.max(axis=1) >> DIGITS, 1)
    parts: Ints = -(-amounts // scale[:, None])
    parts[parts.sum(axis=1) == 0] = 1
    return parts


def split(total: Ints, weight: Ints, wants: Flags) -> Ints:
    """Each row's total by its weights, in whole units.

    Units that are left over go first to gateways that want some and have none, in turn, so that each has its time where there are
    fewer units than gateways; then to the largest remainders.

    Args:
        total: a value a row, of 0 to 2^62.
        weight: not negative, a row's above 0 and below 2^28 together.
        wants: where something is wanted.
    """
    whole = weight.sum(axis=1)
    each, rest = np.divmod(total, whole)
    product = rest[:, None] * weight
    share: Ints = each[:, None] * weight + product // whole[:, None]
    left = total - share.sum(axis=1)
    rows = np.flatnonzero(left)
    if rows.size:
        first = wants[rows] & (share[rows] == 0)
        rank = np.where(first, whole[rows, None], product[rows] % whole[rows, None])
        places = np.argsort(-rank, axis=1, kind="stable")
        taken = np.arange(weight.shape[1]) < left[rows, None]
        more = np.zeros_like(share[rows])
        np.put_along_axis(more, places, taken.astype(np.int64), axis=1)
        share[rows] += more
    return share


def alike(total: Ints, share: Ints) -> Ints:
    """A split in the proportions of another one."""
    return split(total, _digits(share), np.zeros(share.shape, np.bool_))


def where_claimed(total: Ints, wanted: Ints, weight: Ints) -> Ints:
    """A split of what is promised: everywhere what was wanted there and, of what is left of the promise, an equal part.

    An owner within its promise may come with more at any gateway, and what it lacks there waits until parts have moved; by weights,
    a gateway at which little was wanted of late would have little to spare, however much there is.

    Args:
        total: a value a row.
        wanted: at each gateway.
        weight: by which rows are split of which more is wanted than there is.
    """
    spare = total - wanted.sum(axis=1)
    each, more = np.divmod(np.maximum(spare, 0), wanted.shape[1])
    equal: Ints = wanted + each[:, None] + (np.arange(wanted.shape[1]) < more[:, None])
    rows = np.flatnonzero(spare < 0)
    equal[rows] = split(total[rows], weight[rows], wanted[rows] > 0)
    return equal


def where_wanted(total: Ints, wanted: Ints, weight: Ints, elsewhere: Ints) -> Ints:
    """A split that leaves no more at a gateway than was wanted there: what nobody wants goes where others want something.

    Args:
        total: a value a row.
        wanted: at each gateway.
        weight: by which rows are split of which more is wanted than there is.
        elsewhere: weights of what is left, one row for all.
    """
    enough = wanted.sum(axis=1) <= total
    first = np.where(enough[:, None], wanted, split(total, weight, wanted > 0))
    left = total - first.sum(axis=1)
    found: Ints = first + split(left, np.broadcast_to(elsewhere, weight.shape), np.zeros(wanted.shape, np.bool_))
    return found


def steadied(total: Ints, granted: Ints, target: Ints, short: Flags, band_when_short: int = BAND_WHEN_SHORT) -> Ints:
    """The target without what would move for noise.

    Nothing is taken away in a row in which no gateway has more than a band too much, and the limit did not fall: there what is free
    goes to those that have too little. Sums are the totals all the same. `band_when_short`: of rows that were refused.
    """
    too_much = (granted - target).max(axis=1)
    band = np.where(short, total // band_when_short, np.maximum(total // BAND, 1))
    free = total - granted.sum(axis=1)
    missing = np.maximum(target - granted, 0)
    given = np.clip(free[:, None] - (missing.cumsum(axis=1) - missing), 0, missing)
    calm = (too_much <= band) & (free >= 0)
    found: Ints = np.where(calm[:, None], granted + given, target)
    return found


def renewed(part: Part, ready: Flags) -> Ints:
    """What each gateway is granted next: what it loses at once, what it gains out of what is free, one after the other.

    Args:
        part: of all rows.
        ready: a column a gateway: which may be given another lease.
    """
    kept: Ints = np.where(ready, np.minimum(part.target, np.maximum(part.granted, part.held)), part.granted)
    missing = np.where(ready, part.target - kept, 0)
    free = np.maximum(part.total - part.held.sum(axis=1), 0)[:, None]
    before = missing.cumsum(axis=1) - missing
    kept += np.clip(free - before, 0, missing)
    return kept


def fitted(target: Ints, room: Ints) -> Ints:
    """Splits whose columns fit into `room`: of a column that doesn't the same part of every row goes to where there is room.

    Rows' sums stay; the whole must fit.
    """
    found = trimmed(target, room)
    over = (target - found).sum(axis=1).cumsum()
    slack = (room - found.sum(axis=0)).cumsum()
    # Both are laid end to end: a row's surplus falls into those columns that lie beside it.
    above = np.minimum(over[:, None], slack[None, :])
    below = np.maximum(np.r_[0, over[:-1]][:, None], np.r_[0, slack[:-1]][None, :])
    moved: Ints = np.maximum(above - below, 0)
    return found + moved


def trimmed(parts: Ints, room: Ints) -> Ints:
    """Columns cut to their room, by the same part of every row (Hamilton)."""
    found = parts.copy()
    for column in np.flatnonzero(parts.sum(axis=0) > room).tolist():
        found[:, column] = hamilton(int(room[column]), np.ascontiguousarray(parts[:, column]))
    return found
