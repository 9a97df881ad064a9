"""Scaling in the engine: needs of real pools as facts, replicas that are reported, promises that are refused, replays."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from journal_world import World, refold, state_bytes
from pool_world import PoolWorld, of_kind, tenant, token_pool
from pydantic import ValidationError
from token_pool_simulation import TokenPoolSimulation

from processors.engine import fold
from processors.entitlement import GUARANTEED, TIERS
from processors.scaling.demand import expected_amounts
from processors.snapshot import dump_commands, dump_partition, dump_pool, load_commands, load_partition, load_pool
from processors.state import PartitionState
from schemas.facts import CommandRefused, Reason
from schemas.published import Tier
from schemas.scaling import ReplicasCommand, Scaling
from schemas.scaling import ScalingReason as Why
from schemas.scaling_facts import ScalingDecided, ScalingSet
from schemas.sharing_facts import CapacityShared, Limits, Shortfalls, TokenPoolSet
from streams.codecs import decode, encode

DIMENSIONS = ("throughput", "kv", "concurrency")
ON = {"enabled": True, "max_replicas": 20, "headroom": 0, "down_after_s": 5, "cooldown_s": 3}
OFF = {"replicas": None, "replica_tokens_per_s": None, "replica_kv_blocks": None, "replica_concurrency": None}


def reported(id, replicas, pool="llm"):  # noqa: A002  the field's name
    return ReplicasCommand(id=id, pool=pool, replicas=replicas)


def last(here):
    return of_kind(here.facts, ScalingDecided)[-1]


def test_a_pool_that_is_not_scaled_has_nothing_of_it():
    here = PoolWorld(tenant("a1", "a", tier="guaranteed", base=3000), scaling=Scaling(enabled=False))
    here.seconds(5, {"a": 50})
    assert not of_kind(here.facts, (ScalingSet, ScalingDecided))
    assert here.pool().scaling is None
    assert b"scaling" not in dump_pool(here.pool()).header


def test_promises_have_their_replicas_before_anybody_uses_them():
    here = PoolWorld(replicas=1, scaling=ON)
    before = last(here)
    assert (before.replicas, before.wanted, before.reason) == (1, 1, Why.BOUNDS)
    here.take(tenant("a1", "a", tier="guaranteed", base=3001))
    assert (last(here).wanted, last(here).reason, last(here).promised_throughput) == (4, Why.PROMISED, 301)
    here.take(tenant("b1", "b", tier="dedicated", base=1, kv=(401, None, None)))
    assert (last(here).wanted, last(here).needed_kv, last(here).promised_kv) == (12, 12, 551)
    here.take(tenant("c1", "c", tier="elastic", base=5000))
    assert last(here).wanted == 12, "an elastic base is no promise"


def test_a_promise_that_is_taken_back_holds_until_its_period_ends():
    here = PoolWorld(tenant("a1", "a", tier="guaranteed", base=8000), scaling={**ON, "down_after_s": 0})
    assert last(here).promised_replicas == 8
    here.second()
    here.take(tenant("a2", "a", tier="guaranteed", base=1000))
    for _ in range(8):
        here.second()
        assert last(here).promised_replicas == 8
    here.second()
    assert last(here).promised_replicas == 1


def expected(here):
    return tuple(expected_amounts(here.pool(), here.pool().scaling))


def test_demand_is_what_is_forecast_served_refused_or_held():
    here = PoolWorld(tenant("a1", "a", tier="guaranteed", base=1000), tenant("b1", "b"), tenant("c1", "c", tier="spot"), scaling=ON)
    here.seconds(8, {"a": 900, "b": 300, "c": 200})
    assert expected(here) == (119, 0, 0), "an average over half a minute, and nothing of the guaranteed tenant"
    here.seconds(2, {"a": 100, "b": 300, "c": 200})
    assert expected(here)[0] == 500, "of the open period as much is expected as the last one brought when it was closed"
    assert last(here).elastic_throughput == 500
    assert (last(here).needed_throughput, last(here).reason) == (6, Why.DEMAND)
    here.second({"b": 300, "c": 200}, {"b": (2, 60, 11, 0, 0), "a": (5, 900, 70, 0, 0)})
    assert expected(here) == (502, 11, 2)


def test_nobody_is_expected_above_its_own_limit():
    here = PoolWorld(tenant("b1", "b", base=500, throughput=(10, None), kv=(None, 30, None)), scaling=ON)
    here.seconds(200, {"b": 30}, {"b": (90, 7000, 900, 20, 1)})
    assert expected(here)[:2] == (60, 30), "30 served; 30 of those that were refused"


def test_replicas_that_are_reported_are_capacity_from_the_next_tick_on():
    here = PoolWorld(tenant("a1", "a", tier="guaranteed", base=6000), scaling=ON)
    made = here.take(reported("r1", 4))
    assert [type(fact) for fact in made] == [TokenPoolSet, ScalingDecided]
    assert (made[0].replicas, made[0].replica_kv_blocks, made[0].version) == (4, 50, 1)
    assert (made[1].replicas, made[1].wanted) == (4, 6), "what is asked for stays"
    shared = of_kind(here.second(), CapacityShared)[-1]
    assert (shared.throughput, shared.kv) == (400, 200)
    assert here.take(reported("r1", 9)) == [], "the same id again"


REFUSED = [
    ("no such pool", reported("x", 3, pool="ghost"), Reason.UNKNOWN_POOL, "'ghost' is not defined"),
    ("no token pool", reported("x", 3, pool="plain"), Reason.NO_TOKEN_POOL, "nobody has said what a replica does"),
    (
        "a promise above the most replicas",
        tenant("x", "a", tier="guaranteed", base=20_001),
        Reason.OVERSUBSCRIBED,
        "base: 20001 and the 0 promised to other dedicated and guaranteed tenants exceed 20000, what 20 replicas",
    ),
    (
        "fewer at most than are promised",
        token_pool("x", capacity=100_000, scaling={**ON, "max_replicas": 5}),
        Reason.ABOVE_MAX_REPLICAS,
        "scaling.max_replicas: 5, but 6 are needed for what is promised",
    ),
    (
        "smaller replicas",
        token_pool("x", capacity=100_000, scaling=ON, replica_tokens_per_s=25),
        Reason.ABOVE_MAX_REPLICAS,
        "scaling.max_replicas: 20, but 24 are needed for what is promised",
    ),
]


@pytest.mark.parametrize(("command", "reason", "detail"), [c[1:] for c in REFUSED], ids=[c[0] for c in REFUSED])
def test_refusals(command, reason, detail):
    here = PoolWorld(tenant("a1", "a", tier="guaranteed", base=6000), capacity=100_000, scaling=ON)
    here.take(token_pool("q", pool="plain", **OFF))
    (fact,) = of_kind(here.take(command), CommandRefused)
    assert (fact.reason, fact.command, fact.command_id) == (reason, command.KIND, "x")
    assert detail in fact.detail


def test_settings_without_replicas_or_out_of_order_are_invalid():
    with pytest.raises(ValidationError, match="replicas: missing, but scaling is enabled"):
        token_pool(scaling=ON, **OFF)
    with pytest.raises(ValidationError, match="min_replicas: 5 is more than max_replicas 4"):
        Scaling(min_replicas=5, max_replicas=4)


def test_switched_off_it_asks_for_nothing_and_begins_anew_with_what_there_is():
    here = PoolWorld(tenant("a1", "a", tier="guaranteed", base=3000), scaling=ON)
    here.seconds(20)
    assert last(here).wanted == 3
    assert [type(fact).__name__ for fact in here.take(token_pool("off"))] == ["PoolSet", "TokenPoolSet", "ScalingSet"]
    count = len(of_kind(here.facts, ScalingDecided))
    here.seconds(5)
    assert len(of_kind(here.facts, ScalingDecided)) == count
    here.take(token_pool("on", scaling=ON))
    assert (last(here).before, last(here).wanted) == (10, 10)


class ScalingSimulation(TokenPoolSimulation):
    """Most token pools are scaled, and replicas are reported at random."""

    def replicas(self):
        said, chosen = super().replicas(), self.random
        if said and chosen.random() < 0.8:
            least = chosen.choice([0, 1, 3])
            said["scaling"] = Scaling(
                enabled=chosen.random() < 0.9,
                min_replicas=least,
                max_replicas=chosen.choice([3, 8, 100, 100_000]),
                quantile=chosen.choice(["mean", "p50", "p99"]),
                headroom=chosen.choice(["0", "0.1", "1"]),
                max_step=chosen.choice([1, 4, 1000]),
                down_after_s=chosen.choice([0, 3, 30]),
                cooldown_s=chosen.choice([0, 2, 20]),
            )
            said |= {name: chosen.choice([50, 1000, 10**4]) for name in ("replica_tokens_per_s", "replica_kv_blocks")}
        return said

    def rows(self):
        """Seldom more than some replicas can do."""
        rows = super().rows()
        return rows if self.random.random() < 0.1 else {tenant: (row[0] % 5000, 0, 0, 1) for tenant, row in rows.items()}

    def refusals(self):
        refused = super().refusals()
        return refused if self.random.random() < 0.1 else {name: [each % 60 for each in row] for name, row in refused.items()}

    def on_profile(self):
        for record in super().on_profile():
            yield record.model_copy(update={"base": min(record.base, 5000)})

    def on_pool(self):
        yield from super().on_pool()
        for _ in range(self.random.randint(0, 2)):
            pool = self.random.choice(["llm", "gpt", "long", "é", "ghost"])
            yield reported(self.command_id(), self.random.choice([0, 1, 5, 50]), pool)


class Watcher:
    """Holds what was promised, as facts tell it, against what was asked for."""

    def __init__(self):
        self.nominal, self.asked, self.kinds = {}, {}, Counter()

    def take(self, fact):
        self.kinds[type(fact)] += 1
        if isinstance(fact, Limits):
            for at, name in enumerate(fact.tenant):
                reserved = TIERS.index(Tier(fact.tier[at])) <= GUARANTEED
                for each in DIMENSIONS:
                    self.nominal[fact.pool, each, name] = getattr(fact, f"{each}_nominal")[at] if reserved else 0
        if isinstance(fact, ScalingDecided):
            self.kinds[fact.reason] += 1
            self.asked[fact.pool] = fact.wanted
        if isinstance(fact, ScalingSet) and not fact.enabled:
            self.asked.pop(fact.pool)

    def check(self, state, pool):
        sharing, wanted = state.pools[pool].sharing, self.asked[pool]
        terms = sharing.terms
        most = max(wanted, terms.replicas)
        declared = sharing.promised
        per_period = terms.replica_tokens_per_s * state.pools[pool].period_s
        assert declared.base <= most * per_period
        for name, replica in (("kv", terms.replica_kv_blocks), ("concurrency", terms.replica_concurrency)):
            part = replica * getattr(declared, f"{name}_base") // per_period
            assert getattr(declared, name) + part <= most * replica
        if state.pools[pool].open is not None:
            for each, replica in zip(
                DIMENSIONS, (terms.replica_tokens_per_s, terms.replica_kv_blocks, terms.replica_concurrency), strict=True
            ):
                given = sum(value for (owner, name, _), value in self.nominal.items() if (owner, name) == (pool, each))
                assert given <= most * replica, each


def watched(seed, steps):
    state, watcher, facts, records = PartitionState(), Watcher(), [], []
    for offset, record in enumerate(ScalingSimulation(seed, steps=steps).records()):
        records.append((offset, record))
        for fact in fold(state, record, offset):
            watcher.take(fact)
            facts.append(fact)
        for pool in watcher.asked:
            watcher.check(state, pool)
    return state, watcher, facts, records


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_what_is_promised_never_exceeds_what_there_is_or_is_asked_for(seed):
    watched(seed, 150)


def test_the_worlds_are_rich():
    kinds = sum((watched(seed, 250)[1].kinds for seed in range(6)), Counter())
    assert all(kinds[why] >= 2 for why in Why), kinds
    assert kinds[Shortfalls] > 5


@settings(max_examples=4, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_a_replay_the_facts_alone_and_a_snapshot_half_way_give_the_same(seed):
    state, _, facts, records = watched(seed, 150)
    recorded = [encode(fact) for fact in facts]
    assert state_bytes(refold(map(decode, recorded))) == state_bytes(state)
    again, told = PartitionState(), []
    for offset, record in records:
        if offset == len(records) // 2:
            halfway = load_partition(dump_partition(again))
            load_commands(halfway, dump_commands(again))
            halfway.pools = {name: load_pool(dump_pool(pool)) for name, pool in again.pools.items()}
            again = halfway
        told += [encode(fact) for fact in fold(again, decode(encode(record)), offset)]
    assert told == recorded
    assert state_bytes(again) == state_bytes(state)


def test_a_command_before_any_tick_is_taken():
    here = World()
    here.take(token_pool(scaling=ON), tenant("a1", "a", tier="guaranteed", base=1500), reported("r", 3))
    assert (last(here).at, last(here).tick, last(here).wanted, last(here).replicas) == (0, 0, 10, 3)
