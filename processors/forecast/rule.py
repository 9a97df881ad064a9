"""The rule: forecast a period from what was learned of earlier ones, then learn it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from processors.forecast import experts, mixture, profile, quantiles
from processors.forecast.experts import Moment
from processors.forecast.mixture import Mixed
from processors.forecast.settings import BLOCK, GAP_S, LEVELS, SYSTEM
from processors.forecast.state import EXPERTS, Columns, Floats, Mask, State

_LOW_BITS = 26

Slots = slice | Sequence[int]
EVERYBODY = slice(None)


@dataclass(frozen=True, slots=True)
class Forecast:
    """Tokens of each tenant in one period: finite, at least 0.

    Attributes:
        mean: what is expected, in the sense of the least absolute error; shape (tenants,).
        quantiles: one row for each of LEVELS, none below the one before; shape (levels, tenants).
    """

    mean: Floats
    quantiles: Floats


def predict(state: State, period: int, slots: Slots = EVERYBODY) -> Forecast:
    """The forecast, of some tenants or of all, of a period after the last one that was learned."""
    moment, newcomer = _moment(state, period), _newcomer(state, period)
    chosen = np.arange(state.size)[slots]
    mean, values = np.empty(len(chosen)), np.empty((len(LEVELS), len(chosen)))
    for block in _blocks(len(chosen)):
        outlook = _outlook(state.part(block if slots is EVERYBODY else chosen[block]), moment, newcomer)
        mean[block] = outlook.mean
        values[:, block] = outlook.quantiles
    return Forecast(mean, values)


@dataclass(frozen=True, slots=True)
class Opinions:
    """How one tenant's forecast comes about: each expert's, and what it weighs.

    Attributes:
        observed: periods learned of the tenant. Of none, experts know nothing, and the mean is what the pool's mean tenant uses.
        idle: whether the tenant has stopped, so that the weights are those learned while it had.
        forecasts: tokens by the name of the expert, in the order of EXPERTS.
        weights: by the same names; their sum is 1.
        mean: sum of forecast x weight where the tenant was observed.
        quantiles: one for each of LEVELS.
    """

    observed: int
    idle: bool
    forecasts: dict[str, float]
    weights: dict[str, float]
    mean: float
    quantiles: tuple[float, ...]


def opinions(state: State, period: int, slot: int) -> Opinions:
    """What `predict` says of one tenant, and why."""
    tenants, moment = state.part(slice(slot, slot + 1)), _moment(state, period)
    outlook = _outlook(tenants, moment, _newcomer(state, period))
    said = experts.forecasts(tenants, moment)
    return Opinions(
        int(tenants["seen"][0]),
        bool(outlook.mixed.idle[0]),
        dict(zip(EXPERTS, said[:, 0].tolist(), strict=True)),
        dict(zip(EXPERTS, outlook.mixed.weights[:, 0].tolist(), strict=True)),
        float(outlook.mean[0]),
        tuple(outlook.quantiles[:, 0].tolist()),
    )


def learn(state: State, period: int, tokens: npt.NDArray[np.number], observed: Mask) -> bool:
    """Takes in what a period demanded. False if it was a gap, of which nothing is learned.

    Args:
        state: changed in place.
        period: after the last one that was learned.
        tokens: 0 to MAX_TOKENS, by slot; what stands where nothing was observed has no meaning.
        observed: by slot; the others hold what they have.
    """
    demand = np.where(observed, tokens, 0).astype(np.float64)
    if is_gap(state, period, demand, observed):
        return False
    _close_missed(state, period)
    moment, newcomer = _moment(state, period), _newcomer(state, period)
    calendar = state.calendar
    for slots in _blocks(state.size):
        tenants, used, seen = state.part(slots), demand[slots], observed[slots]
        outlook = _outlook(tenants, moment, newcomer)
        idle = outlook.mixed.idle
        mixture.learn(tenants, outlook.mixed, used, seen)
        quantiles.learn(tenants, outlook.mean, outlook.quantiles, used, (seen & idle, seen & ~idle))
        experts.learn(tenants, moment, used, seen, calendar.period_s)
    profile.add(state.pool, "day", np.array([_mean(demand, observed)]), np.array([True]))
    state.learned, state.busy = period, int(np.count_nonzero(demand))
    _close(state, period, period + 1)
    return True


def is_gap(state: State, period: int, demand: Floats, observed: Mask) -> bool:
    """Whether a period is no demand at all but telemetry that was away: nothing observed, or nothing where many were busy."""
    if not observed.any():
        return True
    if state.learned is None or demand.any():
        return False
    return state.busy >= SYSTEM and (period - state.learned) * state.calendar.period_s <= GAP_S


@dataclass(frozen=True, slots=True)
class _Outlook:
    mixed: Mixed
    mean: Floats
    quantiles: Floats


def _outlook(tenants: Columns, moment: Moment, newcomer: float) -> _Outlook:
    mixed = mixture.mix(tenants, experts.forecasts(tenants, moment))
    mean = np.where(tenants["seen"] > 0, mixed.mean, _prior(tenants, moment, newcomer))
    return _Outlook(mixed, mean, quantiles.quantiles(tenants, mixed, mean))


def _prior(tenants: Columns, moment: Moment, newcomer: float) -> Floats:
    """What a tenant that was never observed is expected to use: what its profile was primed with (warm.py), else as a newcomer."""
    week, day = profile.at(tenants, "week", moment.week), profile.at(tenants, "day", moment.day)
    return np.where(week >= 0, week, np.where(day >= 0, day, newcomer))


def _moment(state: State, period: int) -> Moment:
    day = state.calendar.day.bucket(period)
    return Moment(day, state.calendar.week.bucket(period), float(state.pool["day"][day, 0]))


def _newcomer(state: State, period: int) -> float:
    """What a tenant that was never observed is expected to use: what the pool's mean tenant did at this time, or did last."""
    of_day = _moment(state, period).pool
    if of_day >= 0:
        return of_day
    open_sum, open_count, closed = (float(state.pool[name][0]) for name in ("day_sum", "day_count", "day_closed"))
    return open_sum / open_count if open_count else max(closed, 0.0)


def _close_missed(state: State, period: int) -> None:
    """Buckets whose last period was a gap are closed by the next period that is learned."""
    if state.learned is not None:
        _close(state, state.learned, period)


def _close(state: State, learned: int, following: int) -> None:
    for name, cycle in (("day", state.calendar.day), ("week", state.calendar.week)):
        if cycle.ordinal(learned) != cycle.ordinal(following):
            profile.close(state.part(slice(0, state.size)), name, cycle.bucket(learned))
            if name == "day":
                profile.close(state.pool, name, cycle.bucket(learned))


def _mean(demand: Floats, observed: Mask) -> float:
    """The mean of those observed, in whole tokens before the division: exact sums don't depend on the order of tenants.

    Halves of 26 bits: 2^53 tokens x 2^26 tenants would not fit an int64.
    """
    whole = demand.astype(np.int64)
    high, low = int((whole >> _LOW_BITS).sum()), int((whole & ((1 << _LOW_BITS) - 1)).sum())
    return ((high << _LOW_BITS) + low) / int(np.count_nonzero(observed))


def _blocks(size: int) -> Iterator[slice]:
    for first in range(0, size, BLOCK):
        yield slice(first, min(first + BLOCK, size))
