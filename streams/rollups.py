"""The rollups as ClickHouse keeps them: how fresh they are, brought up to date now, computed anew."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from clickhouse_connect.driver.client import Client

from schemas.clickhouse_rollups import rollups
from schemas.upkeep import Upkeep


@dataclass(frozen=True, slots=True)
class Refreshed:
    """How a rollup stands. Times are the server's."""

    name: str
    rows: int
    succeeded: datetime | None
    """When the last refresh that succeeded began; None: none since ClickHouse started."""
    next: datetime | None
    took_ms: int | None
    failure: str
    """Why the last refresh failed; empty if it did not."""


def how_fresh(client: Client, database: str) -> list[Refreshed]:
    """All rollups that are there, the finest first.

    Raises:
        ClickHouseError: no answer.
    """
    rows = client.query(
        "SELECT view, last_success_time, next_refresh_time, last_success_duration_ms, exception FROM system.view_refreshes "
        "WHERE database = {database:String}",
        parameters={"database": database},
    ).result_rows
    told = {view: rest for view, *rest in rows}
    sizes = client.query(
        "SELECT table, sum(rows) FROM system.parts WHERE active AND database = {database:String} GROUP BY table",
        parameters={"database": database},
    ).result_rows
    counted: dict[str, int] = dict(map(tuple, sizes))
    return [
        Refreshed(rollup.name, counted.get(rollup.insert_into, 0), *told[rollup.refresh])
        for rollup in rollups(database)
        if rollup.refresh in told
    ]


def refresh(client: Client, database: str) -> None:
    """Bring all rollups up to date and wait for it.

    Raises:
        ClickHouseError: no answer, or a refresh failed.
    """
    for rollup in rollups(database):
        client.command(f"SYSTEM REFRESH VIEW `{database}`.`{rollup.refresh}`")
        client.command(f"SYSTEM WAIT VIEW `{database}`.`{rollup.refresh}`")


def rebuild(client: Client, database: str, upkeep: Upkeep) -> None:
    """Compute all rollups anew from the events and facts that are there. They are empty until their next refresh has run.

    1. What fills them is dropped, the coarsest first. Guarantees that no refresh writes meanwhile.
    2. They are emptied. A refresh that finds nothing begins at the beginning.
    3. What fills them is made again. A crash before leaves them empty; the next start of the sink, or this again, goes on here.

    Raises:
        ClickHouseError: no answer, or no right to do so.
    """
    every = rollups(database, upkeep)
    for rollup in reversed(every):
        client.command(f"DROP VIEW IF EXISTS `{database}`.`{rollup.refresh}` SYNC")
    for rollup in every:
        client.command(f"TRUNCATE TABLE IF EXISTS `{database}`.`{rollup.insert_into}`")
    for rollup in every:
        client.command(rollup.refresh_sql)
