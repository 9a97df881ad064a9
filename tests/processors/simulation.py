"""A seeded simulation of what writes a journal: a clock with gaps, meters that are late and crash, operators, all interleaved."""

import random
from collections import deque

from journal_world import mark, pool, profile, tick, usage

from processors.allocation import POLICIES
from schemas.planning import PriorsCommand, PriorSource

TENANTS = ("a", "b", "c", "Z", "é", "\U00010000", "\uffff", "d/1", "tenant/x")
POOLS = {"llm": 2, "gpt": 3, "long": 6, "é": 1}
"""Pools by the length of their period in ticks. They are made at random moments; `ghost` never is."""


class Simulation:
    """`records()` are one journal partition's. Every choice comes from the seed."""

    meter_topics = ("latency", "usage")

    def __init__(self, seed, steps=300, tick_ms=1000, quiet_end=True):
        self.random = random.Random(seed)
        self.steps, self.tick_ms, self.quiet_end = steps, tick_ms, quiet_end
        self.meters = self.random.randint(1, 3)
        self.grace = self.random.choice([0, 1, 3, 8, 20])
        self.now = self.random.choice([0, 1, 5, 1_000, 1_700_000_000])
        self.ids = 0
        self.behind = {(topic, part): deque() for topic in self.meter_topics for part in range(self.meters)}
        self.told = {meter: [] for meter in self.behind}
        self.clock = deque()

    def records(self):
        for _ in range(self.steps):
            yield from self.random.choices(
                (
                    self.on_tick,
                    self.on_journal_tick,
                    self.on_meter,
                    self.on_crash,
                    self.on_profile,
                    self.on_pool,
                    self.on_again,
                    self.on_priors,
                ),
                (6, 6, 24, 2, 6, 2, 1, 2),
            )[0]()
        if self.quiet_end:
            yield from self.end()

    def end(self):
        """Everybody comes up to date, and then time goes on until all periods that hold usage are closed."""
        for _ in range(2):
            yield from self.drain()
            self.now += 2 * max(POOLS.values()) + self.grace
            yield from self.on_tick(gap=False)
        yield from self.drain()

    def drain(self):
        while self.clock:
            yield from self.on_journal_tick()
        for meter, ticks in self.behind.items():
            while ticks:
                yield from self.report(meter)

    # The clock: a tick stands in every meter's log at once, and in the journal a little later.

    def on_tick(self, gap=True):
        self.now += self.random.choice([1, 1, 1, 1, 1, 2, 7, 40]) if gap else 1
        for meter, ticks in self.behind.items():
            ticks.append((self.now, self.sums(meter)))
        self.clock.append(self.now)
        return ()

    def on_journal_tick(self):
        if self.clock:
            number = self.clock.popleft()
            yield self.tick(number)
            if self.random.random() < 0.1:
                yield self.tick(number - self.random.randint(0, 2))

    def tick(self, number):
        return tick(max(number, 0), tick_ms=self.tick_ms, meters=self.meters, grace=self.grace)

    # Meters

    def sums(self, meter):
        topic, partition = meter
        if topic == "latency":
            return []
        chosen = self.random
        pools = chosen.sample([*POOLS, "ghost"], chosen.randint(0, 3))
        return [
            usage(self.now, self.rows(), pool=name, partition=partition, chunk=chunk)
            for name in sorted(pools)
            for chunk in range(chosen.choice([1, 1, 2]))
        ]

    def rows(self):
        chosen = self.random
        rows = {}
        for tenant in chosen.sample(TENANTS, chosen.randint(1, 5)):
            size = chosen.choice([0, 3, 50, 400, 10**6, 2**53, 2**55])
            tokens = chosen.randint(0, size)
            rows[tenant] = (tokens, chosen.randint(0, tokens), chosen.randint(0, size), chosen.randint(0, 9))
        return rows

    def on_meter(self):
        waiting = [meter for meter, ticks in self.behind.items() if ticks]
        if waiting:
            yield from self.report(self.random.choice(waiting))

    def report(self, meter):
        number, sums = self.behind[meter].popleft()
        self.told[meter].append((number, sums))
        yield from sums
        yield mark(number, *meter)

    def on_crash(self):
        """A meter dies in the midst of a report, then says again what it may have said, or all of its last ticks."""
        waiting = [meter for meter, ticks in self.behind.items() if ticks]
        if waiting:
            meter = self.random.choice(waiting)
            _, sums = self.behind[meter][0]
            yield from sums[: self.random.randint(0, len(sums))]
            for number, before in self.told[meter][-self.random.randint(1, 3) :]:
                yield from before
                yield mark(number, *meter)

    def on_again(self):
        """Long after: a report that its mark has passed, or an old mark."""
        meter = self.random.choice(list(self.told))
        if self.told[meter]:
            number, sums = self.random.choice(self.told[meter])
            yield from sums
            yield mark(number, *meter)

    # Operators

    def command_id(self):
        self.ids += 1
        return f"c{self.random.randint(1, self.ids)}"  # now and then one that was used before

    def on_pool(self):
        chosen = self.random
        name = chosen.choice(list(POOLS))
        ticks = POOLS[name] if chosen.random() < 0.95 else chosen.randint(1, 9)
        yield pool(
            self.command_id(),
            pool=name,
            capacity=chosen.choice([0, 10, 1000, 1000, 10**6, 2**40]),
            period_s=max(1, ticks * self.tick_ms // 1000),
            policy=chosen.choice(list(POLICIES)),
            base_price=chosen.choice([0, 1, 3, 10**6]),
            reserve_price=chosen.choice([0, 1, 7, 10**6, 10**9]),
            cached_weight=chosen.choice(["0", "0.5", "0.333333", "1"]),
            forecaster=chosen.choice(["last_value", "exponential", "mixture"]),
            **self.replicas(),
        )

    def on_profile(self):
        chosen = self.random
        budget = (chosen.choice([0, 10, 5_000, 10**9, 10**15]), chosen.choice([4, 6, 30, 3600])) if chosen.random() < 0.5 else None
        yield profile(
            self.command_id(),
            chosen.choice(TENANTS),
            pool=chosen.choice([*POOLS, *POOLS, "ghost"]),
            base=chosen.choice([0, 1, 5, 300, 10**5, 2**38]),
            elasticity=chosen.choice(["0", "0.000001", "0.5", "1", "2.5", "1000", "9000000000"]),
            weight=chosen.choice(["0", "0.5", "1", "1", "3"]),
            budget=budget,
            sla_ms=chosen.choice([None, 0, 250]),
            **self.entitlement(),
            bid_on=chosen.choice(["mean", "mean", "p50", "p90", "p99"]),
        )

    def on_priors(self):
        chosen = self.random
        tenants = chosen.sample([*TENANTS, "nobody"], chosen.randint(1, 5))
        hours = [chosen.choice([None, 0, 1, 400, 2**53]) if chosen.random() < 0.7 else None for _ in tenants for _ in range(168)]
        told = PriorsCommand(
            id=self.command_id(),
            pool=chosen.choice([*POOLS, "ghost"]),
            as_of=max(self.now, 0),
            tenant=tenants,
            source=[chosen.choice(list(PriorSource)) for _ in tenants],
            hour_of_week=hours,
        )
        yield told
        if chosen.random() < 0.3:
            yield told.model_copy(update={"id": self.command_id()})

    # What token pools say besides

    def replicas(self):
        return {}

    def entitlement(self):
        return {"tier": self.random.choice(["spot", "elastic", "guaranteed"])}
