"""Databases of tests."""

from __future__ import annotations

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError
from tenacity import retry, retry_if_exception, stop_after_delay, wait_fixed


def _is_refreshing(error: BaseException) -> bool:
    """A rollup's refresh made its table meanwhile: ClickHouse says "Try again" (DATABASE_NOT_EMPTY)."""
    return isinstance(error, DatabaseError) and "Code: 219" in str(error)


@retry(retry=retry_if_exception(_is_refreshing), stop=stop_after_delay(60), wait=wait_fixed(0.1), reraise=True)
def drop(client: Client, database: str) -> None:
    """A database goes, if it is there, whatever goes on in it."""
    client.command(f"DROP DATABASE IF EXISTS {database}")
