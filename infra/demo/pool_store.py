"""What the demo asks ClickHouse about its token pool, all of which the gateway published."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from infra.demo.accounts import Landed
from infra.demo.clients import Answered
from infra.demo.store import LANDING_S, LOOK_EVERY_S, Arrival, DemoStore
from schemas.published import Tier


@dataclass(frozen=True, slots=True)
class Entitlement:
    """What became of a token pool's tenant: requests by outcome as in `Standing`, and its debt in tokens (below 0: it owes).

    Attributes:
        most_owed: the highest debt of the run.
        most_owing: the lowest.
        owed: at the end.
    """

    tenant: str
    tier: str
    admitted: int
    own: int
    pool: tuple[int, int, int]
    stopped: int
    most_owed: int
    most_owing: int
    owed: int

    @property
    def refused(self) -> int:
        """Whatever for."""
        return self.own + sum(self.pool)


@dataclass(frozen=True, slots=True)
class Standing:
    """A tenant in some span of time: requests by outcome, and how long they took.

    Attributes:
        own: refused by its own limit.
        pool: refused as the pool had no tokens, blocks or slots to spare for it.
        stopped: admitted, and stopped for others.
        p50: of those that came then and were answered, milliseconds; None: of no request.
        p99: likewise.
        first_p99: to the first token, of streams.
    """

    admitted: int = 0
    own: int = 0
    pool: tuple[int, int, int] = (0, 0, 0)
    stopped: int = 0
    p50: int | None = None
    p99: int | None = None
    first_p99: int | None = None

    @property
    def refused(self) -> int:
        """Whatever for."""
        return self.own + sum(self.pool)

    @property
    def refused_share(self) -> float | None:
        """Of all that asked; None: nobody did."""
        asked = self.admitted + self.refused
        return self.refused / asked if asked else None


_REFUSED = (
    "toInt64(sum(refused_own_throughput + refused_own_kv + refused_own_concurrency)), toInt64(sum(refused_pool_throughput)),"
    " toInt64(sum(refused_pool_kv)), toInt64(sum(refused_pool_concurrency))"
)


class PoolStore(DemoStore):
    """Queries about one run of the token pool: its events name the gateway as `source`."""

    def standing(self, first_ms: int, behind_ms: int) -> dict[str, Standing]:
        """Each tenant between two moments, as far as it has landed.

        Of what gateways reported then, and of how long requests took that came then. Milliseconds since 1970.
        """
        span = {"first": first_ms, "behind": behind_ms}
        reported = self._query(
            f"SELECT tenant, toInt64(sum(admitted)), {_REFUSED}, toInt64(sum(stopped)) FROM admission_events"  # noqa: S608  our own words
            " WHERE source = {source:String} AND toUnixTimestamp64Milli(time) >= {first:Int64}"
            " AND toUnixTimestamp64Milli(time) < {behind:Int64} GROUP BY tenant",
            **span,
        )
        timed = self._query(
            "SELECT tenant, quantileExact(0.5)(latency_ms), quantileExact(0.99)(latency_ms), quantileExactOrNull(0.99)(ttft_ms)"
            " FROM latency_events WHERE source = {source:String} AND status = 'ok'"
            " AND toUnixTimestamp64Milli(time) - latency_ms >= {first:Int64}"
            " AND toUnixTimestamp64Milli(time) - latency_ms < {behind:Int64} GROUP BY tenant",
            **span,
        )
        times = {tenant: found for tenant, *found in timed}
        standings = {
            tenant: Standing(admitted, own, tuple(pool), stopped, *times.pop(tenant, ()))
            for tenant, admitted, own, *pool, stopped in reported
        }
        return standings | {tenant: Standing(0, 0, (0, 0, 0), 0, *found) for tenant, found in times.items()}

    def entitlements(self) -> list[Entitlement]:
        """What gateways of this run reported of the pool's tenants, and their debts; in the order of the tiers, then by name."""
        rows = self._query(
            "SELECT a.tenant, l.tier, a.counts, d.most, d.least, d.owed FROM"  # noqa: S608  our own words
            f" (SELECT tenant, [toInt64(sum(admitted)), {_REFUSED}, toInt64(sum(stopped))] AS counts"
            " FROM admission_events WHERE source = {source:String} GROUP BY tenant) AS a"
            " LEFT JOIN (SELECT tenant, max(debt) AS most, min(debt) AS least, argMax(debt, (journal_offset, fact_index)) AS owed"
            " FROM debts WHERE pool = {pool:String} GROUP BY tenant) AS d ON d.tenant = a.tenant"
            " LEFT JOIN (SELECT tenant, argMax(tier, (journal_offset, fact_index)) AS tier FROM limits"
            " WHERE pool = {pool:String} GROUP BY tenant) AS l ON l.tenant = a.tenant"
        )
        found = [
            Entitlement(tenant, tier, admitted, own, tuple(pool), stopped, *(int(debt / 1000) for debt in debts))
            for tenant, tier, (admitted, own, *pool, stopped), *debts in rows
        ]
        return sorted(found, key=lambda each: (list(Tier).index(Tier(each.tier)), each.tenant))

    def landed_requests(self) -> list[Landed]:
        """Each request, once."""
        return [
            Landed(*row)
            for row in self._query(
                "SELECT request_id, tenant, toInt64(input_tokens), toInt64(output_tokens) FROM usage_events"
                " WHERE source = {source:String}"
            )
        ]

    def in_periods(self) -> dict[str, int]:
        """By tenant: tokens that were counted into closed periods."""
        rows = self._query("SELECT tenant, toInt64(sum(used)) FROM allocations WHERE pool = {pool:String} GROUP BY tenant")
        return dict(rows)

    def wait_until_settled(self, answered: Mapping[str, Answered], tell: Callable[[str], None]) -> list[Arrival]:
        """Returns when all that clients were answered has landed and is counted, or when it should have: what became of it."""
        admitted = sum(each.admitted for each in answered.values())
        asked = admitted + sum(each.refused.total() for each in answered.values())
        deadline = time.monotonic() + LANDING_S
        while True:
            arrivals = self.arrivals({"usage": admitted, "latency": admitted})
            reported = sum(each.admitted + each.refused for each in self.entitlements())
            landed = sum(each.input + each.output for each in self.landed_requests())
            counted = sum(self.in_periods().values())
            arrived = all(each.landed >= admitted for each in arrivals) and reported >= asked
            if (arrived and counted >= landed) or time.monotonic() > deadline:
                return arrivals
            tell(f"{reported:,} of {asked:,} requests reported, {counted:,} of {landed:,} tokens counted into closed periods")
            time.sleep(LOOK_EVERY_S)
