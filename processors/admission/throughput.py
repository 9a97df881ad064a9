"""The pool's throughput: what is kept for each tenant, and what is idle. In nanotokens; rates per millisecond.

What is kept refills at its own rate up to its own depth; what flows over when that is full, and all that is kept for nobody, is
idle and refills the pool's bucket. Throughput can't be stored, so this is how an owner's share is lent in each moment that it
leaves it, and how it has it back in the next: nobody else ever draws what is kept. What a dedicated
tenant leaves is lost, not lent.

What is idle is spent before what is kept, so that a share is opened only when it is needed (a dedicated one at once: its refill
would be lost). Nothing is done as time passes: a heap names when the next open share will be full, and between two such moments the
idle bucket grows evenly. A decision costs O(log tenants) for it at most, mostly O(1).
"""

from heapq import heapify, heappop, heappush, heapreplace

from processors.admission.scaling import MILLION
from processors.admission.tenant import PER_MS, Tenant

FULL = -1
"""In place of the time when a share will be full: it is."""


class Throughput:
    """Idle tokens of a pool, and the shares that are filling.

    Attributes:
        at: time (ms) up to which all is computed.
        level: idle tokens. Below 0 while an owner has taken back more than has been refilled.
        depth: the most of them.
        rate: of their refill now.
    """

    __slots__ = ("_filling", "at", "depth", "level", "rate")

    def __init__(self, capacity: int, burst_ms: int) -> None:
        self.at = 0
        self.rate = capacity * PER_MS
        self.level = self.depth = self.rate * burst_ms
        self._filling: list[tuple[int, int, Tenant]] = []

    @property
    def fill(self) -> int:
        """How much of the burst is spent, in millionths."""
        level, depth = self.level, self.depth
        return MILLION if level <= 0 else MILLION - level * MILLION // depth

    def advance(self, now_ms: int) -> None:
        """Refill up to this time, share after share in the order in which they become full."""
        filling = self._filling
        while filling and filling[0][0] <= now_ms:
            self._next_share()
        level = self.level + self.rate * (now_ms - self.at)
        self.level = level if level < self.depth else self.depth  # noqa: FURB136  a call costs more than the rest of the line
        self.at = now_ms

    def kept(self, owner: Tenant) -> int:
        """What there is of what is kept for a tenant."""
        kept = owner.kept + owner.kept_rate * (self.at - owner.kept_at)
        return kept if kept < owner.kept_depth else owner.kept_depth  # noqa: FURB136  a call costs more than the rest of the line

    def open_to(self, owner: Tenant) -> int:
        """What a tenant may take: what is kept for it, and what is idle."""
        return self.level + self.kept(owner) if owner.kept_depth else self.level

    def draw(self, owner: Tenant, need: int) -> int:
        """Take what is idle, then what is kept for the tenant, and what then is missing on credit, so that less than 0 is idle.

        Returns how much was kept. Of a dedicated tenant what is kept comes first.
        """
        kept = self.kept(owner)
        part = min(kept, need - max(0, self.level) if owner.lends else need)
        if part > 0:
            owner.kept, owner.kept_at = kept - part, self.at
            if owner.full_at == FULL and owner.lends:
                self.rate -= owner.kept_rate
                self._fills(owner)
        else:
            part = 0
        self.level -= need - part
        return part

    def put_back(self, owner: Tenant, kept: int, idle: int) -> None:
        """Give back what was drawn of what is kept for the tenant, and of what was idle."""
        if kept:
            owner.kept, owner.kept_at = self.kept(owner) + kept, self.at
            idle += self._trim(owner)
            if owner.full_at != FULL and owner.full_at > self._full_time(owner):  # sooner than the heap says
                self._fills(owner)
        level = self.level + idle
        self.level = level if level < self.depth else self.depth  # noqa: FURB136  a call costs more than the rest of the line

    def keep(self, owner: Tenant, tokens_per_s: int, burst_ms: int, *, lends: bool) -> None:
        """Set what is kept for a tenant. A share that grows fills with time; what one that shrinks held is idle from now on.

        The depth of the idle bucket is `resize`'s, once all shares are set.
        """
        owner.kept, owner.kept_at = self.kept(owner), self.at
        if owner.full_at == FULL and owner.lends:
            self.rate -= owner.kept_rate
        rate = tokens_per_s * PER_MS
        self.rate += owner.kept_rate - rate
        owner.kept_rate, owner.kept_depth, owner.lends = rate, rate * burst_ms, lends
        if owner.kept >= owner.kept_depth:
            self.level += owner.kept - owner.kept_depth
            owner.kept, owner.full_at = owner.kept_depth, FULL
            self.rate += rate if lends else 0
        elif lends:
            self._fills(owner)
        else:
            owner.full_at = FULL  # of no interest: nothing flows over

    def resize(self, rate_change: int, depth: int, tenants: int) -> None:
        """The pool's capacity has changed by a rate, and what may be idle at once to a depth."""
        self.rate += rate_change
        self.depth = depth
        self.level = min(self.level, depth)
        if len(self._filling) > 2 * tenants:  # mostly entries that were overtaken by earlier ones
            self._filling = [entry for entry in self._filling if entry[2].full_at == entry[0]]
            heapify(self._filling)

    def next_flow(self) -> tuple[int, int] | None:
        """When (ms) the next share will be full if nothing is drawn, and what will then flow over; None: no share fills."""
        while self._filling:
            at, _, owner = self._filling[0]
            if owner.full_at == at:
                return self._full_time(owner), owner.kept_rate
            heappop(self._filling)
        return None

    def _next_share(self) -> None:
        """What the heap's first entry stands for: a share is full and flows over from now on; or is not yet, or not any more."""
        at, number, owner = self._filling[0]
        if owner.full_at != at:
            heappop(self._filling)
            return
        level = owner.kept + owner.kept_rate * (at - owner.kept_at)
        if level < owner.kept_depth:
            owner.full_at = at - (level - owner.kept_depth) // owner.kept_rate
            heapreplace(self._filling, (owner.full_at, number, owner))
            return
        heappop(self._filling)
        owner.kept, owner.kept_at = level, at
        idle = self.level + self.rate * (at - self.at) + self._trim(owner)
        self.level, self.at = min(idle, self.depth), at

    def _trim(self, owner: Tenant) -> int:
        """What is in a share above its depth flows over, from now on with its refill; returns it if it is lent."""
        over = owner.kept - owner.kept_depth
        if over < 0:
            return 0
        owner.kept = owner.kept_depth
        if not owner.lends:
            return 0
        if owner.full_at != FULL:
            owner.full_at = FULL
            self.rate += owner.kept_rate
        return over

    def _fills(self, owner: Tenant) -> None:
        owner.full_at = self._full_time(owner)
        heappush(self._filling, (owner.full_at, owner.number, owner))

    @staticmethod
    def _full_time(owner: Tenant) -> int:
        """When a share will be full, rounded up to a whole millisecond."""
        return owner.kept_at - (owner.kept - owner.kept_depth) // owner.kept_rate
