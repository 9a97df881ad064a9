"""Admission again, slow and without a thought: exact fractions, one millisecond after the other, sums over the list of requests."""

from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from math import ceil, floor

from processors.entitlement import Dimension
from schemas.published import Tier

THROUGHPUT, KV, CONCURRENCY = Dimension
RESERVED = (Tier.DEDICATED, Tier.GUARANTEED)


@dataclass
class Running:
    id: str
    tenant: str
    tokens: int
    blocks: int
    right: Fraction
    borrowed: Fraction
    kept: Fraction
    preemptible: bool
    stopping: bool = False


@dataclass
class Member:
    limits: object
    known: bool = True
    right_used: Fraction = Fraction(0)
    borrowed: Fraction = Fraction(0)
    kept: Fraction = Fraction(0)

    def quota(self, dimension):
        return self.limits.quotas[dimension]


@dataclass
class Oracle:
    """Everything in tokens, blocks and requests; nothing is kept up that can be added up."""

    capacity: object
    block: int
    burst_ms: int
    knots: tuple
    now: int = 0
    members: dict = field(default_factory=dict)
    running: list = field(default_factory=list)
    idle_tokens: Fraction | None = None
    tick_scale: Fraction = Fraction(1)

    def __post_init__(self):
        self.idle_tokens = self.deepest_idle()

    # What there is.

    def burst(self, tokens_per_s):
        return Fraction(tokens_per_s * self.burst_ms, 1000)

    def deepest_idle(self):
        dedicated = sum(m.quota(THROUGHPUT).kept for m in self.members.values() if m.limits.tier is Tier.DEDICATED)
        return self.burst(self.capacity.throughput - dedicated)

    def used(self, name, dimension):
        mine = [r for r in self.running if r.tenant == name]
        return sum(r.blocks for r in mine) if dimension is KV else len(mine)

    def left(self, name, dimension):
        if dimension is THROUGHPUT:
            return self.members[name].kept
        return max(0, self.members[name].quota(dimension).kept - self.used(name, dimension))

    def idle(self, dimension):
        if dimension is THROUGHPUT:
            return self.idle_tokens
        taken = sum(max(m.quota(dimension).kept, self.used(name, dimension)) for name, m in self.members.items())
        return self.capacity[dimension] - taken

    def scale(self, dimension):
        all_of_it = self.deepest_idle() if dimension is THROUGHPUT else self.capacity[dimension]
        free = max(self.idle(dimension), 0)
        fill = 1_000_000
        if free and dimension is THROUGHPUT:
            fill -= floor(free * 1_000_000 / all_of_it)
        elif free:
            fill = floor(Fraction((all_of_it - free) * 1_000_000, all_of_it))
        points = [(0, self.knots[0][1]), *self.knots, (1_000_001, self.knots[-1][1])]
        for (x, y), (to_x, to_y) in pairwise(points):
            if x <= fill <= to_x and to_x > x:
                return Fraction(floor(y + Fraction((to_y - y) * (fill - x), to_x - x)), 1_000_000)
        raise AssertionError(fill)

    def own_limit(self, name, dimension):
        quota = self.members[name].quota(dimension)
        if quota.borrowing is None:
            return None
        if dimension is THROUGHPUT:
            return self.burst(quota.nominal) + self.burst(quota.borrowing) * self.scale(dimension)
        return quota.nominal + floor(quota.borrowing * self.scale(dimension))

    # What time does.

    def wait(self, now):
        while self.now < now:
            self.now += 1
            flow = Fraction(self.capacity.throughput)
            for member in self.members.values():
                nominal, borrowing, kept = member.quota(THROUGHPUT)
                member.right_used = max(Fraction(0), member.right_used - Fraction(nominal, 1000))
                member.borrowed = max(Fraction(0), member.borrowed - Fraction(borrowing or 0, 1000) * self.tick_scale)
                member.kept += Fraction(kept, 1000)
                flow -= kept
                flow += 1000 * self.overflow(member)
            self.idle_tokens = min(self.deepest_idle(), self.idle_tokens + flow / 1000)

    def overflow(self, member):
        over = max(Fraction(0), member.kept - self.burst(member.quota(THROUGHPUT).kept))
        member.kept -= over
        return 0 if member.limits.tier is Tier.DEDICATED else over

    # What is asked.

    def admit(self, now, name, request, tokens):
        """('admitted', stopped ids) or ('refused', dimension, own or pool, limit, use, need, never)."""
        self.wait(now)
        member = self.members[name]
        need = (Fraction(tokens), ceil(Fraction(tokens, self.block)), 1)
        spare = max(Fraction(0), self.burst(member.quota(THROUGHPUT).nominal) - member.right_used)
        in_right = [need[0] <= spare] + [self.used(name, d) + need[d] <= member.quota(d).nominal for d in (KV, CONCURRENCY)]
        for dimension in Dimension:
            limit = self.own_limit(name, dimension)
            use = member.right_used + member.borrowed if dimension is THROUGHPUT else self.used(name, dimension)
            if limit is not None and not in_right[dimension] and use + need[dimension] > limit:
                return self.refused(dimension, "own", limit, use, need[dimension], self.highest_own(name, dimension))
        fits = [need[d] <= self.left(name, d) + self.idle(d) for d in Dimension]
        right = all(in_right) and member.limits.tier in RESERVED
        stopped = []
        if right or not all(fits):
            stopped = self.to_stop(name, need)
        if not right and not all(fits):
            gained = (0, sum(r.blocks for r in self.held_by_stopped(stopped)), len(self.held_by_stopped(stopped)))
            in_kept = all(need[d] <= self.left(name, d) for d in (KV, CONCURRENCY))
            enough = all(need[d] <= self.left(name, d) + self.idle(d) + gained[d] for d in Dimension)
            if not (in_kept and enough and member.limits.tier in (*RESERVED, Tier.ELASTIC)):
                return self.refused_by_pool(name, fits.index(False), need)
        for running in self.running:
            running.stopping |= running.id in stopped
        from_kept = self.draw(member, need[0])
        by_right = min(need[0], spare)
        borrowed = need[0] - by_right if member.quota(THROUGHPUT).borrowing is not None else Fraction(0)
        member.right_used += by_right
        member.borrowed += borrowed
        preemptible = member.limits.tier is Tier.PREEMPTIBLE
        self.running.append(Running(request, name, tokens, need[1], by_right, borrowed, from_kept, preemptible))
        return "admitted", tuple(stopped)

    def held_by_stopped(self, stopped):
        return [r for r in self.running if r.stopping or r.id in stopped]

    def to_stop(self, name, need):
        """Newest first, until those that are being stopped hold what is missing; all, if that isn't enough."""
        stopped = []
        candidates = [r for r in self.running if r.preemptible and not r.stopping]
        while candidates:
            going = self.held_by_stopped(stopped)
            gained = (0, sum(r.blocks for r in going), len(going))
            if all(need[d] <= self.left(name, d) + self.idle(d) + gained[d] for d in (KV, CONCURRENCY)):
                break
            stopped.append(candidates.pop().id)
        return stopped

    def highest_own(self, name, dimension):
        quota = self.members[name].quota(dimension)
        top = Fraction(self.knots[0][1], 1_000_000)
        if dimension is THROUGHPUT:
            return self.burst(quota.nominal) + self.burst(quota.borrowing) * top
        return quota.nominal + floor(quota.borrowing * top)

    def refused_by_pool(self, name, dimension, need):
        dimension = Dimension(dimension)
        limit = self.capacity[dimension]
        if dimension is THROUGHPUT:
            limit = self.deepest_idle() + self.burst(self.members[name].quota(THROUGHPUT).kept)
        use = limit - self.left(name, dimension) - self.idle(dimension)
        return self.refused(dimension, "pool", limit, use, need[dimension], limit)

    @staticmethod
    def refused(dimension, whose, limit, use, need, highest):  # noqa: PLR0917  the columns of a refusal
        return "refused", dimension, whose, floor(limit), ceil(use), need, need > highest

    def settle(self, now, request, spent):
        """(tenant, given back, excess)."""
        self.wait(now)
        (ended,) = [r for r in self.running if r.id == request]
        self.running.remove(ended)
        member = self.members[ended.tenant]
        if spent > ended.tokens:
            self.charge(member, Fraction(spent - ended.tokens))
        back = Fraction(max(0, ended.tokens - spent))
        to_kept = min(back, ended.kept)
        member.kept += to_kept
        self.idle_tokens = min(self.deepest_idle(), self.idle_tokens + back - to_kept + self.overflow(member))
        beyond = min(back, ended.tokens - ended.right)
        member.borrowed = max(Fraction(0), member.borrowed - min(beyond, ended.borrowed))
        member.right_used = max(Fraction(0), member.right_used - (back - beyond))
        self.forget()
        return ended.tenant, int(back), max(0, spent - ended.tokens)

    def draw(self, member, tokens):
        """Idle ones first, but of a dedicated tenant those that are kept."""
        idle = Fraction(0) if member.limits.tier is Tier.DEDICATED else max(Fraction(0), self.idle_tokens)
        from_kept = min(member.kept, max(Fraction(0), tokens - idle))
        member.kept -= from_kept
        self.idle_tokens -= tokens - from_kept
        return from_kept

    def charge(self, member, excess):
        self.draw(member, excess)
        nominal, borrowing, _ = member.quota(THROUGHPUT)
        if not nominal:
            member.borrowed += excess if borrowing else 0
            return
        by_right = min(excess, max(Fraction(0), self.burst(nominal) - member.right_used))
        borrowed = min(excess - by_right, max(Fraction(0), self.burst(borrowing or 0) - member.borrowed))
        member.right_used += excess - borrowed
        member.borrowed += borrowed

    def set_limits(self, now, limits, capacity, none):
        self.wait(now)
        released = Fraction(0)
        for name in sorted(self.members.keys() | limits.keys()):
            member = self.members.setdefault(name, Member(limits.get(name, none)))
            overrun = max(Fraction(0), member.right_used - self.burst(member.quota(THROUGHPUT).nominal))
            over_borrowed = max(Fraction(0), member.borrowed - self.burst(member.quota(THROUGHPUT).borrowing or 0))
            member.known, member.limits = name in limits, limits.get(name, none)
            nominal, borrowing, kept = member.quota(THROUGHPUT)
            member.right_used = min(member.right_used, self.burst(nominal) + overrun)
            member.borrowed = min(member.borrowed, self.burst(borrowing or 0) + over_borrowed)
            if not nominal:
                member.borrowed, member.right_used = member.borrowed + member.right_used, Fraction(0)
            if not borrowing:
                member.borrowed = Fraction(0)
            released += max(Fraction(0), member.kept - self.burst(kept))
            member.kept = min(member.kept, self.burst(kept))
        self.forget()
        self.capacity = capacity
        self.idle_tokens = min(self.idle_tokens + released, self.deepest_idle())
        self.tick_scale = self.scale(THROUGHPUT)

    def forget(self):
        for name in [name for name, m in self.members.items() if not m.known and not self.used(name, CONCURRENCY)]:
            del self.members[name]
