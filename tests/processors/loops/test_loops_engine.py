"""The SLA loop in the engine: bases change at a period's end, what is sold and contracted stays, and random worlds."""

from collections import Counter

import pytest
from auditor import audit
from hypothesis import given, settings
from hypothesis import strategies as st
from journal_world import World, latency, of_kind, pool, profile, refold, rows, state_bytes, usage
from loop_simulation import LoopSimulation
from market_world import MarketWorld

from processors.engine import fold
from processors.snapshot import dump_pool, load_pool
from processors.state import PartitionState
from schemas.facts import AllocationsOpened, CommandRefused, Reason
from schemas.loop_facts import BaseChanges, BaseFloorSet, LatenciesCounted, LoopsSet, NeedsTaken, Rebalanced, SlaMeasured
from streams.codecs import decode, encode

SEEDS = st.integers(0, 2**32 - 1)
ON = {"sla": None, "rebalance": None}


def told(facts):
    """(tenant, kind, before, after, reason, counterparty) of all changes of bases."""
    columns = ("tenant", "kind", "before", "after", "reason", "counterparty")
    changes = of_kind(facts, BaseChanges)
    return [tuple(map(str, row)) for fact in changes for row in zip(*(getattr(fact, column) for column in columns), strict=True)]


def changed(facts):
    """(tenant, after, reason)."""
    return [(tenant, int(after), reason) for tenant, _, _, after, reason, _ in told(facts)]


class Loop(World):
    """Pool `llm`, periods of two ticks: a guaranteed tenant with an SLA of 100 ms, an elastic and a spot one."""

    def __init__(self, **terms):
        super().__init__()
        self.tick(8)
        self.take(pool(**ON | terms))
        self.take(
            profile("vip", "vip", base=400, tier="guaranteed", sla_ms=100),
            profile("mid", "mid", base=300, tier="elastic"),
            profile("low", "low", base=200, tier="spot"),
        )
        self.run(9, 10)

    def period(self, ms, requests=50, used=400):
        """One period in which vip's requests took so long; the facts of its end."""
        end = (self.pool().open.period + 1) * 2
        self.take(usage(end, {"vip": used}), latency(end, {"vip": {ms: requests}, "low": {9_000: 9}}))
        return self.run(end - 1, end)

    def base(self, tenant):
        return rows(self.facts, AllocationsOpened, "base")[tenant]


def test_a_breached_sla_raises_the_base_of_the_next_period_and_says_who_paid():
    loop = Loop()
    assert [told(loop.period(200)) for _ in range(2)] == [[], []]
    assert told(loop.period(200)) == [
        ("low", "loan", "200", "160", "sla_exceeded", "vip"),
        ("vip", "boost", "400", "440", "sla_exceeded", "low"),
    ]
    assert [loop.base(name) for name in ("vip", "mid", "low")] == [440, 300, 160]
    (measured,) = of_kind(loop.facts, SlaMeasured)[-1:]
    assert (measured.tenant, measured.sla_ms, measured.requests, measured.boost, measured.paid) == (
        ["low", "vip"], [None, 100], [0, 50], [0, 40], [40, 0])  # fmt: skip
    assert measured.latency_ms[1] <= 200 <= measured.latency_upper_ms[1]
    for _ in range(9):
        assert told(loop.period(50)) == []
    assert changed(loop.period(50)) == [("vip", 420, "sla_holds"), ("low", 180, "sla_holds")]
    assert [loop.base(name) for name in ("vip", "mid", "low")] == [420, 300, 180]


def test_only_tenants_with_an_sla_are_counted_and_each_report_once():
    loop = Loop()
    report = latency(11, {"vip": {200: 3}, "low": {9: 4}, "nobody": {9: 4}})
    (counted,) = loop.take(report)
    assert (counted.KIND, counted.tenant, counted.owner, counted.count, counted.period) == (
        "latencies_counted",
        ["vip"],
        [0],
        [3],
        5,
    )
    assert loop.take(report) == []
    assert loop.take(latency(11, {"low": {9: 4}}, chunk=1)) == []
    loop.run(11, 11)
    assert loop.take(report) == []
    assert loop.take(latency(11, {"vip": {200: 3}}, pool="nowhere")) == []


def test_latencies_of_the_period_to_come_wait_for_it():
    loop = Loop()
    (counted,) = loop.take(latency(13, {"vip": {200: 30}}))
    assert counted.period == 6
    loop.run(11, 12)
    assert of_kind(loop.facts, SlaMeasured)[-1].requests == [0]
    loop.run(13, 14)
    assert of_kind(loop.facts, SlaMeasured)[-1].requests == [30]


def test_a_pool_without_the_loop_is_as_it_was_before_there_was_one():
    loop = Loop(sla={"enabled": False}, rebalance={"enabled": False})
    facts = [fact for _ in range(5) for fact in loop.period(200)]
    assert not of_kind(facts, (SlaMeasured, BaseChanges, LatenciesCounted))
    assert not of_kind(loop.facts, LoopsSet)
    assert loop.pool().loops is None
    assert b"loops" not in dump_pool(loop.pool()).header


def test_switching_it_off_gives_everything_back():
    loop = Loop()
    for _ in range(3):
        loop.period(200)
    loop.take(pool("p2", **ON | {"sla": {"enabled": False}}))
    assert changed(loop.period(200)) == [("vip", 400, "sla_withdrawn"), ("low", 200, "sla_withdrawn")]
    assert [told(loop.period(200)) for _ in range(4)] == [[]] * 4


def test_what_was_contracted_is_never_lent():
    loop = Loop()
    loop.take(profile("low2", "low", base=200, tier="spot", base_floor=190))
    for _ in range(3):
        last = loop.period(200)
    assert changed(last) == [(*row, "sla_exceeded") for row in (("low", 190), ("vip", 410), ("mid", 270), ("vip", 440))]
    loop.take(profile("low3", "low", base=200, tier="spot", base_floor=200))
    assert ("low", 200, "floor_raised") in changed(loop.period(95))
    assert [fact.base_floor for fact in of_kind(loop.facts, BaseFloorSet)] == [190, 200]
    loop.take(profile("low4", "low", base=200, tier="spot"))
    assert of_kind(loop.facts, BaseFloorSet)[-1].base_floor is None
    assert loop.take(profile("low5", "low", base=200, tier="spot"))[1:] == []


def test_a_base_that_the_operator_lowers_leaves_no_boost_above_its_bound():
    loop = Loop()
    for _ in range(3):
        loop.period(200)
    loop.take(profile("vip2", "vip", base=20, tier="guaranteed", sla_ms=100))
    assert changed(loop.period(95, used=20)) == [("vip", 30, "sla_withdrawn"), ("low", 190, "sla_withdrawn")]
    assert sum(loop.base(name) for name in ("vip", "mid", "low")) == 520


def test_what_is_sold_forward_is_not_lent_and_what_is_lent_is_not_sold():
    market = MarketWorld(("low", "vip"), capacity=1000, **ON)
    market.take(profile("vip1", "vip", base=400, tier="guaranteed", sla_ms=100), profile("low1", "low", base=100, tier="spot"))
    market.order("low", "sell", 95, 5, period=market.present + 30)
    for _ in range(4):
        end = (market.present + 1) * 2
        market.take(usage(end, {"vip": 900}), latency(end, {"vip": {200: 50}}))
        market.run(end - 1, end)
    assert market.value("low", "sla_paid") == 5
    assert market.value("vip", "sla_boost") == 5
    refused = market.order("low", "sell", 96, 5, period=market.present + 20)
    assert [fact.reason[0] for fact in refused if fact.KIND == "order_events"] == ["insufficient_tokens"]
    taken = market.order("low", "sell", 95, 5, period=market.present + 20)
    assert [fact.reason[0] for fact in taken if fact.KIND == "order_events"] != ["insufficient_tokens"]


WRONG = [
    ({"sla": {"window": 63}}, "sla.window: 63 is not between breaches, 3, and 62"),
    ({"sla": {"breaches": 0}}, "sla.breaches: 0 is less than 1"),
    ({"rebalance": {"fewest": 200}}, "rebalance.fewest: 200 is more than the 168 hours looked back at"),
]


@pytest.mark.parametrize(("terms", "detail"), WRONG)
def test_a_setting_out_of_range_is_refused_by_its_name(terms, detail):
    (refused,) = World().take(pool(**ON | terms))
    assert isinstance(refused, CommandRefused)
    assert refused.reason == Reason.INVALID_SETTING
    assert refused.detail.startswith(detail)


def simulated(seed, **choices):
    world = World()
    world.take(*LoopSimulation(seed, **choices).records())
    return world


def test_the_worlds_are_rich():
    facts = [fact for seed in range(6) for fact in simulated(seed, steps=500).facts]
    reasons = Counter(reason for _, _, reason in changed(facts))
    expected = ("sla_exceeded", "sla_holds", "sla_not_token_bound", "sla_no_payer", "long_term_use")
    assert all(reasons[reason] >= 2 for reason in expected), reasons
    assert {fact.reason for fact in of_kind(facts, CommandRefused)} >= {Reason.REBALANCING_OFF, Reason.STALE}
    kinds = Counter(type(fact) for fact in facts)
    assert all(
        kinds[kind] >= 5 for kind in (LoopsSet, BaseFloorSet, LatenciesCounted, SlaMeasured, BaseChanges, NeedsTaken, Rebalanced)
    ), kinds


@settings(max_examples=6, deadline=None)
@given(SEEDS)
def test_an_independent_auditor_finds_nothing(seed):
    world = simulated(seed, steps=200)
    audit(world.journal, world.facts)


@settings(max_examples=6, deadline=None)
@given(SEEDS, st.integers(0, 200))
def test_replay_facts_alone_and_a_snapshot_give_the_same(seed, stop):
    world = simulated(seed, steps=200, quiet_end=False)
    recorded = [encode(fact) for fact in world.facts]
    state, again = PartitionState(), []
    for at, (offset, record) in enumerate(world.journal):
        again += [encode(fact) for fact in fold(state, decode(encode(record)), offset)]
        if at == stop:
            state.pools = {name: load_pool(dump_pool(each)) for name, each in state.pools.items()}
    assert again == recorded
    assert state_bytes(state) == state_bytes(world.state)
    assert state_bytes(refold(map(decode, recorded))) == state_bytes(world.state)
