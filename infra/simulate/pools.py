"""`token_pools`: the rules of processors/, called as production calls them: admission per request, debts and limits per tick."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from infra.simulate.controls import Answer, least_loaded
from infra.simulate.machine import BLOCK_TOKENS
from infra.simulate.replica import Replica
from infra.simulate.workloads import Ints, Request
from processors import debt, limits
from processors.admission import Admission, Refused, Rejected
from processors.debt import DebtSettings
from processors.entitlement import TIERS, UNLIMITED, Capacity, Dimension, Quota, TenantLimits
from schemas.published import Tier

UNHINTED_MS = 2_000
"""When to come again where a refusal can't say, as only completions will help."""
TICK_MS = 1_000
DEBT = DebtSettings()


class BrokenSimulationError(Exception):
    """The simulator called the rules wrongly."""


@dataclass(frozen=True, slots=True)
class Profile:
    """A tenant of the pool. Quotas in the order of `Dimension`; of a sharing tier usually (0, 0, 0).

    Attributes:
        tier: what is promised.
        weight: in millionths.
        nominal: tokens per second, blocks, requests.
        borrowing: how far above it; None: as far as the pool has idle capacity.
        lending: how much of what is unused others may have; None: all.
    """

    tier: Tier
    weight: int = 1_000_000
    nominal: tuple[int, int, int] = (0, 0, 0)
    borrowing: tuple[int | None, int | None, int | None] = (None, None, None)
    lending: tuple[int | None, int | None, int | None] = (None, None, None)


@dataclass(slots=True)
class TickFigures:
    """What a tick decided, for pictures: debts in seconds of the tenants' rates, and what was kept of every dimension."""

    debt_s: list[float]
    kept: list[tuple[int, int, int]]


class TokenPools:
    """The control plane and the gateway of one pool, without the wires between them."""

    def __init__(
        self,
        replicas: list[Replica],
        profiles: list[Profile],
        per_replica: Capacity,
        *,
        settings: DebtSettings = DEBT,
    ) -> None:
        """Of a pool with these tenants, these replicas (as declared, not as measured), and debts of these settings."""
        self._replicas = replicas
        self._profiles = profiles
        self._names = [f"tenant-{index:02d}" for index in range(len(profiles))]  # in byte order, as rows stand in production
        self._per_replica = per_replica
        self._settings = settings
        self._tier = np.array([TIERS.index(profile.tier) for profile in profiles])
        self._weight = np.array([profile.weight for profile in profiles], np.int64)
        self._rights = [self._rights_of(dimension) for dimension in Dimension]
        tenants = len(profiles)
        self._debt = np.zeros(tenants, np.int64)
        self._recent = [np.zeros(tenants, np.int64) for _ in Dimension]
        self._served = np.zeros(tenants, np.int64)
        self._refused: dict[int, Request] = {}
        self._in_use = np.zeros((len(Dimension), tenants), np.int64)
        self._peak = self._in_use.copy()
        self._admission = Admission(self._capacity(len(replicas)), kv_block_tokens=BLOCK_TOKENS)
        self.history: list[TickFigures] = []

    def admit(self, now_ms: int, request: Request) -> Answer:
        """As the rules decide."""
        name = self._names[request.tenant]
        decided = self._admission.admit(now_ms, name, _id(request), request.input, request.max_output)
        if isinstance(decided, Rejected):
            raise BrokenSimulationError(f"{decided}: the simulator asks nothing that is wrong")
        if isinstance(decided, Refused):
            if decided.never:
                return Answer(None)
            self._refused[request.number] = request
            return Answer(None, UNHINTED_MS if decided.retry_after_ms is None else decided.retry_after_ms)
        self._use(request, 1)
        return Answer(least_loaded(self._replicas), stop=tuple(int(name) for name in decided.stop))

    def ended(self, now_ms: int, request: Request, input_tokens: int, output_tokens: int) -> None:
        """What was really used is settled; it is what a backend reports then, and so what counts as served."""
        settled = self._admission.settle(now_ms, _id(request), input_tokens, output_tokens)
        if isinstance(settled, Rejected):
            raise BrokenSimulationError(f"{settled}: the simulator settles what it admitted, once")
        self._served[request.tenant] += input_tokens + output_tokens
        self._use(request, -1)

    def tick(self, now_ms: int, replicas: int) -> None:
        """Debts of the second that passed, limits of the next."""
        capacity = self._capacity(replicas)
        wanted = self._wanted()
        rate = limits.rates_of(capacity.throughput, self._tier, self._rights[Dimension.THROUGHPUT], self._weight)
        if now_ms:
            due = limits.due_of(
                self._tier,
                self._rights[Dimension.THROUGHPUT],
                self._weight,
                wanted=wanted[Dimension.THROUGHPUT],
                served=self._served,
                elapsed_ms=TICK_MS,
            )
            self._debt = debt.step(
                self._debt,
                due,
                self._served,
                rate=rate,
                owing=limits.may_owe(self._tier),
                settings=self._settings,
                elapsed_ms=TICK_MS,
            )
        weights = debt.weights(self._weight, self._debt, rate, self._settings)
        self._recent = [limits.remembered(recent, now) for recent, now in zip(self._recent, wanted, strict=True)]
        columns = [
            limits.limits_of(capacity[dimension], self._tier, self._rights[dimension], weights, self._recent[dimension])
            for dimension in Dimension
        ]
        refused = self._admission.set_limits(now_ms, self._tenant_limits(columns), capacity)
        if refused is not None:
            raise BrokenSimulationError(f"{refused}: limits of a tick are never wrong")
        self._remember(columns, rate)
        self._served = np.zeros_like(self._served)
        self._refused.clear()
        self._peak = self._in_use.copy()

    def _capacity(self, replicas: int) -> Capacity:
        return Capacity(*(replicas * of_one for of_one in self._per_replica))

    def _rights_of(self, dimension: Dimension) -> limits.Rights:
        def column(values: list[int | None]) -> Ints:
            return np.array([UNLIMITED if value is None else value for value in values], np.int64)

        profiles = self._profiles
        return limits.Rights(
            column([profile.nominal[dimension] for profile in profiles]),
            column([profile.borrowing[dimension] for profile in profiles]),
            column([profile.lending[dimension] for profile in profiles]),
        )

    def _use(self, request: Request, sign: int) -> None:
        tokens = request.input + request.max_output
        self._in_use[:, request.tenant] += sign * np.array([0, -(-tokens // BLOCK_TOKENS), 1])
        np.maximum(self._peak, self._in_use, out=self._peak)

    def _wanted(self) -> list[Ints]:
        """As the engine counts: tokens of requests that ended, the most that was held, and what was refused in the second."""
        wanted = [self._served.copy(), *self._peak[1:].copy()]
        for request in self._refused.values():
            tokens = request.input + request.max_output
            for column, needed in zip(wanted, (tokens, -(-tokens // BLOCK_TOKENS), 1), strict=True):
                column[request.tenant] += needed
        return wanted

    def _tenant_limits(self, columns: list[limits.Kept]) -> dict[str, TenantLimits]:
        quotas = [
            [
                Quota(nominal, None if borrowing == UNLIMITED else borrowing, kept)
                for nominal, borrowing, kept in zip(
                    column.nominal.tolist(), self._rights[dimension].borrowing.tolist(), column.kept.tolist(), strict=True
                )
            ]
            for dimension, column in zip(Dimension, columns, strict=True)
        ]
        return {
            name: TenantLimits(profile.tier, quota)
            for name, profile, quota in zip(self._names, self._profiles, zip(*quotas, strict=True), strict=True)
        }

    def _remember(self, columns: list[limits.Kept], rate: Ints) -> None:
        seconds = self._debt / np.maximum(rate, 1) / debt.THOUSAND
        kept = list(zip(*(column.kept.tolist() for column in columns), strict=True))
        self.history.append(TickFigures([float(one) for one in seconds], [(a, b, c) for a, b, c in kept]))


def _id(request: Request) -> str:
    return str(request.number)
