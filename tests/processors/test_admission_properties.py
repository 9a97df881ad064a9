"""Admission against an oracle that adds everything up again, and what must hold whatever happens."""

import copy
import os

from admission_oracle import CONCURRENCY, KV, THROUGHPUT, Oracle
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from processors.admission import Admission, Admitted, Mistake, Refused, Rejected, Settled
from processors.admission.limits import NO_LIMITS
from processors.admission.tenant import NANO
from processors.entitlement import Capacity, Dimension, Quota, TenantLimits
from schemas.published import Tier

TIERS = {
    "dora": (Tier.DEDICATED,),
    "gus": (Tier.GUARANTEED,),
    "gwen": (Tier.GUARANTEED, Tier.ELASTIC),
    "ella": (Tier.ELASTIC,),
    "sam": (Tier.SPOT, Tier.PREEMPTIBLE),
    "pam": (Tier.PREEMPTIBLE,),
}
BLOCK, BURST_MS = 8, 100
KNOTS = ((400_000, 1_000_000), (700_000, 600_000), (1_000_000, 100_000))
FULL = Capacity(2_000, 40, 8)
CUT = Capacity(1_100, 23, 5)
BACKWARDS, START = 999, 1_000

gaps = st.sampled_from((0, 0, 0, 1, 3, 10, 40, 130))
parts = st.sampled_from((0, 0, 0, 1, 2, 4))  # quarters
borrowings = st.sampled_from((None, None, None, 0, 1, 2, 4, 6))


@st.composite
def pool_limits(draw):
    """A capacity and limits that it can hold: what is kept and what is promised are parts of what the others left."""
    capacity = draw(st.sampled_from((FULL, FULL, CUT)))
    unkept, unpromised = list(capacity), list(capacity)
    limits = {}
    for name in draw(st.permutations(sorted(TIERS)))[: draw(st.integers(3, 6))]:
        tier = draw(st.sampled_from(TIERS[name]))
        quotas = []
        for dimension in Dimension:
            reserved = tier in (Tier.DEDICATED, Tier.GUARANTEED)
            nominal = (unpromised if reserved else capacity)[dimension] * draw(st.integers(0, 4)) // 4
            unpromised[dimension] -= nominal if reserved else 0
            kept = min(nominal, unkept[dimension]) if tier is Tier.DEDICATED else unkept[dimension] * draw(parts) // 4
            unkept[dimension] -= kept
            quarters = draw(borrowings)
            quotas.append(Quota(nominal, None if quarters is None else capacity[dimension] * quarters // 4, kept))
        limits[name] = TenantLimits(tier, tuple(quotas))
    return capacity, limits


def picture(thing):
    """All that an object holds, to be compared."""
    if isinstance(thing, dict):
        return {key: picture(value) for key, value in thing.items()}
    if isinstance(thing, (list, tuple, set)):
        return [picture(value) for value in thing]
    slots = getattr(type(thing), "__slots__", None) if not isinstance(thing, (Quota, TenantLimits, Capacity)) else None
    names = slots if slots and not isinstance(thing, int) else vars(thing) if hasattr(thing, "__dict__") else None
    if names is None or isinstance(thing, Tier):
        return thing
    return {name: picture(getattr(thing, name)) for name in names}


class AdmissionAgainstOracle(RuleBasedStateMachine):
    @initialize(start=pool_limits())
    def start(self, start):
        capacity, limits = start
        self.now, self.number, self.ended = START, 0, []
        self.admission = Admission(capacity, kv_block_tokens=BLOCK, burst_ms=BURST_MS, knots=KNOTS)
        self.oracle = Oracle(capacity, BLOCK, BURST_MS, KNOTS, now=START)
        self._limits(capacity, limits)
        self.reserved = self.settled = self.given_back = 0

    def _limits(self, capacity, limits):
        assert self.admission.set_limits(self.now, limits, capacity) is None
        self.oracle.set_limits(self.now, limits, capacity, NO_LIMITS)
        self.limits, self.capacity = limits, capacity

    @rule(gap=gaps, wanted=pool_limits())
    def tick(self, gap, wanted):
        self.now += gap
        self._limits(*wanted)

    @rule(gap=gaps, data=st.data())
    def small_tick(self, gap, data):
        """One tenant's limits change, the others' stay."""
        self.now += gap
        name = data.draw(st.sampled_from(sorted(self.limits)))
        _, others = data.draw(pool_limits())
        changed = {**self.limits, name: others.get(name, self.limits[name])}
        before = picture(self.admission)
        refused = self.admission.set_limits(self.now, changed, self.capacity)
        if refused:
            assert refused.mistake in (Mistake.KEPT_ABOVE_CAPACITY, Mistake.PROMISED_ABOVE_CAPACITY)
            assert picture(self.admission) == before
            self.now -= gap
        else:
            self.oracle.set_limits(self.now, changed, self.capacity, NO_LIMITS)
            self.limits = changed

    @rule(gap=gaps, data=st.data(), tokens=st.integers(1, 40) | st.integers(1, 160), times=st.sampled_from((1, 1, 4, 8)))
    def ask(self, gap, data, tokens, times):
        name = data.draw(st.sampled_from(sorted(self.limits)))
        self.now += gap
        self._a_higher_limit_admits_no_less(name, tokens)
        for _ in range(times):
            self.number += 1
            self._ask(name, f"r{self.number}", tokens)

    @precondition(lambda self: "pam" in self.limits)
    @rule(data=st.data(), tokens=st.integers(1, 40), wanted=pool_limits(), gap=gaps)
    def crowd_and_take_back(self, data, tokens, wanted, gap):
        """Preemptible requests take what they get; a tick may keep more for others; then owners ask."""
        for _ in range(8):
            self.number += 1
            self._ask("pam", f"r{self.number}", tokens)
        self.now += gap
        self._limits(*wanted)
        for name in data.draw(st.permutations(sorted(self.limits.keys() - {"pam", "sam"}))):
            for _ in range(3):
                self.number += 1
                self._ask(name, f"r{self.number}", tokens)

    def _ask(self, name, request, tokens):
        before = copy.deepcopy(self.admission)
        found = self.admission.admit(self.now, name, request, tokens // 3, tokens - tokens // 3)
        said = self.oracle.admit(self.now, name, request, tokens)
        if isinstance(found, Admitted):
            assert said == ("admitted", found.stop)
            self.reserved += tokens
            self._within_own_limits(name, before)
            return
        dimension, whose, limit, use, need, wait, never = found
        assert said == ("refused", dimension, whose.value, limit, use, need, never)
        assert use + need > limit
        assert wait is None or wait > 0
        assert not (never and wait)
        if wait and dimension is THROUGHPUT:
            self._gets_in(found, name, tokens)

    def _within_own_limits(self, name, before):
        """Never above nominal + borrowing, however empty the pool; the pool never above its capacity but by right or by a cut."""
        quotas, used = self.limits[name].quotas, copy.deepcopy(self.admission).used(name)
        spare = [quota.nominal + quota.borrowing if quota.borrowing is not None else None for quota in quotas]
        earlier = before.used(name)
        for dimension in (KV, CONCURRENCY):
            assert spare[dimension] is None or used[dimension] <= max(spare[dimension], quotas[dimension].nominal)
            overdrawn = max(0, -self.admission.idle(dimension)) - max(0, -before.idle(dimension))
            if self.limits[name].tier not in (Tier.DEDICATED, Tier.GUARANTEED):
                assert overdrawn <= 0
            assert used[dimension] > earlier[dimension]

    def _gets_in(self, refused, name, tokens):
        """A retry after the time that was named isn't refused for the same reason, if nothing else happens."""
        later = copy.deepcopy(self.admission).admit(self.now + refused.retry_after_ms, name, "retry", tokens, 0)
        assert not isinstance(later, Refused) or (later.dimension, later.whose) != (THROUGHPUT, refused.whose), later

    def _a_higher_limit_admits_no_less(self, name, tokens):
        own = self.limits[name]
        raised = own._replace(
            quotas=tuple(
                Quota(nominal + 1 + nominal // 2, None if borrowing is None else borrowing + 1, kept)
                for nominal, borrowing, kept in own.quotas
            )
        )
        answers = []
        for limits in (self.limits, {**self.limits, name: raised}):
            tried = copy.deepcopy(self.admission)
            if tried.set_limits(self.now, limits, self.capacity):
                return  # more than may be promised
            answers.append(isinstance(tried.admit(self.now, name, "higher", tokens, 0), Admitted))
        assert answers != [True, False]

    @precondition(lambda self: self.oracle.running)
    @rule(gap=gaps, data=st.data(), spent=st.sampled_from((0, 1, 3, 4, 5, 9)))
    def end(self, gap, data, spent):
        """A request ends; `spent` quarters of what it reserved are its real cost."""
        running = data.draw(st.sampled_from(self.oracle.running))
        self.now += gap
        self._settle(running.id, running.tokens, running.tokens * spent // 4)

    def _settle(self, request, tokens, spent):
        found = self.admission.settle(self.now, request, spent // 2, spent - spent // 2)
        assert found == Settled(*self.oracle.settle(self.now, request, spent))
        assert found.given_back == max(0, tokens - spent)
        assert found.excess == max(0, spent - tokens)
        self.settled += min(spent, tokens)
        self.given_back += found.given_back
        self.ended.append(request)

    @rule(data=st.data())
    def mistakes(self, data):
        """None of them changes anything."""
        before = picture(self.admission)
        name = data.draw(st.sampled_from(sorted(self.limits)))
        some = [r.id for r in self.oracle.running][:1]
        wrong = [
            (self.admission.settle(self.now + 5, request, 1, 1), Mistake.UNKNOWN_REQUEST) for request in ["x", *self.ended[-2:]]
        ]
        wrong += [(self.admission.admit(self.now + 5, name, request, 1, 1), Mistake.REQUEST_IN_USE) for request in some]
        wrong += [(self.admission.settle(self.now + 5, request, -1, 2), Mistake.INVALID_COST) for request in some]
        wrong += [(self.admission.settle(BACKWARDS, request, 1, 1), Mistake.TIME_BACKWARDS) for request in some]
        wrong += [
            (self.admission.admit(self.now - 1, name, "new", 1, 1), Mistake.TIME_BACKWARDS),
            (self.admission.admit(self.now + 5, "nobody", "new", 1, 1), Mistake.UNKNOWN_TENANT),
            (self.admission.admit(self.now + 5, name, "new", 5, -1), Mistake.INVALID_COST),
            (self.admission.admit(self.now + 5, name, "new", 0, 0), Mistake.INVALID_COST),
            (self.admission.set_limits(self.now - 1, {}, self.capacity), Mistake.TIME_BACKWARDS),
        ]
        for found, mistake in wrong:
            assert isinstance(found, Rejected)
            assert found.mistake is mistake
        assert picture(self.admission) == before

    @invariant()
    def agrees(self):
        if not hasattr(self, "oracle"):
            return
        seen = copy.deepcopy(self.admission)  # looking computes refill, which must come out the same when nobody looks
        self.oracle.wait(seen._now)
        assert seen.in_flight == len(self.oracle.running)
        assert seen._tokens.level == self.oracle.idle_tokens * NANO
        for dimension in (KV, CONCURRENCY):
            assert seen.idle(dimension) == self.oracle.idle(dimension)
        tenants = seen._tenants | seen._leaving
        assert set(tenants) == set(self.oracle.members)
        for name, member in self.oracle.members.items():
            used = seen.used(name)
            owner = tenants[name]
            assert (owner.nominal_used, owner.borrowed) == (member.right_used * NANO, member.borrowed * NANO)
            assert seen._tokens.kept(owner) == member.kept * NANO
            assert (used.kv, used.concurrency) == (self.oracle.used(name, KV), self.oracle.used(name, CONCURRENCY))
        in_flight = sum(r.tokens for r in self.oracle.running)
        assert self.reserved == self.settled + self.given_back + in_flight

    def teardown(self):
        """When all requests have ended nothing is left of them, and time fills the pool again."""
        if not hasattr(self, "oracle"):
            return
        for running in list(self.oracle.running):
            self._settle(running.id, running.tokens, running.tokens // 2)
        admission, wanted = self.admission, self.limits
        kept = [sum(limits.quotas[dimension].kept for limits in wanted.values()) for dimension in Dimension]
        assert [admission.idle(d) for d in (KV, CONCURRENCY)] == [self.capacity[d] - kept[d] for d in (KV, CONCURRENCY)]
        assert admission.in_flight == 0
        assert not any((admission._stoppable, admission._stopping, admission._requests, admission._leaving))
        assert [(s.coming, s.stoppable) for s in (admission._kv, admission._slots)] == [(0, 0), (0, 0)]
        assert admission.set_limits(self.now + 10_000 * BURST_MS, {}, self.capacity) is None
        assert admission._tokens.level == admission._tokens.depth
        assert not admission._tenants
        assert admission.set_limits(self.now + 20_000 * BURST_MS, {}, self.capacity) is None
        assert admission._tokens.rate == self.capacity.throughput * 1_000_000


EXAMPLES = int(os.environ.get("BOURSE_ADMISSION_EXAMPLES", "50"))
TestAdmissionAgainstOracle = AdmissionAgainstOracle.TestCase
TestAdmissionAgainstOracle.settings = settings(max_examples=EXAMPLES, stateful_step_count=40, deadline=None)
