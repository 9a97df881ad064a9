"""A recorded demand, period by period: each is forecast from the earlier ones, then learned."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from processors.forecast.calendar import Calendar
from processors.forecast.rule import Forecast, learn, predict
from processors.forecast.state import Floats, Mask, State

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class History:
    """Rows of demand, ascending by period and then by tenant, each pair once.

    Attributes:
        tenants: number of each row's tenant, from 0.
        periods: of each row.
        tokens: 0 to MAX_TOKENS; NaN is a gap.
    """

    tenants: Ints
    periods: Ints
    tokens: Floats


@dataclass(frozen=True, slots=True)
class Step:
    """One period; arrays have an entry for each tenant that had a row by now, ascending by tenant.

    Attributes:
        period: its number.
        tenants: numbers of the tenants.
        forecast: from earlier periods alone.
        tokens: what was demanded; 0 where not observed.
        observed: false where the row is missing or a gap, and everywhere in a gap of the whole system.
        last: the last value that was observed before; 0 before the first.
    """

    period: int
    tenants: Ints
    forecast: Forecast
    tokens: Floats
    observed: Mask
    last: Floats


def walk(history: History, period_s: int) -> Iterator[Step]:
    """The periods that occur, in order. A tenant exists from its first row on; a row that is missing later is a gap."""
    state = State(Calendar(period_s))
    slots = np.full(int(history.tenants.max()) + 1 if len(history.tenants) else 0, -1, np.int64)
    periods, starts = np.unique(history.periods, return_index=True)
    for period, start, end in zip(periods.tolist(), starts, [*starts[1:], len(history.periods)], strict=True):
        rows = history.tenants[start:end]
        new = rows[slots[rows] < 0]
        slots[new] = np.arange(state.size, state.size + len(new))
        state.add(len(new))
        known = np.flatnonzero(slots >= 0)
        yield _step(state, period, known, slots[known], (slots[rows], history.tokens[start:end]))


def _step(state: State, period: int, tenants: Ints, order: Ints, rows: tuple[Ints, Floats]) -> Step:
    """Forecasts and learns one period. `order` are the slots of `tenants`; `rows` are slots and tokens of the period."""
    forecast, last = predict(state, period), state.tenants["last"][order]
    tokens = np.full(state.size, np.nan)
    tokens[rows[0]] = rows[1]
    observed = ~np.isnan(tokens)
    demand = np.where(observed, tokens, 0.0)
    learned = learn(state, period, demand, observed)
    in_order = Forecast(forecast.mean[order], forecast.quantiles[:, order])
    return Step(period, tenants, in_order, demand[order], observed[order] & learned, last)
