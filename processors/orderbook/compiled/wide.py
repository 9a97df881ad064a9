"""Sums of open quantities, which leave int64: pairs (high, low) that stand for high * 2^62 + low, low from 0 to 2^62 - 1.

Such pairs compare as their numbers do. 2^63 orders of 2^63 tokens stay within them.
"""

from typing import Final, TypeAlias

from processors.orderbook.compiled.jit import jit

Wide: TypeAlias = tuple[int, int]

_BITS: Final = 62
_LOW: Final = 2**62 - 1


@jit
def wide(number: int) -> Wide:
    """An int64, not negative."""
    return number >> _BITS, number & _LOW


@jit
def plus(one: Wide, other: Wide) -> Wide:
    """Their sum."""
    low = one[1] + other[1]
    return one[0] + other[0] + (low >> _BITS), low & _LOW


@jit
def minus(one: Wide, other: Wide) -> Wide:
    """Their difference; its high part is negative if it is."""
    low = one[1] - other[1]
    return one[0] - other[0] + (low >> _BITS), low & _LOW
