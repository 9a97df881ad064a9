"""Reading history from ClickHouse: which pools there are, what their tenants used in an hour, and as what they stand.

Only closed periods count, and only those that have landed whole: a period's row is believed when the sink has noted that everything
up to it is there (`landed`), which it does after the last of its tables. An hour is read once and kept (processors/history.py), so
that a plan reads what is new: at 100,000 tenants and periods of a minute 6,000,000 rows of `allocations`, which ClickHouse adds up
in three questions (1 s, 30 MB here). The first plan of a process reads the whole look-back that way, hour by hour: three minutes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from clickhouse_connect.driver.client import Client

from processors.history import History, holes
from processors.priors import Standing
from processors.rebalance import RebalanceSettings
from schemas.planning_facts import PriorOutcome
from schemas.published import Forecaster
from schemas.units import MAX_TOKENS

HOUR_S = 3600
DAY_S = 86_400

MOST_ROWS = 2_000_000
"""Of `allocations` that one question reads: 0.3 s on a quiet core, far below what ClickHouse is given to answer."""


class ClosedPool(NamedTuple):
    """A pool whose periods have landed.

    Attributes:
        period_s: seconds of a period.
        begin_s: beginning of the first closed period, seconds since 1970.
        end_s: end of the last.
    """

    pool: str
    period_s: int
    begin_s: int
    end_s: int


class Hour(NamedTuple):
    """Who was observed in an hour, and the mean of what each used in its periods, tokens."""

    tenant: list[str]
    tokens: list[int]


class Reader:
    """Questions to one database, each answered by one call in the client's thread.

    Its methods raise:
        ClickHouseError: no answer, or no such table yet.
    """

    def __init__(self, database: str) -> None:
        self._database = database

    def pools(self, client: Client) -> list[ClosedPool]:
        """Those with a closed period, in the order of their names."""
        rows = self._rows(
            client,
            "SELECT p.pool, argMax(p.period_s, p.period), min(p.period), max(p.period) FROM {db}.periods_landed AS p "
            "INNER JOIN {db}.landed AS l ON l.topic = p.topic AND l.partition = p.partition "
            "WHERE p.offset <= l.through GROUP BY p.pool ORDER BY p.pool",
        )
        return [ClosedPool(pool, period_s, first * period_s, (last + 1) * period_s) for pool, period_s, first, last in rows]

    def hour(self, client: Client, pool: ClosedPool, hour: int) -> Hour:
        """What tenants used in the periods that began in an hour and closed; empty where none did."""
        first, behind = (-(-at * HOUR_S // pool.period_s) for at in (hour, hour + 1))
        used: dict[str, int] = {}
        periods: dict[str, int] = {}
        for part in _parts(self._telling_periods(client, pool, first, behind)):
            rows = self._rows(
                client,
                # Wide sums: an hour of periods of a second with the most tokens that there may be exceeds an int64.
                "SELECT tenant, sum(toInt128(least(used, {most:Int64}))), count() FROM {db}.allocations "
                "WHERE pool = {pool:String} AND period >= {first:Int64} AND period <= {last:Int64} "
                "AND period IN {periods:Array(Int64)} GROUP BY tenant",
                pool=pool.pool,
                first=part[0],
                last=part[-1],
                periods=part,
                most=MAX_TOKENS,
            )
            for tenant, tokens, count in rows:
                used[tenant] = used.get(tenant, 0) + int(tokens)
                periods[tenant] = periods.get(tenant, 0) + count
        tenants = sorted(used)
        return Hour(tenants, [used[tenant] // periods[tenant] for tenant in tenants])

    def _telling_periods(self, client: Client, pool: ClosedPool, first: int, behind: int) -> list[tuple[int, int]]:
        """Periods of which it is known what was used, with their tenants. Looks a day further back: a gap follows upon use."""
        rows = self._rows(
            client,
            "SELECT period, used, tenants, arrayExists(meter -> startsWith(meter, 'usage/'), late_meters) FROM {db}.periods "
            "WHERE pool = {pool:String} AND period >= {first:Int64} AND period < {behind:Int64} ORDER BY period",
            pool=pool.pool,
            first=first - DAY_S // pool.period_s - 1,
            behind=behind,
        )
        if not rows:
            return []
        period, used, tenants, late = (np.array(column, np.int64) for column in zip(*rows, strict=True))
        telling = ~holes(used, tenants, period, late != 0, pool.period_s) & (period >= first)
        return list(zip(period[telling].tolist(), tenants[telling].tolist(), strict=True))

    def standings(self, client: Client, pool: ClosedPool) -> dict[str, Standing]:
        """All tenants with a profile, in the order of their names."""
        rows = self._rows(
            client,
            "SELECT tenant, argMax(base, version), min(from_period) FROM {db}.profiles WHERE pool = {pool:String} "
            "GROUP BY tenant ORDER BY tenant",
            pool=pool.pool,
        )
        learns_from = self._learns_from(client, pool)
        return {tenant: Standing(base, _hour_of(max(since, learns_from or 0), pool.period_s)) for tenant, base, since in rows}

    def has_mixture(self, client: Client, pool: ClosedPool) -> bool:
        """Whether the pool's forecaster is one that keeps profiles."""
        return self._learns_from(client, pool) is not None

    def _learns_from(self, client: Client, pool: ClosedPool) -> int | None:
        """The period from which the pool has had the mixture ever since; None if its newest version has another forecaster."""
        versions = self._rows(
            client, "SELECT from_period, forecaster FROM {db}.pools WHERE pool = {pool:String} ORDER BY version", pool=pool.pool
        )
        since = None
        for from_period, forecaster in versions:
            if forecaster != Forecaster.MIXTURE:
                since = None
            elif since is None:
                since = from_period
        return since

    def rebalancing(self, client: Client, pool: ClosedPool) -> RebalanceSettings | None:
        """How the pool rebalances; None if it does not."""
        rows = self._rows(
            client,
            "SELECT rebalance_enabled, rebalance_quantile, rebalance_fewest, rebalance_look_back_h FROM {db}.loops "
            "WHERE pool = {pool:String} ORDER BY version DESC LIMIT 1",
            pool=pool.pool,
        )
        if not rows or not rows[0][0]:
            return None
        _, quantile, fewest, look_back_h = rows[0]
        # What is not asked for concerns how bases move, which is the engine's.
        return RebalanceSettings(quantile=int(quantile.scaleb(6)), fewest=fewest, look_back_h=look_back_h)

    def told(self, client: Client, pool: ClosedPool) -> dict[str, int]:
        """Who has been given priors, and as of when the newest: ms since 1970."""
        rows = self._rows(
            client,
            "SELECT tenant, toUnixTimestamp64Milli(max(p.as_of)) FROM {db}.priors AS p WHERE pool = {pool:String} "
            "AND outcome != {unknown:String} GROUP BY tenant",
            pool=pool.pool,
            unknown=PriorOutcome.UNKNOWN_TENANT,
        )
        return dict(rows)

    def _rows(self, client: Client, sql: str, **parameters: Any) -> list[Any]:
        return list(client.query(sql.replace("{db}", f"`{self._database}`"), parameters=parameters).result_rows)


def _parts(periods: list[tuple[int, int]]) -> Iterator[list[int]]:
    """Periods, in parts of at most MOST_ROWS rows of `allocations`, or of one period."""
    part: list[int] = []
    rows = 0
    for period, tenants in periods:
        if part and rows + tenants > MOST_ROWS:
            yield part
            part, rows = [], 0
        part.append(period)
        rows += tenants
    if part:
        yield part


def _hour_of(period: int, period_s: int) -> int:
    """The hour since 1970 in which a period begins."""
    return period * period_s // HOUR_S


def hours_to_read(history: History, pool: ClosedPool, as_of_s: int) -> range:
    """The hours that are over as of then and have not been taken in yet."""
    behind = as_of_s // HOUR_S
    first = max(behind - history.look_back, pool.begin_s // HOUR_S)
    return range(first if history.through is None else max(first, history.through + 1), behind)
