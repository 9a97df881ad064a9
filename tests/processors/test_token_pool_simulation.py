"""Random worlds of token pools: no limit ever exceeds the capacity, gateways take every tick, and the same follows again."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st
from journal_world import World, refold, state_bytes
from token_pool_simulation import TokenPoolSimulation

from processors.admission import Admission
from processors.engine import fold
from processors.entitlement import TIERS, Capacity, Quota, TenantLimits
from processors.state import PartitionState
from schemas.facts import CommandRefused, Reason
from schemas.published import Tier
from schemas.sharing_facts import CapacityShared, Debts, Limits, Shortfalls, TokenPoolSet
from streams.codecs import decode, encode

SEEDS = st.integers(0, 2**32 - 1)
DIMENSIONS = ("throughput", "kv", "concurrency")


def simulated(seed, **choices):
    world = World()
    world.take(*TokenPoolSimulation(seed, **choices).records())
    return world


class Gateway:
    """Reads the facts of one pool as a gateway reads `limits`."""

    def __init__(self):
        self.tenants, self.admission, self.terms, self.ticks = {}, None, None, 0

    def take(self, fact):
        if isinstance(fact, TokenPoolSet):
            self.terms = fact  # told limits stay what they were also where a pool is no token pool for a time
        if isinstance(fact, Limits):
            for at, tenant in enumerate(fact.tenant):
                self.tenants[tenant] = TenantLimits(
                    Tier(fact.tier[at]),
                    tuple(Quota(*(getattr(fact, f"{each}_{part}")[at] for part in Quota._fields)) for each in DIMENSIONS),
                )
        if isinstance(fact, Debts):
            self.check_debts(fact)

    def check_debts(self, fact):
        for debt, rate, due, served, wanted in zip(fact.debt, fact.rate, fact.due, fact.served, fact.wanted, strict=True):
            most = rate * self.terms.debt_bound_s * 1000
            assert -most <= debt <= most
            assert min(due, served) >= 0
            assert max(due, served) <= wanted

    def check(self, shared):
        """When all facts of a tick have come."""
        capacity = Capacity(*(getattr(shared, each) for each in DIMENSIONS))
        for place, each in enumerate(DIMENSIONS):
            assert sum(limits.quotas[place].kept for limits in self.tenants.values()) == getattr(shared, f"{each}_kept")
            assert getattr(shared, f"{each}_kept") <= capacity[place]
            assert getattr(shared, f"{each}_lent") <= getattr(shared, f"{each}_promised") <= capacity[place]
        if self.admission is None:
            self.admission = Admission(capacity)
        assert self.admission.set_limits(shared.at, self.tenants, capacity) is None
        self.ticks += 1


@settings(max_examples=25, deadline=None)
@given(SEEDS)
def test_what_is_kept_fits_the_capacity_and_gateways_take_it(seed):
    state, gateways = PartitionState(), {}
    for offset, record in enumerate(TokenPoolSimulation(seed, steps=200).records()):
        shared = []
        for fact in fold(state, record, offset):
            gateway = gateways.setdefault(fact.pool, Gateway())
            gateway.take(fact)
            shared += [fact] if isinstance(fact, CapacityShared) else []
        for fact in shared:
            gateways[fact.pool].check(fact)


def test_the_worlds_are_rich():
    facts = [fact for seed in range(45) for fact in simulated(seed).facts]
    kinds = Counter(type(fact) for fact in facts)
    assert all(kinds[kind] > 50 for kind in (CapacityShared, Debts, Limits, TokenPoolSet))
    assert kinds[Shortfalls] >= 20
    tiers = Counter(tier for fact in facts if isinstance(fact, Limits) for tier in fact.tier)
    assert all(tiers[tier] > 20 for tier in TIERS), tiers
    reasons = {fact.reason for fact in facts if isinstance(fact, CommandRefused)}
    assert reasons >= {Reason.OVERSUBSCRIBED, Reason.LENDING_ABOVE_NOMINAL}
    assert any(fact.replicas is None for fact in facts if isinstance(fact, TokenPoolSet)), "one is no token pool any more"
    debts = [debt for fact in facts if isinstance(fact, Debts) for debt in fact.debt]
    assert min(debts) < 0 < max(debts)
    for each in DIMENSIONS:
        lent = [getattr(fact, f"{each}_lent") for fact in facts if isinstance(fact, CapacityShared)]
        assert sum(amount > 0 for amount in lent) >= 5, each


@settings(max_examples=10, deadline=None)
@given(SEEDS)
def test_a_replay_and_the_facts_alone_give_the_same(seed):
    world = simulated(seed, steps=200, quiet_end=False)
    recorded = [encode(fact) for fact in world.facts]
    state = PartitionState()
    again = [encode(fact) for offset, record in world.journal for fact in fold(state, decode(encode(record)), offset)]
    assert again == recorded
    assert state_bytes(state) == state_bytes(world.state)
    assert state_bytes(refold(map(decode, recorded))) == state_bytes(world.state)
