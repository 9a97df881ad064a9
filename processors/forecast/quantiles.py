"""Quantiles: the mean plus a tracked multiple of a scale of errors.

The scale says how wrong the mean may be now: recent errors, those upwards, how much the experts disagree, and the mean itself. Its
multiple rises by step x aim when the tokens were above the quantile, and falls by step x (1 - aim) when not, so that in the
long run the tokens are above it in a share 1 - aim of the periods, whatever their distribution (Gibbs and Candès 2021).
"""

from itertools import pairwise

import numpy as np

from processors.forecast.mixture import Mixed
from processors.forecast.settings import (
    AIMS,
    ERROR,
    EXCESS,
    FLOORS,
    MEAN_PART,
    SPREAD_PART,
    STEPS,
)
from processors.forecast.state import Columns, Floats, Mask


def quantiles(tenants: Columns, mixed: Mixed, mean: Floats) -> Floats:
    """Tokens, shape (levels, tenants), each level at least the one before and at least 0."""
    multiples = np.where(mixed.idle, tenants["idle_multiples"], tenants["busy_multiples"])
    values = np.maximum(mean + multiples * _scale(tenants, mixed, mean), 0.0)
    for lower, upper in pairwise(values):
        np.maximum(lower, upper, out=upper)
    return values


def _scale(tenants: Columns, mixed: Mixed, mean: Floats) -> Floats:
    """How wrong the mean may be, tokens; of a tenant that was never observed, the mean."""
    errors = EXCESS.part * tenants["excess"] + ERROR.part * tenants["error"]
    return np.where(tenants["seen"] > 0, errors + SPREAD_PART * mixed.spread + MEAN_PART * mean, mean)


def learn(tenants: Columns, mean: Floats, values: Floats, tokens: Floats, concerned: tuple[Mask, Mask]) -> None:
    """Moves the multiples and the scales of those concerned: observed and idle, observed and busy."""
    for multiples, moving in zip(("idle_multiples", "busy_multiples"), concerned, strict=True):
        for row, value, aim, step, floor in zip(tenants[multiples], values, AIMS, STEPS, FLOORS, strict=True):
            moved = row + step * np.where(tokens > value, aim, aim - 1.0)
            np.copyto(row, np.maximum(moved, floor), where=moving)
    warm = 1.0 / (tenants["seen"] + 1.0)
    observed = concerned[0] | concerned[1]
    for name, miss, rate in (
        ("excess", np.maximum(tokens - mean, 0.0), EXCESS.rate),
        ("error", np.abs(tokens - mean), ERROR.rate),
    ):
        column = tenants[name]
        np.copyto(column, column + np.maximum(rate, warm) * (miss - column), where=observed)
