"""Ids of facts: (journal partition, journal offset, index), so that a replay gives every fact the id it had."""

from functools import cache
from typing import Any, TypeVar

from schemas.fact import Fact

F = TypeVar("F", bound=Fact)


@cache
def _names(kind: type[Fact]) -> frozenset[str]:
    return frozenset(kind.model_fields)


class Stamp:
    """Numbers the facts of one journal record in the order in which they are decided."""

    __slots__ = ("_index", "_offset")

    def __init__(self, journal_offset: int) -> None:
        self._offset = journal_offset
        self._index = 0

    def fact(self, kind: type[F], pool: str, /, **fields: Any) -> F:
        """The next fact.

        Fields are not validated again: they come from validated records and from our own arithmetic, and encoding refuses a
        value of the wrong type. All must be given, also those with a default. 2 µs; pydantic's `model_construct`, which looks up
        aliases and defaults, takes 15.

        Raises:
            TypeError: a field is missing, or unknown.
        """
        fields.update(pool=pool, journal_offset=self._offset, fact_index=self._index)
        names = _names(kind)
        if fields.keys() != names:
            raise TypeError(f"{kind.KIND}: {sorted(fields.keys() ^ names)} missing or unknown")
        self._index += 1
        made = kind.__new__(kind)
        object.__setattr__(made, "__dict__", fields)
        object.__setattr__(made, "__pydantic_fields_set__", set(names))  # model_copy adds to it
        object.__setattr__(made, "__pydantic_extra__", None)
        object.__setattr__(made, "__pydantic_private__", None)
        return made
