"""Databases of tests, and rows in them as the sink's tables take them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError
from tenacity import retry, retry_if_exception, stop_after_delay, wait_fixed

from schemas.clickhouse import tables
from streams.settings import Settings

START = datetime(2026, 1, 1, tzinfo=UTC)
"""The time in rows that say none."""


def _is_refreshing(error: BaseException) -> bool:
    """A rollup's refresh made its table meanwhile: ClickHouse says "Try again" (DATABASE_NOT_EMPTY)."""
    return isinstance(error, DatabaseError) and "Code: 219" in str(error)


@retry(retry=retry_if_exception(_is_refreshing), stop=stop_after_delay(60), wait=wait_fixed(0.1), reraise=True)
def drop(client: Client, database: str) -> None:
    """A database goes, if it is there, whatever goes on in it."""
    client.command(f"DROP DATABASE IF EXISTS {database}")


def insert(client: Client, settings: Settings, name: str, rows: list[dict[str, Any]]) -> None:
    """Rows of a table; what they do not say is as good as nothing."""
    (table,) = (each for each in tables(settings.clickhouse_database) if each.name == name)
    known = {column.name for column in table.columns}
    assert all(row.keys() <= known for row in rows), f"{name} has no column of such a name"
    data = [[row.get(column.name, empty(column.clickhouse_type)) for column in table.columns] for row in rows]
    client.insert(
        f"{settings.clickhouse_database}.{table.insert_into}", data, column_names=[column.name for column in table.columns]
    )


def empty(clickhouse_type: str) -> Any:
    if "Nullable" in clickhouse_type:
        return None
    if "DateTime64" in clickhouse_type:
        return START
    if "Array" in clickhouse_type:
        return []
    return 0 if "Int" in clickhouse_type or "Decimal" in clickhouse_type else ""
