"""Pools whose tenants used tokens for thirty hours, with what goes wrong with telemetry, and their history, computed once more."""

from __future__ import annotations

import random
from collections import defaultdict

from journal_world import World, mark, pool, profile, usage

from schemas.facts import AllocationsClosed, PeriodClosed

PERIOD_S, TICK_S = 1200, 600
BEGIN_HOUR = 472_500
HOURS = 34
TENANTS = ("ann", "bob", "cy", "idle")
NEWCOMER, MOVER = "new", "mover"


def hour_of(period: int) -> int:
    return period * PERIOD_S // 3600


class Planned(World):
    """Periods of three an hour, ticks of two a period, for HOURS hours; the last period of the last hour has not closed.

    In pool `llm` all but MOVER have used tokens; NEWCOMER has a profile since the end, and so has MOVER, which has used pool `gpt`.
    """

    def __init__(self, seed: int = 7) -> None:
        super().__init__(tick_ms=TICK_S * 1000, grace=1)
        self.random = random.Random(seed)
        first, last = BEGIN_HOUR * 6, (BEGIN_HOUR + HOURS) * 6
        self.tick(first - 2)
        for name in ("llm", "gpt"):
            self.take(pool(f"p-{name}", pool=name, capacity=10**6, period_s=PERIOD_S, forecaster="mixture", rebalance={}))
        for number, name in enumerate(TENANTS):
            self.take(profile(f"a-{name}", name, base=1000 * (number + 1)))
        self.take(profile("m", MOVER, base=500, pool="gpt"))
        for number in range(first, last - 1):
            self._second(number, number - first)
        self.take(profile("n", NEWCOMER, base=500), profile("m2", MOVER, base=0))
        self.run(last - 1, last - 1)

    def _second(self, number: int, since: int) -> None:
        self.tick(number)
        away = 60 <= since < 72  # two hours without telemetry
        if not away:
            used = {name: self.random.randint(1, 2000) for name in TENANTS[:-1] if self.random.random() < 0.8}
            self.take(usage(number, used), usage(number, {MOVER: 100 + since % 144}, pool="gpt"))
        if 100 <= since < 110:
            return  # no meter reports: what was used of these periods is not known when the grace is over
        self.take(mark(number, "latency"), mark(number, "usage"))

    def closed(self, name: str) -> dict[int, PeriodClosed]:
        return {fact.period: fact for fact in self.facts if isinstance(fact, PeriodClosed) and fact.pool == name}

    def by_hour(self, name: str) -> dict[int, dict[str, int]]:
        """Hour -> tenant -> mean of the periods that say something, from the facts alone."""
        closed = self.closed(name)
        known: dict[int, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
        last_busy, gaps = None, set()
        for period, fact in sorted(closed.items()):
            if fact.used:
                last_busy = period
            elif fact.tenants >= 3 and last_busy is not None and (period - last_busy) * PERIOD_S <= 86_400:
                gaps.add(period)
        for fact in self.facts:
            if isinstance(fact, AllocationsClosed) and fact.pool == name:
                late = any(meter.startswith("usage/") for meter in closed[fact.period].late_meters)
                if not late and fact.period not in gaps:
                    for tenant, used in zip(fact.tenant, fact.used, strict=True):
                        known[hour_of(fact.period)][tenant].append(used)
        return {hour: {tenant: sum(used) // len(used) for tenant, used in of.items()} for hour, of in known.items()}
