"""A pool of tenants whose tokens limit their rate: what the SLA loop meets, period after period.

Each tenant is a queue of one server that works off its allocated tokens evenly over a period (60 s). Requests arrive at random
times with random sizes; a request's latency is its wait behind earlier work, its own work, and what the backend takes whatever the
tokens. A tenant that does not queue has the backend's time alone.
"""

from dataclasses import dataclass, field

import numpy as np

from processors.histogram import buckets_of
from processors.latencies import Entries, merged, quantiles
from processors.lending import priorities
from processors.sla import NO_SLA, REASONS, Observed, Promises, SlaSettings, beginning, decide

PERIOD_MS = 60_000


@dataclass
class Tenant:
    base: int
    floor: int = 0
    sla_ms: int = NO_SLA
    tier: int = 2
    load: float = 0.5
    """Offered tokens, of its base."""
    backend_ms: float = 50.0
    noise: float = 0.0
    """Of the backend's time: a standard deviation of its logarithm."""
    queues: bool = True
    backlog: float = 0.0


@dataclass
class World:
    tenants: list[Tenant]
    terms: SlaSettings = field(default_factory=SlaSettings)
    seed: int = 1
    requests: int = 100
    """Mean requests of a tenant in a period."""
    said: list[tuple[int, int, str]] = field(default_factory=list)
    """(period, tenant, reason) of each verdict."""
    moves: list[tuple[int, int, int, int, str]] = field(default_factory=list)
    """(period, giver, taker, tokens, reason)."""
    quantiles: list[list[int]] = field(default_factory=list)
    boosts: list[list[int]] = field(default_factory=list)

    def __post_init__(self):
        self.random = np.random.default_rng(self.seed)
        self.state = beginning(len(self.tenants), self.terms)
        self.base = self.column("base")
        self.priority = priorities(self.column("tier"), np.full(len(self.tenants), 10**6, np.int64))

    def column(self, name):
        return np.array([getattr(tenant, name) for tenant in self.tenants], np.int64)

    def run(self, periods, *loads):
        """Periods in which tenant 0 (1, …) offers loads[0](period), …; whoever has none offers what it did."""
        for _ in range(periods):
            for tenant, load in zip(self.tenants, loads, strict=False):
                tenant.load = load(len(self.boosts))
            self.period()
        return self

    def period(self):
        allocated = self.base + self.state.boost - self.state.paid
        parts, used = [], []
        for row, tenant in enumerate(self.tenants):
            latencies, spent = self.serve(tenant, int(allocated[row]))
            buckets, counts = np.unique(buckets_of(latencies), return_counts=True)
            parts.append(Entries(np.full(buckets.size, row, np.int64), buckets, counts.astype(np.int64)))
            used.append(spent)
        measured = quantiles(merged(parts), len(self.tenants), self.terms.quantile)
        promises = Promises(self.base, self.column("floor"), self.column("sla_ms"), self.priority)
        decision = decide(self.state, promises, Observed(measured, np.array(used, np.int64), allocated), self.terms)
        self.record(decision)
        self.quantiles.append(measured.lower.tolist())
        self.state = decision.state
        self.boosts.append(self.state.boost.tolist())
        assert int(self.state.boost.sum()) == int(self.state.paid.sum())
        assert (self.base - self.state.paid >= np.minimum(self.base, promises.floor)).all()

    def serve(self, tenant, allocated):
        number = self.random.poisson(self.requests)
        times = np.sort(self.random.uniform(0, PERIOD_MS, number))
        work = self.random.uniform(0.5, 1.5, number) * tenant.load * tenant.base / self.requests
        backend = tenant.backend_ms * np.exp(tenant.noise * self.random.standard_normal(number))
        if not tenant.queues:
            return backend.astype(np.int64), min(int(work.sum()), allocated)
        rate = max(allocated, 1) / PERIOD_MS
        backlog, now, done, waits = tenant.backlog, 0.0, 0.0, []
        for at, tokens in zip(times.tolist(), work.tolist(), strict=True):
            worked = min(backlog, (at - now) * rate)
            done, backlog, now = done + worked, backlog - worked + tokens, at
            waits.append(backlog / rate)
        worked = min(backlog, (PERIOD_MS - now) * rate)
        tenant.backlog = backlog - worked
        return (np.array(waits) + backend).astype(np.int64), int(done + worked)

    def record(self, decision):
        period = len(self.boosts)
        why = [REASONS[code].value for code in decision.released_because.tolist()]
        for moves, reasons in ((decision.released, why), (decision.raised, ["sla_exceeded"] * len(decision.raised.tokens))):
            rows = zip(*(each.tolist() for each in moves), reasons, strict=True)
            self.moves += [(period, *row) for row in rows]
        tenants, codes = (each.tolist() for each in decision.verdicts)
        self.said += [(period, tenant, REASONS[code].value) for tenant, code in zip(tenants, codes, strict=True)]

    def reasons(self, tenant):
        return [reason for _, whom, reason in self.said if whom == tenant]

    def turns(self, tenant):
        """How often the boost turned from rising to falling or back."""
        steps = np.diff([row[tenant] for row in self.boosts], prepend=0)
        signs = np.sign(steps[steps != 0])
        return int((np.diff(signs) != 0).sum())
