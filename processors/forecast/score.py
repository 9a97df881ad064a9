"""How good forecasts were, over all tenants and periods together. It only reports: its sums are in numpy's order."""

from dataclasses import dataclass

import numpy as np

from processors.forecast.settings import LEVELS
from processors.forecast.walk import Step

LEVEL = 0.9
"""The quantile that is scored."""

_ROW = LEVELS.index(LEVEL)


@dataclass(slots=True)
class Score:
    """Sums over the demand that was observed. Ratios are of the demand; None if there was none.

    Attributes:
        first: first period that counted; None before any.
        last: last period that counted.
        periods: how many counted.
        gaps: in which nothing was observed.
        rows: observations.
    """

    first: int | None = None
    last: int | None = None
    periods: int = 0
    gaps: int = 0
    rows: int = 0
    _demand: float = 0.0
    _error: float = 0.0
    _last_error: float = 0.0
    _pinball: float = 0.0
    _covered: float = 0.0

    def add(self, step: Step) -> None:
        """Counts a period."""
        self.first = step.period if self.first is None else self.first
        self.last = step.period
        seen = step.observed
        if not seen.any():
            self.gaps += 1
            return
        self.periods += 1
        tokens, mean, quantile = step.tokens[seen], step.forecast.mean[seen], step.forecast.quantiles[_ROW][seen]
        above = tokens - quantile
        self.rows += len(tokens)
        self._demand += float(tokens.sum())
        self._error += float(np.abs(tokens - mean).sum())
        self._last_error += float(np.abs(tokens - step.last[seen]).sum())
        self._pinball += float(np.maximum(LEVEL * above, (LEVEL - 1.0) * above).sum())
        self._covered += float(tokens[above <= 0].sum())

    @property
    def wape(self) -> float | None:
        """Weighted absolute percentage error of the mean: its absolute errors against the demand."""
        return self._ratio(self._error)

    @property
    def last_value_wape(self) -> float | None:
        """The same of the last value."""
        return self._ratio(self._last_error)

    @property
    def pinball(self) -> float | None:
        """Pinball loss of the quantile: 0.9 of what was above it, 0.1 of what it was too high, against the demand."""
        return self._ratio(self._pinball)

    @property
    def coverage(self) -> float | None:
        """Share of the demand that came in periods in which it was not above the quantile."""
        return self._ratio(self._covered)

    def _ratio(self, total: float) -> float | None:
        return total / self._demand if self._demand else None
