"""Ids of facts: (journal partition, journal offset, index), so that a replay gives every fact the id it had."""

from typing import Any, TypeVar, cast

from schemas.fact import Fact

F = TypeVar("F", bound=Fact)


class Stamp:
    """Numbers the facts of one journal record in the order in which they are decided."""

    __slots__ = ("_index", "_offset")

    def __init__(self, journal_offset: int) -> None:
        self._offset = journal_offset
        self._index = 0

    def fact(self, kind: type[F], pool: str, /, **fields: Any) -> F:
        """The next fact.

        Fields are not validated again: they come from validated records and from our own arithmetic, and encoding refuses a
        value of the wrong type.
        """
        index = self._index
        self._index += 1
        made = kind.model_construct(pool=pool, journal_offset=self._offset, fact_index=index, **fields)
        return cast("F", made)  # the plugin of pydantic types model_construct by the bound, not by the variable
