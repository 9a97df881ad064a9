"""Columns of facts as who decides has them: arrays, and slots of tenants, beside the lists that facts are made of.

A decided fact is recorded and encoded at once, both from arrays: what was an array when it was decided need not be looked at value
by value to become one again. To everybody else these are lists, as those of a fact that was read. Nobody changes a fact's columns.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

NONE = -1
"""In the array of an optional column: none."""


class Longs(list[int]):
    """Integers, and the same as an array; numpy takes that where it is given the list."""

    __slots__ = ("column",)

    def __init__(self, column: Ints) -> None:
        super().__init__(column.tolist())
        self.column = column

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return np.array(self.column, dtype=dtype, copy=copy)


class OptionalLongs(list[int | None]):
    """Integers or None, and an array in which NONE stands for it."""

    __slots__ = ("column",)

    def __init__(self, column: Ints) -> None:
        none = column == NONE
        if none.all():
            super().__init__([None] * column.size)
        elif none.any():
            super().__init__([None if value == NONE else value for value in column.tolist()])
        else:
            super().__init__(column.tolist())
        self.column = column


class Names(list[str]):
    """Ids of tenants, and their slots.

    Attributes:
        slots: of each.
        known: slots by id, whose values these are: whoever has another one looks the names up in it.
        written: what an encoder made of them, so that it need not make it again; it is None until then.
    """

    __slots__ = ("known", "slots", "written")

    def __init__(self, names: Iterable[str], slots: npt.NDArray[np.intp], known: Mapping[str, int]) -> None:
        super().__init__(names)
        self.slots = slots
        self.known = known
        self.written: bytes | None = None


def whole(values: list[int | None]) -> Ints:
    """An optional column as an array, with NONE for None."""
    if isinstance(values, OptionalLongs):
        return values.column
    return np.array([NONE if value is None else value for value in values], np.int64)
