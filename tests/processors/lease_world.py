"""Gateways that share a pool, under the test's hands: a journal with a lag, messages that are late or lost, and real admission.

Time is real time in ms; a gateway's own clock is off by some constant, and runs too fast or slow. What the engine tells goes
through its real outputs and the gateway's real reader.
"""

import random

from journal_world import World, mark, of_kind, tick, usage
from lease_node import POOL, Node, report
from pool_world import PERIOD, REPLICA, admissions, tenant, token_pool

from processors.admission import Admission
from processors.entitlement import GUARANTEED, Capacity
from processors.leases.state import GRANTED, HELD
from processors.sharing.state import DIMENSIONS
from schemas.lease_facts import CapacityLeased, GatewayRefused, LeaseExpired
from schemas.sharing_facts import Limits
from streams.lease_outputs import LeaseOutputs
from streams.leases import Assembly, TenantUse

STEP_MS, TICK_MS, BURST_MS = 100, 1_000, 10_000
BEGIN_MS = 110_000
SPACES = ("kv", "concurrency")


class LeaseWorld:
    """A pool of 1,000 tokens per second, 500 blocks and 40 requests, unless `terms` say otherwise, at BEGIN_MS."""

    def __init__(self, *profiles, seed=0, late_ms=0, loss=0.0, again=0.0, drift=0.0, **terms):
        self.random = random.Random(seed)
        self.late_ms, self.loss, self.again, self.drift = late_ms, loss, again, drift
        self.engine = World()
        self.engine.tick(105)
        self.engine.take(token_pool(**terms), *profiles)
        self.now = BEGIN_MS - TICK_MS
        self.outputs = LeaseOutputs(self.engine.state, 0, "leases")
        self.nodes = {}
        self.arriving = []  # (when, order, record for the journal)
        self.backlog = []
        self.telling = []  # (when, key, value), in the order of the topic
        self.paused_until = 0
        self.number = 0
        self.held_before = {}
        self.come = 0
        self.pass_ms(TICK_MS)

    # The world's events

    def start(self, name, life="1"):
        admission = Admission(Capacity(0, 0, 0), burst_ms=BURST_MS, knots=((0, 1_000_000),), leased=True)
        lead_ms, drift = self.random.randrange(-10_000, 10_000), self.drift and self.random.uniform(-self.drift, self.drift)
        node = Node(name, life, lead_ms, drift, admission, Assembly(POOL, name, life))
        self.nodes[name] = node
        node.read(self.now, [(key, value) for _, key, value in self.telling[: self.come]])
        return node

    def kill(self, name):
        del self.nodes[name]

    def pause(self, many_ms):
        """The engine decides nothing meanwhile; the journal goes on."""
        self.paused_until = self.now + many_ms

    def take(self, *records):
        """Straight to the journal."""
        self.backlog += records

    def pass_ms(self, many, asking=None):
        for _ in range(many // STEP_MS):
            self.now += STEP_MS
            self._step(asking)

    def _step(self, asking):
        for node in self.nodes.values():
            node.step(self.now)
            if asking is not None:
                asking(node)
            if node.reports_now(self.now):
                self.send(node)
        if self.now % TICK_MS == 0:
            number = self.now // TICK_MS
            self.backlog += self._metered(number)
            self.backlog += [*(mark(number, topic) for topic in ("latency", "usage", "admissions")), self._tick(number)]
        due = sorted(each for each in self.arriving if each[0] <= self.now)
        self.arriving = [each for each in self.arriving if each[0] > self.now]
        self.backlog += [record for _, _, record in due]
        if self.now >= self.paused_until:
            self.decide()
        come = next((at for at in range(self.come, len(self.telling)) if self.telling[at][0] > self.now), len(self.telling))
        for node in self.nodes.values():
            if node.reachable:
                node.read(self.now, [(key, value) for _, key, value in self.telling[self.come : come]])
        self.come = come
        self.check()

    def _metered(self, number):
        """What meters have of all gateways."""
        found = {}
        for node in self.nodes.values():
            for name, counts in node.metered.items():
                found[name] = [a + b for a, b in zip(found.get(name, [0] * 6), counts, strict=True)]
            node.metered = {}
        if found:
            yield usage(number, {name: counts[0] for name, counts in found.items() if counts[0]})
            yield admissions(number, {name: counts[1:] for name, counts in found.items()})

    def _tick(self, number):
        return tick(number, grace=3)

    def send(self, node, **rest):
        """It has a time of the broker's while it is under way, and may be lost, or stand in the journal twice, much later, too."""
        under_way, then = self.random.randint(0, self.late_ms), self.random.randint(0, self.late_ms)
        told = node.report(self.now, time=self.now + under_way, **rest)
        if node.reachable and self.random.random() >= self.loss:
            sent = [at for at, _, each in self.arriving if each.gateway == node.name and at <= self.now + 2 * self.late_ms]
            come = max([self.now + under_way + then, *sent])
            self._arrive(come, told)
            if self.again and self.random.random() < self.again:
                self._arrive(come + self.random.choice((0, 300, 3_000, 15_000)), told)

    def _arrive(self, at, record):
        self.number += 1
        self.arriving.append((at, self.number, record))

    def decide(self):
        records, self.backlog = self.backlog, []
        for record in records:
            for fact in self.engine.take(record):
                self.outputs.note(fact)
            self.check_held()
        if self.outputs.pending:
            for slice_ in self.outputs.round():
                for told in slice_:
                    at = self.now + self.random.randint(1, 1 + self.late_ms)
                    self.telling.append((max(self.telling[-1][0], at) if self.telling else at, told.key, told.value))

    # What holds at every moment

    @property
    def pool(self):
        return self.engine.pool(POOL)

    @property
    def leases(self):
        return self.pool.leases.gateways if self.pool.leases else {}

    def limits(self):
        """tenant -> column of LIMITS -> value; None: no limit."""
        tenants = self.pool.tenants
        return {
            name: {
                each: None if tenants[f"told_{each}"][slot] == 2**63 - 1 else int(tenants[f"told_{each}"][slot]) for each in GRANTED
            }
            for name, slot in tenants.slots.items()
            if tenants["told_tier"][slot] >= 0
        }

    def held(self):
        """(tenant, column) -> what gateways together may be using; (None, dimension): of the capacity."""
        slots, found = self.pool.tenants.slots, {}
        for gateway in self.leases.values():
            for name, slot in slots.items():
                if slot < len(gateway.rows):
                    for column, each in zip(HELD, GRANTED, strict=True):
                        found[name, each] = found.get((name, each), 0) + int(gateway.rows[column][slot])
            for place, held in enumerate(gateway.held_capacity):
                found[None, place] = found.get((None, place), 0) + held
        return found

    def promised(self, place):
        tenants = self.pool.tenants
        column = tenants[f"told_{DIMENSIONS[place]}_nominal"]
        return int(column[(tenants["told_tier"] >= 0) & (tenants["told_tier"] <= GUARANTEED)].sum())

    def check_held(self):
        """The sum never exceeds the limit, or where that fell, never grows. By right a pool is overdrawn by what was lent."""
        held, limits = self.held(), self.limits()
        capacity = self.pool.sharing.terms.capacity if self.pool.sharing and self.pool.sharing.terms else (0, 0, 0)
        for (name, each), together in held.items():
            limit = capacity[each] + self.promised(each) if name is None else limits.get(name, {}).get(each, 0)
            if limit is not None:
                assert together <= max(limit, self.held_before.get((name, each), 0)), (self.now, name, each, together, limit)
        self.held_before = held

    def check(self):
        """What a gateway goes by, and has in flight, is within what it is said to hold at most, until its lease has run out.

        With `check_held`: what all gateways go by is together never more than the limit.
        """
        limits = self.limits()
        self.check_believed()
        for name, node in self.nodes.items():
            gateway = self.leases.get(name)
            if gateway is None or gateway.incarnation != node.life or not node.may_admit(self.now):
                continue
            for tenant_, slot in self.pool.tenants.slots.items():
                used = node.admission.used(tenant_)
                for each in SPACES if used and slot < len(gateway.rows) else ():
                    most = sum(int(gateway.rows[f"held_{each}_{part}"][slot]) for part in ("nominal", "borrowing"))
                    if limits[tenant_][f"{each}_borrowing"] is not None:
                        assert getattr(used, each) <= most, (self.now, name, tenant_, each, used, most)

    def check_believed(self):
        """Who may admit by a lease has it in the engine's eyes, and no more than is held for it."""
        for name, node in self.nodes.items():
            if not node.may_admit(self.now):
                continue
            gateway = self.leases.get(name)
            assert gateway is not None, (self.now, name, "its share was given away")
            assert gateway.incarnation == node.life, (self.now, name)
            assert all(map(int.__le__, node.lease.capacity, gateway.held_capacity)), (self.now, name)
            for tenant_, of in node.lease.tenants.items():
                quotas = [value for quota in of.quotas for value in quota]
                slot = self.pool.tenants.slots[tenant_]
                for held, value in zip(HELD, quotas, strict=True):
                    assert (value or 0) <= int(gateway.rows[held][slot]), (self.now, name, tenant_, held)

    def in_flight(self, tenant_, each="concurrency"):
        """At all gateways that may admit."""
        used = (node.admission.used(tenant_) for node in self.nodes.values() if node.may_admit(self.now))
        return sum(getattr(one, each) for one in used if one)

    def share(self, name, tenant_, column):
        """What the newest lease of a gateway says."""
        gateway = self.leases.get(name)
        return None if gateway is None else int(gateway.rows[column][self.pool.tenants.slots[tenant_]])


__all__ = [
    "BEGIN_MS",
    "PERIOD",
    "POOL",
    "REPLICA",
    "CapacityLeased",
    "GatewayRefused",
    "LeaseExpired",
    "LeaseWorld",
    "Limits",
    "TenantUse",
    "admissions",
    "mark",
    "of_kind",
    "report",
    "tenant",
    "tick",
    "usage",
]
