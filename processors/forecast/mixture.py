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
        idle: whose weights are those of idle tenants.
        weights: shape (experts, tenants), each tenant's sum 1.
        mean: tokens.
        away: the experts' forecasts less the mean, shape (experts, tenants).
        spread: the weighted mean distance of the experts from the mean: how much they disagree.
    """

    idle: Mask
    weights: Floats
    mean: Floats
    away: Floats
    spread: Floats


def mix(tenants: Columns, forecasts: Floats) -> Mixed:
    """Weighs the experts."""
    idle = tenants["last"] <= IDLE * tenants["averages"][SLOW_AVERAGE]
    weights = np.where(idle, tenants["idle_weights"], tenants["busy_weights"])
    mean = _sum_rows(weights * forecasts)
    away = forecasts - mean
    return Mixed(idle, weights, mean, away, _sum_rows(weights * np.abs(away)))


def learn(tenants: Columns, mixed: Mixed, tokens: Floats, observed: Mask) -> None:
    """Moves the weights towards the experts that were on the right side. Tenants that were not observed stay as they are."""
    slow, spread = tenants["spread"], mixed.spread
    scale = slow + np.maximum(SLOW, 1.0 / (tenants["seen"] + 1.0)) * (spread - slow)
    side = np.clip((mixed.mean - tokens) / np.maximum(NEAR * spread, TINY), -1.0, 1.0)
    moved = np.clip(mixed.away * (side / np.maximum(scale, TINY)), -1.0, 1.0)  # the losses; in place from here on
    moved *= -RATE
    moved += 1.0
    moved *= mixed.weights
    moved *= (1.0 - SHARE) / _sum_rows(moved)
    moved += SHARE * FIRST_WEIGHTS[:, None]
    for weights, concerned in (("idle_weights", observed & mixed.idle), ("busy_weights", observed & ~mixed.idle)):
        if concerned.any():
            np.copyto(tenants[weights], moved, where=concerned)
    np.copyto(slow, scale, where=observed)


def _sum_rows(rows: Floats) -> Floats:
    """The sum over the first axis, row by row in order: numpy's own sum chooses an order that differs between machines."""
    total: Floats = rows[0].copy()
    for row in rows[1:]:
        total += row
    return total
