"""Admission by example: rights come first, what is lent is taken back, and nothing is stopped in vain."""

import pytest
from admission_world import CONCURRENCY, KV, OWN, POOL, POOL_SIZE, PREEMPTIBLE, SPOT, THROUGHPUT, limits, pool, reserved

from processors.admission import Admitted, Refused, Settled
from processors.entitlement import Capacity
from schemas.published import Tier


def test_borrowing_does_not_delay_a_right():
    """Who borrowed ten times its right for long still has its right the moment that the pool is full."""
    gus = limits(Tier.GUARANTEED, throughput=(100, 900, 0), kv=(50, None, 0), concurrency=(5, None, 0))
    admission = pool(gus=gus, sam=SPOT)
    assert admission.admit(0, "gus", "a", 1_000, 0) == Admitted()
    admission.settle(0, "a", 1_000, 0)
    for ms in range(1, 3_000):  # sam takes whatever is idle
        if admission.admit(ms, "sam", f"s{ms}", 1, 0) == Admitted():
            admission.settle(ms, f"s{ms}", 1, 0)
    assert admission.idle(THROUGHPUT) == 0
    assert admission.admit(3_000, "gus", "b", 100, 0) == Admitted()


def test_what_is_lent_is_taken_back_from_the_newest_preemptible_requests():
    admission = pool(gus=reserved(Tier.GUARANTEED, 60, 0), sam=SPOT, pam=PREEMPTIBLE)
    for number in range(5):
        assert admission.admit(number, "pam", f"p{number}", 16, 0) == Admitted()
        assert admission.admit(number, "sam", f"s{number}", 16, 0) == Admitted()
    assert isinstance(admission.admit(5, "pam", "late", 16, 0), Refused)
    assert admission.admit(5, "gus", "g0", 16, 0) == Admitted(("p4",))
    assert admission.admit(5, "gus", "g1", 16, 0) == Admitted(("p3",))
    assert admission.idle(CONCURRENCY) == -2
    assert admission.settle(6, "p4", 8, 0) == Settled("pam", 8, 0)  # stopped
    assert admission.settle(6, "p1", 16, 0) == Settled("pam", 0, 0)  # ended by itself
    assert admission.idle(CONCURRENCY) == 0
    # What p3 still holds is on its way: nobody else is stopped for it.
    assert admission.admit(6, "gus", "g2", 16, 0) == Admitted()
    assert [admission.admit(6, "gus", f"g{number}", 16, 0).stop for number in (3, 4, 5)] == [("p2",), ("p0",), ()]
    assert admission.admit(6, "gus", "g6", 16, 0) == Refused(CONCURRENCY, OWN, 6, 6, 1, 1, never=False)
    assert admission.idle(CONCURRENCY) == -4  # by p0, p2, p3, which are being stopped, and one that sam was lent


def test_while_overdrawn_only_rights_get_in():
    admission = pool(gus=reserved(Tier.GUARANTEED, 60, 0), sam=SPOT, ella=limits(Tier.ELASTIC))
    for number in range(10):
        assert admission.admit(0, "sam", f"s{number}", 1, 0) == Admitted()
    for number in range(6):
        assert admission.admit(1, "gus", f"g{number}", 1, 0) == Admitted()
    assert admission.idle(CONCURRENCY) == -6
    for number in range(6):
        assert admission.admit(2, "sam", f"late{number}", 1, 0).whose is POOL
        assert admission.admit(2, "ella", f"late{number}", 1, 0).whose is POOL
        admission.settle(2, f"s{number}", 1, 0)
    assert admission.admit(3, "sam", "late", 1, 0).dimension is CONCURRENCY
    admission.settle(3, "s6", 1, 0)
    assert admission.admit(3, "sam", "late", 1, 0) == Admitted()


def test_within_one_tick_what_is_kept_is_kept():
    """The tick after its owner is back, what was lent is kept for it: an elastic tenant, too, has preemptible requests stopped."""
    ella = limits(Tier.ELASTIC, (500, None, 0), (50, None, 0), (5, None, 0))
    admission = pool(ella=ella, pam=PREEMPTIBLE)
    for number in range(10):
        assert admission.admit(0, "pam", f"p{number}", 16, 0) == Admitted()
    assert admission.admit(500, "ella", "e0", 16, 0) == Refused(CONCURRENCY, POOL, 10, 10, 1, None, never=False)
    kept = limits(Tier.ELASTIC, (500, None, 500), (50, None, 50), (5, None, 5))
    assert admission.set_limits(1_000, {"ella": kept, "pam": PREEMPTIBLE}, POOL_SIZE) is None
    stopped = [admission.admit(1_100, "ella", f"e{number}", 16, 0).stop for number in range(5)]
    assert stopped == [("p9",), ("p8",), ("p7",), ("p6",), ("p5",)]
    assert admission.admit(1_200, "ella", "e5", 16, 0).whose is POOL


@pytest.mark.parametrize(
    ("tokens", "answer"),
    [
        (16, Admitted(("p9",))),
        (48, Admitted(("p9", "p8"))),  # three blocks, as two requests hold
        (160, Refused(THROUGHPUT, POOL, 400, 248, 160, 20, never=False)),  # stopping gives no tokens back
    ],
)
def test_preemptible_requests_are_stopped_only_where_that_is_enough(tokens, answer):
    size = Capacity(400, 20, 11)
    ella = limits(Tier.ELASTIC, (1_000, None, 0), (20, None, 0), (10, None, 0))
    admission = pool(capacity=size, ella=ella, pam=PREEMPTIBLE)
    for number in range(10):
        assert admission.admit(0, "pam", f"p{number}", 32, 0) == Admitted()
    kept = limits(Tier.ELASTIC, (1_000, None, 0), (20, None, 20), (10, None, 1))
    assert admission.set_limits(180, {"ella": kept, "pam": PREEMPTIBLE}, size) is None
    assert admission.idle(KV) == -20
    assert admission.admit(180, "pam", "q", 16, 0).whose is POOL
    assert admission.admit(180, "ella", "e", tokens, 0) == answer


def test_what_is_on_its_way_counts_for_an_elastic_tenant():
    """Blocks of a stopped request that are more than were needed serve the next one, when nothing else could be stopped."""
    size = Capacity(10_000, 10, 10)
    ella = limits(Tier.ELASTIC, (1_000, None, 0), (10, None, 0), (9, None, 0))
    admission = pool(capacity=size, ella=ella, pam=PREEMPTIBLE)
    assert admission.admit(0, "pam", "p", 160, 0) == Admitted()
    kept = limits(Tier.ELASTIC, (1_000, None, 0), (10, None, 10), (9, None, 9))
    assert admission.set_limits(1, {"ella": kept, "pam": PREEMPTIBLE}, size) is None
    assert admission.admit(1, "ella", "e0", 64, 0) == Admitted(("p",))
    assert admission.admit(1, "ella", "e1", 96, 0) == Admitted()
    assert admission.admit(1, "ella", "e2", 16, 0).dimension is KV


def test_for_spot_nothing_is_stopped():
    admission = pool(sam=limits(Tier.SPOT, (0, None, 0), (0, None, 50), (0, None, 5)), pam=PREEMPTIBLE)
    for number in range(5):
        assert admission.admit(0, "pam", f"p{number}", 1, 0) == Admitted()
    cut = Capacity(1_000, 100, 7)
    assert admission.set_limits(1, {"sam": limits(Tier.SPOT, concurrency=(0, None, 5)), "pam": PREEMPTIBLE}, cut) is None
    assert [type(admission.admit(1, "sam", f"s{number}", 1, 0)) for number in range(3)] == [Admitted, Admitted, Refused]


def test_nothing_is_stopped_for_an_elastic_tenant_where_all_that_could_be_is_one_too_few():
    ella = limits(Tier.ELASTIC, (1_000, None, 0), (100, None, 0), (10, None, 0))
    admission = pool(ella=ella, sam=SPOT, pam=PREEMPTIBLE)
    for number in range(9):
        assert admission.admit(0, "sam", f"s{number}", 1, 0) == Admitted()
    assert admission.admit(0, "pam", "p", 1, 0) == Admitted()
    kept = limits(Tier.ELASTIC, (1_000, None, 0), (100, None, 0), (10, None, 2))
    assert admission.set_limits(1, {"ella": kept, "sam": SPOT, "pam": PREEMPTIBLE}, POOL_SIZE) is None
    assert admission.admit(1, "ella", "e0", 1, 0).whose is POOL  # it has no blocks kept, so nothing is stopped
    kept = limits(Tier.ELASTIC, (1_000, None, 0), (100, None, 50), (10, None, 2))
    assert admission.set_limits(2, {"ella": kept, "sam": SPOT, "pam": PREEMPTIBLE}, POOL_SIZE) is None
    assert admission.admit(2, "ella", "e0", 1, 0) == Admitted(("p",))
    assert admission.admit(2, "ella", "e1", 1, 0).dimension is CONCURRENCY
