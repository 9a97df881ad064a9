"""The engine's period as a plain loop: a dictionary a tenant, one pass after the other. The baseline of bench_engine.py.

It knows one pool of policy `seed` whose meters are on time, and gives the engine's facts but for the state's hash.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from allocation_oracle import solve

from processors.stamping import Stamp
from schemas.fact import CHUNK_ROWS, Fact
from schemas.facts import (
    AllocationsClosed,
    AllocationsOpened,
    Forecasts,
    MeterMarked,
    PeriodClosed,
    PeriodOpened,
    Postings,
)
from schemas.journal import MeterMark, UsageSums
from schemas.published import PoolCommand, ProfileCommand

Row = dict[str, Any]


class PlainPool:
    """A pool and its tenants."""

    def __init__(self, terms: PoolCommand) -> None:
        self.terms = terms
        self.tenants: dict[str, Row] = {}
        self.period = -1
        self.whole: Row = {}

    def declare(self, command: ProfileCommand) -> None:
        """A new tenant."""
        budget = None if command.budget is None else command.budget.amount
        profile = {"base": command.base, "elasticity": command.elasticity, "weight": command.weight, "budget": budget}
        self.tenants[command.tenant] = {**profile, "spent": 0, "used": 0, "requests": 0, "last_used": 0, "outcome": {}}

    def count(self, report: UsageSums) -> None:
        """One report, tenant by tenant."""
        rows = zip(report.tenant, report.requests, report.input_tokens, report.output_tokens, strict=True)
        for tenant, requests, inputs, outputs in rows:
            row = self.tenants[tenant]
            row["used"] += inputs + outputs
            row["requests"] += requests

    def close(self, mark: MeterMark, offset: int) -> Iterator[Fact]:
        """What follows from the mark that meets the barrier: the outcome of the open period, then the next one."""
        stamp = Stamp(offset)
        meter = {"meter_topic": mark.meter_topic, "meter_partition": mark.meter_partition, "tick": mark.tick}
        yield stamp.fact(MeterMarked, "", **meter)
        head = {name: self.whole[name] for name in ("period", "period_start", "policy", "price")}
        for some in self._chunks():
            rows = [self.tenants[name] for name in some]
            metered = {name: [row[name] for row in rows] for name in ("used", "requests")}
            yield stamp.fact(AllocationsClosed, self.terms.pool, **head, **self._outcomes(some), **metered)
        used = sum(row["used"] for row in self.tenants.values())
        hashed = json.dumps(self.tenants, sort_keys=True)  # the least that a hash of the state would cost
        yield stamp.fact(
            PeriodClosed,
            self.terms.pool,
            **self.whole,
            used=used,
            tenants=len(self.tenants),
            closed_tick=mark.tick,
            late_meters=[],
            state_hash=hashed[:0],
        )
        for row in self.tenants.values():
            row["last_used"], row["used"], row["requests"] = row["used"], 0, 0
        yield from self.open(self.period + 1, stamp)

    def open(self, period: int, stamp: Stamp) -> Iterator[Fact]:
        """Forecasts, the auction, allocations and what they cost."""
        self.period = period
        start_ms = period * self.terms.period_s * 1000
        for some in self._chunks():
            unknown = [None] * len(some)
            quantiles = {"p50": unknown, "p90": unknown, "p99": unknown}
            mean = [self.tenants[name]["last_used"] for name in some]
            when = {"period": period, "period_start": start_ms, "forecaster": self.terms.forecaster}
            yield stamp.fact(Forecasts, self.terms.pool, **when, tenant=some, mean=mean, **quantiles)
        unallocated = self._auction()
        capacity, reserve_price = self.terms.capacity, self.terms.reserve_price
        self.whole = {
            "period": period,
            "period_start": start_ms,
            "period_s": self.terms.period_s,
            "policy": self.terms.policy,
            "capacity": capacity,
            "price": reserve_price,
            "allocated": capacity - unallocated,
            "unallocated": unallocated,
        }
        prices = {"base_price": self.terms.base_price, "reserve_price": reserve_price}
        yield stamp.fact(PeriodOpened, self.terms.pool, **self.whole, **prices, tenants=len(self.tenants))
        for some in self._chunks():
            yield stamp.fact(AllocationsOpened, self.terms.pool, period=period, **self._outcomes(some))
            paid = [(f"billed/{name}", self.tenants[name]["outcome"]["charge"]) for name in some]
            paid = [(account, amount) for account, amount in paid if amount]
            for name in some:
                self.tenants[name]["spent"] += self.tenants[name]["outcome"]["charge"]
            yield stamp.fact(
                Postings,
                self.terms.pool,
                period=period,
                entry=["post"] * len(paid),
                code=["allocation"] * len(paid),
                asset=[-1] * len(paid),
                hold=[""] * len(paid),
                debit_account=[account for account, _ in paid],
                credit_account=["operator"] * len(paid),
                amount=[amount for _, amount in paid],
            )

    def _auction(self) -> int:
        bidders = []
        for name, row in self.tenants.items():
            left = None if row["budget"] is None else max(0, row["budget"] - row["spent"])
            inputs = {"elasticity": row["elasticity"], "demand": row["last_used"], "budget_left": left, "weight": row["weight"]}
            row["outcome"] = {**inputs, "bid": row["elasticity"] * row["last_used"] // 1_000_000}
            bidders.append({"id": name, "base": row["base"], **inputs})
        terms = {name: getattr(self.terms, name) for name in ("policy", "capacity", "base_price", "reserve_price")}
        answer = solve({**terms, "tenants": bidders})
        order = sorted(self.tenants, key=lambda name: (-self.tenants[name]["outcome"]["bid"], name))
        for rank, name in enumerate(order, 1):
            given = answer["allocations"][name]
            shortfall = answer["shortfall"].get(name, 0)
            whole = {
                **given,
                "rank": rank,
                "shortfall": shortfall,
                "allocated": given["base"] + given["surplus"],
                "bought": 0,
                "sold": 0,
            }
            self.tenants[name]["outcome"].update(whole)
        unallocated: int = answer["unallocated"]
        return unallocated

    def _chunks(self) -> Iterator[list[str]]:
        names = sorted(self.tenants)
        for start in range(0, len(names), CHUNK_ROWS):
            yield names[start : start + CHUNK_ROWS]

    def _outcomes(self, some: list[str]) -> dict[str, list[Any]]:
        rows = [self.tenants[name]["outcome"] for name in some]
        return {"tenant": some, **{column: [row[column] for row in rows] for column in rows[0]}}
