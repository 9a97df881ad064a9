"""The tables that are landed into: an insert is one part, columns are extended and checked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client
from landing_world import DDL, ask

from streams.clickhouse import native_block, send_block
from streams.errors import UserError
from streams.settings import Settings
from streams.tables import create_tables


def usage_columns(rows: int, payload: str = "") -> list[Sequence[Any]]:
    numbers = list(range(rows))
    names = [column.name for column in DDL["usage_events"].columns]
    special: dict[str, Sequence[Any]] = {"id": [str(n) for n in numbers], "offset": numbers}
    text = {column.name for column in DDL["usage_events"].columns if "String" in column.clickhouse_type}
    return [special.get(name) or ([payload or "x"] * rows if name in text else [1] * rows) for name in names]


@pytest.mark.parametrize(("rows", "payload"), [(1, "x"), (1_200_000, "x"), (40, "y" * 5_000_000)])
def test_an_insert_is_one_part(settings: Settings, client: Client, rows: int, payload: str) -> None:
    """More rows than any block size of ClickHouse, and more bytes: whole or not at all."""
    ddl = DDL["usage_events"]
    columns = usage_columns(rows)
    columns[[column.name for column in ddl.columns].index("request_id")] = [payload] * rows
    names, types = [column.name for column in ddl.columns], [column.clickhouse_type for column in ddl.columns]
    send_block(client, native_block(f"{settings.clickhouse_database}.{ddl.insert_into}", names, types, columns))
    # Each part that was ever written has taken a block number, also if parts have been merged since.
    parts = "SELECT sum(rows), max(max_block_number) FROM system.parts WHERE active AND database = 'DB' AND table = "
    assert ask(client, settings, f"{parts}'{ddl.insert_into}'") == [(rows, 1)]


def test_tables_are_made_once_and_extended(settings: Settings, client: Client) -> None:
    database = settings.clickhouse_database
    before = ask(client, settings, "SELECT table, name, type, position FROM system.columns WHERE database = 'DB' ORDER BY ALL")
    # As an older release would have left it.
    client.command(f"ALTER TABLE {database}.usage_events_landed DROP COLUMN model")
    create_tables(client, database)
    create_tables(client, database)
    assert (
        ask(client, settings, "SELECT table, name, type, position FROM system.columns WHERE database = 'DB' ORDER BY ALL") == before
    )


def test_a_column_of_another_type_is_named(settings: Settings, client: Client) -> None:
    database = settings.clickhouse_database
    client.command(f"ALTER TABLE {database}.usage_events_landed MODIFY COLUMN input_tokens String CODEC(ZSTD)")
    with pytest.raises(UserError, match=r"usage_events_landed\.input_tokens is String, needed is Int64"):
        create_tables(client, database)
