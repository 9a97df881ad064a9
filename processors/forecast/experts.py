"""The experts: simple forecasts of a tenant's next period, each right for some tenants at some times."""

from dataclasses import dataclass

import numpy as np

from processors.forecast import profile
from processors.forecast.calendar import DAY_S
from processors.forecast.settings import AVERAGES, JUMP, MIDDLE_STEP, PEAK_LOSS, SLOW, TRENDS
from processors.forecast.state import EXPERTS, Columns, Floats, Mask


@dataclass(frozen=True, slots=True)
class Moment:
    """The period that is forecast, as profiles see it.

    Attributes:
        day: bucket of the day.
        week: bucket of the week.
        pool: what the profile of the pool's mean tenant says of it; UNKNOWN if that was never seen.
    """

    day: int
    week: int
    pool: float


def forecasts(tenants: Columns, moment: Moment) -> Floats:
    """Tokens in the period, shape (experts, tenants), in the order of EXPERTS; finite and at least 0."""
    last = tenants["last"]
    cap = np.maximum(tenants["peak"], JUMP * last)
    values = np.empty((len(EXPERTS), len(last)))
    rows = iter(values)
    next(rows)[:] = last
    for average in tenants["averages"]:
        next(rows)[:] = average
    for level, slope, (_, _, damping) in zip(tenants["levels"], tenants["slopes"], TRENDS, strict=True):
        np.maximum(level + damping * slope, 0.0, out=next(rows))
    next(rows)[:] = 0.0
    np.multiply(last, 0.5, out=next(rows))
    next(rows)[:] = tenants["middle"]
    for seasonal in (*_daily(tenants, moment), *_weekly(tenants, moment)):
        # A fading tenant over what it used to be gives ratios without bound, and changes from a height that is gone.
        np.minimum(np.maximum(seasonal, 0.0), cap, out=next(rows))
    return values


def _daily(tenants: Columns, moment: Moment) -> tuple[Floats, ...]:
    """The day's profile alone, and the last value as the profile changes: in proportion, by the difference, by half of that.

    Where a tenant has no day behind it, the profile of the pool's mean tenant at its own level.
    """
    last, pool_then = tenants["last"], tenants["pool_then"]
    now, then = profile.at(tenants, "day", moment.day), tenants["day_then"]
    known = (now >= 0) & (then >= 0)
    borrowed = _scaled(last, np.full_like(last, moment.pool), pool_then, (pool_then > 0) & (moment.pool >= 0))
    now = np.where(known, now, borrowed)
    then = np.where(known, then, last)
    change = now - then
    return now, np.where(then > 0, _scaled(last, now, then, then > 0), now), last + change, last + 0.5 * change


def _weekly(tenants: Columns, moment: Moment) -> tuple[Floats, Floats]:
    """The week's profile alone, and at the level at which the last hour was against its own; the last value before a week."""
    last, before = tenants["last"], tenants["week_before"]
    now = profile.at(tenants, "week", moment.week)
    known = now >= 0
    plain = np.where(known, now, last)
    return plain, np.where(known, _scaled(plain, tenants["week_closed"], before, before > 0), last)


def _scaled(values: Floats, numerator: Floats, denominator: Floats, valid: Mask) -> Floats:
    """Values x numerator / denominator; values themselves where that is not valid."""
    return np.where(valid, values * (numerator / np.where(valid, denominator, 1.0)), values)


def learn(tenants: Columns, moment: Moment, tokens: Floats, observed: Mask, period_s: int) -> None:
    """Takes a period's tokens in. Tenants that were not observed stay as they are."""
    seen = tenants["seen"]
    warm = 1.0 / (seen + 1.0)  # the plain mean of the first periods, until that is slower than the rate
    first = seen == 0

    def store(name: str, value: Floats) -> None:
        np.copyto(tenants[name], value, where=observed)

    for row, rate in zip(tenants["averages"], AVERAGES, strict=True):
        np.copyto(row, row + np.maximum(rate, warm) * (tokens - row), where=observed)
    for level, slope, (rate, slope_rate, damping) in zip(tenants["levels"], tenants["slopes"], TRENDS, strict=True):
        damped = damping * slope
        expected = np.maximum(level + damped, 0.0)
        risen = np.where(first, tokens, expected + rate * (tokens - expected))
        steeper = np.where(first, 0.0, damped + slope_rate * (risen - level - damped))
        np.copyto(level, risen, where=observed)
        np.copyto(slope, steeper, where=observed)
    middle = tenants["middle"]
    error = tenants["middle_error"] + np.maximum(SLOW, warm) * (np.abs(tokens - middle) - tenants["middle_error"])
    store("middle", np.maximum(middle + MIDDLE_STEP * error * np.where(tokens < middle, -0.5, 0.5), 0.0))
    store("middle_error", error)
    store("peak", np.maximum(tenants["peak"] * (1.0 - min(0.5, PEAK_LOSS * period_s / DAY_S)), tokens))
    store("last", tokens)
    store("day_then", profile.at(tenants, "day", moment.day))
    store("pool_then", np.full_like(tokens, moment.pool))
    profile.add(tenants, "day", tokens, observed)
    profile.add(tenants, "week", tokens, observed)
    seen += observed
