"""What a fold of the journal came to for a pool: a row a closed period, and sums.

Demand is what was used, and what gateways reported as refused besides (a request that was tried again counts again).
`served` is what of it the allocation covered. Tokens, and nanocredits.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import blake2b

import numpy as np

from infra.backtest.latencies import Latencies
from infra.backtest.stretch import EVERYTHING, Stretch
from infra.backtest.welfare import Demanded, Floats, Ints, Optimum, Window
from processors.accounts import OPERATOR
from processors.state import PartitionState, PoolState
from processors.tenants import NO_CAP
from schemas.fact import Fact
from schemas.facts import AllocationsClosed, CommandRefused, PeriodClosed, PeriodOpened
from schemas.journal import AdmissionSums, LatencySums
from schemas.ledgering import MONEY
from schemas.planning import PLAN_COMMANDS
from schemas.published import PoolCommand
from schemas.units import MILLION

PROPOSALS = frozenset(model.KIND for model in PLAN_COMMANDS)
TAKEN = ("base", "elasticity", "allocated", "charge", "bought", "sold", "used")


@dataclass(slots=True)
class Period:
    """One closed period. `welfare` in tokens, each times its tenant's elasticity.

    `optimum` is what the best division of all periods has in this one: below `welfare` where budgets are better spent in another.
    """

    period: int
    start_ms: int
    capacity: int
    price: int
    revenue: int
    allocated: int
    used: int
    demand: int
    served: int
    jain: float
    welfare: float
    optimum: float = 0.0


@dataclass(slots=True)
class Budget:
    """A tenant's budget in one window: nanocredits it had, nanocredits it was charged."""

    amount: int
    charged: int = 0


@dataclass(slots=True)
class Tally:
    """Gathers what happens to one pool: give it each record before, and each fact after, it is folded.

    Memory: a row a period, three numbers a tenant, `Latencies`, a budget a tenant and window.
    """

    pool: str
    stretch: Stretch = EVERYTHING
    solved: dict[bytes, list[float]] = field(default_factory=dict)
    """Optima of blocks of periods, shared by variants that ask the same."""
    rows: list[Period] = field(default_factory=list)
    served: dict[str, int] = field(default_factory=dict)
    demand: dict[str, int] = field(default_factory=dict)
    refused_tokens: int = 0
    refused: dict[str, str] = field(default_factory=dict)
    """Versions of the pool that were refused, by the command's id, and why."""
    refusals: int = 0
    """Operators' commands that were refused; the planner's are none."""
    budgets: dict[Window, Budget] = field(default_factory=dict)
    latencies: Latencies = field(default_factory=Latencies)
    policy: str = ""
    """Of the last period."""
    complete: bool = False
    """The stretch is over: nothing that comes changes anything."""
    _optimum: Optimum = field(init=False)
    _opened: PeriodOpened | None = None
    _chunks: list[AllocationsClosed] = field(default_factory=list)
    _turned_away: dict[str, int] = field(default_factory=dict)
    _seen: set[tuple[str, int, int, int]] = field(default_factory=set)
    _earned: int = 0
    _hashes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._optimum = Optimum(self.solved)

    def reported(self, state: PartitionState, sums: LatencySums | AdmissionSums) -> None:
        """A meter's report that the engine decides little from. One that a meter repeats after a crash counts once."""
        pool = state.pools.get(self.pool)
        meter = (sums.meter_topic, sums.meter_partition)
        if pool is None or sums.pool != self.pool or sums.tick <= state.marks.get(meter, -1):
            return
        if (*meter, sums.tick, sums.chunk) in self._seen:
            return
        self._seen.add((*meter, sums.tick, sums.chunk))
        if isinstance(sums, LatencySums):
            self.latencies.count(pool, sums)
            return
        for tenant, tokens in zip(sums.tenant, sums.refused_tokens, strict=True):
            if tokens:
                self._turned_away[tenant] = self._turned_away.get(tenant, 0) + tokens

    def take(self, state: PartitionState, fact: Fact) -> None:
        """A fact of the pool, with the state that it left."""
        match fact:
            case PeriodOpened():
                self._opened = fact
            case AllocationsClosed():
                self._chunks.append(fact)
            case PeriodClosed():
                self._end(state.pools[self.pool], fact)
                self._seen = {each for each in self._seen if each[2] > state.marks.get(each[:2], -1)}
            case CommandRefused() if fact.command not in PROPOSALS:
                self.refusals += 1
                if fact.command == PoolCommand.KIND:
                    self.refused[fact.command_id] = fact.detail

    def finish(self) -> None:
        """All records were given."""
        self._optimum.close()
        for row, optimum in zip(self.rows, self._optimum.by_period, strict=True):
            row.optimum = optimum

    def digest(self) -> str:
        """Equal exactly where the pool's state was the same at the end of every period."""
        return blake2b("\n".join(self._hashes).encode(), digest_size=16).hexdigest()

    def _end(self, pool: PoolState, closed: PeriodClosed) -> None:
        self.complete = self.complete or self.stretch.over(closed.period, closed.period_start)
        if not self.complete and self.stretch.begun(closed.period, closed.period_start):
            self._close(pool, closed)
            return
        # Outside the stretch only what later periods are counted from is kept.
        self._chunks = []
        self._turned_away.clear()
        self.latencies.forget(closed.period)
        self._earned = pool.market.ledger.balance(MONEY, OPERATOR)

    def _close(self, pool: PoolState, closed: PeriodClosed) -> None:
        opened = self._opened
        if opened is None or opened.period != closed.period:
            raise AssertionError(f"period {closed.period} of pool {self.pool!r} closed, but was never opened")
        tenants = [tenant for chunk in self._chunks for tenant in chunk.tenant]
        columns = {name: np.array([v for chunk in self._chunks for v in getattr(chunk, name)], np.int64) for name in TAKEN}
        self._chunks = []
        refused = np.array([self._turned_away.pop(tenant, 0) for tenant in tenants], np.int64)
        self._turned_away.clear()
        self.refused_tokens += int(refused.sum())
        wanted = columns["used"] + refused
        served = np.minimum(wanted, np.maximum(columns["allocated"], 0))
        self._sum_up(tenants, wanted, served)
        self.latencies.close(closed.period, dict(zip(tenants, served.tolist(), strict=True)))
        self._optimum.take(self._demanded(pool, opened, tenants, columns, wanted))
        earned = pool.market.ledger.balance(MONEY, OPERATOR)
        self.rows.append(
            Period(
                closed.period,
                closed.period_start,
                opened.capacity,
                closed.price,
                earned - self._earned,
                closed.allocated,
                closed.used,
                int(wanted.sum()),
                int(served.sum()),
                jain(served, wanted),
                float((columns["elasticity"] / MILLION) @ served.astype(np.float64)),
            )
        )
        self._earned = earned
        self._hashes.append(closed.state_hash)
        self.policy = closed.policy.value

    def _sum_up(self, tenants: list[str], wanted: Ints, served: Ints) -> None:
        for tenant, want, got in zip(tenants, wanted.tolist(), served.tolist(), strict=True):
            if want:
                self.demand[tenant] = self.demand.get(tenant, 0) + want
                self.served[tenant] = self.served.get(tenant, 0) + got

    def _demanded(
        self, pool: PoolState, opened: PeriodOpened, tenants: list[str], columns: dict[str, Ints], wanted: Ints
    ) -> Demanded:
        floor = np.minimum(wanted, np.maximum(columns["base"] - columns["sold"], 0))
        slots = np.array([pool.tenants.slots[tenant] for tenant in tenants], np.intp)
        amount, length = pool.tenants["budget"][slots], pool.tenants["window_s"][slots]
        windows: dict[int, Window] = {}
        money: dict[int, int] = {}
        for row in np.flatnonzero(amount != NO_CAP).tolist():
            seconds = int(length[row])
            number = opened.period_start // (seconds * 1000) if seconds else 0
            windows[row] = (tenants[row], seconds, number)
            budget = self.budgets.setdefault(windows[row], Budget(int(amount[row])))
            budget.amount = max(budget.amount, int(amount[row]))
            budget.charged += int(columns["charge"][row])
            money[row] = max(0, int(amount[row]) - int(columns["base"][row]) * opened.base_price)
        spare = opened.capacity - int(floor.sum())
        value: Floats = columns["elasticity"] / MILLION
        return Demanded(spare, opened.reserve_price, value, floor, wanted - floor, columns["bought"], windows, money)


def jain(served: Ints | Floats, wanted: Ints | Floats) -> float:
    """Jain's index (Jain, Chiu and Hawe 1984) of the shares of their demand that tenants were served: (Σx)² / (n·Σx²).

    Of those who demanded anything; 1 if nobody did, or nobody got anything: then all are alike.
    """
    asked = wanted > 0
    share = served[asked] / wanted[asked]
    squares = float(share @ share)
    return float(share.sum()) ** 2 / (len(share) * squares) if squares else 1.0
