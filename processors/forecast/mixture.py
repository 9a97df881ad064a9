"""The mixture of the experts: weights that multiply with how each expert would have helped.

The weights of a tenant follow the gradient of its absolute error (Prod, Cesa-Bianchi, Mansour and Stoltz 2007, on linearised
losses): an expert on the side of the mean on which the tokens were gains, w <- w (1 - rate x loss / scale), then all are
normalised and a share returns to the first weights. By the gradient the mixture approaches the best convex combination of the
experts, where their plain losses would lead to the best single one.
"""

import numpy as np

from processors.forecast.settings import RATE, SHARE, SLOW, TINY
from processors.forecast.state import FIRST_WEIGHTS, Columns, Floats, Mask


def sum_rows(rows: Floats) -> Floats:
    """The sum over the first axis, row by row in order: numpy's own sum chooses an order that differs between machines."""
    total = rows[0].copy()
    for row in rows[1:]:
        total += row
    return total


def mean_and_spread(tenants: Columns, forecasts: Floats) -> tuple[Floats, Floats]:
    """The experts' weighted mean, and their weighted mean distance from it: how much they disagree. Tokens."""
    weights = tenants["weights"]
    mean = sum_rows(weights * forecasts)
    return mean, sum_rows(weights * np.abs(forecasts - mean))


def learn(tenants: Columns, forecasts: Floats, mean: Floats, spread: Floats, tokens: Floats, observed: Mask) -> None:
    """Moves the weights towards the experts that were on the right side. Tenants that were not observed stay as they are."""
    slow = tenants["spread"]
    scale = slow + np.maximum(SLOW, 1.0 / (tenants["seen"] + 1.0)) * (spread - slow)
    # The sign of the error, less of it when the error is small beside the disagreement: a near miss says little.
    side = np.clip((mean - tokens) / np.maximum(spread, TINY), -1.0, 1.0)
    loss = np.clip(side * (forecasts - mean) / np.maximum(scale, TINY), -1.0, 1.0)
    weights = tenants["weights"] * (1.0 - RATE * loss)
    weights = (1.0 - SHARE) * (weights / sum_rows(weights)) + SHARE * FIRST_WEIGHTS[:, None]
    np.copyto(tenants["weights"], weights, where=observed)
    np.copyto(slow, scale, where=observed)
