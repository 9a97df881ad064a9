"""Makes our tables and views in ClickHouse, and brings those of an older release up to date."""

from __future__ import annotations

import re
from collections.abc import Mapping

from clickhouse_connect.driver.client import Client

from schemas.clickhouse import LANDED_THROUGH, LANDED_THROUGH_COMMENT, LANDING_COLUMNS, tables
from schemas.clickhouse_rollups import rollups
from schemas.clickhouse_setup import retention, setup_names, setup_stamp, setup_statements
from schemas.upkeep import Upkeep
from streams.errors import UserError


def create_tables(client: Client, database: str, upkeep: Upkeep | None = None) -> None:
    """Make what is missing; bring what an older release or other settings made up to date. Changes nothing when run again.

    1. Look: where everything is there, as these statements make it, nothing is left to do. Guarantees that it can be asked at
       each start and after each outage: two questions, 0.1 s in the embedded store. There the statements take 4 to 10 s, as both
       cores are busy or not: a hundred for an empty store, a third more for one of an older release, of 10 to 200 ms each.
    2. Take the stamp off (schemas/clickhouse_setup.py, `setup_stamp`). Guarantees that a crash below is seen by step 1.
    3. Run the statements, and bring rows over. Several may do so at once: each says IF NOT EXISTS or OR REPLACE.
    4. Check the types of all columns.
    5. Put the stamp on.
    What was dropped by hand is missed by step 1, and made again. A view that was replaced by hand is not.

    Args:
        client: that may make tables.
        database: that shall hold them.
        upkeep: how often rollups are refreshed and how long rows are kept; default: every minute, for ever.

    Raises:
        ClickHouseError: no answer, or no right to do so.
        UserError: a table there has a column of another type: nothing is migrated but by adding.
    """
    upkeep = upkeep or Upkeep()
    stamp = setup_stamp(database, upkeep)
    comments = _about_tables(client, database, "comment")
    if comments.get(LANDED_THROUGH) == stamp and comments.keys() >= setup_names(database) and not _wrong_column(client, database):
        return
    if comments.get(LANDED_THROUGH, LANDED_THROUGH_COMMENT) != LANDED_THROUGH_COMMENT:
        _stamp(client, database, LANDED_THROUGH_COMMENT)
    _set_old_ledger_aside(client, database)
    _drop_changed_refreshes(client, comments, database, upkeep)
    for statement in setup_statements(database, upkeep, comments.keys()):
        client.command(statement)
    _bring_old_ledger_over(client, database)
    if wrong := _wrong_column(client, database):
        raise UserError(wrong)
    _keep(client, database, upkeep)
    _stamp(client, database, stamp)


def _stamp(client: Client, database: str, comment: str) -> None:
    client.command(f"ALTER TABLE `{database}`.`{LANDED_THROUGH}` MODIFY COMMENT '{comment}'")


def _drop_changed_refreshes(client: Client, comments: Mapping[str, str], database: str, upkeep: Upkeep) -> None:
    """What fills a rollup is only a query: where it or its interval is another one now, it is made anew and goes on."""
    for rollup in reversed(rollups(database, upkeep)):
        if comments.get(rollup.refresh, rollup.refresh_comment) != rollup.refresh_comment:
            client.command(f"DROP VIEW IF EXISTS `{database}`.`{rollup.refresh}` SYNC")


def _keep(client: Client, database: str, upkeep: Upkeep) -> None:
    """Tell ClickHouse how long rows are kept, where it does not know yet."""
    engines = _about_tables(client, database, "engine_full")
    for kept in retention(upkeep):
        known = _TTL.search(engines[kept.table])
        if (known[1] if known else None) == kept.expires:
            continue
        where = f"`{database}`.`{kept.table}`"
        if kept.expires is None:
            client.command(f"ALTER TABLE {where} REMOVE TTL")
        else:
            client.command(f"ALTER TABLE {where} MODIFY SETTING ttl_only_drop_parts = 1")
            client.command(f"ALTER TABLE {where} MODIFY TTL {kept.expires}")


_TTL = re.compile(r" TTL (.+?)(?: SETTINGS |$)")


def _about_tables(client: Client, database: str, what: str) -> dict[str, str]:
    rows = client.query(
        f"SELECT name, {what} FROM system.tables WHERE database = {{database:String}}",  # noqa: S608  a column of ours
        parameters={"database": database},
    ).result_rows
    return {str(name): str(told) for name, told in rows}


_LEDGER, _OLD_LEDGER = "ledger_landed", "ledger_landed_v1"


def _set_old_ledger_aside(client: Client, database: str) -> None:
    """The ledger of releases before the market is sorted otherwise and names accounts otherwise: adding columns mends neither.

    1. Here it is renamed. Guarantees that no row of it is lost.
    2. A new one is made, as everything else.
    3. Its rows are brought over, and only then it is dropped. Rows are known by their facts, so after a crash those that are
       brought over again are the same rows, and so are those that a sink lands meanwhile.
    """
    if "kind" in _columns(client, database, _LEDGER) and "entry" not in _columns(client, database, _LEDGER):
        client.command(f"RENAME TABLE `{database}`.`{_LEDGER}` TO `{database}`.`{_OLD_LEDGER}`")


def _bring_old_ledger_over(client: Client, database: str) -> None:
    """Step 3. All postings of version 1 were allocations, billed to what was called a tenant's account (schemas/evolution.py)."""
    if not _columns(client, database, _OLD_LEDGER):
        return
    kept = ("pool", "journal_offset", "fact_index", "period", "credit_account", "amount", *(each.name for each in LANDING_COLUMNS))
    names = ", ".join(f"`{name}`" for name in kept)
    client.command(
        f"INSERT INTO `{database}`.`{_LEDGER}` ({names}, entry, code, asset, hold, debit_account) "  # noqa: S608  names of ours
        f"SELECT {names}, 'post', 'allocation', -1, '', "
        "concat('billed/', if(startsWith(debit_account, 'tenant/'), substring(debit_account, 8), debit_account)) "
        f"FROM `{database}`.`{_OLD_LEDGER}`"
    )
    client.command(f"DROP TABLE IF EXISTS `{database}`.`{_OLD_LEDGER}`")


def _columns(client: Client, database: str, table: str) -> set[str]:
    rows = client.query(
        "SELECT name FROM system.columns WHERE database = {database:String} AND table = {table:String}",
        parameters={"database": database, "table": table},
    ).result_rows
    return {name for (name,) in rows}


def _wrong_column(client: Client, database: str) -> str | None:
    """What is wrong with the first column that is missing or of another type, and what to do; None where all are as they should."""
    rows = client.query(
        "SELECT table, name, type FROM system.columns WHERE database = {database:String}", parameters={"database": database}
    ).result_rows
    there = {(table, name): kind for table, name, kind in rows}
    for ddl in tables(database):
        for column in ddl.columns:
            found = there.get((ddl.insert_into, column.name))
            if found != column.clickhouse_type:
                return (
                    f"ClickHouse: {database}.{ddl.insert_into}.{column.name} is {found}, needed is {column.clickhouse_type}; "
                    f"rename the table away, and its rows land again from Kafka after `TRUNCATE TABLE {database}.{LANDED_THROUGH}`"
                )
    return None
