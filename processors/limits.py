"""What a tick's capacity is kept for whom, tier by tier, and what was due to whom of the tick before.

One dimension at a time (tokens per second, blocks, requests), all tenants at once. Tiers are served in this order:

    dedicated     Its nominal quota is kept whole, used or not: never lent.
    guaranteed    What it needs of its nominal quota is kept, and what it does not lend: max(nominal − lending,
                  min(nominal, demand)). The rest is lent, and taken back at once when it returns (processors/admission).
    elastic       Weighted max-min shares, by weight and debt, of what the reserved tiers leave; a need is
                  min(demand, nominal + borrowing).
    spot          Likewise, of what elastic leaves.
    preemptible   Likewise, of what spot leaves.

The sum of what is kept never exceeds the capacity. Where the capacity was cut below the nominal quotas of the reserved tiers,
dedicated tenants have theirs first, then guaranteed ones; a tier that has too little shares it by nominal quota (Hamilton).

Rows stand in the byte order of the tenants' ids, which breaks ties. All columns are int64, of 0 to 2^63−1. 100,000 tenants take
10 to 60 ms a dimension (tests/benchmarks/bench_limits.py), nearly all of it the rounds of a water-filling.
"""

from typing import NamedTuple

import numpy as np

from processors.allocation.exact import INT64_MAX, Flags, Ints, exact_sum
from processors.allocation.hamilton import shares_in_turn, water_fill
from processors.debt import MAX_RATE
from processors.entitlement import DEDICATED, ELASTIC, GUARANTEED, SHARING, UNLIMITED

DIGITS = 5
"""Binary digits of a demand that count; it is rounded up to them. Limits of a tenant whose demand sways by a sixteenth mostly stay
as they are, and so do those of everybody who shares with it: what did not change is not told."""

MAX_ELAPSED_MS = 3_600_000
"""A tick that took longer counts as this long: MAX_RATE tokens per second then still fit int64, and debts are bounded by less."""


class Rights(NamedTuple):
    """One dimension of what tenants are entitled to, a value each. UNLIMITED in `borrowing` and `lending`: no limit."""

    nominal: Ints
    borrowing: Ints
    lending: Ints

    def most(self) -> Ints:
        """The tenant's own limit, nominal + borrowing; at most 2^63−1."""
        return self.nominal + np.minimum(self.borrowing, INT64_MAX - self.nominal)


class Kept(NamedTuple):
    """One dimension of a tick. `nominal` is what is left of the right after `shortfall`, the part that the capacity lacks."""

    nominal: Ints
    shortfall: Ints
    kept: Ints


def limits_of(capacity: int, tier: Ints, rights: Rights, weight: Ints, demand: Ints) -> Kept:
    """What is kept for whom of one dimension.

    Args:
        capacity: of the pool.
        tier: codes of processors/entitlement.py (DEDICATED, …).
        rights: nominal quotas and limits.
        weight: by which tiers without reservation share, debt included (processors/debt.py, `weights`), in millionths.
        demand: what each wanted lately, served or refused (`remembered`).
    """
    nominal = granted(capacity, tier, rights.nominal)
    wanted = rounded_up(demand)
    needed = np.maximum(nominal - rights.lending, np.minimum(nominal, wanted))
    kept = np.where(tier == DEDICATED, nominal, np.where(tier == GUARANTEED, needed, 0))
    left = capacity - exact_sum(kept)
    needs = np.minimum(wanted, rights.most())
    for sharing in SHARING:
        rows = np.flatnonzero(tier == sharing)
        kept[rows] = water_fill(left, weight[rows], needs[rows])
        left -= exact_sum(kept[rows])
    return Kept(nominal, rights.nominal - nominal, kept)


def granted(capacity: int, tier: Ints, nominal: Ints) -> Ints:
    """Nominal quotas as far as the capacity carries those that are promised: dedicated first, then guaranteed. Others stay."""
    given = nominal.copy()
    reserved = np.flatnonzero(tier <= GUARANTEED)
    given[reserved] = shares_in_turn(capacity, nominal[reserved], tier[reserved])
    return given


def rates_of(capacity: int, tier: Ints, rights: Rights, weight: Ints) -> Ints:
    """Tokens per second to which each tenant is entitled in the long run, whatever it wants: what its debt is measured by.

    Reserved tiers: the nominal quota. Elastic: the share, by weight alone, of all that is ever lent to it: the capacity without
    what dedicated tenants hold and guaranteed ones do not lend. Spot and preemptible are entitled to nothing.

    Args:
        capacity: tokens per second.
        tier: codes of processors/entitlement.py.
        rights: of throughput; nominal quotas as promised, not as cut.
        weight: as stated, in millionths.
    """
    nominal = granted(capacity, tier, rights.nominal)
    never_lent = np.where(tier == DEDICATED, nominal, np.where(tier == GUARANTEED, np.maximum(nominal - rights.lending, 0), 0))
    rates = np.where(tier <= GUARANTEED, np.minimum(rights.nominal, MAX_RATE), 0)
    elastic = np.flatnonzero(tier == ELASTIC)
    rates[elastic] = water_fill(capacity - exact_sum(never_lent), weight[elastic], rights.most()[elastic])
    return rates


def due_of(tier: Ints, rights: Rights, weight: Ints, *, wanted: Ints, served: Ints, elapsed_ms: int) -> Ints:
    """Tokens that each should have had of a tick, now that it is known what everybody wanted of it and had.

    Reserved tiers: min(nominal · time, wanted). Elastic: weighted max-min shares, by weight alone, of what was in fact served,
    without what was due to reserved tiers or taken by them. Nobody is due more than it wanted or than its own limit allows, except
    what it had. Spot and preemptible are due what they had. So, where nobody was refused, everybody is due what it had; what an
    elastic tenant had too much of, others were due, and nothing besides.

    The stated capacity is no part of it. What is served comes in lumps, as requests end, and a capacity in tokens per second
    depends on what is asked: due the larger of the two, elastic tenants would be owed more in every tick than others had too much
    of. Those who have least would be owed the most there can be, those who have too much nothing, and debt would tell them apart
    no longer (`bourse simulate fairness`: shares 10 % off instead of 2 %).

    Args:
        tier: codes of processors/entitlement.py.
        rights: of throughput; nominal quotas as promised, not as cut.
        weight: as stated, in millionths.
        wanted: tokens served and refused.
        served: tokens served.
        elapsed_ms: how long the tick was.
    """
    wanted = np.maximum(wanted, served)
    reserved = tier <= GUARANTEED
    due = np.where(reserved, np.minimum(wanted, _in_time(rights.nominal, elapsed_ms)), served)
    left = exact_sum(served) - exact_sum(np.where(reserved, np.maximum(due, served), 0))
    elastic = np.flatnonzero(tier == ELASTIC)
    needs = np.minimum(wanted, np.maximum(_in_time(rights.most(), elapsed_ms), served))
    due[elastic] = water_fill(min(max(left, 0), INT64_MAX), weight[elastic], needs[elastic])
    return due


def remembered(recent: Ints, now: Ints) -> Ints:
    """Demand of the last ticks: this one's, or what is left of a higher one before it, which fades by an eighth a tick, to 0."""
    faded: Ints = recent - (recent >> 3) - ((recent & 7) > 0)
    return np.maximum(now, faded)


def rounded_up(demand: Ints) -> Ints:
    """Each demand rounded up to DIGITS binary digits: 31 is 31, 33 is 34, 100 is 100, 101 is 104. Above 2^62 it is 2^62.

    A float64 has the binary digits of an integer below 2^54; a larger one it may round up to a power of two, which has one digit
    more: the step is then twice as coarse, and the result still not below the demand.
    """
    bounded = np.minimum(demand, 2**62)
    shift = np.maximum(np.frexp(bounded.astype(np.float64))[1].astype(np.int64) - DIGITS, 0)
    rounded: Ints = ((bounded + (np.int64(1) << shift) - 1) >> shift) << shift
    return rounded


def may_owe(tier: Ints) -> Flags:
    """Whose debt may fall below 0: only those who share by weight and are due a share."""
    owing: Flags = tier == ELASTIC
    return owing


def _in_time(rate: Ints, elapsed_ms: int) -> Ints:
    """Tokens of a rate in a time. A rate above MAX_RATE, which no pool has, stands for no limit."""
    tokens = np.minimum(rate, MAX_RATE) * min(elapsed_ms, MAX_ELAPSED_MS) // 1000
    return np.where(rate > MAX_RATE, UNLIMITED, tokens)
