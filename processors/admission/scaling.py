"""How much of its borrowing limit a tenant may still use, as the pool fills."""

from collections.abc import Sequence
from itertools import pairwise

MILLION = 1_000_000

Knots = Sequence[tuple[int, int]]
"""(fill, scale), both in millionths: linear in between, level before the first and after the last."""

KNOTS: Knots = ((800_000, MILLION), (MILLION, 250_000))
"""All of it until four fifths of the pool are taken, a quarter when nothing is idle: those who borrow make room for one another
before owners must take back, and an overrun is repaid however full the pool is."""


def check(knots: Knots) -> None:
    """That fills rise and scales do not, both from 0 to 1,000,000.

    Raises:
        ValueError: they don't: a setting that nobody can have meant.
    """
    if not knots or any(not 0 <= value <= MILLION for knot in knots for value in knot):
        raise ValueError(f"knots {knots}: at least one, of fill and scale in millionths (0 to 1,000,000)")
    for (fill, scale), (next_fill, next_scale) in pairwise(knots):
        if next_fill <= fill or next_scale > scale:
            raise ValueError(f"knots {knots}: fills must rise and scales must not")


def scale(knots: Knots, fill: int) -> int:
    """The share of borrowing limits that is left when the pool is so full, both in millionths; rounded down."""
    before, high = knots[0]
    if fill <= before:
        return high
    for after, low in knots:
        if fill <= after:
            return high - -(-(high - low) * (fill - before) // (after - before))
        before, high = after, low
    return high
