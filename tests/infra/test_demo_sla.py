"""The demo's tenant with an SLA: its requests wait for tokens, so a surge breaks it until the engine's loop lends it some."""

from __future__ import annotations

from collections import Counter, defaultdict

import pytest
from journal_world import World, latency, of_kind, rows, usage

from infra.demo import view
from infra.demo.backlog import Backlog
from infra.demo.plan import SLA_LOOP, plan
from infra.demo.store import Boosts
from infra.workloads import SURGE_FROM, SURGE_TO, Request, synthetic
from schemas.facts import AllocationsOpened, CommandRefused
from schemas.loop_facts import BaseChanges, SlaMeasured
from schemas.loops import BaseChange
from schemas.published import Policy

SECONDS, PERIOD_S, BEGIN = 60, 5, 1_000
TWO = (
    "SLA loop: 2 tenants with an SLA, exceeded in 5 of 24 periods; boosts of up to 9 tokens in 6 periods, lent by 8 tenants; "
    "1 still lent at the end"
)


def request(at_ms: int, tokens: int, tenant: str = "a") -> Request:
    return Request(at_ms, tenant, tokens, 0, 0)


def test_requests_wait_for_those_before_them_as_long_as_the_rate_takes() -> None:
    backlog = Backlog(["a"])
    assert backlog.wait_ms(request(0, 10_000)) == 0, "nobody waits while no rate is known"
    backlog.serve("a", 1_000)
    assert [backlog.wait_ms(request(at_ms, tokens)) for at_ms, tokens in ((0, 500), (100, 100), (100, 0), (2_000, 0))] == [
        0,
        400,
        500,
        0,
    ]
    backlog.wait_ms(request(2_000, 600))
    backlog.serve("a", 2_000)
    assert backlog.wait_ms(request(2_000, 0)) == 300, "twice as fast"
    assert backlog.wait_ms(request(2_000, 9, "b")) == 0


@pytest.fixture(scope="module")
def world() -> World:
    """A minute of the demo, decided by the engine, by whose allocations who has an SLA is served."""
    workload = synthetic(1, SECONDS, 10, 400)
    wanted = plan(workload, pool="demo", run="r", period_s=PERIOD_S, policy=Policy.SEED)
    world = World()
    world.tick(BEGIN - 1)
    world.take(wanted.pool, *wanted.profiles)
    world.run(BEGIN, BEGIN + PERIOD_S)
    backlog = Backlog(each.tenant for each in wanted.profiles if each.sla_ms is not None)
    seconds = defaultdict(list)
    for each in workload.walk():
        seconds[each.at_ms // 1_000].append(each)
    for second in range(SECONDS):
        now = BEGIN + PERIOD_S + 1 + second
        for tenant in backlog.tenants:
            allocated = sum(world.value(tenant, column, "demo") for column in ("base_given", "surplus"))
            backlog.serve(tenant, allocated / PERIOD_S)
        used: Counter[str] = Counter()
        took: dict[str, Counter[int]] = defaultdict(Counter)
        for each in seconds[second]:
            used[each.tenant] += each.tokens
            took[each.tenant][backlog.wait_ms(each) + each.latency_ms] += 1
        world.take(usage(now, dict(used), pool="demo"), latency(now, took, pool="demo"))
        world.run(now, now)
    return world


def test_a_surge_breaks_the_sla_until_tenants_of_less_weight_have_lent_enough_and_all_goes_back(world: World) -> None:
    assert not of_kind(world.facts, CommandRefused)
    measured = [
        dict(zip(fact.tenant, zip(fact.latency_ms, fact.sla_ms, fact.boost, strict=True), strict=True)).get("indigo")
        for fact in of_kind(world.facts, SlaMeasured)
    ]
    above = [at for at, row in enumerate(measured) if row is not None and row[0] is not None and row[0] > row[1]]
    boosts = [0 if row is None else row[2] for row in measured]
    first = SECONDS * SURGE_FROM / PERIOD_S
    assert first <= above[0] <= SECONDS * SURGE_TO / PERIOD_S
    assert above == list(range(above[0], above[-1] + 1)), "in one stretch"
    assert 4 <= len(above) <= len(measured) // 2, "for a while"
    assert boosts[above[0] + SLA_LOOP.breaches - 1] > 0
    turn = boosts.index(max(boosts))
    assert boosts[: turn + 1] == sorted(boosts[: turn + 1])
    assert boosts[turn:] == sorted(boosts[turn:], reverse=True), "no swinging"
    assert boosts[-1] == 0, "given back"


def test_the_others_pay_and_the_sum_of_all_bases_stays(world: World) -> None:
    lenders = {
        tenant
        for fact in of_kind(world.facts, BaseChanges)
        for tenant, kind in zip(fact.tenant, fact.kind, strict=True)
        if kind is BaseChange.LOAN
    }
    assert "indigo" not in lenders
    assert len(lenders) > 5
    bases = {
        period: sum(rows([fact], AllocationsOpened, "base").values())
        for fact in of_kind(world.facts, AllocationsOpened)
        for period in [fact.period]
    }
    assert len(set(bases.values())) == 1


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (Boosts(1, 12, 0, 0, 0, 0, 0), "SLA loop: 1 tenant with an SLA, exceeded in 0 of 12 periods; no base was moved"),
        (
            Boosts(2, 24, 5, 9, 6, 8, 1),
            TWO,
        ),
    ],
)
def test_the_loop_is_told_in_one_line(found: Boosts, says: str) -> None:
    assert view.sla(found) == says
