"""A gateway's process for worlds of leases: real admission, the real reader of leases, a clock of its own."""

from dataclasses import dataclass, field

from processors.admission import Admission, Admitted
from schemas.gateways import GatewayReport
from streams.leases import REPORT_MS, SOON_MS, Assembly, TenantUse

POOL = "llm"


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
    drift: float
    """Likewise: by this part of the time."""
    admission: Admission
    assembly: Assembly
    lease: object = None
    applied: int = 0
    named: int = 0
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
        return int(now_ms * (1 + self.drift)) + self.lead_ms

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

    def reports_now(self, now_ms):
        """As streams/gateway/running.py does."""
        has_news = self.applied != self.named or any(self.rooms.values())
        return now_ms >= self.next_report_ms or (has_news and now_ms == self.next_report_ms - REPORT_MS + SOON_MS)

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
        self.next_report_ms, self.named = now_ms + REPORT_MS, self.applied
        return report(self.name, self.sequence, use, life=self.life, applied=self.applied, **rest)
