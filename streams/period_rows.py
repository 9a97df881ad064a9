"""A closed period of one tenant as ClickHouse has it: what `processors.explain` takes, at once and without folding a journal.

It is what the journal gives (a test compares them), less what only the engine's state knows: which experts carried a forecast, and
how the tokens that gateways were told changed within the period. 100,000 tenants: their rows take a second.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from clickhouse_connect.driver.client import Client

from processors.explain import (
    COLUMNS,
    BaseMove,
    Bases,
    Circumstances,
    Debt,
    Forecast,
    Limit,
    PeriodInputs,
    PeriodRecord,
    Profile,
    Trade,
    Transfer,
)
from processors.explain.witness import SHARES, NotToldError, moved, noted
from schemas.loops import BaseChange, BaseReason
from schemas.published import BidOn, Forecaster, Policy, Tier

NAMED = 8
"""How many pools or tenants a message lists."""

# {db} becomes the database, {columns} COLUMNS, {kept} what is kept of each dimension; {pool}, {period} and {tenant} are parameters
# that the server fills in.
CLOSED = "SELECT policy, capacity, price, unallocated FROM {db}.periods WHERE pool = {pool} AND period = {period}"
TERMS = (
    "SELECT version, base_price, reserve_price FROM {db}.pools "
    "WHERE pool = {pool} AND from_period <= {period} ORDER BY version DESC LIMIT 1"
)
ALLOCATIONS = "SELECT {columns} FROM {db}.allocations WHERE pool = {pool} AND period = {period} ORDER BY tenant"
# A version of a pool that is a token pool has a row of its replicas.
SHARED = (
    "SELECT replicas FROM {db}.token_pools WHERE pool = {pool} AND replicas IS NOT NULL "
    "AND version = (SELECT max(version) FROM {db}.pools WHERE pool = {pool} AND from_period <= {period})"
)
TIERS = "SELECT tenant, argMax(tier, version) FROM {db}.profiles WHERE pool = {pool} AND from_period <= {period} GROUP BY tenant"
PROFILE = (
    "SELECT version, from_period, base, toInt64(p.elasticity * 1000000) AS elasticity, toInt64(p.weight * 1000000) AS weight, "
    "sla_ms, budget_amount, budget_window_s, tier, bid_on FROM {db}.profiles AS p "
    "WHERE pool = {pool} AND tenant = {tenant} AND from_period <= {period} ORDER BY version DESC LIMIT 1"
)
FORECAST = (
    "SELECT forecaster, mean, p50, p90, p99 FROM {db}.forecasts WHERE pool = {pool} AND period = {period} AND tenant = {tenant}"
)
# Forecasts are the facts right before the one that opens the period.
OPENED = (
    "SELECT max((journal_offset, fact_index)) AS place FROM {db}.forecasts "
    "WHERE pool = {pool} AND period = {period} HAVING count() > 0"
)
DEBT = (
    "SELECT debt FROM {db}.debts WHERE pool = {pool} AND tenant = {tenant} AND period < {period} "
    "ORDER BY journal_offset DESC, fact_index DESC LIMIT 1"
)
BOOST = (
    "SELECT boost, paid FROM {db}.sla_periods WHERE pool = {pool} AND tenant = {tenant} AND period < {period} "
    "ORDER BY journal_offset DESC, fact_index DESC LIMIT 1"
)
# Decided while the period before was open, or as it closed.
MOVES = (
    "SELECT kind, reason, before, after, counterparty AS other FROM {db}.sla "
    "WHERE pool = {pool} AND tenant = {tenant} AND period < {period} "
    "AND period >= (SELECT max(period) FROM {db}.periods WHERE pool = {pool} AND period < {period}) "
    "ORDER BY journal_offset, fact_index, record_row"
)
TRADES = (
    "SELECT toUnixTimestamp64Milli(time) AS ms, buyer, seller, price, qty, buyer_fee, seller_fee, "
    "(journal_offset, fact_index) AS place FROM {db}.trades "
    "WHERE pool = {pool} AND period = {period} AND (buyer = {tenant} OR seller = {tenant}) "
    "ORDER BY journal_offset, fact_index, number"
)
TRANSFERS = (
    "SELECT tenant, to, tokens, money, for_tokens, for_money, (journal_offset, fact_index) AS place FROM {db}.transfers "
    "WHERE pool = {pool} AND period = {period} AND event IN ('done', 'accepted') AND (tenant = {tenant} OR to = {tenant}) "
    "ORDER BY journal_offset, fact_index, record_row"
)
STANDING = (
    "SELECT {kept} FROM {db}.limits WHERE pool = {pool} AND tenant = {tenant} AND period < {period} "
    "ORDER BY journal_offset DESC, fact_index DESC LIMIT 1"
)
LIMITS = (
    "SELECT {kept} FROM {db}.limits WHERE pool = {pool} AND tenant = {tenant} AND period = {period} "
    "ORDER BY journal_offset, fact_index"
)
BOUNDS = "SELECT count() AS many, min(period) AS oldest, max(period) AS newest FROM {db}.periods WHERE pool = {pool}"
POOLS = "SELECT DISTINCT pool FROM {db}.pools ORDER BY pool"

Place = tuple[int, int]
"""(journal offset, index): where a fact stands."""


class PeriodRows:
    """Reads periods from one database."""

    def __init__(self, client: Client, database: str) -> None:
        self._client = client
        self._database = database

    def record(self, pool: str, period: int | None, tenant: str) -> PeriodRecord:
        """A closed period of a tenant; None: the last that closed.

        Raises:
            NotToldError: there is none, or no such pool; the message is for people.
            ClickHouseError: ClickHouse does not answer.
        """
        where: dict[str, Any] = {"pool": pool, "period": self._newest(pool) if period is None else period, "tenant": tenant}
        found = self._rows(CLOSED, where)
        if not found:
            raise NotToldError(self._no_period(pool, where["period"]))
        terms = self._rows(TERMS, where)[0]
        inputs = self._inputs(found[0], terms, where)
        return PeriodRecord(inputs, self._around(inputs, terms["version"], where))

    def _inputs(self, closed: dict[str, Any], terms: dict[str, Any], where: dict[str, Any]) -> PeriodInputs:
        rows = dict(zip(COLUMNS, self._columns(ALLOCATIONS, where) or [()] * len(COLUMNS), strict=True))
        declared = self._columns(TIERS, where)
        tiers = {tenant: Tier(tier) for tenant, tier in zip(*declared, strict=True)} if declared else {}
        return PeriodInputs(
            pool=where["pool"],
            period=where["period"],
            policy=Policy(closed["policy"]),
            capacity=closed["capacity"],
            base_price=terms["base_price"],
            reserve_price=terms["reserve_price"],
            price=closed["price"],
            # What the operator sold of it later was left when the rule was run.
            unallocated=closed["unallocated"] + sum(rows["bought"]) - sum(rows["sold"]),
            rows=rows,
            bidders=frozenset(tiers),
            tiers=tiers if self._rows(SHARED, where) else None,
        )

    def _around(self, inputs: PeriodInputs, version: int, where: dict[str, Any]) -> Circumstances:
        profile = self._profile(where)
        opened = self._rows(OPENED, where)
        begun: Place = opened[0]["place"] if opened else (-1, -1)
        return Circumstances(
            pool_version=version,
            profile=profile,
            forecast=self._forecast(where),
            debt=self._debt(inputs, profile, where),
            bases=self._bases(inputs, profile, where),
            trades=tuple(self._trades(where, begun)),
            transfers=tuple(self._transfers(where, begun)),
            limits=self._limits(where),
        )

    def _profile(self, where: dict[str, Any]) -> Profile | None:
        for row in self._rows(PROFILE, where):
            return Profile(**{**row, "tier": Tier(row["tier"]), "bid_on": BidOn(row["bid_on"])})
        return None

    def _forecast(self, where: dict[str, Any]) -> Forecast | None:
        for row in self._rows(FORECAST, where):
            forecaster = Forecaster(row["forecaster"])
            return Forecast(**{**row, "forecaster": forecaster}, observed=None, experts=None)
        return None

    def _debt(self, inputs: PeriodInputs, profile: Profile | None, where: dict[str, Any]) -> Debt | None:
        if inputs.tiers is None or profile is None:
            return None
        weights: dict[object, Any] = dict(zip(inputs.rows["tenant"], inputs.rows["weight"], strict=True))
        owed = self._rows(DEBT, where)
        return Debt(owed[0]["debt"] if owed else 0, profile.weight, weights.get(where["tenant"], 0))

    def _bases(self, inputs: PeriodInputs, profile: Profile | None, where: dict[str, Any]) -> Bases | None:
        """What is declared follows from what was given and is owed of the base in force."""
        rows: Any = inputs.rows
        if profile is None or where["tenant"] not in rows["tenant"]:
            return None
        at = rows["tenant"].index(where["tenant"])
        boost, lent = next(((row["boost"], row["paid"]) for row in self._rows(BOOST, where)), (0, 0))
        declared = rows["base"][at] + rows["shortfall"][at] - boost + lent
        moves = tuple(BaseMove(**{**row, **_words(row)}) for row in self._rows(MOVES, where))
        return moved(Bases(declared, boost, lent, moves), profile)

    def _trades(self, where: dict[str, Any], begun: Place) -> Iterator[Trade]:
        for row in self._rows(TRADES, where):
            sides = (("buy", "buyer", "seller", "buyer_fee"), ("sell", "seller", "buyer", "seller_fee"))
            for side, one, other, fee in sides:
                if row[one] == where["tenant"]:
                    yield Trade(row["ms"], side, row[other], row["price"], row["qty"], row[fee], row["place"] <= begun)

    def _transfers(self, where: dict[str, Any], begun: Place) -> Iterator[Transfer]:
        for row in self._rows(TRANSFERS, where):
            mine = (row["tokens"], row["money"])
            theirs = (row["for_tokens"], row["for_money"])
            if row["tenant"] != where["tenant"]:
                mine, theirs = theirs, mine
            other = row["to"] if row["tenant"] == where["tenant"] else row["tenant"]
            yield Transfer(other, theirs[0], mine[0], theirs[1], mine[1], row["place"] <= begun)

    def _limits(self, where: dict[str, Any]) -> tuple[Limit, ...]:
        """Of a token pool."""
        found: dict[str, Limit] = {}
        for row in (*self._rows(STANDING, where), *self._rows(LIMITS, where)):
            for name in SHARES:
                noted(found, name, row[name])
        return tuple(found.values())

    def _newest(self, pool: str) -> int:
        return int(self._bounds(pool)["newest"])

    def _bounds(self, pool: str) -> dict[str, Any]:
        bounds = self._rows(BOUNDS, {"pool": pool})[0]
        if not bounds["many"]:
            raise NotToldError(self._no_pool(pool))
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
        lists = {"columns": ", ".join(COLUMNS), "kept": ", ".join(f"{name}_kept AS {name}" for name in SHARES)}
        return self._client.query(text.format(db=f"`{self._database}`", **lists, **placed), parameters=parameters)

    def _rows(self, text: str, parameters: dict[str, Any]) -> list[dict[str, Any]]:
        return list(self._query(text, parameters).named_results())

    def _columns(self, text: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
        """Column by column: empty if there are no rows."""
        found = self._query(text, parameters)
        return [tuple(column) for column in found.result_columns] if found.row_count else []


def _words(row: dict[str, Any]) -> dict[str, Any]:
    return {"kind": BaseChange(row["kind"]), "reason": BaseReason(row["reason"])}
