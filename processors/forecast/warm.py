"""Warm starts: what is known of a tenant's hours of the week from elsewhere enters its profiles where they know nothing yet.

A prior never overrules what was observed: a bucket of the week takes it only while the tenant was never seen in it, a bucket of the
day likewise (the mean of that hour's days), and whatever closes a bucket later halves what is left of it (settings.DAY_SHARE).
From there on the rule is as ever: a tenant that was never seen is expected to use what its profile says of the hour, in place of
the pool's mean tenant; and the seasonal experts know the shape of its first day.

On a production trace, tenants that come in at midnight and are forecast for a day, days 2 to 7 (chosen on) | 8 to 14 (reported):
pooled error 0.162 | 0.143 without a prior, 0.152 | 0.138 with the tenant's own hours before it came, 0.157 | 0.141 with the pool's
typical hours at the tenant's level; of the first period alone 1.34 | 1.31, 0.45 | 0.73, 0.73 | 0.79.

300 tenants, one command, take 15 ms on a busy core: 100,000 of them 5 s, in commands between which others are taken.
"""

import numpy as np
import numpy.typing as npt

from processors.forecast.calendar import Cycle
from processors.forecast.settings import UNKNOWN
from processors.forecast.state import Floats, Mask, State

HOURS_OF_DAY = 24
DAYS = 7
HOURS_OF_WEEK = DAYS * HOURS_OF_DAY

Slots = npt.NDArray[np.intp]


def unknown_hours(state: State, slots: Slots) -> Mask:
    """The hours of the week in which the tenants were never seen, nor have a prior; shape (HOURS_OF_WEEK, tenants)."""
    week = state.tenants["week"]
    return np.array([week[bucket, slots] < 0 for bucket in _buckets_of_hours(state.calendar.week, HOURS_OF_WEEK)])


def prime(state: State, slots: Slots, hours: Floats) -> None:
    """Takes priors into the profiles of some tenants; what these know stays as it is.

    Args:
        state: changed in place.
        slots: of the tenants, each once.
        hours: tokens per period in each hour of the week, from Thursday 00:00 UTC on; UNKNOWN where nothing is known. Shape
            (HOURS_OF_WEEK, tenants).
    """
    of_day = _means(hours, [hour % HOURS_OF_DAY for hour in range(HOURS_OF_WEEK)], HOURS_OF_DAY)
    for name, cycle, known in (("week", state.calendar.week, hours), ("day", state.calendar.day, of_day)):
        column = state.tenants[name]
        for bucket, tokens in enumerate(_per_bucket(cycle, known)):
            before = column[bucket, slots]
            column[bucket, slots] = np.where((before < 0) & (tokens >= 0), tokens, before)
    total = np.zeros(len(slots))
    for tokens in hours:
        total += np.maximum(tokens, 0.0)
    state.tenants["primed"][slots] += total


def _per_bucket(cycle: Cycle, hours: Floats) -> Floats:
    """Hours -> buckets of a cycle: a bucket within an hour is as that hour, one of several hours is their mean."""
    count = len(hours)
    if cycle.buckets >= count:
        return hours[[bucket * count // cycle.buckets for bucket in range(cycle.buckets)]]
    return _means(hours, _buckets_of_hours(cycle, count), cycle.buckets)


def _buckets_of_hours(cycle: Cycle, hours: int) -> list[int]:
    """The first bucket of each hour of a cycle."""
    return [hour * cycle.buckets // hours for hour in range(hours)]


def _means(hours: Floats, group_of: list[int], groups: int) -> Floats:
    """The mean of the known hours of each group, in their order; UNKNOWN where there are none."""
    total, count = np.zeros((groups, hours.shape[1])), np.zeros((groups, hours.shape[1]))
    for group, tokens in zip(group_of, hours, strict=True):
        known = tokens >= 0
        total[group] += np.where(known, tokens, 0.0)
        count[group] += known
    return np.where(count > 0, total / np.maximum(count, 1.0), UNKNOWN)
