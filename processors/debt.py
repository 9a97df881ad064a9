"""Debt: what tenants are owed because others were served in their place, and the weight that it gives them until it is repaid.

The rule, each tick, in tokens:

    D      <- clip(λ·D + due − served, −a·B, B)     with λ = 2^(−elapsed / half_life) and B = rate · bound
    weight <- weight · (1 + gain · D / B)           with a = 1 / (1 + gain)

`due` is what the tenant should have had of the tick (processors/limits.py, `due_of`): never more than it wanted, so that nobody
saves up by staying away. Where everybody got what it wanted, due is what was served: debt only fades. `rate` is the tokens per
second to which the tenant is entitled, so that debt counts in seconds of it, for the small as for the large. The factor lies
between 1 / (1 + gain) and 1 + gain, and what a tenant owes is bounded by what its weight can express: it does not wind up.

Source: the rule of token pools (arXiv 2603.00356), D <- λ·D + min(entitled, demand) − served and a weight times
1 + γ·clip(D / (entitled·τ), −a, b). Changed: the bound is the clip (τ the bound, b = 1), so that no debt lies beyond what weights
react to. And a promise may be owed to a tenant, but is never owed by it: a dedicated or guaranteed tenant that uses idle capacity
above its quota takes it from nobody, and would otherwise lose the record of the next promise that is broken.

Debts are int64 thousandths of a token: a tenant of one token per second still fades smoothly. MAX_RATE and MAX_BOUND_S keep a bound
below 6e17 thousandths, so that nothing here leaves int64. 100,000 tenants: a step takes 6 ms, weights 5 ms.
"""

from functools import lru_cache
from math import isqrt
from typing import NamedTuple

import numpy as np

from processors.allocation.exact import MILLION, Flags, Ints, times_millionths

THOUSAND = 1000

MAX_RATE = 10**12
"""Most tokens per second of a pool: 100,000 replicas of 10,000,000."""

MAX_BOUND_S = 600

MAX_GAIN = 10 * MILLION

FORGOTTEN = 1000
"""Debt of up to a thousandth of its bound is forgotten: a pool at peace has nothing to tell."""

_ONE = 10**18


class DebtSettings(NamedTuple):
    """How a pool's debts fade, how far they go and how much they weigh.

    Attributes:
        half_life_s: seconds in which debt halves, 1 or more.
        gain: how much weight debt at its bound adds, in millionths, 0 to MAX_GAIN; 0: debts are kept but change no weight.
        bound_s: seconds of entitlement that may be owed, 1 to MAX_BOUND_S.

    Debt that fades is never paid in full: a tenant that needs a debt of D seconds to have its share lacks D·ln 2 / half-life of it
    for ever. In the experiment of `bourse simulate fairness` up to 15 s are needed, of which ten minutes leave 2 %. The bound holds
    several of the largest requests (9,000 tokens, 17 s of their tenant's entitlement), else a large one is forgotten in part; the
    gain gives a second of debt the weight that it needs below such a bound.

    A gain of 0 is right where throughput alone is scarce and a request costs seconds of its tenant's share. Who is refused there is
    told to come again in seconds, and until then nobody sees that it wants anything: it is due nothing in those ticks, and debt
    takes from it what it should have had. (The same experiment with half of the tokens per second, so that blocks and slots are
    never scarce: tenants whose requests fit are off by up to 21 % with debt, 12 % without.) Where space is scarce clients ask again
    in every tick or two. To remember in the engine what was refused, until it fades or was due, mends such a pool (2 % to 12 %) but
    counts the bursts of others for too long: then the tenant with bursts is 10 to 12 % off where space is scarce.
    """

    half_life_s: int = 600
    gain: int = MAX_GAIN
    bound_s: int = 120


@lru_cache(maxsize=64)
def fading(elapsed_ms: int, half_life_ms: int) -> int:
    """The λ of a step, 2^(−elapsed / half_life), in millionths, to the nearest.

    By square roots of one half, in integers, so that it is the same on every machine: the binary digits of the exponent's fraction
    say which of 2^(−1/2), 2^(−1/4), … are multiplied.
    """
    whole, part = divmod(elapsed_ms, half_life_ms)
    factor = _ONE >> min(whole, 64)
    root = _ONE // 2
    for _ in range(40):
        root = isqrt(root * _ONE)
        part *= 2
        if part >= half_life_ms:
            part -= half_life_ms
            factor = factor * root // _ONE
    return (factor * 2 * MILLION + _ONE) // (2 * _ONE)


def bounds(rate: Ints, owing: Flags, settings: DebtSettings) -> tuple[Ints, Ints]:
    """The least and the most debt of each tenant, −a·B (0 for those that never owe) and B, in thousandths of a token.

    Args:
        rate: tokens per second to which each is entitled; more than MAX_RATE counts as that. 0: it is owed nothing.
        owing: whose debt may fall below 0.
        settings: of the pool.
    """
    most = np.minimum(rate, MAX_RATE) * (settings.bound_s * THOUSAND)
    return np.where(owing, -_times(most, MILLION * MILLION // (MILLION + settings.gain)), 0), most


def step(debt: Ints, due: Ints, served: Ints, *, rate: Ints, owing: Flags, settings: DebtSettings, elapsed_ms: int) -> Ints:
    """Debts after a tick: D <- clip(λ·D + due − served, −a·B, B).

    Args:
        debt: thousandths of a token.
        due: tokens that each should have had, 0 to 2^63−1.
        served: tokens that each had, 0 to 2^63−1.
        rate: tokens per second to which each is entitled.
        owing: whose debt may fall below 0.
        settings: of the pool.
        elapsed_ms: how long the tick was.
    """
    least, most = bounds(rate, owing, settings)
    # What goes beyond both bounds together changes nothing, so it is cut before thousandths would leave int64.
    span = (most - least) // THOUSAND + 1
    gained = np.clip(due - served, -span, span) * THOUSAND
    faded = _times(np.clip(debt, least, most), fading(elapsed_ms, settings.half_life_s * THOUSAND))
    stepped = np.clip(faded + gained, least, most)
    return np.where(np.abs(stepped) <= most // FORGOTTEN, 0, stepped)


def factors(debt: Ints, rate: Ints, settings: DebtSettings) -> Ints:
    """The factor 1 + gain·D / B in millionths, between 1 / (1 + gain) and 1 + gain. Who is entitled to nothing has 1."""
    bound = np.minimum(rate, MAX_RATE) * (settings.bound_s * THOUSAND)
    # D · 1,000,000 fits int64 below 2^43; of a larger bound the last 20 binary digits decide nothing about a millionth.
    large = bound >= 2**43
    owed = np.where(large, debt >> 20, debt)
    whole = np.maximum(np.where(large, bound >> 20, bound), 1)
    part = np.clip(np.clip(owed, -whole, whole) * MILLION // whole, -MILLION, MILLION)
    lowest = MILLION * MILLION // (MILLION + settings.gain)
    return np.where(bound > 0, np.clip(MILLION + settings.gain * part // MILLION, lowest, MILLION + settings.gain), MILLION)


def weights(weight: Ints, debt: Ints, rate: Ints, settings: DebtSettings) -> Ints:
    """Weights by which scarce capacity is shared, in millionths: weight · (1 + gain·D / B), floored.

    Who weighs something still does: at least a millionth.

    Args:
        weight: as stated, in millionths, up to 2^53.
        debt: thousandths of a token.
        rate: tokens per second to which each is entitled.
        settings: of the pool.
    """
    adjusted = times_millionths(weight, factors(debt, rate, settings))
    if not isinstance(adjusted, np.ndarray):  # 2^53 · 11 fits
        raise OverflowError(
            f"weight: {int(weight.max())} millionths, with a factor of up to {1 + MAX_GAIN // MILLION}, leave int64"
        )
    return np.maximum(adjusted, np.minimum(weight, 1))


def _times(amount: Ints, millionths: int) -> Ints:
    """The product / 1,000,000, towards zero, without leaving int64: what is above and below a million apart."""
    size = np.abs(amount)
    product: Ints = np.sign(amount) * (size // MILLION * millionths + size % MILLION * millionths // MILLION)
    return product
