"""Demand: the tokens that each tenant is expected to use in the next period.

A forecaster is two functions over columns: `learn` takes what a closed period used, `mean` predicts the next. Integers
throughout, so that a replay predicts the same everywhere. Last value is the better single predictor of production traces
(spec/forecast.md: pooled error 0.135 against 0.189 of the best smoothing), hence the default.
"""

from collections.abc import Callable

import numpy as np

from processors.tenants import Column, Tenants
from schemas.published import Forecaster
from schemas.units import MAX_TOKENS

_THOUSAND = 1000
"""The average is kept in thousandths of a token: MAX_TOKENS x 1000 = 9.007e18 still fits an int64 (9.22e18)."""

_SHARE = 4
"""The exponential average moves a quarter of the way to each new value."""


def learn(tenants: Tenants) -> None:
    """Take the closed period's `used` into what forecasts are made from; values above MAX_TOKENS count as MAX_TOKENS."""
    used = np.minimum(tenants["used"], MAX_TOKENS)
    tenants["average_used"][:] += (used * _THOUSAND - tenants["average_used"]) // _SHARE
    tenants["last_used"][:] = used


def _last_value(tenants: Tenants, slots: slice) -> Column:
    return tenants["last_used"][slots].copy()


def _exponential(tenants: Tenants, slots: slice) -> Column:
    # To the nearest token: the average comes within three thousandths of a steady use, from below.
    return np.asarray((tenants["average_used"][slots] + _THOUSAND // 2) // _THOUSAND, np.int64)


_MEAN: dict[Forecaster, Callable[[Tenants, slice], Column]] = {
    Forecaster.LAST_VALUE: _last_value,
    Forecaster.EXPONENTIAL: _exponential,
}

_ALL = slice(None)


def mean(forecaster: Forecaster, tenants: Tenants, slots: slice = _ALL) -> Column:
    """Expected tokens of each tenant (by slot) in the period that opens next."""
    return _MEAN[forecaster](tenants, slots)
