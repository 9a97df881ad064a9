"""A pool of tenants whose tokens limit their rate (infra/simulate/queues.py) under the SLA loop's rule, period after period."""

from dataclasses import dataclass, field

import numpy as np

from infra.simulate.queues import PERIOD_MS, QueueTenant
from processors.histogram import buckets_of
from processors.latencies import Entries, merged, quantiles
from processors.lending import priorities
from processors.sla import REASONS, Observed, Promises, SlaSettings, beginning, decide


@dataclass
class World:
    tenants: list[QueueTenant]
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
            latencies, spent = tenant.serve(int(allocated[row]), self.requests, self.random)
            buckets, counts = np.unique(buckets_of(latencies), return_counts=True)
            parts.append(Entries(np.full(buckets.size, row, np.int64), buckets, counts.astype(np.int64)))
            used.append(spent)
        measured = quantiles(merged(parts), len(self.tenants), self.terms.quantile)
        promises = Promises(self.base, self.column("floor"), self.column("sla_ms"), self.priority)
        decision = decide(self.state, promises, Observed(measured, np.array(used, np.int64), allocated, PERIOD_MS), self.terms)
        self.record(decision)
        self.quantiles.append(measured.lower.tolist())
        self.state = decision.state
        self.boosts.append(self.state.boost.tolist())
        assert int(self.state.boost.sum()) == int(self.state.paid.sum())
        assert (self.base - self.state.paid >= np.minimum(self.base, promises.floor)).all()

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
