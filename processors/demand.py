"""Demand: the tokens that each tenant is expected to use in a period, and which of the forecasts it bids on.

`learn` takes what a closed period used, `forecast` tells a period to come. The last value and the exponential average are two
integer columns, which every pool keeps. The mixture (processors/forecast) is kept by pools whose terms name it: 1.8 KB a tenant; a
period of 100,000 tenants takes 0.1 s to learn and 0.06 s to forecast. A pool that leaves it forgets it when the next period opens.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from processors import forecast as mixture
from processors.forecast.rule import EVERYBODY, Slots
from processors.forecast.state import Floats
from processors.state import PoolState
from processors.tenants import Column, Tenants
from schemas.published import BidOn, Forecaster
from schemas.units import MAX_TOKENS

_THOUSAND = 1000
"""The average is kept in thousandths of a token: MAX_TOKENS x 1000 = 9.007e18 still fits an int64 (9.22e18)."""

_SHARE = 4
"""The exponential average moves a quarter of the way to each new value."""

BID_ON: tuple[BidOn, ...] = tuple(BidOn)
"""By the codes of the column `declared_bid_on`: the mean, then the mixture's LEVELS."""

QUANTILES: tuple[str, ...] = BID_ON[1:]
"""Of the mixture, by name."""

BID_COLUMNS = {"declared_bid_on": BID_ON.index(BidOn.MEAN)}
"""Of pools in which somebody ever bid on something else; others look, and hash, as they did before there was a choice."""


@dataclass(frozen=True, slots=True)
class Expected:
    """Tokens of each tenant in a period: 0 to MAX_TOKENS.

    Attributes:
        mean: what is expected.
        quantiles: one row for each of LEVELS, none below the one before; None where the forecaster gives only a mean.
    """

    mean: Column
    quantiles: Column | None = None


def keep(pool: PoolState) -> None:
    """The terms were declared: a forecaster that learns from now on is there when the next period closes."""
    if pool.declared.forecaster == Forecaster.MIXTURE and (pool.mixture is None or pool.mixture.calendar.period_s != pool.period_s):
        pool.mixture = mixture.State(mixture.Calendar(pool.period_s))
    pool.outlooks.clear()


def forget(pool: PoolState) -> None:
    """A period opened: what its terms don't name is not kept."""
    if pool.terms.forecaster != Forecaster.MIXTURE:
        pool.mixture = None


def admit(pool: PoolState) -> None:
    """Whoever is new to the pool is new to its forecaster; asked after each fact, since many kinds bring new tenants."""
    if pool.mixture is not None and pool.mixture.size < len(pool.tenants):
        pool.mixture.add(len(pool.tenants) - pool.mixture.size)


def choose(pool: PoolState, slot: int, bid_on: BidOn) -> None:
    """A tenant's newest profile says what it bids on."""
    if bid_on != BidOn.MEAN:
        pool.tenants.add_columns(BID_COLUMNS)
    if "declared_bid_on" in pool.tenants.columns:
        pool.tenants["declared_bid_on"][slot] = BID_ON.index(bid_on)
    pool.outlooks.clear()


def learn(pool: PoolState, period: int, *, all_reported: bool) -> None:
    """Take the closed period's `used` into what forecasts are made from; values above MAX_TOKENS count as MAX_TOKENS.

    Args:
        pool: changed in place.
        period: the one that closed.
        all_reported: whether every meter of usage had reported. If not, nobody knows whether who used nothing used nothing: to the
            mixture that is a gap. (The integer forecasters know no gaps.)
    """
    tenants = pool.tenants
    used = np.minimum(tenants["used"], MAX_TOKENS)
    tenants["average_used"][:] += (used * _THOUSAND - tenants["average_used"]) // _SHARE
    tenants["last_used"][:] = used
    pool.outlooks.clear()
    if pool.mixture is not None:
        # Who has neither a profile in force nor ever used anything is no tenant of the pool yet, but perhaps of its market.
        known = (tenants["version"] > 0) | (pool.mixture.tenants["seen"][: len(tenants)] > 0)
        mixture.learn(pool.mixture, period, used, (used > 0) | (known & all_reported))


def forecast(pool: PoolState, period: int, slots: Slots = EVERYBODY) -> Expected:
    """Of tenants, by slot, in a period that has not opened yet, by the forecaster that the pool declares."""
    return _FORECAST[pool.declared.forecaster](pool, period, slots)


def bids_on(tenants: Tenants, expected: Expected, slots: Slots = EVERYBODY) -> Column:
    """Of what is expected of each tenant, what its newest profile bids on; the mean where that is all there is."""
    if expected.quantiles is None or "declared_bid_on" not in tenants.columns:
        return expected.mean
    return np.choose(tenants["declared_bid_on"][slots], (expected.mean, *expected.quantiles))


def bid_of(pool: PoolState, period: int, slot: int) -> int:
    """Tokens that one tenant would bid on if the period were the next to open; for bots, which ask often.

    The mixture takes 0.3 ms for one tenant and not much more for hundreds, so those of all bots are told at once, and remembered
    until something changes. That is no state: who remembers nothing computes the same.
    """
    if pool.declared.forecaster != Forecaster.MIXTURE:
        return int(forecast(pool, period, [slot]).mean[0])
    known = pool.outlooks.setdefault(period, {})
    if slot not in known:
        slots = sorted({slot, *(pool.tenants.slots[bot.tenant] for bot in pool.market.bots.all())})
        bids = bids_on(pool.tenants, forecast(pool, period, slots), slots)
        known.update(zip(slots, bids.tolist(), strict=True))
    return known[slot]


def _last_value(pool: PoolState, _period: int, slots: Slots) -> Expected:
    return Expected(pool.tenants["last_used"][slots].copy())


def _exponential(pool: PoolState, _period: int, slots: Slots) -> Expected:
    # To the nearest token: the average comes within three thousandths of a steady use, from below.
    return Expected(np.asarray((pool.tenants["average_used"][slots] + _THOUSAND // 2) // _THOUSAND, np.int64))


def _mixture(pool: PoolState, period: int, slots: Slots) -> Expected:
    if pool.mixture is None:
        raise AssertionError(f"pool {pool.name!r} declares a mixture, but keeps none")
    told = mixture.predict(pool.mixture, period, slots)
    return Expected(_whole(told.mean), _whole(told.quantiles))


def _whole(tokens: Floats) -> Column:
    """To the nearest token. A quantile of a wild tenant may lie above all that anybody can use."""
    return np.minimum(np.rint(tokens), float(MAX_TOKENS)).astype(np.int64)


_FORECAST: dict[Forecaster, Callable[[PoolState, int, Slots], Expected]] = {
    Forecaster.LAST_VALUE: _last_value,
    Forecaster.EXPONENTIAL: _exponential,
    Forecaster.MIXTURE: _mixture,
}

if len(BID_ON) != 1 + len(mixture.LEVELS):
    raise AssertionError(f"BidOn names {len(BID_ON) - 1} quantiles, the mixture gives {len(mixture.LEVELS)}")
