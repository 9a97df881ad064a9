"""What the demo asks ClickHouse: how far landing is, and at the end whether everything arrived once."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from infra.demo.trading import Met, Traded, Volume
from streams.clickhouse import connect
from streams.errors import Unavailable, UserError
from streams.settings import Settings

LANDING_S = 90.0
"""How long the last events may take to land and their period to close: the period, the grace, and a slow machine."""
LOOK_EVERY_S = 0.5


@dataclass(frozen=True, slots=True)
class Period:
    """A closed period as it landed."""

    period: int
    start: str
    capacity: int
    allocated: int
    used: int
    price: int
    traded: int
    traded_at: int
    """Nanocredits per token on average, of trades of this period's tokens; 0 without any."""

    @property
    def utilisation(self) -> float:
        """Used tokens of the capacity; more than 1 where tenants used more than there was."""
        return self.used / self.capacity if self.capacity else 0.0


@dataclass(frozen=True, slots=True)
class Arrival:
    """One topic's events of this run in ClickHouse. All zero but `published` and `landed`: nothing lost, nothing doubled.

    Of a gateway `published` is how many there must be: one for each request that it admitted, as its clients know.
    """

    pool: str
    kind: str
    published: int
    landed: int
    distinct: int
    dead: int

    @property
    def lost(self) -> int:
        """Published but not landed."""
        return self.published - self.distinct

    @property
    def doubled(self) -> int:
        """Landed more than once."""
        return self.landed - self.distinct

    @property
    def exact(self) -> bool:
        """Whether each landed once."""
        return not (self.lost or self.doubled or self.dead)


@dataclass(frozen=True, slots=True)
class TenantSums:
    """A tenant's tokens as they were published, as they landed, and as they were counted into periods; its charges."""

    tenant: str
    published: int
    landed: int
    counted: int
    charge: int

    @property
    def exact(self) -> bool:
        """Whether all three agree."""
        return self.published == self.landed == self.counted


@dataclass(frozen=True, slots=True)
class Boosts:
    """What the SLA loop did.

    Attributes:
        tenants: that have an SLA.
        periods: of tenants with an SLA, in which they made requests.
        exceeded: of these, those in which the latency exceeded it.
        most: tokens of all boosts in the period that had most.
        boosted: periods that had any.
        payers: tenants that lent some.
        left: tokens of all boosts as of the last period.
    """

    tenants: int
    periods: int
    exceeded: int
    most: int
    boosted: int
    payers: int
    left: int


KINDS = ("usage", "latency")
"""Of events: names of their topics, and their tables are `<kind>_events`."""


class DemoStore:
    """Queries about one run: its events name `source`, its pool is `pool`."""

    def __init__(self, settings: Settings, source: str, pool: str) -> None:
        self._settings = settings
        self._client: Client | None = None
        self.pool = pool
        self._of_run = {"source": source, "pool": pool}

    def landed(self) -> int:
        """Events of this run that have landed."""
        counts = (f"(SELECT count() FROM {kind}_events WHERE source = {{source:String}})" for kind in KINDS)  # noqa: S608  our own words
        return int(self._query(f"SELECT {' + '.join(counts)}")[0][0])

    def periods(self, after: int) -> list[Period]:
        """Closed periods of the pool after this one, oldest first, all of whose facts have landed."""
        rows = self._query(
            "SELECT p.period, formatDateTime(p.period_start, '%H:%i:%S'), p.capacity, p.allocated, p.used, p.price,"
            " toInt64(t.traded), toInt64(intDivOrZero(t.money, t.traded)) FROM periods AS p"
            " LEFT JOIN (SELECT period, sum(toInt128(qty)) AS traded, sum(toInt128(qty) * price) AS money FROM trades"
            " WHERE pool = {pool:String} GROUP BY period) AS t ON t.period = p.period"
            " WHERE p.pool = {pool:String} AND p.period > {after:Int64} AND (p.partition, p.journal_offset) IN (SELECT q.partition,"
            " q.journal_offset FROM periods AS q JOIN landed AS l ON l.partition = q.partition WHERE q.pool = {pool:String}"
            " AND l.topic = {facts:String} AND q.journal_offset < l.journal_offset) ORDER BY p.period",
            after=after,
            facts=self._settings.topic("facts"),
        )
        return [Period(*row) for row in rows]

    def arrivals(self, published: Mapping[str, int]) -> list[Arrival]:
        """What became of the published events: kind -> how many were acknowledged."""
        return [self._arrival(kind, count) for kind, count in published.items()]

    def _arrival(self, kind: str, published: int) -> Arrival:
        (landed, distinct), (dead,) = (
            self._query(f"SELECT count(), uniqExact(id) FROM {kind}_events WHERE source = {{source:String}}")[0],  # noqa: S608  one of two words
            self._query(
                "SELECT count() FROM dead_letters WHERE source_topic = {topic:String} AND position(payload, {source:String}) > 0",
                topic=self._settings.topic(kind),
            )[0],
        )
        return Arrival(self.pool, kind, published, landed, distinct, dead)

    def sums(self, tokens: Mapping[str, int]) -> list[TenantSums]:
        """Every tenant's sums; `tokens` is what was published."""
        landed = dict(
            self._query(
                "SELECT tenant, toInt64(sum(input_tokens + output_tokens)) FROM usage_events"
                " WHERE source = {source:String} GROUP BY tenant"
            )
        )
        rows = self._query(
            "SELECT tenant, toInt64(sum(used)), toInt64(sum(charge)) FROM allocations WHERE pool = {pool:String} GROUP BY tenant"
        )
        counted = {tenant: (used, charge) for tenant, used, charge in rows}
        return [
            TenantSums(tenant, tokens.get(tenant, 0), landed.get(tenant, 0), *counted.get(tenant, (0, 0)))
            for tenant in sorted(tokens.keys() | counted.keys())
        ]

    def wait_until_landed(self, published: Mapping[str, int], tokens: Mapping[str, int], tell: Callable[[str], None]) -> None:
        """Returns when all has landed and is counted, or when it should have: the counts then show what is missing."""
        deadline = time.monotonic() + LANDING_S
        expected, all_tokens = sum(published.values()), sum(tokens.values())
        while time.monotonic() < deadline:
            landed, counted = self.landed(), sum(one.counted for one in self.sums(tokens))
            if landed >= expected and counted >= all_tokens:
                return
            tell(f"{landed:,} of {expected:,} events landed, {counted:,} of {all_tokens:,} tokens counted into closed periods")
            time.sleep(LOOK_EVERY_S)

    def bots_set(self) -> int:
        """Settings of bots that hold, or have held, in the pool.

        Raises:
            UserError: some were refused.
        """
        refused = self._query(
            "SELECT tenant, bot, reason, detail FROM bot_actions WHERE pool = {pool:String} AND action = 'rejected' LIMIT 1"
        )
        if refused:
            tenant, bot, reason, detail = refused[0]
            raise UserError(f"bot {bot} of {tenant} was refused: {reason}; {detail}")
        return int(self._query("SELECT count() FROM bots WHERE pool = {pool:String}")[0][0])

    def volume(self) -> Volume:
        """All trades of the pool that have landed."""
        rows = self._query(
            "SELECT count(), toInt64(sum(qty)), toInt64(sum(toInt128(qty) * price)), min(price), max(price),"
            " argMax(price, (journal_offset, fact_index, number)) FROM trades WHERE pool = {pool:String}"
        )
        return Volume(*rows[0])

    def traded(self) -> list[Traded]:
        """Everyone who traded, tenants by name and then the operator."""
        rows = self._query(
            "SELECT tenant, toInt64(sum(bought)), toInt64(sum(sold)), toInt64(sum(paid) - sum(refunded)), toInt64(sum(earned))"
            " FROM positions WHERE pool = {pool:String} GROUP BY tenant ORDER BY tenant = '', tenant"
        )
        return [Traded(*row) for row in rows]

    def busy_periods(self) -> range:
        """Closed periods from the first to the last in which anything was used."""
        rows = self._query("SELECT min(period), max(period) + 1 FROM periods WHERE pool = {pool:String} AND used > 0")
        return range(*rows[0])

    def met(self, periods: range) -> Met:
        """How allocations, as they were, met what was used in these periods."""
        bounds = {"first": periods.start, "behind": periods.stop}
        where = "WHERE pool = {pool:String} AND period >= {first:Int64} AND period < {behind:Int64}"
        found = Met(capacity=self._query(f"SELECT toInt64(sum(capacity)) FROM periods {where}", **bounds)[0][0])  # noqa: S608  ours
        found.count(self._query(f"SELECT tenant, allocated, used FROM allocations {where}", **bounds))  # noqa: S608  ours
        return found

    def boosts(self) -> Boosts:
        """Whose SLA was exceeded, and who paid for it."""
        rows = self._query(
            "SELECT uniqExactArray(promised), sum(judged), sum(above), max(given), countIf(given > 0), uniqExactArray(lent),"
            " argMax(given, period) FROM (SELECT period, groupArrayIf(tenant, sla_ms IS NOT NULL) AS promised,"
            " countIf(sla_ms IS NOT NULL AND latency_ms IS NOT NULL) AS judged, countIf(latency_ms > sla_ms) AS above,"
            " toInt64(sum(boost)) AS given, groupArrayIf(tenant, paid > 0) AS lent"
            " FROM sla_periods WHERE pool = {pool:String} GROUP BY period)"
        )
        return Boosts(*rows[0])

    def partition(self) -> int:
        """Of the journal, in which the pool is."""
        return int(self._query("SELECT any(partition) FROM periods WHERE pool = {pool:String}")[0][0])

    def example(self) -> tuple[int, str] | None:
        """(period, tenant) of the largest surplus in the latest period in which a bid won any."""
        rows = self._query(
            "SELECT period, tenant FROM allocations WHERE pool = {pool:String} AND surplus > 0 AND bid > 0"
            " ORDER BY period DESC, surplus DESC, tenant LIMIT 1"
        )
        return (rows[0][0], rows[0][1]) if rows else None

    def _query(self, sql: str, **parameters: object) -> list[Any]:
        """Rows as tuples.

        Raises:
            Unavailable: ClickHouse does not answer.
        """
        try:
            if self._client is None:
                self._client = connect(self._settings)
                self._client.database = self._settings.clickhouse_database
            return list(self._client.query(sql, parameters={**self._of_run, **parameters}).result_rows)
        except ClickHouseError as error:
            self._client = None
            raise Unavailable(f"ClickHouse at {self._settings.clickhouse_url}: {str(error).splitlines()[0][:200]}") from error
