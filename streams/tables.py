"""Makes our tables and views in ClickHouse, and brings those of an older release up to date."""

from __future__ import annotations

from clickhouse_connect.driver.client import Client

from schemas.clickhouse import setup_statements, tables
from streams.errors import UserError


def create_tables(client: Client, database: str) -> None:
    """Make what is missing; add columns that an older release did not have. Changes nothing when run again (0.2 s).

    Several may run it at once: each statement says IF NOT EXISTS or OR REPLACE.

    Raises:
        ClickHouseError: no answer, or no right to do so.
        UserError: a table there has a column of another type: nothing is migrated but by adding.
    """
    for statement in setup_statements(database):
        client.command(statement)
    _check_types(client, database)


def _check_types(client: Client, database: str) -> None:
    rows = client.query(
        "SELECT table, name, type FROM system.columns WHERE database = {database:String}", parameters={"database": database}
    ).result_rows
    there = {(table, name): kind for table, name, kind in rows}
    for ddl in tables(database):
        for column in ddl.columns:
            found = there.get((ddl.insert_into, column.name))
            if found != column.clickhouse_type:
                raise UserError(
                    f"ClickHouse: {database}.{ddl.insert_into}.{column.name} is {found}, needed is {column.clickhouse_type}; "
                    f"rename the table away, and its rows land again from Kafka after `TRUNCATE TABLE {database}.landed_through`"
                )
