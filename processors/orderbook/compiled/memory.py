"""A book as compiled functions see it: where its arrays begin in memory.

An array is nine numbers to a compiled function, which hands them on to the next one; of an address there is one. A row goes by the
place of its first column, so that `orders[slot + OPEN]` is what the order of row `slot` has open.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias, cast

from numba import types
from numba.extending import intrinsic

from processors.orderbook.compiled.jit import jit
from processors.orderbook.compiled.state import Arrays, Ints

Memory: TypeAlias = Ints
"""Numbers from an address on. Nothing looks at where they end."""


class Book(NamedTuple):
    """What `Arrays` says of each. The arrays themselves are held by who calls."""

    orders: Memory
    levels: Memory
    slots: Memory
    numbers: Memory
    ops: Memory
    events: Memory
    orders_end: int
    events_end: int


def _address_of(_context: Any, array: Any) -> Any:
    """The address of an array's first number, in terms of numba and LLVM: the type of the function, and what generates it."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return context.make_array(signature.args[0])(context, builder, arguments[0]).data

    pointer = types.CPointer(types.int64)  # type: ignore[no-untyped-call]  # numba's classes have no types
    return pointer(array), generate


_address = cast("Callable[[Ints], Memory]", intrinsic(_address_of))


@jit
def book_in(arrays: Arrays) -> Book:
    """The book that stands in these arrays."""
    return Book(
        _address(arrays.orders),
        _address(arrays.levels),
        _address(arrays.slots),
        _address(arrays.numbers),
        _address(arrays.ops),
        _address(arrays.events),
        arrays.orders.size,
        arrays.events.size,
    )
