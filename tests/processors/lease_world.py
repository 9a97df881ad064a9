"""Gateways that share a pool, under the test's hands: a journal with a lag, messages that are late or lost, and real admission.

Time is real time in ms; a gateway's own clock is off by some constant. What the engine tells goes through its real outputs and the
gateway's real reader.
"""

import random
from dataclasses import dataclass, field

from journal_world import World, mark, of_kind, tick, usage
from pool_world import PERIOD, REPLICA, admissions, tenant, token_pool

from processors.admission import Admission, Admitted
from processors.entitlement import GUARANTEED, Capacity
from processors.leases.state import GRANTED, HELD
from processors.sharing.state import DIMENSIONS
from schemas.gateways import GatewayReport
from schemas.lease_facts import CapacityLeased, GatewayRefused, LeaseExpired
from schemas.sharing_facts import Limits
from streams.lease_outputs import LeaseOutputs
from streams.leases import Assembly, TenantUse

POOL, STEP_MS, TICK_MS, BURST_MS = "llm", 100, 1_000, 10_000
BEGIN_MS = 110_000
SPACES = ("kv", "concurrency")


def report(gateway, sequence, use=None, *, life="1", applied=0, time=0, **rest):
    """`use`: tenant -> TenantUse."""
    use = use or {}
    names = sorted(use)
    columns = dict(
        zip(
            ("tokens", "kv_peak", "concurrency_peak", "kv_held", "concurrency_held", "refused"),
            zip(*(use[n] for n in names), strict=True),
            strict=False,
        )
    )
    return GatewayReport(
        **{"id": f"{gateway}-{life}-{sequence}", "interval_ms": 1_000, "pool": POOL, **rest},
        time=time,
        gateway=gateway,
        incarnation=life,
        sequence=sequence,
        applied=applied,
        tenant=names,
        **{name: list(column) for name, column in columns.items()},
    )


@dataclass
class Running:
    tenant: str
    tokens: int
    ends_ms: int


@dataclass
class Node:
    """A gateway's process."""

    name: str
    life: str
    lead_ms: int
    """Of its own clock."""
    admission: Admission
    assembly: Assembly
    lease: object = None
    applied: int = 0
    sequence: int = 0
    sent: dict = field(default_factory=dict)
    running: dict = field(default_factory=dict)
    tally: dict = field(default_factory=dict)
    metered: dict = field(default_factory=dict)
    """What it tells meters at the next tick: tenant -> tokens used, and as of `admissions`."""
    rooms: dict = field(default_factory=dict)
    """Tenant -> what waits: since when, tokens, how long it lasts, the longest that it waits."""
    waited: list = field(default_factory=list)
    """Tenant, for how long, whether it was admitted then."""
    requests: int = 0
    next_report_ms: int = 0
    reachable: bool = True

    def clock(self, now_ms):
        return now_ms + self.lead_ms

    def may_admit(self, now_ms):
        lease = self.lease
        return lease is not None and self.clock(now_ms) < self.sent.get(lease.answers, -(10**9)) + lease.valid_ms

    def read(self, now_ms, records):
        for key, value in records:
            for item in self.assembly.read(key, value):
                self.assembly.take(item)
        newest = self.assembly.now()
        if newest is not self.lease:
            if newest is not None and newest.number != self.applied:
                assert newest.number > self.applied
                refused = self.admission.set_limits(now_ms, newest.tenants, newest.capacity)
                assert refused is None, refused
                self.applied = newest.number
            self.lease = newest

    def ask(self, now_ms, tenant, tokens, lasts_ms):
        """Admitted (True), refused (False); None: it may admit nothing at all."""
        if not self.may_admit(now_ms):
            return None
        admitted = self._admit(now_ms, tenant, tokens, lasts_ms)
        if not admitted:
            self._refuse(tenant, tokens)
        return admitted

    def wait(self, now_ms, tenant, tokens, lasts_ms, longest_ms):
        """As `ask`, but it waits behind who waits already; what became of it is in `waited`."""
        room = self.rooms.setdefault(tenant, [])
        room.append((now_ms, tokens, lasts_ms, longest_ms))
        self._next(now_ms, tenant)

    def _next(self, now_ms, tenant):
        room = self.rooms[tenant]
        while room:
            since, tokens, lasts_ms, longest_ms = room[0]
            admitted = self.may_admit(now_ms) and self._admit(now_ms, tenant, tokens, lasts_ms)
            if not admitted:
                if now_ms - since < longest_ms:
                    return
                self._refuse(tenant, tokens)
            room.pop(0)
            self.waited.append((tenant, now_ms - since, admitted))

    def _admit(self, now_ms, tenant, tokens, lasts_ms):
        self.requests += 1
        name = f"{self.name}-{self.life}-{self.requests}"
        decided = self.admission.admit(now_ms, tenant, name, tokens, 0)
        admitted = isinstance(decided, Admitted)
        if admitted:
            self.tally.setdefault(tenant, [0, 0, 0, 0, 0])[0] += tokens
            for stopped in decided.stop:
                self.end(now_ms, stopped)
            self.running[name] = Running(tenant, tokens, now_ms + lasts_ms)
        if (used := self.admission.used(tenant)) is not None:
            tally = self.tally.setdefault(tenant, [0, 0, 0, 0, 0])
            tally[3], tally[4] = max(tally[3], used.kv), max(tally[4], used.concurrency)
            metered = self.metered.setdefault(tenant, [0] * 6)
            metered[4:6] = max(metered[4], used.kv), max(metered[5], used.concurrency)
        return admitted

    def _refuse(self, tenant, tokens):
        blocks = -(-tokens // 16)
        tally = self.tally.setdefault(tenant, [0, 0, 0, 0, 0])
        tally[0], tally[1], tally[2] = tally[0] + tokens, tally[1] + 1, tally[2] + blocks
        metered = self.metered.setdefault(tenant, [0] * 6)
        metered[1:4] = metered[1] + 1, metered[2] + tokens, metered[3] + blocks

    def end(self, now_ms, name):
        running = self.running.pop(name)
        self.admission.settle(now_ms, name, running.tokens, 0)
        self.metered.setdefault(running.tenant, [0] * 6)[0] += running.tokens

    def step(self, now_ms):
        for name in [name for name, each in self.running.items() if each.ends_ms <= now_ms]:
            self.end(now_ms, name)
        for name in self.rooms:
            self._next(now_ms, name)

    def report(self, now_ms, **rest):
        self.sequence += 1
        self.sent[self.sequence] = self.clock(now_ms)
        use = {}
        rooms = {name: room for name, room in self.rooms.items() if room}
        for name in sorted({*self.tally, *rooms, *(each.tenant for each in self.running.values())}):
            tokens, refused, refused_kv, kv, slots = self.tally.get(name, [0, 0, 0, 0, 0])
            for _, waiting, _, _ in rooms.get(name, ()):
                tokens, refused, refused_kv = tokens + waiting, refused + 1, refused_kv - (-waiting // 16)
            held = self.admission.used(name)
            kv_held, slots_held = (held.kv, held.concurrency) if held else (0, 0)
            use[name] = TenantUse(tokens, kv + refused_kv, slots + refused, kv_held, slots_held, refused)
        self.tally = {}
        self.next_report_ms = now_ms + 1_000
        return report(self.name, self.sequence, use, life=self.life, applied=self.applied, **rest)


class LeaseWorld:
    """A pool of 1,000 tokens per second, 500 blocks and 40 requests, unless `terms` say otherwise, at BEGIN_MS."""

    def __init__(self, *profiles, seed=0, late_ms=0, loss=0.0, **terms):
        self.random = random.Random(seed)
        self.late_ms, self.loss = late_ms, loss
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
        node = Node(name, life, self.random.randrange(-10_000, 10_000), admission, Assembly(POOL, name, life))
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
            if node.next_report_ms <= self.now:
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
        """It has a time of the broker's while it is under way, and may be lost."""
        under_way, then = self.random.randint(0, self.late_ms), self.random.randint(0, self.late_ms)
        told = node.report(self.now, time=self.now + under_way, **rest)
        if node.reachable and self.random.random() >= self.loss:
            before = max((at for at, _, each in self.arriving if each.gateway == node.name), default=0)
            self._arrive(max(before, self.now + under_way + then), told)

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
        """What a gateway has in flight is within what it is said to hold at most, as long as its lease has not run out."""
        limits = self.limits()
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
