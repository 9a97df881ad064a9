"""The rule: which request may run.

A request needs tokens of throughput (its input and the most it may put out), blocks of the KV cache for them, and a slot.

1. Its tenant's own limit, in every dimension: use + need ≤ nominal + borrowing × scale, where the scale falls as the pool fills. No
   borrowing limit: no limit of its own.
2. A right: within the nominal quota of a reserved tier (dedicated, guaranteed) in every dimension it is admitted at once. Promises
   never exceed the capacity, so rights always fit among themselves. What was lent of it is taken back: preemptible requests are
   stopped, the newest first and only as many as are needed. Where that isn't enough the pool is overdrawn, by at most what was
   lent.
3. Everything else must fit into what is kept for the tenant and what is idle: need ≤ max(0, kept − use) + idle, where idle is the
   capacity without max(kept, use) of every tenant. So nobody takes what is kept for another, nobody is refused while capacity that
   is kept for nobody else is idle, and an overdrawn pool lets nobody in but by right or into what others left of their own. For an
   elastic tenant within the space that is kept for it preemptible requests are stopped too, if that makes it fit.

Space is use that ends with a request. Throughput is use that time makes good: `Tenant` for a tenant's own limits, where its right
is spent first and what it borrows beside it (so borrowing never delays its right), and `Throughput` for what is kept and idle.
Stopping makes space; tokens that were spent are not unspent by it, but refill pays within milliseconds.

On a busy machine of 2 cores a decision takes 2.6 to 3.5 µs where all fit and 6.5 to 8.5 µs in overload, where half are refused with
a time to retry; a settlement 6.5 to 9 µs. All are O(log tenants) at most. 100,000 tenants hold 57 MiB beside their limits, a
million requests in flight 350 MiB with their ids (tests/benchmarks/bench_admission.py).
"""

from collections.abc import Mapping

from processors.admission import refusals
from processors.admission.allowance import Allowance, allowance
from processors.admission.limits import NO_LIMITS, Totals, changes, refused_capacity, refused_quota, refused_totals
from processors.admission.recent import Recent
from processors.admission.scaling import KNOTS, MILLION, Knots, check, scale
from processors.admission.space import Space
from processors.admission.tenant import NANO, PER_MS, Tenant
from processors.admission.throughput import Throughput
from processors.admission.values import Admitted, Counts, Mistake, Refused, Rejected, Settled, Used
from processors.entitlement import Capacity, Dimension, TenantLimits
from schemas.published import Tier

_, KV, CONCURRENCY = Dimension
_ADMITTED = Admitted()

Request = tuple[str, int, int, int, int, int, bool]
"""Of a request in flight: tenant, tokens, nanotokens of its right, borrowed, and of what was kept for it, start (ms), preemptible.
No object among them, so that the garbage collector has nothing to visit in a million of them."""


class Admission:
    """Which requests of a pool run; one object per pool, one thread. Time is an argument of every call and never runs backwards."""

    def __init__(
        self,
        capacity: Capacity,
        *,
        kv_block_tokens: int = 16,
        burst_ms: int = 10_000,
        knots: Knots = KNOTS,
        leased: bool = False,
    ) -> None:
        """A pool without tenants: `set_limits` brings them.

        Args:
            capacity: of the pool.
            kv_block_tokens: tokens in a block of the KV cache (vLLM's default).
            burst_ms: how much of a rate may be spent at once. A request must fit into it: shorter bursts smooth the load, and
                refuse large requests of tenants with small quotas for ever.
            knots: how borrowing limits fall as the pool fills.
            leased: whether limits are parts of larger ones (processors/leases). What grows then begins spent and fills with time,
                as another gateway may have spent it: moving parts between gateways makes no burst larger than the limit's.

        Raises:
            ValueError: a setting that can't be meant.
        """
        check(knots)
        if kv_block_tokens < 1 or burst_ms < 1 or refused_capacity(capacity):
            raise ValueError(f"capacity {capacity}, blocks of {kv_block_tokens} tokens, bursts of {burst_ms} ms")
        self._capacity, self._block, self._burst_ms, self._knots = capacity, kv_block_tokens, burst_ms, knots
        self._now = self._numbers = self._scaled = 0
        self._scale = knots[0][1]
        self._totals = Totals()
        self._tenants: dict[str, Tenant] = {}
        self._leaving: dict[str, Tenant] = {}  # without limits, until their requests have ended
        self._recent = Recent()
        self._requests: dict[str, Request] = {}
        self._stoppable: dict[str, int] = {}  # blocks of preemptible requests, oldest first
        self._stopping: set[str] = set()
        self._leased = leased
        self._tokens = Throughput(capacity.throughput, burst_ms)
        self._tokens.level = 0 if leased else self._tokens.depth
        self._kv, self._slots = Space(capacity.kv), Space(capacity.concurrency)

    def admit(  # noqa: C901, PLR0912  the path of every request: each part that became a call of its own made it a tenth slower
        self, now_ms: int, tenant: str, request: str, input_tokens: int, max_output_tokens: int, *, lowered: Tier | None = None
    ) -> Admitted | Refused | Rejected:
        """Reserve what a request may cost, or say why not. Only an admitted one changes what is used.

        One that is `lowered` to spot or preemptible claims no right and stops nobody; a preemptible one may be stopped itself.
        """
        owner = self._tenants.get(tenant)
        tokens = input_tokens + max_output_tokens
        wrong = type(tokens) is not int or input_tokens < 0 or max_output_tokens < 0 or not tokens
        if wrong or owner is None or now_ms < self._now or request in self._requests:
            return self._mistaken(now_ms, owner, request, f"{input_tokens!r} + {max_output_tokens!r}")
        if now_ms != self._now:
            self._advance(now_ms)
        if owner.nominal_used or owner.borrowed:
            owner.refill(now_ms, self._scaled)
        pool, kv, slots, held, running = self._tokens, self._kv, self._slots, owner.kv, owner.slots
        need, blocks = tokens * NANO, -(-tokens // self._block)

        # 1. Its own limit; within the nominal quota there is nothing to ask.
        spare = owner.nominal_depth - owner.nominal_used
        within = need <= spare and held.used + blocks <= held.nominal and running.used < running.nominal
        if not within and owner.limited and (refused := self._beyond_own_limit(owner, tokens, need - spare, blocks)):
            owner.refused += tokens
            return refused

        # 2. and 3. What it needs beyond what is kept for its tenant must be idle, but for a right.
        more_kv, more_slots, at_once = blocks, 1, need <= pool.level
        if held.kept > held.used:
            more_kv += held.used - held.kept
        if running.kept > running.used:
            more_slots += running.used - running.kept
        admitted = _ADMITTED
        if more_kv > kv.idle or more_slots > slots.idle or not (at_once or need <= pool.open_to(owner)):
            right, recalls = (within and owner.right, owner.recalls) if lowered is None else (False, False)
            answer = self._make_room(owner, tokens, more_kv - kv.idle, more_slots - slots.idle, right=right, recalls=recalls)
            if isinstance(answer, Refused):
                owner.refused += tokens
                return answer
            admitted = answer

        # Reserved: idle tokens before kept ones, kept space before idle space, its right before what it borrows.
        kept = 0
        if at_once and owner.lends:
            pool.level -= need
        else:
            kept = pool.draw(owner, need)
        held.used += blocks
        if more_kv > 0:
            kv.idle -= more_kv
        running.used += 1
        if more_slots > 0:
            slots.idle -= more_slots
        nominal = borrowed = 0
        if owner.metered:
            nominal = need if within else min(need, max(0, spare))
            borrowed = 0 if owner.borrow_rate is None else need - nominal
            owner.nominal_used += nominal
            owner.borrowed += borrowed
            owner.at, owner.scaled_at = now_ms, self._scaled
        preemptible = owner.preemptible or lowered is Tier.PREEMPTIBLE
        if preemptible:
            self._started(request, blocks)
        self._requests[request] = (tenant, tokens, nominal, borrowed, kept, now_ms, preemptible)
        return admitted

    def settle(self, now_ms: int, request: str, input_tokens: int, output_tokens: int) -> Settled | Rejected:
        """A request has ended (completed, cancelled, failed, stopped): it pays what it really used, and the rest is given back."""
        held = self._requests.get(request)
        spent = input_tokens + output_tokens
        if held is None or now_ms < self._now or type(spent) is not int or input_tokens < 0 or output_tokens < 0:
            return self._unsettled(now_ms, request, f"{input_tokens!r} + {output_tokens!r}")
        tenant, tokens, nominal, borrowed, kept, started, preemptible = held
        owner = self._tenants.get(tenant) or self._leaving[tenant]
        if now_ms != self._now:
            self._advance(now_ms)
        if owner.nominal_used or owner.borrowed:
            owner.refill(now_ms, self._scaled)
        del self._requests[request]
        blocks = -(-tokens // self._block)
        self._kv.free(owner.kv, blocks)
        self._slots.free(owner.slots, 1)
        if preemptible:
            self._ended(request, blocks)
        if self._leaving and not owner.slots.used:
            self._leaving.pop(tenant, None)
        self._recent.observe(now_ms - started, blocks)
        owner.ended += tokens
        if spent > tokens:
            return self._charge(owner, spent - tokens)
        if spent < tokens:
            # In the opposite order in which it was taken: what was kept for it before idle tokens, borrowed before its right.
            back = (tokens - spent) * NANO
            kept = min(back, kept) if kept else 0
            self._tokens.put_back(owner, kept, back - kept)
            if nominal or borrowed:
                beyond = min(back, tokens * NANO - nominal)
                owner.unspend(back - beyond, min(beyond, borrowed))
            owner.given_back += tokens - spent
        return Settled(tenant, tokens - spent, 0)

    def set_limits(self, now_ms: int, limits: Mapping[str, TenantLimits], capacity: Capacity) -> Rejected | None:
        """Limits of a tick, of every tenant there is. What is used and spent stays; who isn't named may start nothing more.

        Costs what changes: of 100,000 tenants 0.06 s if none has changed, 0.8 s if all have, 1.7 s if all are new.
        """
        if now_ms < self._now:
            return Rejected(Mistake.TIME_BACKWARDS, f"{now_ms} after {self._now}")
        totals, (changed, gone) = self._totals.copy(), changes(self._tenants, limits)
        for name, wanted in changed.items():
            if refused := refused_quota(name, wanted):
                return refused
            totals.add(wanted, 1)
        for name in changed.keys() | gone:
            if name in self._tenants:
                totals.add(self._tenants[name].limits, -1)
        if refused := refused_capacity(capacity) or refused_totals(totals, capacity):
            return refused

        self._advance(now_ms)
        self._totals = totals
        for name in gone:
            self._leave(name)
        for name, wanted in changed.items():
            self._apply(name, wanted)
        lent = capacity.throughput - totals.unlent
        grown = capacity.throughput - self._capacity.throughput
        self._tokens.resize(grown * PER_MS, lent * PER_MS * self._burst_ms, len(self._tenants))
        self._kv.resize(capacity.kv)
        self._slots.resize(capacity.concurrency)
        self._capacity = capacity
        self._scale = scale(self._knots, self._tokens.fill)
        return None

    def used(self, tenant: str) -> Used | None:
        """What a tenant uses, as of the last call; None: unknown."""
        owner = self._tenants.get(tenant) or self._leaving.get(tenant)
        if owner is None:
            return None
        owner.refill(self._now, self._scaled)
        return Used(-(-(owner.nominal_used + owner.borrowed) // NANO), owner.kv.used, owner.slots.used)

    def allowance(self, tenant: str) -> Allowance | None:
        """How much a tenant has left of its own limits, else of the pool's, as of the last call; None: unknown."""
        owner = self._tenants.get(tenant)
        if owner is None:
            return None
        owner.refill(self._now, self._scaled)
        borrowable = None if owner.borrow_rate is None else self._borrowable(owner)
        rate, slots = (owner.borrow_rate or 0) * self._scale, self._slots.limit(owner.slots, self._knots)
        return allowance(owner, borrowable, rate, slots, pool_tokens=self._tokens, pool_slots=self._slots)

    def counts(self, tenant: str) -> Counts | None:
        """Tokens of a tenant so far; None: unknown."""
        owner = self._tenants.get(tenant) or self._leaving.get(tenant)
        return None if owner is None else Counts(owner.refused, owner.ended, owner.given_back, owner.excess)

    def fill(self, dimension: Dimension) -> int:
        """How much of the pool is used or kept (of throughput: of the burst), in millionths, as of the last call."""
        return (self._tokens, self._kv, self._slots)[dimension].fill

    def idle(self, dimension: Dimension) -> int:
        """Tokens, blocks or slots that are neither used nor kept, as of the last call; below 0: the pool is overdrawn."""
        return (self._tokens.level // NANO, self._kv.idle, self._slots.idle)[dimension]

    @property
    def in_flight(self) -> int:
        """Requests that were admitted and not yet settled."""
        return len(self._requests)

    def _advance(self, now_ms: int) -> None:
        """It is so late: the pool's bucket is refilled; what is borrowed is, at the scale of the tick, when it is looked at."""
        self._scaled += self._scale * (now_ms - self._now)
        self._now = now_ms
        self._tokens.advance(now_ms)

    def _apply(self, name: str, limits: TenantLimits) -> None:
        """Limits that were checked are in force from now on."""
        owner = self._tenants.get(name)
        if owner is None:
            owner = self._leaving.pop(name, None) or Tenant(name, self._numbers, limits, self._now, self._scaled)
            self._tenants[name] = owner
            self._numbers += 1
        self._grant(owner, limits)

    def _leave(self, name: str) -> None:
        """A tenant has no limits any more; it is forgotten once its requests have ended."""
        owner = self._tenants.pop(name)
        self._grant(owner, NO_LIMITS)
        if owner.slots.used:
            self._leaving[name] = owner

    def _grant(self, owner: Tenant, limits: TenantLimits) -> None:
        throughput, kv, concurrency = limits.quotas
        owner.refill(self._now, self._scaled)
        owner.grant(limits, self._burst_ms, spent=self._leased)
        self._tokens.keep(owner, throughput.kept, self._burst_ms, lends=limits.tier is not Tier.DEDICATED)
        self._kv.requota(owner.kv, kv)
        self._slots.requota(owner.slots, concurrency)

    def _mistaken(self, now_ms: int, owner: Tenant | None, request: str, tokens: str) -> Rejected:
        """Which mistake it was."""
        if now_ms < self._now:
            return Rejected(Mistake.TIME_BACKWARDS, f"{now_ms} after {self._now}")
        if owner is None:
            return Rejected(Mistake.UNKNOWN_TENANT, "it has no limits in this pool")
        if request in self._requests:
            return Rejected(Mistake.REQUEST_IN_USE, request)
        return Rejected(Mistake.INVALID_COST, f"{tokens} tokens")

    def _unsettled(self, now_ms: int, request: str, tokens: str) -> Rejected:
        """Which mistake it was."""
        if now_ms < self._now:
            return Rejected(Mistake.TIME_BACKWARDS, f"{now_ms} after {self._now}")
        if request not in self._requests:
            return Rejected(Mistake.UNKNOWN_REQUEST, request)
        return Rejected(Mistake.INVALID_COST, f"{tokens} tokens")

    def _beyond_own_limit(self, owner: Tenant, tokens: int, beyond: int, blocks: int) -> Refused | None:
        """Refused if in some dimension it is more than the tenant may borrow; `beyond` its right, nanotokens."""
        if beyond > 0 and owner.borrow_rate is not None and owner.borrowed + beyond > self._borrowable(owner):
            return refusals.by_own_throughput(owner, tokens, self._borrowable(owner), self._scale, self._knots)
        for dimension, space, share, need in (KV, self._kv, owner.kv, blocks), (CONCURRENCY, self._slots, owner.slots, 1):
            use = share.used + need
            if use > share.nominal and share.borrowing is not None and use > (limit := space.limit(share, self._knots)):
                return refusals.by_own_space(dimension, share, need, limit, knots=self._knots, recent=self._recent)
        return None

    def _borrowable(self, owner: Tenant) -> int:
        """Nanotokens that a tenant may have borrowed at once while the pool is as full as it is."""
        return owner.borrow_depth * scale(self._knots, self._tokens.fill) // MILLION

    def _make_room(
        self, owner: Tenant, tokens: int, missing_kv: int, missing_slots: int, *, right: bool, recalls: bool
    ) -> Admitted | Refused:
        """Take back what is not idle for a right, or for an elastic tenant within the space kept for it if that makes it fit."""
        kv, slots = self._kv, self._slots
        recalled = right or (
            recalls
            and tokens * NANO <= self._tokens.open_to(owner)
            and -(-tokens // self._block) <= owner.kv.left
            and owner.slots.left > 0
            and missing_kv <= kv.coming + kv.stoppable
            and missing_slots <= slots.coming + slots.stoppable
        )
        if not recalled:
            return self._refused_by_pool(owner, tokens, missing_kv, missing_slots)
        stop = self._recall(missing_kv - kv.coming, missing_slots - slots.coming)
        return Admitted(stop) if stop else _ADMITTED

    def _recall(self, blocks: int, slots: int) -> tuple[str, ...]:
        """Name preemptible requests, the newest first, until they hold so many blocks and slots or all are named."""
        stop = []
        while (blocks > 0 or slots > 0) and self._stoppable:
            request, held = self._stoppable.popitem()
            self._stopping.add(request)
            self._kv.stoppable -= held
            self._kv.coming += held
            self._slots.stoppable -= 1
            self._slots.coming += 1
            blocks -= held
            slots -= 1
            stop.append(request)
        return tuple(stop)

    def _charge(self, owner: Tenant, excess: int) -> Settled:
        """Tokens beyond the reservation: of what is kept, else of what is idle, and of the tenant's own limits."""
        owner.refill(self._now, self._scaled)
        owner.overrun(excess * NANO)
        owner.excess += excess
        self._tokens.draw(owner, excess * NANO)
        return Settled(owner.name, 0, excess)

    def _started(self, request: str, blocks: int) -> None:
        """A preemptible request runs, the newest of them."""
        self._stoppable[request] = blocks
        self._kv.stoppable += blocks
        self._slots.stoppable += 1

    def _ended(self, request: str, blocks: int) -> None:
        """A preemptible request can't be stopped any more, or has been."""
        if request in self._stopping:
            self._stopping.remove(request)
            self._kv.coming -= blocks
            self._slots.coming -= 1
        else:
            del self._stoppable[request]
            self._kv.stoppable -= blocks
            self._slots.stoppable -= 1

    def _refused_by_pool(self, owner: Tenant, tokens: int, missing_kv: int, missing_slots: int) -> Refused:
        """By the first dimension in which it does not fit."""
        if tokens * NANO > self._tokens.open_to(owner):
            return refusals.by_pool_throughput(self._tokens, owner, tokens)
        in_flight = len(self._requests)
        if missing_kv > 0:
            wait = self._recent.until_free(missing_kv, self._recent.blocks_of(in_flight))
            return refusals.by_pool_space(KV, self._kv, owner.kv, -(-tokens // self._block), wait)
        wait = self._recent.until_free(missing_slots, in_flight)
        return refusals.by_pool_space(CONCURRENCY, self._slots, owner.slots, 1, wait)
