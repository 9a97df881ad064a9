"""Rebalancing: bases move, a bounded step at a time, from tenants that need less in the long run to those that need more.

What a tenant needs is a high quantile of its demand over the look-back, so that an idle night takes nothing from a busy day.

    wants to give:  min(bound, base − max(need, least))      wants to take:  min(bound, need − base)

each at least 0, with bound = step · base, at least `smallest`. What moves is the smaller of the two sums; the side that wants more
shares it in proportion (Hamilton shares, ties to the smaller row). Hence the sum stays; nobody falls below `least` (contracted,
sold forward, lent by the SLA loop) or below its own need; and nobody is moved past its need, so that under constant needs every
base moves one way only and stops. What is within `band` of its need stays. Where everybody needs more than its base, nothing moves:
above the bases is the auction's.

100,000 tenants take 70 ms and 12 MB; their needs of a week of hours (168 rows, 134 MB) 0.3 s and as much memory again, which is
the planner's to spend.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from processors.allocation.exact import INT64_MAX, MILLION, Ints, exact_sum
from processors.lending import Moves, in_turn, matched, share_of
from schemas.loops import Rebalancing
from schemas.units import MAX_TOKENS

UNKNOWN = -1
"""In needs and demands: not known. Who was not seen for long enough stays as it is."""


_STATED = Rebalancing()


class RebalanceSettings(NamedTuple):
    """Shares in millionths.

    Attributes:
        quantile: of demand over the look-back that counts as need.
        step: share of its base that a tenant gives or takes at a time.
        smallest: tokens that may move at a time however small the base is; without it who has nothing would never get anything.
        band: share of its base by which a tenant may miss its need without being moved.
        fewest: observations without which a need is not known.
        look_back_h: hours that are looked back at; an observation is an hour's mean.
    """

    quantile: int = _STATED.quantile
    step: int = _STATED.step
    smallest: int = _STATED.smallest
    band: int = _STATED.band
    fewest: int = _STATED.fewest
    look_back_h: int = _STATED.look_back_h


class Proposal(NamedTuple):
    """Bases after the step, and who gave to whom."""

    base: Ints
    moves: Moves


def check(settings: RebalanceSettings) -> Iterator[tuple[str, str]]:
    """(field, why) of each setting that is out of its range."""
    for name in ("quantile", "step", "band"):
        if not 0 <= getattr(settings, name) <= MILLION:
            yield name, f"{getattr(settings, name)} is not a share in millionths"
    for name in ("fewest", "look_back_h"):
        if getattr(settings, name) < 1:
            yield name, f"{getattr(settings, name)} is less than 1"
    if not 0 <= settings.smallest <= MAX_TOKENS:
        yield "smallest", f"{settings.smallest} is not from 0 to {MAX_TOKENS} tokens"
    if settings.fewest > settings.look_back_h:
        yield (
            "fewest",
            f"{settings.fewest} is more than the {settings.look_back_h} hours looked back at: no need would ever be known",
        )


def needs(demand: Ints, settings: RebalanceSettings) -> Ints:
    """Each tenant's need: the demand of rank ceil(q·n) of its n observations; UNKNOWN below `fewest` of them.

    Args:
        demand: tokens, a row for each period (or for the mean of some) and a column for each tenant; UNKNOWN: not observed.
        settings: of the pool.
    """
    if not demand.size:
        return np.full(demand.shape[1], UNKNOWN, np.int64)
    observed = (demand != UNKNOWN).sum(axis=0)
    rank = np.maximum(-(-observed * settings.quantile // MILLION), 1)
    # Sorted, what is unknown stands first.
    place = demand.shape[0] - observed + np.minimum(rank, observed) - 1
    found = np.take_along_axis(np.sort(demand, axis=0), np.maximum(place, 0)[np.newaxis], axis=0)[0]
    return np.where(observed >= max(settings.fewest, 1), found, UNKNOWN)


def rebalance(base: Ints, need: Ints, least: Ints, settings: RebalanceSettings) -> Proposal:
    """One step of all bases towards what the tenants need.

    Args:
        base: tokens per period.
        need: tokens per period, or UNKNOWN.
        least: what no step goes below: the contracted base, what was sold forward, and what the SLA loop took.
        settings: of the pool.

    Raises:
        OverflowError: the sum of the bases leaves int64.
    """
    if exact_sum(base) > INT64_MAX:
        raise OverflowError("base: the sum leaves int64")
    bound = np.maximum(share_of(base, settings.step), settings.smallest)
    known = (need != UNKNOWN) & (np.abs(need - base) > share_of(base, settings.band))
    offered = np.where(known, np.clip(base - np.maximum(need, least), 0, bound), 0)
    wanted = np.where(known, np.clip(need - base, 0, bound), 0)
    total = min(exact_sum(offered), exact_sum(wanted))
    everybody = np.zeros(base.size, np.int64)
    given, taken = in_turn(total, offered, everybody), in_turn(total, wanted, everybody)
    return Proposal(base - given + taken, matched(given, taken, everybody, everybody))
