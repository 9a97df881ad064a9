"""The audit's way to ClickHouse, and what of a pool's journal has landed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clickhouse_connect.driver.client import Client

from streams.clickhouse import connect
from streams.errors import BadInput, UserError
from streams.settings import Settings

NAMED = 8
"""How many pools a message lists."""

Rows = Sequence[tuple[Any, ...]]


class AuditStore:
    """Queries in our database. {name:Type} are parameters that the server fills in."""

    def __init__(self, settings: Settings) -> None:
        self._client: Client = connect(settings)
        self._client.database = settings.clickhouse_database
        self.facts_topic = settings.topic("facts")

    def rows(self, query: str, **parameters: object) -> list[tuple[Any, ...]]:
        """Rows of a query.

        Raises:
            ClickHouseError: no answer, or a refusal.
        """
        # Of a column of the sorting key a skipping index is right with FINAL, too: all copies of a row have the same value.
        settings = {"use_skip_indexes_if_final": 1}
        return [tuple(row) for row in self._client.query(query, parameters=parameters, settings=settings).result_rows]

    def columns(self, query: str, **parameters: object) -> Sequence[Sequence[Any]]:
        """The same by columns; empty if there are no rows."""
        settings = {"use_skip_indexes_if_final": 1}
        found = self._client.query(query, parameters=parameters, settings=settings, column_oriented=True)
        return found.result_columns if found.row_count else ()

    def landed_before(self, partition: int) -> int:
        """The journal offset below which every fact of the partition is in all tables.

        The last one may have facts that have not landed yet.
        """
        found = self.rows(
            "SELECT journal_offset FROM landed WHERE topic = {topic:String} AND partition = {partition:Int32}",
            topic=self.facts_topic,
            partition=partition,
        )
        return int(found[0][0]) if found else 0

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


@dataclass(frozen=True, slots=True)
class Scope:
    """What is audited of one pool: journal offsets in (after, through], which are the periods named.

    Attributes:
        partition: of the journal; a pool that moved to another partition began anew there.
        first: the first period, None: from the beginning.
        last: the last closed one that is in it; None: none is.
    """

    pool: str
    partition: int
    after: int
    through: int
    first: int | None
    last: int | None

    @property
    def parameters(self) -> Mapping[str, object]:
        """For queries."""
        return {"pool": self.pool, "partition": self.partition, "after": self.after, "through": self.through}


def scopes(store: AuditStore, pool: str | None, first: int | None, last: int | None) -> list[Scope]:
    """What there is to audit: of one pool, or of all of them in order of their names.

    Raises:
        BadInput: there is no such pool, or the periods are none that closed.
        UserError: nothing has landed.
    """
    found = [
        (str(name), int(partition)) for name, partition in store.rows("SELECT DISTINCT pool, partition FROM pools ORDER BY ALL")
    ]
    if pool is not None and pool not in {name for name, _ in found}:
        names = sorted({name for name, _ in found})
        known = f"known are {', '.join(names[:NAMED])}{', …' if len(names) > NAMED else ''}" if names else "there is none yet"
        raise BadInput(f"pool {pool!r} is not known: {known}")
    if not found:
        raise UserError("nothing is proved: no pool has landed in ClickHouse yet")
    return [_scope(store, name, partition, first, last) for name, partition in found if pool in {None, name}]


def _scope(store: AuditStore, pool: str, partition: int, first: int | None, last: int | None) -> Scope:
    landed = store.landed_before(partition)
    ends = store.rows(
        "SELECT period, journal_offset FROM periods "
        "WHERE pool = {pool:String} AND partition = {partition:Int32} AND journal_offset < {landed:Int64} ORDER BY period",
        pool=pool,
        partition=partition,
        landed=landed,
    )
    closed = dict(ends)
    chosen = [period for period in closed if (first or 0) <= period and (last is None or period <= last)]
    if (first is not None or last is not None) and not chosen:
        told = f"closed are {min(closed)} to {max(closed)}" if closed else "none has closed yet"
        raise BadInput(f"pool {pool!r} has no closed period from {first or 0} to {'now' if last is None else last}: {told}")
    after = max((offset for period, offset in ends if period < (first or 0)), default=-1)
    through = landed - 1 if last is None else closed[chosen[-1]]
    return Scope(pool, partition, after, through, first, chosen[-1] if chosen else None)
