"""Token pools through the engine: what operators may say, what each tick keeps for whom, debts, cuts, and the same on replay."""

import pytest
from journal_world import refold, state_bytes
from pool_world import PERIOD, PoolWorld, admissions, mark, of_kind, rows, tenant, token_pool, usage

from processors.engine import fold
from processors.snapshot import dump_pool, load_pool, state_hash
from processors.state import PartitionState
from schemas.facts import AllocationsOpened, PeriodClosed, PeriodOpened
from schemas.sharing_facts import CapacityShared, Debts, Limits, Shortfalls
from streams.codecs import decode, encode

M = 10**6

# Limits


def test_limits_follow_tier_allocation_and_demand():
    here = PoolWorld(
        tenant("d", "d", tier="dedicated", base=1000),
        tenant("g", "g", tier="guaranteed", base=3000, throughput=(50, 200)),
        tenant("e", "e", tier="elastic", weight=2),
        tenant("f", "f", tier="elastic"),
        tenant("s", "s", tier="spot", kv=(10, 0, None)),
    )
    assert here.told("tier", "throughput_nominal", "throughput_borrowing", "throughput_kept") == {
        "d": ("dedicated", 100, None, 100),
        "g": ("guaranteed", 300, 50, 100),
        "e": ("elastic", 0, None, 0),
        "f": ("elastic", 0, None, 0),
        "s": ("spot", 0, None, 0),
    }
    assert here.told("kv_nominal", "kv_borrowing", "kv_kept") == {
        "d": (50, None, 50),
        "g": (150, None, 0),
        "e": (0, None, 0),
        "f": (0, None, 0),
        "s": (10, 0, 0),
    }
    assert here.told("concurrency_nominal") == {"d": 4, "g": 12, "e": 0, "f": 0, "s": 0}
    # 1,000 without 100 and 240: 660 are left; g wants 240, e and f more than there is, s what it can get.
    here.seconds(2, {"g": 240, "e": 900, "f": 900, "s": 50})
    assert here.kept() == {"d": 100, "g": 240, "e": 440, "f": 220, "s": 0}
    # g wants all of its quota, and more, which it may borrow where something is idle; f wants little: e has it.
    here.seconds(25, {"g": 400, "e": 900, "f": 31, "s": 50})
    assert here.kept() == {"d": 100, "g": 300, "e": 569, "f": 31, "s": 0}


def test_only_what_changed_is_told():
    here = PoolWorld(tenant("a1", "a"), tenant("b1", "b"), tenant("g", "g", tier="guaranteed", base=100))
    assert list(rows(here.opening, Limits, "tier")) == ["a", "b", "g"]
    assert not of_kind(here.second(), Limits)
    assert rows(here.second({"a": 100}), Limits, "throughput_kept") == {"a": 100}
    assert not of_kind(here.second({"a": 99}), Limits)
    assert not of_kind(here.second({"a": 98}), (Limits, Debts))


def test_demand_for_space_comes_from_gateways():
    here = PoolWorld(tenant("a1", "a"), tenant("b1", "b"), tenant("g", "g", tier="guaranteed", base=1000))
    here.second(refused={"a": (3, 500, 20, 100, 7), "b": (0, 0, 0, 30, 2), "g": (0, 0, 0, 60, 1), "ghost": (1, 1, 1, 1, 1)})
    assert here.kept("kv") == {"a": 120, "b": 30, "g": 50}
    assert here.kept("concurrency") == {"a": 10, "b": 2, "g": 1}
    assert here.kept("throughput") == {"a": 512, "b": 0, "g": 0}
    assert "ghost" not in here.pool().tenants.slots


def test_the_most_at_once_of_a_time_counts_and_what_was_refused_adds_up():
    here = PoolWorld(tenant("a1", "a"))
    here.now += 1
    here.take(admissions(here.now, {"a": (1, 100, 0, 5, 5)}), admissions(here.now, {"a": (0, 200, 0, 9, 2)}, chunk=1))
    here.take(admissions(here.now, {"a": (0, 200, 0, 9, 2)}, chunk=1))  # again
    here.second()
    assert (here.kept("kv")["a"], here.kept("concurrency")["a"]) == (9, 6)
    assert here.value("a", "recent_throughput") == 150


def test_limits_wait_for_usage_meters_but_not_for_gateways_nor_for_ever():
    here = PoolWorld(tenant("a1", "a"))
    (shared,) = of_kind(here.second({"a": 100}, marked=False), CapacityShared)
    assert (shared.elapsed_ms, shared.metered_tick, here.kept()["a"]) == (0, 110, 0)
    here.now += 1
    facts = here.take(usage(112, {"a": 300}), mark(112, "usage"), *[])
    facts += here.tick(112)
    (shared,) = of_kind(facts, CapacityShared)
    assert (shared.elapsed_ms, shared.served, here.kept()["a"]) == (2000, 400, 200)
    for _ in range(3):
        facts = here.second({"a": 8}, marked=False)
    assert [fact.elapsed_ms for fact in of_kind(facts, CapacityShared)] == [0]
    (shared,) = of_kind(here.second(marked=False), CapacityShared)
    assert (shared.elapsed_ms, shared.served) == (1000, 24)


def test_an_admissions_meter_that_is_silent_delays_no_period():
    here = PoolWorld(tenant("a1", "a"))
    assert here.pool().open.period == 11
    for number in range(111, 120):
        here.take(mark(number, "usage"), mark(number, "latency"))
        here.tick(number)
    closed = here.take(mark(120, "usage"), mark(120, "latency"))
    assert [fact.late_meters for fact in of_kind(closed, PeriodClosed)] == [[]]


def test_a_change_of_replicas_holds_at_once_and_quotas_with_the_period():
    here = PoolWorld(tenant("a1", "a"), tenant("g", "g", tier="guaranteed", base=1000, kv=(100, None, None)))
    here.take(token_pool("p2", replicas=5), tenant("g2", "g", tier="guaranteed", base=1000, kv=(90, None, None)))
    (shared,) = of_kind(here.second(), CapacityShared)
    assert (shared.throughput, shared.kv, shared.concurrency, shared.kv_promised) == (500, 250, 20, 100)
    here.seconds(PERIOD)
    assert here.told("kv_nominal")["g"] == 90


def test_a_pool_that_becomes_a_token_pool_shares_in_the_same_period_by_the_profiles_in_force():
    bare = {"replicas": None, "replica_tokens_per_s": None, "replica_kv_blocks": None, "replica_concurrency": None}
    here = PoolWorld(tenant("a1", "a", weight=3), tenant("b1", "b"), **bare)
    here.take(token_pool("p2"))
    here.seconds(3, {"a": 2000, "b": 2000})
    assert here.pool().open.period == 11
    assert here.kept() == {"a": 750, "b": 250}


def test_a_pool_that_is_no_token_pool_any_more_shares_nothing():
    here = PoolWorld(tenant("a1", "a"))
    bare = {"replicas": None, "replica_tokens_per_s": None, "replica_kv_blocks": None, "replica_concurrency": None}
    (_, ended) = here.take(token_pool("p2", **bare))
    assert ended.replicas is None
    assert not of_kind(here.second({"a": 5}), CapacityShared)
    here.take(token_pool("p3"))
    assert of_kind(here.second({"a": 5}), CapacityShared)[0].elapsed_ms == 0


def test_what_is_traded_moves_the_throughput_quota():
    here = PoolWorld(tenant("a1", "a", tier="guaranteed", base=1000), tenant("b1", "b", base=1000), policy="uniform_price")
    here.pool().tenants["bought"][here.pool().tenants.slots["a"]] = 500
    here.pool().tenants["sold"][here.pool().tenants.slots["b"]] = 500
    here.second()
    assert here.told("throughput_nominal") == {"a": 150, "b": 50}


def test_a_period_allocates_no_more_than_replicas_serve():
    here = PoolWorld(tenant("a1", "a", base=2000), tenant("b1", "b"), policy="seed", capacity=20_000)
    (opened,) = of_kind(here.facts, PeriodOpened)
    assert (opened.capacity, opened.allocated, opened.unallocated) == (10_000, 10_000, 0)
    assert here.pool().declared.capacity == 20_000
    here.take(token_pool("p2", replicas=3, policy="seed", capacity=20_000))
    facts = here.seconds(PERIOD)
    assert [fact.capacity for fact in of_kind(facts, PeriodOpened)] == [3000]
    assert [fact.capacity for fact in of_kind(facts, PeriodClosed)] == [10_000]


# Cuts


def test_a_cut_leaves_dedicated_then_guaranteed_theirs_and_alarms():
    here = PoolWorld(
        tenant("d", "d", tier="dedicated", base=4000),
        tenant("g", "g", tier="guaranteed", base=3000),
        tenant("h", "h", tier="guaranteed", base=1500),
        tenant("e", "e"),
    )
    here.take(token_pool("p2", replicas=7))
    alarm = here.second()
    columns = ("tier", "dimension", "promised", "shortfall")
    found = [
        tuple(getattr(fact, name)[at] for name in ("tenant", *columns)) for fact in of_kind(alarm, Shortfalls) for at in range(2)
    ]
    assert found == [
        ("g", "guaranteed", "throughput", 300, 100),
        ("h", "guaranteed", "throughput", 150, 50),
        ("g", "guaranteed", "kv", 150, 50),
        ("h", "guaranteed", "kv", 75, 25),
        ("g", "guaranteed", "concurrency", 12, 4),
        ("h", "guaranteed", "concurrency", 6, 2),
    ]
    assert here.told("throughput_nominal") == {"d": 400, "g": 200, "h": 100, "e": 0}
    assert here.told("kv_nominal") == {"d": 200, "g": 100, "h": 50, "e": 0}
    assert not of_kind(here.second(), Shortfalls)
    # What g wanted of its promise and was refused is owed; h wanted less than it still has.
    here.second({"g": 200, "h": 90}, refused={"g": (5, 500, 0, 0, 0)})
    assert rows(here.facts, Debts, "debt") == {"g": 100_000}
    here.take(token_pool("p3", replicas=10))
    assert {(fact.dimension[0], *fact.shortfall) for fact in of_kind(here.second(), Shortfalls)} == {
        ("throughput", 0, 0),
        ("kv", 0, 0),
        ("concurrency", 0, 0),
    }


def test_bases_of_a_period_that_is_short_go_by_tier():
    here = PoolWorld(
        tenant("d", "d", tier="dedicated", base=4000),
        tenant("e", "e", base=1000),
        tenant("g", "g", tier="guaranteed", base=3000),
        tenant("s", "s", tier="spot", base=1000),
    )
    here.take(token_pool("p2", capacity=6000))
    opened = here.seconds(PERIOD)
    assert rows(opened, AllocationsOpened, "base", "shortfall") == {
        "d": (4000, 0),
        "e": (0, 1000),
        "g": (2000, 1000),
        "s": (0, 1000),
    }
    here.second()
    # 1,000 tokens per second are there, but the period has allocated less than was promised.
    assert here.told("throughput_nominal") == {"d": 400, "e": 0, "g": 200, "s": 0}
    assert rows(here.facts, Shortfalls, "dimension", "promised", "shortfall") == {"g": ("throughput", 300, 100)}
    here.take(token_pool("p3", capacity=8500))
    assert rows(here.seconds(PERIOD), AllocationsOpened, "base") == {"d": 4000, "e": 750, "g": 3000, "s": 750} | {
        "d": 4000,
        "g": 3000,
    }


# Debts


def test_debt_is_owed_to_who_was_refused_and_moves_what_is_kept():
    here = PoolWorld(tenant("a1", "a"), tenant("b1", "b"))
    here.second({"a": 700, "b": 300}, refused={"b": (9, 700, 0, 0, 0)})
    # Both wanted more than half: 500 were due to each. B = 500 · 120 s, and 0.2 / 60 · 10 is a 30th.
    assert rows(here.facts, Debts, "debt", "rate", "due", "served", "wanted", "factor") == {
        "a": (-200_000, 500, 500, 700, 700, 966_660),
        "b": (200_000, 500, 500, 300, 1000, 1_033_330),
    }
    assert sum(here.kept().values()) == 1000
    assert here.kept()["b"] > here.kept()["a"]
    before = here.value("b", "debt")
    here.second()
    assert here.value("b", "debt") == before * 998_845 // M
    assert here.value("a", "debt") == -here.value("b", "debt")


def test_nobody_owes_for_what_was_idle():
    here = PoolWorld(tenant("a1", "a"), tenant("b1", "b"), tenant("g", "g", tier="guaranteed", base=1000))
    here.seconds(5, {"a": 990, "g": 500})
    assert not of_kind(here.facts, Debts)


def test_debts_at_rest_are_told_until_they_are_forgotten_and_then_no_more():
    here = PoolWorld(tenant("a1", "a"), tenant("b1", "b"), debt_half_life_s=1)
    here.second({"a": 700, "b": 300}, refused={"b": (9, 700, 0, 0, 0)})
    facts = here.seconds(12)
    assert here.value("a", "debt") == here.value("b", "debt") == 0
    assert rows(facts, Debts, "debt") == {"a": 0, "b": 0}
    assert not of_kind(here.seconds(2), Debts)


@pytest.mark.parametrize(("debt_weights", "policy"), [(True, "max_min"), (False, "max_min"), (True, "seed")])
def test_max_min_shares_the_period_by_weights_of_debt_if_the_pool_says_so(debt_weights, policy):
    here = PoolWorld(tenant("a1", "a"), tenant("b1", "b"), debt_weights=debt_weights, policy=policy)
    for _ in range(PERIOD):
        opened = here.second({"a": 700, "b": 300}, refused={"b": (9, 700, 0, 0, 0)})
    weights = rows(opened, AllocationsOpened, "weight")
    closed = here.seconds(PERIOD, {"a": 600, "b": 400})
    assert rows(here.facts, AllocationsOpened, "weight").keys() == {"a", "b"}
    if debt_weights and policy == "max_min":
        assert weights["a"] < M < weights["b"]
        assert here.value("a", "profile_weight") == M
    else:
        assert weights == {"a": M, "b": M}
    assert of_kind(closed, PeriodClosed)


# The same again


def busy():
    """Pools, profiles, usage, refusals, a cut and its end, a late meter."""
    here = PoolWorld(
        tenant("d", "d", tier="dedicated", base=1000),
        tenant("g", "g", tier="guaranteed", base=3000, kv=(100, 20, 50)),
        *(tenant(name, name, weight=weight, concurrency=(5, 5, None)) for name, weight in (("e", 1), ("f", 3), ("é", "0.5"))),
        tenant("s", "s", tier="spot"),
        tenant("t", "t", tier="preemptible"),
        policy="max_min",
        debt_weights=True,
    )
    for number in range(45):
        used = {name: (number * 37 + len(name) + at * 91) % 400 for at, name in enumerate("defst")} | {"é": number * 11 % 77}
        refused = dict.fromkeys("efgé", (number % 3, number * 13 % 900, 3, number % 90, number % 9)) if number % 4 else None
        here.second(used, refused, marked=number % 7 != 0)
        if number in (12, 30):
            here.take(token_pool(f"cut{number}", replicas=4 if number == 12 else 10, policy="max_min", debt_weights=True))
        if number == 20:
            here.take(tenant("f2", "f", tier="spot"))
    return here


def test_a_replay_gives_the_same_limits_and_debts():
    here = busy()
    told = of_kind(here.facts, (Limits, Debts, CapacityShared, Shortfalls))
    assert {type(fact) for fact in told} == {Limits, Debts, CapacityShared, Shortfalls}
    state = PartitionState()
    again = [fact for offset, record in here.journal for fact in fold(state, decode(encode(record)), offset)]
    assert [encode(fact) for fact in again] == [encode(fact) for fact in here.facts]
    assert state_bytes(state) == state_bytes(here.state)
    assert state_bytes(refold(decode(encode(fact)) for fact in here.facts)) == state_bytes(here.state)


def test_a_snapshot_carries_on_to_the_same():
    here = busy()
    pool_ = here.pool()
    loaded = load_pool(dump_pool(pool_))
    assert loaded.sharing == pool_.sharing
    assert state_hash(loaded) == state_hash(pool_)
    here.state.pools["llm"] = loaded
    after = here.seconds(PERIOD, {"e": 400, "f": 900}, {"e": (2, 300, 5, 5, 5)})
    other = busy()
    assert [encode(fact) for fact in other.seconds(PERIOD, {"e": 400, "f": 900}, {"e": (2, 300, 5, 5, 5)})] == [
        encode(fact) for fact in after
    ]


def test_every_tick_keeps_no_more_than_there_is():
    here = busy()
    for fact in of_kind(here.facts, CapacityShared):
        for name in ("throughput", "kv", "concurrency"):
            capacity, promised, lent, kept = (
                getattr(fact, each) for each in (name, f"{name}_promised", f"{name}_lent", f"{name}_kept")
            )
            assert 0 <= kept <= capacity
            assert 0 <= lent <= promised <= capacity
