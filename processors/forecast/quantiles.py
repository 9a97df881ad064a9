"""Quantiles: the mean plus a tracked multiple of a scale of errors.

The scale says how wrong the mean may be now: recent errors, those upwards, how much the experts disagree, and the mean itself. Its
multiple rises by step x level when the tokens were above the quantile, and falls by step x (1 - level) when not, so that in the
long run the tokens are above it in a share 1 - level of the periods, whatever their distribution (Gibbs and Candès 2021).
"""

import numpy as np

from processors.forecast.settings import IDLE, LEVELS, STEPS
from processors.forecast.state import Columns, Floats, Mask

EXCESS_RATE, ERROR_RATE = 0.2, 0.5
EXCESS_PART, ERROR_PART, SPREAD_PART, MEAN_PART = 0.6, 0.33, 0.33, 0.03
_SLOW_AVERAGE = 4
"""Row of the average whose rate is 0.05."""


def scale(tenants: Columns, mean: Floats, spread: Floats) -> Floats:
    """How wrong the mean may be, tokens; of a tenant that was never observed, the mean."""
    known = EXCESS_PART * tenants["excess"] + ERROR_PART * tenants["error"] + SPREAD_PART * spread + MEAN_PART * mean
    return np.where(tenants["seen"] > 0, known, mean)


def idle(tenants: Columns, mean: Floats) -> Mask:
    """Whose quantiles are those of idle periods."""
    return mean <= IDLE * tenants["averages"][_SLOW_AVERAGE]


def quantiles(tenants: Columns, mean: Floats, scales: Floats) -> Floats:
    """Tokens, shape (levels, tenants), each level at least the one before and at least 0."""
    multiples = np.where(idle(tenants, mean), tenants["idle_multiples"], tenants["busy_multiples"])
    values = np.maximum(mean + multiples * scales, 0.0)
    for lower, upper in zip(values[:-1], values[1:], strict=True):
        np.maximum(lower, upper, out=upper)
    return values


def learn(tenants: Columns, mean: Floats, values: Floats, tokens: Floats, observed: Mask) -> None:
    """Moves the multiples and the scales. Tenants that were not observed stay as they are."""
    resting = idle(tenants, mean)
    for multiples, concerned in (("idle_multiples", resting & observed), ("busy_multiples", ~resting & observed)):
        for row, value, level, step in zip(tenants[multiples], values, LEVELS, STEPS, strict=True):
            # What is 0 can't fall: counting it as too high would bury the multiple under a thousand idle periods.
            moved = row + step * np.where(tokens > value, level, np.where(value > 0, level - 1.0, 0.0))
            np.copyto(row, moved, where=concerned)
    warm = 1.0 / (tenants["seen"] + 1.0)
    for name, miss, rate in (
        ("excess", np.maximum(tokens - mean, 0.0), EXCESS_RATE),
        ("error", np.abs(tokens - mean), ERROR_RATE),
    ):
        column = tenants[name]
        np.copyto(column, column + np.maximum(rate, warm) * (miss - column), where=observed)
