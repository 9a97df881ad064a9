"""`bourse explain POOL PERIOD TENANT`: why a tenant got what it got, by running the period's rule again on what was recorded."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated, Any

import typer
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError
from rich.console import Console

from infra.explain_page import Cap, page
from processors.explain import COMPARED, TRADED, PeriodInputs, UnknownTenantError
from processors.explain import explain as run_again
from schemas.published import Policy, Tier
from streams.clickhouse import connect
from streams.errors import BadInput, Unavailable
from streams.settings import Settings

LAST = "last"
# {db} becomes the database, {columns} COLUMNS, {pool}, {period} and {tenant} parameters that the server fills in.
COLUMNS = ("tenant", "elasticity", "weight", "demand", "budget_left", "used", *COMPARED, *TRADED)
CLOSED = "SELECT policy, capacity, price, unallocated FROM {db}.periods WHERE pool = {pool} AND period = {period}"
TERMS = (
    "SELECT base_price, reserve_price FROM {db}.pools WHERE pool = {pool} AND from_period <= {period} ORDER BY version DESC LIMIT 1"
)
ALLOCATIONS = "SELECT {columns} FROM {db}.allocations WHERE pool = {pool} AND period = {period} ORDER BY tenant"
BIDDERS = "SELECT DISTINCT tenant FROM {db}.profiles WHERE pool = {pool} AND from_period <= {period}"
# A version of a pool that is a token pool has a row of its replicas.
SHARED = (
    "SELECT replicas FROM {db}.token_pools WHERE pool = {pool} AND replicas IS NOT NULL "
    "AND version = (SELECT max(version) FROM {db}.pools WHERE pool = {pool} AND from_period <= {period})"
)
TIERS = "SELECT tenant, argMax(tier, version) FROM {db}.profiles WHERE pool = {pool} AND from_period <= {period} GROUP BY tenant"
BUDGET = (
    "SELECT budget_amount, budget_window_s FROM {db}.profiles WHERE pool = {pool} AND tenant = {tenant} "
    "AND from_period <= {period} ORDER BY version DESC LIMIT 1"
)
BOUNDS = "SELECT count() AS many, min(period) AS oldest, max(period) AS newest FROM {db}.periods WHERE pool = {pool}"
POOLS = "SELECT DISTINCT pool FROM {db}.pools ORDER BY pool"

NAMED = 8
"""How many pools or tenants a message lists."""


def explain(
    pool: Annotated[str, typer.Argument(help="Id of the pool.")],
    period: Annotated[str, typer.Argument(help="Number of a closed period, or `last`.")],
    tenant: Annotated[str, typer.Argument(help="Id of the tenant.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Tell why a tenant got what it got in a period: base, bid, rank, caps, share of the rest, price.

    Exit code 1 if the recorded row is not what the rule gives, 2 if there is no such pool, period or tenant.
    """
    settings = Settings.load()
    try:
        records = _Records(connect(settings), settings.clickhouse_database)
        inputs = records.period(pool, period)
        explanation = run_again(inputs, tenant)
        cap = records.cap(inputs, tenant)
    except UnknownTenantError as unknown:
        raise BadInput(f"tenant {tenant!r} has no row in period {inputs.period} of pool {pool!r}: {_some(inputs)}") from unknown
    except ClickHouseError as error:
        where = settings.shown("clickhouse") or settings.clickhouse_url
        reason = (str(error) or type(error).__name__).splitlines()[0][:300]
        raise Unavailable(f"ClickHouse at {where}: {reason}; bourse status tells more") from error
    if as_json:
        said = asdict(explanation) | {"cap": None if cap is None else asdict(cap), "proved": explanation.proved}
        typer.echo(json.dumps(said, indent=2, ensure_ascii=False))
    else:
        Console().print(page(explanation, cap))
    if not explanation.proved:
        raise typer.Exit(1)


def _some(inputs: PeriodInputs) -> str:
    tenants = [str(name) for name in inputs.rows["tenant"]]
    more = f" and {len(tenants) - NAMED:,} more" if len(tenants) > NAMED else ""
    return f"it has rows of {', '.join(tenants[:NAMED])}{more}" if tenants else "it has no rows"


class _Records:
    """What explaining reads: tables of one database."""

    def __init__(self, client: Client, database: str) -> None:
        self._client = client
        self._database = database

    def period(self, pool: str, wanted: str) -> PeriodInputs:
        """A closed period with all its rows.

        Raises:
            BadInput: there is none, or no such pool.
        """
        number = self._number(pool, wanted)
        where = {"pool": pool, "period": number}
        found = self._rows(CLOSED, where)
        if not found:
            raise BadInput(self._no_period(pool, number))
        closed, terms = found[0], self._rows(TERMS, where)[0]
        rows, bidders = self._columns(ALLOCATIONS, where), self._columns(BIDDERS, where)
        return PeriodInputs(
            pool=pool,
            period=number,
            policy=Policy(closed["policy"]),
            capacity=closed["capacity"],
            base_price=terms["base_price"],
            reserve_price=terms["reserve_price"],
            price=closed["price"],
            unallocated=closed["unallocated"],
            rows=dict(zip(COLUMNS, rows or [()] * len(COLUMNS), strict=True)),
            bidders=frozenset(bidders[0] if bidders else ()),
            tiers=self._tiers(where),
        )

    def _tiers(self, where: dict[str, Any]) -> dict[str, Tier] | None:
        """Bidders' tiers, in a token pool."""
        if not self._rows(SHARED, where):
            return None
        found = self._columns(TIERS, where)
        return {tenant: Tier(tier) for tenant, tier in zip(*found, strict=True)} if found else {}

    def cap(self, inputs: PeriodInputs, tenant: str) -> Cap | None:
        """The tenant's budget cap in the period; None if it has none."""
        where = {"pool": inputs.pool, "period": inputs.period, "tenant": tenant}
        found = self._rows(BUDGET, where)
        if not found or found[0]["budget_amount"] is None:
            return None
        return Cap(found[0]["budget_amount"], found[0]["budget_window_s"])

    def _number(self, pool: str, wanted: str) -> int:
        if wanted == LAST:
            return int(self._bounds(pool)["newest"])
        if not wanted.isascii() or not wanted.isdigit() or int(wanted) >= 2**63:
            raise BadInput(f"period {wanted!r}: the number of a period or {LAST!r} is expected")
        return int(wanted)

    def _bounds(self, pool: str) -> dict[str, Any]:
        """The oldest and newest closed period of a pool.

        Raises:
            BadInput: there is no such pool, or none of its periods is closed.
        """
        bounds = self._rows(BOUNDS, {"pool": pool})[0]
        if not bounds["many"]:
            raise BadInput(self._no_pool(pool))
        return bounds

    def _no_pool(self, pool: str) -> str:
        pools = [row["pool"] for row in self._rows(POOLS, {})]
        if pool in pools:
            return f"pool {pool!r} has no closed period yet"
        known = f"known are {', '.join(pools[:NAMED])}{', …' if len(pools) > NAMED else ''}" if pools else "there is none yet"
        return f"pool {pool!r} is not known: {known}"

    def _no_period(self, pool: str, period: int) -> str:
        bounds = self._bounds(pool)
        oldest, newest = bounds["oldest"], bounds["newest"]
        why = "it has not closed, or not landed, yet" if period > newest else "in it no period of the pool opened"
        return f"period {period} of pool {pool!r}: {why}; closed are {bounds['many']:,} from {oldest} to {newest}"

    def _query(self, text: str, parameters: dict[str, Any]) -> Any:
        types = {"pool": "String", "period": "Int64", "tenant": "String"}
        placed = {name: f"{{{name}:{kind}}}" for name, kind in types.items()}
        return self._client.query(
            text.format(db=f"`{self._database}`", columns=", ".join(COLUMNS), **placed), parameters=parameters
        )

    def _rows(self, text: str, parameters: dict[str, Any]) -> list[dict[str, Any]]:
        return list(self._query(text, parameters).named_results())

    def _columns(self, text: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
        """Column by column: empty if there are no rows."""
        found = self._query(text, parameters)
        return [tuple(column) for column in found.result_columns] if found.row_count else []
