"""Priors: what history says of tenants' hours of the week, for forecasters that don't know them (processors/forecast/warm.py).

A block of 300 tenants takes 20 ms and 5 MB; all 100,000 of a pool, which is rare (somebody chose the mixture for a pool that has
long run without it), 7 s of the planner, block by block.
"""

from collections.abc import Container, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from processors.history import History
from processors.rebalance import UNKNOWN
from schemas.planning import HOURS_OF_WEEK, MOST_PRIORS, PriorSource
from schemas.units import MAX_TOKENS

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

ENOUGH_HOURS = 24
"""A prior of fewer hours of the week that its tenant has not seen itself isn't worth a command yet."""

YOUNG_HOURS = HOURS_OF_WEEK
"""Whoever has been forecast for a week knows its own hours."""

SOURCES = (PriorSource.OWN, PriorSource.OTHER_POOLS, PriorSource.TYPICAL)
"""In the order in which they are preferred."""


class Standing(NamedTuple):
    """A tenant as the pool's profiles say: its base, and the hour since 1970 from which on its forecaster learns."""

    base: int
    since: int


class Priors(NamedTuple):
    """Of some tenants, as the command `priors` says it.

    Attributes:
        tenant: at most MOST_PRIORS.
        source: of each.
        hour_of_week: HOURS_OF_WEEK of each in turn; None where nothing is known, or the tenant has seen the hour itself.
    """

    tenant: list[str]
    source: list[PriorSource]
    hour_of_week: list[int | None]


def find_priors(
    pool: str, histories: Mapping[str, History], tenants: Mapping[str, Standing], told: Container[str]
) -> Iterator[tuple[int, Priors]]:
    """Numbered blocks of priors, of those tenants that are worth one: young, and with ENOUGH_HOURS they have not seen themselves.

    From what the tenant used in this pool before its forecaster began to learn; else as in the pool where it uses most; else what
    this pool's tenants use of their bases at each hour, times its base.

    Args:
        pool: of the priors.
        histories: of all pools.
        tenants: of the pool.
        told: those that have theirs already. In which block the others come does not depend on them.
    """
    history = histories[pool]
    young = [name for name, standing in tenants.items() if history.hours.stop - standing.since < YOUNG_HOURS]
    if not young:
        return
    typical = _typical_use(history, tenants)
    for number, start in enumerate(range(0, len(young), MOST_PRIORS)):
        names = [name for name in young[start : start + MOST_PRIORS] if name not in told]
        if not names:
            continue
        base = np.array([tenants[name].base for name in names], np.float64)
        since = np.array([tenants[name].since for name in names], np.int64)
        own, seen = _own_hours(history, names, since)
        weeks = (own, _as_elsewhere(pool, histories, names), _of_bases(typical, base))
        found = [(place, *_best(place, weeks, seen)) for place in range(len(names))]
        worth = [(names[place], source, week) for place, source, week in found if week is not None]
        if worth:
            name, source, hours = zip(*worth, strict=True)
            yield number, Priors(list(name), list(source), [value for week in hours for value in week])


def _best(place: int, weeks: Sequence[Ints], seen: Mask) -> tuple[PriorSource, list[int | None] | None]:
    """The first source that says enough of one tenant, and what it says."""
    for source, week in zip(SOURCES, weeks, strict=True):
        taken = (week[:, place] != UNKNOWN) & ~seen[:, place]
        if np.count_nonzero(taken) >= ENOUGH_HOURS:
            pairs = zip(week[:, place].tolist(), taken.tolist(), strict=True)
            return source, [value if take else None for value, take in pairs]
    return SOURCES[-1], None


def _own_hours(history: History, names: Sequence[str], since: Ints) -> tuple[Ints, Mask]:
    """The tenants' own weeks before `since`, and the hours of the week in which they were seen from then on."""
    tokens, hours = history.of(names), np.array(history.hours, np.int64)
    before = hours[:, np.newaxis] < since
    learned = _by_hour_of_week(np.where(before, UNKNOWN, tokens), hours)
    return _by_hour_of_week(np.where(before, tokens, UNKNOWN), hours), learned != UNKNOWN


def _by_hour_of_week(tokens: Ints, hours: Ints) -> Ints:
    """Rows of hours -> rows of hours of the week, each the mean of those known, floored; UNKNOWN where there are none."""
    found = np.full((HOURS_OF_WEEK, tokens.shape[1]), UNKNOWN, np.int64)
    for hour in range(HOURS_OF_WEEK):
        rows = tokens[hours % HOURS_OF_WEEK == hour]
        known = rows != UNKNOWN
        count = known.sum(axis=0)
        # A look-back is a year at most: 53 x 2^53 tokens are less than 2^63.
        found[hour] = np.where(count > 0, np.where(known, rows, 0).sum(axis=0) // np.maximum(count, 1), UNKNOWN)
    return found


def _as_elsewhere(pool: str, histories: Mapping[str, History], names: Sequence[str]) -> Ints:
    """As in the other pool where each uses most in a second, in tokens per period of this one; UNKNOWN where there is none."""
    best, most = np.full((HOURS_OF_WEEK, len(names)), UNKNOWN, np.int64), np.full(len(names), -1.0)
    for other in sorted(histories.keys() - {pool}):
        history = histories[other]
        week = _by_hour_of_week(history.of(names), np.array(history.hours, np.int64))
        known = week != UNKNOWN
        per_s = np.where(known, week, 0).sum(axis=0, dtype=np.float64) / np.maximum(known.sum(axis=0), 1) / history.period_s
        more = known.any(axis=0) & (per_s > most)
        scaled = _whole(week.astype(np.float64) * (histories[pool].period_s / history.period_s))
        best[:, more] = np.where(known, scaled, UNKNOWN)[:, more]
        most = np.where(more, per_s, most)
    return best


def _typical_use(history: History, tenants: Mapping[str, Standing]) -> Floats:
    """Of each hour of the week, what those with a base used, over the sum of their bases; -1 where nobody was observed."""
    named = [name for name, standing in tenants.items() if standing.base > 0 and name in history.columns]
    base = np.array([tenants[name].base for name in named], np.float64)
    columns = [history.columns[name] for name in named]
    used, bases = np.zeros(HOURS_OF_WEEK), np.zeros(HOURS_OF_WEEK)
    for hour in history.hours:
        row = history.tokens[hour % history.look_back, columns]
        known = row != UNKNOWN
        used[hour % HOURS_OF_WEEK] += row[known].sum(dtype=np.float64)
        bases[hour % HOURS_OF_WEEK] += base[known].sum()
    return np.where(bases > 0, used / np.maximum(bases, 1.0), -1.0)


def _of_bases(use: Floats, base: Floats) -> Ints:
    known = (use >= 0)[:, np.newaxis] & (base > 0)
    return np.where(known, _whole(use[:, np.newaxis] * base), UNKNOWN)


def _whole(tokens: Floats) -> Ints:
    return np.clip(tokens, UNKNOWN, float(MAX_TOKENS)).astype(np.int64)
