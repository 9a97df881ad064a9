"""The mixture of the experts: weights that multiply with how each expert would have helped.

The weights of a tenant follow the gradient of its absolute error (Prod, Cesa-Bianchi, Mansour and Stoltz 2007, on linearised
losses): w <- w (1 - rate x loss / scale), where an expert's loss is negative if it was on that side of the mean on which the tokens
were. Then all are normalised and a share returns to the first weights. By the gradient the mixture approaches the best convex
combination of the experts, where their plain losses would lead to the best single one.
"""

from dataclasses import dataclass

import numpy as np

from processors.forecast.settings import IDLE, NEAR, RATE, SHARE, SLOW, SLOW_AVERAGE, TINY
from processors.forecast.state import FIRST_WEIGHTS, Columns, Floats, Mask


@dataclass(frozen=True, slots=True)
class Mixed:
    """The experts of one period, weighted.

    Attributes:
        forecasts: tokens, shape (experts, tenants).
        idle: whose weights are those of idle tenants.
        weights: shape (experts, tenants), each tenant's sum 1.
        mean: tokens.
        spread: the weighted mean distance of the experts from it: how much they disagree.
    """

    forecasts: Floats
    idle: Mask
    weights: Floats
    mean: Floats
    spread: Floats


def mix(tenants: Columns, forecasts: Floats) -> Mixed:
    """Weighs the experts."""
    idle = tenants["last"] <= IDLE * tenants["averages"][SLOW_AVERAGE]
    weights = np.where(idle, tenants["idle_weights"], tenants["busy_weights"])
    mean = _sum_rows(weights * forecasts)
    return Mixed(forecasts, idle, weights, mean, _sum_rows(weights * np.abs(forecasts - mean)))


def learn(tenants: Columns, mixed: Mixed, tokens: Floats, observed: Mask) -> None:
    """Moves the weights towards the experts that were on the right side. Tenants that were not observed stay as they are."""
    slow, mean, spread = tenants["spread"], mixed.mean, mixed.spread
    scale = slow + np.maximum(SLOW, 1.0 / (tenants["seen"] + 1.0)) * (spread - slow)
    side = np.clip((mean - tokens) / np.maximum(NEAR * spread, TINY), -1.0, 1.0)
    loss = np.clip(side * (mixed.forecasts - mean) / np.maximum(scale, TINY), -1.0, 1.0)
    moved = mixed.weights * (1.0 - RATE * loss)
    moved = (1.0 - SHARE) * (moved / _sum_rows(moved)) + SHARE * FIRST_WEIGHTS[:, None]
    np.copyto(tenants["idle_weights"], moved, where=observed & mixed.idle)
    np.copyto(tenants["busy_weights"], moved, where=observed & ~mixed.idle)
    np.copyto(slow, scale, where=observed)


def _sum_rows(rows: Floats) -> Floats:
    """The sum over the first axis, row by row in order: numpy's own sum chooses an order that differs between machines."""
    total: Floats = rows[0].copy()
    for row in rows[1:]:
        total += row
    return total
