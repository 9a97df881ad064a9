"""What of a topic has landed, as ClickHouse knows it, and the inserts that carry it forward."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from clickhouse_connect.driver.client import Client

from schemas.clickhouse import TableDDL, tables
from schemas.model import Landing
from schemas.upkeep import Upkeep
from streams.clickhouse import native_block, send_block
from streams.landing import Beyond, Landable, Standing, Standings, columns_of
from streams.tables import create_tables

DAY_MS = 86_400_000
"""Rows beyond `through` were inserted by whoever wrote `landed` last, or by those who read it since. Looking for them leaves out
the parts whose rows are all a day older than that, so it does not scan a table of years. What a sink that was frozen for a day
still inserts is then not found, and hidden by the views."""


class LandingTables:
    """The tables of one topic, for code that runs in the thread of a client.

    Args:
        database: that holds them.
        topic: its full name.
        names: public names of the tables into which it lands.
        upkeep: for `restore`, as for `create_tables`.
    """

    def __init__(self, database: str, topic: str, names: Iterable[str], upkeep: Upkeep | None = None) -> None:
        every = {ddl.name: ddl for ddl in tables(database)}
        self._database = database
        self.topic = topic
        self._tables = {name: every[name] for name in names}
        self._landed = every["landed"]
        self._upkeep = upkeep

    def landing(self, table: str) -> Landing:
        """What makes a row of the table one of its kind; `journal` has no model, its records are known by offset."""
        model = self._tables[table].model
        return Landing.OFFSET if model is None or model.TABLE is None else model.TABLE.landing

    def read(self, client: Client, partitions: Iterable[int]) -> dict[int, Standing]:
        """Step 1: how far these partitions have landed, and what is already there beyond.

        Raises:
            ClickHouseError: no answer.
        """
        standings = {partition: Standing() for partition in sorted(partitions)}
        rows = client.query(
            "SELECT partition, max(through), argMax((journal_offset, fact_index), through), toUnixTimestamp64Milli(max(landed_at)) "  # noqa: S608  names of ours
            f"FROM {self._where(self._landed)} WHERE topic = {{topic:String}} GROUP BY partition",
            parameters={"topic": self.topic},
        ).result_rows
        for partition, through, fact, landed_at in rows:
            if partition in standings:
                standings[partition] = Standing(through, tuple(fact), landed_at)
        for name in self._tables:
            for partition, beyond in self._read_beyond(client, name, standings).items():
                standings[partition].beyond[name] = beyond
        return standings

    def restore(self, client: Client, partitions: Iterable[int]) -> dict[int, Standing]:
        """As `read`, after ClickHouse was away: it may have come back without the tables, or some of them.

        All landers of a sink ask, one after the other, in the client's thread: the first makes what is missing, the others find it.

        Raises:
            ClickHouseError: no answer.
            UserError: as for `create_tables`.
        """
        create_tables(client, self._database, self._upkeep)
        return self.read(client, partitions)

    def _read_beyond(self, client: Client, table: str, standings: Standings) -> dict[int, Beyond]:
        facts = self.landing(table) is Landing.FACT
        found = "max((journal_offset, fact_index))" if facts else "groupUniqArray(offset)"
        beyond = " OR ".join(f"(partition = {partition} AND offset > {each.through})" for partition, each in standings.items())
        since = max(0, min(standing.landed_at for standing in standings.values()) - DAY_MS)
        rows = client.query(
            f"SELECT partition, {found} FROM {self._where(self._tables[table])} "  # noqa: S608  names of ours and integers
            f"WHERE topic = {{topic:String}} AND landed_at >= fromUnixTimestamp64Milli({since}) AND ({beyond}) GROUP BY partition",
            parameters={"topic": self.topic},
        ).result_rows
        return {partition: Beyond(fact=tuple(each)) if facts else Beyond(frozenset(each)) for partition, each in rows}

    def inserting(self, table: str, items: Sequence[Landable], landed_at: int) -> Callable[[Client], None]:
        """Step 3: a function which inserts the rows of these records as one block: all of them are there or none.

        The function raises:
            ClickHouseError: they are not there, or it is unknown whether they are.
        """

        def insert(client: Client) -> None:
            columns = columns_of(self._tables[table], items, self.topic, landed_at)
            if columns[0]:
                self._insert(client, self._tables[table], columns)

        return insert

    def insert_landed(self, client: Client, standings: Standings) -> None:
        """Step 4: everything of these partitions is there, up to `through`.

        Raises:
            ClickHouseError: it is not noted, or it is unknown whether it is.
        """
        rows = [(self.topic, partition, each.through, *each.fact, each.landed_at) for partition, each in standings.items()]
        self._insert(client, self._landed, [list(column) for column in zip(*rows, strict=True)])

    def _insert(self, client: Client, ddl: TableDDL, columns: Sequence[Sequence[object]]) -> None:
        names, types = [column.name for column in ddl.columns], [column.clickhouse_type for column in ddl.columns]
        send_block(client, native_block(self._where(ddl), names, types, columns))

    def _where(self, ddl: TableDDL) -> str:
        return f"`{self._database}`.`{ddl.insert_into}`"
