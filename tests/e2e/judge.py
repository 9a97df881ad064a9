"""An independent account of what the engine should have decided, from what was published and where it stands in the topic."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from allocation_oracle import solve
from forecast_oracle import Oracle
from system import System

from schemas.journal import ClockTick
from schemas.published import Forecaster, PoolCommand, ProfileCommand, UsageEvent
from streams.codecs import decode
from streams.partitioning import home_partition

Place = tuple[int, int]
"""(partition, offset) in the topic of usage."""


def used_by_period(system: System, stands: Mapping[Place, UsageEvent], pool: PoolCommand) -> dict[int, dict[str, int]]:
    """Period -> tenant -> tokens, by reading the topic: what stands between tick n - 1 and tick n counts in the period of tick n,
    each event once, and where its tenant is at home.

    Args:
        system: that has metered it.
        stands: the good events, by where the broker put them when they were published.
        pool: whose usage is asked for.
    """
    per_period = pool.period_s * 1000 // system.settings.tick_ms
    used: dict[int, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    waiting: dict[int, list[UsageEvent]] = defaultdict(list)
    known: set[tuple[str, str, str]] = set()
    for record in system.read("usage"):
        partition, headers = record.partition(), dict(record.headers() or ())
        if headers.get("bourse-kind") == b"tick":
            tick = decode(record.value())
            assert isinstance(tick, ClockTick)
            for event in waiting.pop(partition, ()):
                used[(tick.tick - 1) // per_period][event.tenant] += event.input_tokens + event.output_tokens
            continue
        forwarded = headers.get("bourse-forwarded")
        place = (partition, record.offset()) if forwarded is None else _place(forwarded)
        event = stands.get(place)
        if (
            event is None
            or event.pool != pool.pool
            or home_partition(event.tenant.encode(), system.settings.partitions) != partition
        ):
            continue
        key = (event.tenant, event.source, event.id)
        if key not in known:
            known.add(key)
            waiting[partition].append(event)
    return {period: dict(tenants) for period, tenants in used.items()}


def _place(stood: bytes) -> Place:
    _, partition, offset = stood.decode().rsplit("/", 2)
    return int(partition), int(offset)


class Account:
    """One pool's demands and budgets, kept from period to period as spec/allocation.md says; allocations by the plain oracle."""

    def __init__(self, pool: PoolCommand, versions: Mapping[str, list[tuple[int, ProfileCommand]]]) -> None:
        self._pool = pool
        self._versions = versions  # tenant -> (first period, profile), oldest first
        self._oracle = Oracle(pool.period_s) if pool.forecaster is Forecaster.MIXTURE else None
        self._last: dict[str, int] = {}
        self._spent: dict[str, tuple[int, int]] = {}  # tenant -> (number of the window, nanocredits)

    def allocate(self, period: int) -> dict[str, dict[str, Any]]:
        """Tenant -> what it must have got in a period, with what that was computed from; charges are booked."""
        profiles = {
            tenant: [profile for first, profile in versions if first <= period][-1]
            for tenant, versions in self._versions.items()
            if versions[0][0] <= period
        }
        start_s = period * self._pool.period_s
        tenants = [
            {
                "id": tenant,
                "base": profile.base,
                "elasticity": profile.elasticity,
                "demand": self._demand(tenant, period),
                "budget_left": self._left(tenant, profile, start_s),
                "weight": profile.weight,
            }
            for tenant, profile in profiles.items()
        ]
        pool = self._pool
        answer = solve(
            {
                "policy": str(pool.policy),
                "capacity": pool.capacity,
                "base_price": pool.base_price,
                "reserve_price": pool.reserve_price,
                "tenants": tenants,
            }
        )
        asked = {str(tenant["id"]): tenant for tenant in tenants}
        rows = {}
        for tenant, row in answer["allocations"].items():
            self._book(tenant, profiles[tenant], start_s, row["charge"])
            rows[tenant] = {
                "price": answer["price"],
                "base": row["base"],
                "surplus": row["surplus"],
                "charge": row["charge"],
                "shortfall": answer["shortfall"].get(tenant, 0),
                "demand": asked[tenant]["demand"],
                "budget_left": asked[tenant]["budget_left"],
            }
        return rows

    def learn(self, period: int, used: Mapping[str, int], late_meters: Sequence[str]) -> None:
        """What was used in a period teaches the demand of those to come: the last value, or the mixture of the plain oracle."""
        self._last = dict.fromkeys(self._last, 0) | dict(used)
        if self._oracle is not None:
            late = any(meter.startswith("usage/") for meter in late_meters)
            self._oracle.learn(period, {tenant: tokens or (None if late else 0) for tenant, tokens in self._last.items()})

    def _demand(self, tenant: str, period: int) -> int:
        if self._oracle is None:
            return self._last.get(tenant, 0)
        return round(self._oracle.forecast(period, [tenant])[tenant][0])

    def _left(self, tenant: str, profile: ProfileCommand, start_s: int) -> int | None:
        if profile.budget is None:
            return None
        window, spent = self._spent.get(tenant, (-1, 0))
        return max(0, profile.budget.amount - (spent if window == start_s // profile.budget.window_s else 0))

    def _book(self, tenant: str, profile: ProfileCommand, start_s: int, charge: int) -> None:
        number = start_s // profile.budget.window_s if profile.budget else 0
        window, spent = self._spent.get(tenant, (number, 0))
        self._spent[tenant] = (number, (spent if window == number else 0) + charge)
