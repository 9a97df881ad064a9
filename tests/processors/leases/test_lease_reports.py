"""Reports of gateways: taken once each, or refused with a reason; how leases begin and end."""

import pytest
from journal_world import World, of_kind, pool
from lease_world import BEGIN_MS, CapacityLeased, GatewayRefused, LeaseExpired, LeaseWorld, TenantUse, report, tenant
from pool_world import token_pool
from pydantic import ValidationError

from processors.leases.state import MARGIN_MS, MOST_GATEWAYS
from schemas.gateways import LEASE_MS, MOST_REPORTED, USE_COLUMNS, GatewayReport
from schemas.lease_facts import GatewayRefusal, LeaseEnd, LeasesGranted, UseReported

NOW = BEGIN_MS


def world():
    return LeaseWorld(tenant("a1", "a", concurrency=(6, 0, None)), tenant("b1", "b"))


def use(kv_held=3):
    return TenantUse(tokens=100, kv_blocks_peak=5, concurrency_peak=2, kv_blocks_held=kv_held, concurrency_held=1)


def taken(here, *reports):
    return here.engine.take(*reports)


def refused(here, *reports):
    *_, fact = taken(here, *reports)
    assert isinstance(fact, GatewayRefused)
    return fact.reason


def test_a_report_is_taken_once_and_says_what_the_pool_knows():
    here = world()
    (fact,) = taken(here, report("x", 1, {"a": use(), "nobody": use(kv_held=7)}, time=NOW))
    assert isinstance(fact, UseReported)
    assert (fact.tenant, fact.kv_in_use, fact.concurrency_in_use, fact.last) == (["a"], 10, 2, True)
    assert taken(here, report("x", 1, {"a": use()}, time=NOW)) == []
    assert here.leases["x"].ends_ms == NOW + LEASE_MS + MARGIN_MS


REFUSALS = {
    GatewayRefusal.OTHER_INCARNATION: report("x", 1, life="2", time=NOW),
    GatewayRefusal.UNKNOWN_POOL: report("x", 2, time=NOW, pool="nowhere"),
    GatewayRefusal.LATE: report("x", 2, time=NOW - LEASE_MS - MARGIN_MS),
    GatewayRefusal.CHUNK_MISSING: report("x", 2, time=NOW, chunk=1, chunks=2),
}


@pytest.mark.parametrize("reason", REFUSALS)
def test_what_is_refused_and_why(reason):
    here = world()
    taken(here, report("x", 1, time=NOW))
    assert refused(here, REFUSALS[reason]) is reason
    assert here.leases["x"].sequence == 1


def test_the_oldest_report_that_is_not_late_is_taken_and_ends_nothing_sooner():
    here = world()
    taken(here, report("x", 1, time=NOW))
    ends = here.leases["x"].ends_ms
    (fact,) = taken(here, report("x", 2, time=NOW - LEASE_MS - MARGIN_MS + 1))
    assert isinstance(fact, UseReported)
    assert here.leases["x"].ends_ms == ends
    assert taken(here, report("x", 1, time=NOW)) == [], "what is older comes again"


def test_who_leaves_in_chunks_has_left_with_the_last():
    here = world()
    taken(here, report("x", 1, time=NOW))
    (fact,) = taken(here, report("x", 2, time=NOW, chunk=0, chunks=2, leaving=True))
    assert isinstance(fact, UseReported)
    assert "x" in here.leases
    assert taken(here, report("x", 2, time=NOW, chunk=0, chunks=2, leaving=True)) == []
    *_, left = taken(here, report("x", 2, time=NOW, chunk=1, chunks=2, leaving=True))
    assert (left.reason, left.incarnation, here.pool.leases) == (LeaseEnd.LEFT, "1", None)


def test_a_pool_that_is_no_token_pool_has_no_gateways():
    here = World()
    here.tick(105)
    here.take(pool())
    assert here.take(report("x", 1, time=105_000))[0].reason is GatewayRefusal.NOT_SHARED
    shared = world()
    taken(shared, report("x", 1, time=NOW))
    shared.take(pool("p2", capacity=10_000, period_s=10))
    shared.pass_ms(1_000)
    (ended,) = of_kind(shared.engine.facts, LeaseExpired)
    assert ended.reason is LeaseEnd.NOT_SHARED
    assert shared.pool.leases is None


def test_a_pool_without_tenants_has_leases():
    here = LeaseWorld()
    here.start("x")
    here.start("y")
    here.pass_ms(2_000)
    assert [gateway.capacity for gateway in here.leases.values()] == [[500, 250, 20]] * 2
    here.take(tenant("a1", "a"))
    here.pass_ms(12_000)
    assert list(here.nodes["x"].lease.tenants) == ["a"]


def test_there_are_only_so_many_gateways():
    here = world()
    taken(here, *(report(f"x{number}", 1, time=NOW) for number in range(MOST_GATEWAYS)))
    assert refused(here, report("one more", 1, time=NOW)) is GatewayRefusal.TOO_MANY_GATEWAYS
    (fact,) = taken(here, report("x0", 2, time=NOW))
    assert isinstance(fact, UseReported), "who is there may go on"
    here.pass_ms(LEASE_MS + MARGIN_MS)
    assert here.pool.leases is None, "they are forgotten"
    (fact,) = taken(here, report("one more", 2, time=here.now))
    assert isinstance(fact, UseReported)


def test_a_report_in_chunks_counts_with_the_last():
    here = world()
    taken(here, report("x", 1, {"a": use(), "b": use()}, time=NOW))
    gateway = here.leases["x"]
    taken(here, report("x", 2, {"b": use(kv_held=9)}, time=NOW + 5, chunk=0, chunks=2))
    assert (gateway.answers, gateway.in_use, int(gateway.rows["kv_used"][0])) == (1, [6, 2], 3)
    taken(here, report("x", 2, {"b": use(kv_held=9)}, time=NOW + 5, chunk=0, chunks=2))
    taken(here, report("x", 2, {}, time=NOW + 5, chunk=1, chunks=2))
    assert (gateway.answers, gateway.in_use, gateway.rows["kv_used"].tolist()) == (2, [9, 1], [0, 9])
    wanted = gateway.rows["wanted_kv"].tolist()
    assert wanted == [4, 5], "who is not named any more wants less and less"


def test_who_leaves_gives_its_share_back_at_once():
    here = world()
    for name in "xy":
        here.start(name)
    here.pass_ms(6_000)
    assert here.share("x", "a", "concurrency_nominal") == 3
    leaving = here.nodes["x"]
    here.send(leaving, leaving=True)
    here.kill("x")
    here.pass_ms(2_000)
    assert of_kind(here.engine.facts, LeaseExpired)[-1].reason is LeaseEnd.LEFT
    assert here.share("y", "a", "concurrency_nominal") == 6


def test_another_life_waits_until_the_lease_of_the_one_before_is_over():
    here = world()
    here.start("x")
    here.pass_ms(3_000)
    here.kill("x")
    here.start("x", "2")
    here.pass_ms(LEASE_MS)
    assert {fact.reason for fact in of_kind(here.engine.facts, GatewayRefused)} == {GatewayRefusal.OTHER_INCARNATION}
    assert here.nodes["x"].lease is None, "what its earlier life was told is not its own"
    here.pass_ms(MARGIN_MS + 3_000)
    assert here.nodes["x"].lease.capacity == (1000, 500, 40)


def test_one_lease_at_a_time_is_under_way():
    here = world()
    for sequence in (1, 2, 3):
        taken(here, report("x", sequence, {"a": use()}, time=NOW))
        here.pass_ms(1_000)
    (only,) = of_kind(here.engine.facts, CapacityLeased)
    assert {fact.tick for fact in of_kind(here.engine.facts, LeasesGranted)} == {only.tick}
    here.take(token_pool("p2", replicas=5))
    here.pass_ms(2_000)
    assert of_kind(here.engine.facts, CapacityLeased) == [only], "it has not named it as applied"
    taken(here, report("x", 4, applied=only.tick, time=here.now))
    here.pass_ms(1_000)
    assert of_kind(here.engine.facts, CapacityLeased)[-1].throughput == 500


def test_replicas_that_are_lost_are_held_until_gateways_have_given_them_up():
    here = world()
    taken(here, report("x", 1, time=NOW))
    here.pass_ms(1_000)
    here.take(token_pool("p2", replicas=5))
    taken(here, report("y", 1, time=here.now))
    here.pass_ms(1_000)
    assert here.leases["x"].held_capacity == [1000, 500, 40]
    assert here.leases["y"].capacity == [0, 0, 0]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"chunk": 1}, "chunk: 1 of 1"),
        (
            {
                "tenant": ["a", "a"],
                **{name: [1, 1] for name in USE_COLUMNS},
            },
            "'a' twice",
        ),
        ({"tenant": ["a"]}, "tokens: 0 entries, but 1 tenants"),
        ({"sequence": 0}, "greater than or equal to 1"),
        ({"lease_ms": 10**9}, "less than or equal to 120000"),
        ({"interval_ms": 0}, "greater than or equal to 1"),
        ({"tenant": [f"{n}" for n in range(MOST_REPORTED + 1)]}, "at most 4000"),
    ],
)
def test_what_is_no_report(wrong, said):
    fields = report("x", 1, time=NOW).model_dump() | wrong
    with pytest.raises(ValidationError, match=said):
        GatewayReport(**fields)
