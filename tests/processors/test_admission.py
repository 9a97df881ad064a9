"""Admission by example: limits, settlement, overruns, the rate of a stream, retries, bad input."""

from itertools import accumulate

import pytest
from admission_world import CONCURRENCY, KV, OWN, POOL, POOL_SIZE, SPOT, THROUGHPUT, limits, pool, reserved
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.admission import KNOTS, Admission, Admitted, Mistake, Refused, Rejected, Settled, Used
from processors.admission.scaling import scale
from processors.entitlement import Capacity, Dimension, Quota, TenantLimits
from schemas.published import Tier


@pytest.mark.parametrize(
    ("own", "asked", "refused"),
    [
        (limits(Tier.SPOT, throughput=(100, 50, 0)), [150], None),
        (limits(Tier.SPOT, throughput=(100, 50, 0)), [151], Refused(THROUGHPUT, OWN, 150, 0, 151, None, never=True)),
        (limits(Tier.SPOT, throughput=(100, 50, 0)), [90, 61], Refused(THROUGHPUT, OWN, 150, 90, 61, 10, never=False)),
        (limits(Tier.SPOT, throughput=(100, 50, 0)), [140, 15], Refused(THROUGHPUT, OWN, 150, 140, 15, 34, never=False)),
        (limits(Tier.SPOT, throughput=(100, 0, 0)), [100, 1], Refused(THROUGHPUT, OWN, 100, 100, 1, 10, never=False)),
        (limits(Tier.SPOT, throughput=(0, 50, 0)), [50, 1], Refused(THROUGHPUT, OWN, 50, 50, 1, 20, never=False)),
        (limits(Tier.SPOT, throughput=(0, 0, 0)), [1], Refused(THROUGHPUT, OWN, 0, 0, 1, None, never=True)),
        (limits(Tier.SPOT, kv=(3, 2, 0)), [16 * 5], None),
        (limits(Tier.SPOT, kv=(3, 2, 0)), [16 * 5 + 1], Refused(KV, OWN, 5, 0, 6, None, never=True)),
        (limits(Tier.SPOT, kv=(3, 2, 0)), [16 * 3, 33], Refused(KV, OWN, 5, 3, 3, None, never=False)),
        (limits(Tier.SPOT, concurrency=(1, 1, 0)), [1, 1, 1], Refused(CONCURRENCY, OWN, 2, 2, 1, None, never=False)),
        (limits(Tier.SPOT), [1_000], None),
        (limits(Tier.SPOT), [1_001], Refused(THROUGHPUT, POOL, 1_000, 0, 1_001, None, never=True)),
        (limits(Tier.SPOT), [600, 401], Refused(THROUGHPUT, POOL, 1_000, 600, 401, 1, never=False)),
        (limits(Tier.SPOT), [600, 700], Refused(THROUGHPUT, POOL, 1_000, 600, 700, 300, never=False)),
        (limits(Tier.SPOT), [1] * 11, Refused(CONCURRENCY, POOL, 10, 10, 1, None, never=False)),
        # Its own limit comes first, then dimensions in their order.
        (limits(Tier.SPOT, concurrency=(0, 1, 0)), [900, 900], Refused(CONCURRENCY, OWN, 1, 1, 1, None, never=False)),
        (limits(Tier.SPOT, kv=(0, 50, 0), concurrency=(0, 1, 0)), [600, 600], Refused(KV, OWN, 50, 38, 38, None, never=False)),
    ],
)
def test_limits(own, asked, refused):
    admission = pool(tenant=own)
    answers = [admission.admit(0, "tenant", f"r{number}", tokens, 0) for number, tokens in enumerate(asked)]
    assert answers == [Admitted()] * (len(asked) - bool(refused)) + ([refused] if refused else [])
    if refused and refused.retry_after_ms:
        assert isinstance(admission.admit(refused.retry_after_ms - 1, "tenant", "early", asked[-1], 0), Refused)
        assert isinstance(admission.admit(refused.retry_after_ms, "tenant", "due", asked[-1], 0), Admitted)


@pytest.mark.parametrize(
    ("fill", "left"),
    [(0, 1_000_000), (800_000, 1_000_000), (800_001, 999_996), (900_000, 625_000), (999_999, 250_003), (1_000_000, 250_000)],
)
def test_borrowing_limits_fall_as_the_pool_fills(fill, left):
    assert scale(KNOTS, fill) == left


def test_a_full_pool_scales_borrowing_down_but_never_the_nominal_quota():
    knots = ((500_000, 1_000_000), (1_000_000, 0))
    admission = pool(knots, other=SPOT, tenant=limits(Tier.SPOT, concurrency=(1, 8, 0)))
    for number in range(6):
        assert admission.admit(0, "other", f"o{number}", 1, 0) == Admitted()
    assert admission.fill(CONCURRENCY) == 600_000
    assert [admission.admit(0, "tenant", f"t{number}", 1, 0) for number in range(3)] == [Admitted()] * 3  # 1 + 8 × 0.8, 0.6, 0.4
    assert admission.admit(0, "tenant", "t3", 1, 0) == Refused(CONCURRENCY, OWN, 2, 3, 1, None, never=False)  # 1 + 8 × 0.2
    assert admission.admit(0, "other", "o6", 1, 0) == Admitted()
    for number in range(3):
        admission.settle(5, f"t{number}", 1, 0)
    assert admission.admit(5, "other", "o7", 1, 0) == Admitted()
    assert admission.admit(5, "other", "o8", 1, 0) == Admitted()
    assert admission.admit(5, "tenant", "t4", 1, 0) == Admitted()


def test_what_is_reserved_is_settled_and_the_rest_given_back():
    admission = pool(tenant=limits(Tier.SPOT, throughput=(100, 500, 0)))
    assert admission.admit(0, "tenant", "a", 100, 300) == Admitted()
    assert admission.used("tenant") == Used(400, 25, 1)
    assert admission.idle(THROUGHPUT) == 600
    assert admission.settle(0, "a", 100, 50) == Settled("tenant", 250, 0)
    assert admission.used("tenant") == Used(150, 0, 0)
    assert admission.idle(THROUGHPUT) == 850
    assert (admission.idle(KV), admission.idle(CONCURRENCY)) == (100, 10)
    assert admission.counts("tenant") == (0, 400, 250, 0)


def test_an_overrun_is_charged_and_repaid_from_refill():
    admission = pool(tenant=limits(Tier.GUARANTEED, throughput=(100, 0, 0), kv=(50, 0, 0), concurrency=(5, 0, 0)))
    assert admission.admit(0, "tenant", "a", 50, 10) == Admitted()
    assert admission.settle(0, "a", 50, 310) == Settled("tenant", 0, 300)
    assert admission.used("tenant").throughput == 360
    assert admission.idle(THROUGHPUT) == 640
    assert admission.admit(0, "tenant", "b", 1, 0) == Refused(THROUGHPUT, OWN, 100, 360, 1, 2_610, never=False)
    assert isinstance(admission.admit(2_609, "tenant", "b", 1, 0), Refused)
    assert admission.admit(2_610, "tenant", "b", 1, 0) == Admitted()


def test_what_the_pool_is_overrun_by_is_waited_for_by_others():
    admission = pool(tenant=SPOT, other=SPOT)
    admission.admit(0, "tenant", "a", 10, 0)
    admission.settle(0, "a", 10, 2_000)
    assert admission.idle(THROUGHPUT) == -1_010
    assert admission.admit(0, "other", "b", 1, 0) == Refused(THROUGHPUT, POOL, 1_000, 2_010, 1, 1_011, never=False)


@pytest.mark.parametrize(
    ("owner", "left_idle", "rate"),
    [
        (reserved(Tier.DEDICATED, 60, 60), True, 400),  # never lent
        (reserved(Tier.DEDICATED, 60, 60), False, 400),
        (reserved(Tier.GUARANTEED, 60, 60), True, 1_000),  # lent as long as it is left
        (reserved(Tier.GUARANTEED, 60, 60), False, 400),
        (reserved(Tier.GUARANTEED, 60, 0), True, 1_000),
        (reserved(Tier.GUARANTEED, 60, 0), False, 400),
    ],
)
def test_throughput_that_is_left_is_lent_and_no_token_of_it_is_wasted(owner, left_idle, rate):
    admission = pool(owner=owner, sam=SPOT)
    spent = {"owner": 0, "sam": 0}
    seconds = 20
    for ms in range(seconds * 1_000):
        for name in ("sam",) if left_idle else ("owner", "sam"):
            if admission.admit(ms, name, "r", 5, 0) == Admitted():
                spent[name] += 5
                admission.settle(ms, "r", 5, 0)
    # One burst of what is idle more, or one of the owner's right less, which nothing was kept for yet in the beginning.
    assert rate * seconds - 5 - (0 if left_idle else 600) <= spent["sam"] <= rate * seconds + 1_000
    if not left_idle:
        assert 600 * seconds <= spent["owner"] <= 600 * seconds + 600


def test_a_stream_never_gets_more_than_its_rate_and_one_burst():
    """Over every window, whatever is refused in between."""
    admission = pool(tenant=limits(Tier.SPOT, throughput=(40, 60, 0)), other=SPOT)
    admitted = []
    for ms in range(5_000):
        got = admission.admit(ms, "tenant", "r", 1 + ms * 7 % 23, 0)
        admitted.append(1 + ms * 7 % 23 if got == Admitted() else 0)
        if got == Admitted():
            admission.settle(ms, "r", admitted[-1], 0)
    total = [0, *accumulate(admitted)]
    assert max(total[end] - total[start] - (end - start - 1) * 0.1 for end in range(5_001) for start in range(0, end, 61)) <= 100
    assert total[-1] > 100 + 0.1 * 4_999 - 23


@settings(max_examples=60, deadline=None)
@given(
    lower=st.tuples(st.integers(0, 300), st.integers(0, 300)),
    more=st.tuples(st.integers(0, 100), st.integers(0, 100)),
    tokens=st.integers(1, 40),
    gap=st.integers(1, 60),
)
def test_a_stream_of_equal_requests_gets_no_less_of_a_higher_limit(lower, more, tokens, gap):
    counts = []
    for own in ((*lower, 0), (lower[0] + more[0], lower[1] + more[1], 0)):
        admission = pool(tenant=limits(Tier.SPOT, throughput=own))
        admitted = [
            isinstance(admission.admit(number * gap, "tenant", f"r{number}", tokens, 0), Admitted)
            and isinstance(admission.settle(number * gap, f"r{number}", tokens, 0), Settled)
            for number in range(60)
        ]
        counts.append(list(accumulate(admitted)))
    assert all(higher >= lower for lower, higher in zip(*counts, strict=True))


def test_retry_for_space_is_told_from_how_long_requests_run():
    admission = pool(sam=SPOT)
    for number in range(10):
        admission.admit(0, "sam", f"s{number}", 16, 0)
    assert admission.admit(0, "sam", "late", 16, 0).retry_after_ms is None
    admission.settle(800, "s0", 16, 0)
    admission.admit(800, "sam", "s10", 16, 0)
    # Ten requests that run 800 ms each: one ends every 80 ms.
    assert admission.admit(800, "sam", "late", 16, 0) == Refused(CONCURRENCY, POOL, 10, 10, 1, 80, never=False)


def test_a_dedicated_tenants_retry_waits_for_its_own_refill_and_for_what_is_idle():
    dora = TenantLimits(Tier.DEDICATED, (Quota(100, None, 100), Quota(0, None, 0), Quota(0, None, 0)))
    admission = pool(dora=dora, sam=SPOT)
    assert admission.admit(1_000, "sam", "s", 900, 0) == Admitted()
    refused = admission.admit(1_000, "dora", "d", 550, 0)
    assert refused.retry_after_ms == 500  # 100 kept and full, 900 a second idle
    assert isinstance(admission.admit(1_499, "dora", "d", 550, 0), Refused)
    assert admission.admit(1_500, "dora", "d", 550, 0) == Admitted()


def test_a_dedicated_tenants_full_share_does_not_flow_over_into_what_it_waits_for():
    dora = limits(Tier.DEDICATED, (900, None, 900))
    admission = pool(dora=dora, sam=SPOT)
    assert admission.admit(1_000, "sam", "s", 100, 0) == Admitted()
    assert admission.admit(1_000, "dora", "d0", 10, 0) == Admitted()
    assert admission.admit(1_000, "dora", "d1", 950, 0) == Refused(THROUGHPUT, POOL, 1_000, 110, 950, 500, never=False)
    assert isinstance(admission.admit(1_499, "dora", "d1", 950, 0), Refused)
    assert admission.admit(1_500, "dora", "d1", 950, 0) == Admitted()


def test_a_share_that_is_full_sooner_than_foretold_flows_over_once():
    admission = pool(gus=reserved(Tier.GUARANTEED, 60, 60), sam=SPOT)
    for name in ("s0", "s1"):
        assert admission.admit(1_000, "sam", name, 500, 0) == Admitted()
        assert admission.settle(1_000, name, 500, 0) == Settled("sam", 0, 0)
    assert admission.admit(1_000, "gus", "g", 300, 0) == Admitted()  # full again at 1,500 by refill alone
    assert admission.settle(1_000, "g", 0, 0) == Settled("gus", 300, 0)
    assert admission.admit(1_500, "sam", "s2", 501, 0).dimension is THROUGHPUT
    assert admission.idle(THROUGHPUT) == 500


@pytest.mark.parametrize("ticks", [0, 1, 2])
def test_an_overrun_that_no_refill_could_repay_is_the_pools_alone(ticks):
    """The same whether or not ticks pass between: a tenant that lost its limits, overran, and has new ones owes nothing."""
    own = limits(Tier.SPOT, throughput=(0, 100, 0))
    admission = pool(tenant=own)
    assert admission.admit(0, "tenant", "a", 10, 0) == Admitted()
    assert admission.admit(0, "tenant", "b", 10, 0) == Admitted()
    assert admission.set_limits(1_000, {}, POOL_SIZE) is None
    assert admission.settle(1_000, "a", 60, 0) == Settled("tenant", 0, 50)
    assert admission.idle(THROUGHPUT) == 950
    for _ in range(ticks):
        assert admission.set_limits(1_000, {}, POOL_SIZE) is None
    assert admission.set_limits(1_000, {"tenant": own}, POOL_SIZE) is None
    assert admission.used("tenant") == Used(0, 1, 1)
    assert admission.admit(1_000, "tenant", "c", 100, 0) == Admitted()


def test_an_overrun_is_borrowed_too_as_far_as_that_goes():
    admission = pool(tenant=limits(Tier.SPOT, throughput=(100, 50, 0)))
    admission.admit(0, "tenant", "a", 10, 0)
    assert admission.settle(0, "a", 150, 0) == Settled("tenant", 0, 140)
    assert admission.admit(1_000, "tenant", "b", 150, 0) == Admitted()  # both are repaid in the same second


def test_a_tenant_without_limits_starts_nothing_and_is_forgotten_when_its_requests_have_ended():
    admission = pool(tenant=SPOT)
    admission.admit(0, "tenant", "a", 10, 0)
    assert admission.set_limits(1, {}, POOL_SIZE) is None
    assert admission.admit(1, "tenant", "b", 10, 0).mistake is Mistake.UNKNOWN_TENANT
    assert admission.used("tenant") == Used(0, 1, 1)
    assert admission.settle(2, "a", 10, 0) == Settled("tenant", 0, 0)
    assert admission.used("tenant") is None
    assert admission.counts("tenant") is None


def test_an_id_may_be_used_again_after_its_request_has_ended():
    admission = pool(tenant=SPOT)
    for ms in range(3):
        assert admission.admit(ms, "tenant", "a", 10, 0) == Admitted()
        assert admission.admit(ms, "tenant", "a", 10, 0).mistake is Mistake.REQUEST_IN_USE
        assert isinstance(admission.settle(ms, "a", 10, 0), Settled)
        assert admission.settle(ms, "a", 10, 0).mistake is Mistake.UNKNOWN_REQUEST


@pytest.mark.parametrize(
    ("tenants", "capacity", "mistake"),
    [
        ({"a": reserved(Tier.GUARANTEED, 60, 0), "b": reserved(Tier.DEDICATED, 41, 0)}, POOL_SIZE, Mistake.PROMISED_ABOVE_CAPACITY),
        ({"a": reserved(Tier.SPOT, 60, 60), "b": reserved(Tier.ELASTIC, 41, 41)}, POOL_SIZE, Mistake.KEPT_ABOVE_CAPACITY),
        ({"a": reserved(Tier.GUARANTEED, 60, 60)}, Capacity(1_000, 100, 5), Mistake.KEPT_ABOVE_CAPACITY),
        ({"a": limits(Tier.SPOT, (-1, None, 0))}, POOL_SIZE, Mistake.INVALID_QUOTA),
        ({"a": limits(Tier.SPOT, (1, -1, 0))}, POOL_SIZE, Mistake.INVALID_QUOTA),
        ({"a": limits(Tier.SPOT, kv=(0, None, -1))}, POOL_SIZE, Mistake.INVALID_QUOTA),
        ({"a": limits(Tier.SPOT, concurrency=(0.5, None, 0))}, POOL_SIZE, Mistake.INVALID_QUOTA),
        ({"a": limits(Tier.SPOT, concurrency=(True, None, 0))}, POOL_SIZE, Mistake.INVALID_QUOTA),
        ({}, Capacity(1_000, -1, 5), Mistake.INVALID_CAPACITY),
        ({}, Capacity(1_000, 1.5, 5), Mistake.INVALID_CAPACITY),
    ],
)
def test_limits_that_cannot_hold_change_nothing(tenants, capacity, mistake):
    admission = pool(sam=SPOT, gus=reserved(Tier.GUARANTEED, 60, 20))
    admission.admit(0, "sam", "s", 100, 0)
    before = [admission.idle(dimension) for dimension in Dimension]
    refused = admission.set_limits(700, tenants, capacity)
    assert isinstance(refused, Rejected)
    assert refused.mistake is mistake
    assert [admission.idle(dimension) for dimension in Dimension] == before
    assert admission.used("sam") == Used(0, 7, 1)
    assert admission.admit(0, "gus", "g", 600, 0) == Admitted()  # time has not gone on, either


@pytest.mark.parametrize(("given_tokens", "most"), [(1.5, 1), (1, 0.5), ("1", "1"), (-1, 5), (5, -1), (0, 0)])
def test_a_cost_is_whole_tokens(given_tokens, most):
    admission = pool(sam=SPOT)
    assert admission.admit(0, "sam", "s", given_tokens, most).mistake is Mistake.INVALID_COST


@pytest.mark.parametrize(
    "settings_",
    [
        {"knots": ()},
        {"knots": ((0, 1_000_001),)},
        {"knots": ((-1, 5),)},
        {"knots": ((5, 10), (5, 9))},
        {"knots": ((5, 10), (6, 11))},
        {"burst_ms": 0},
        {"kv_block_tokens": 0},
        {"capacity": Capacity(-1, 0, 0)},
    ],
)
def test_settings_that_nobody_can_mean(settings_):
    with pytest.raises(ValueError, match=r"knots|capacity"):
        Admission(**{"capacity": POOL_SIZE, **settings_})


def test_enormous_quotas_are_exact():
    huge = 2**63 - 1
    admission = pool(
        capacity=Capacity(huge, huge, huge), tenant=limits(Tier.GUARANTEED, (huge, huge, huge), (huge, 0, 0), (9, 0, 0))
    )
    assert admission.admit(0, "tenant", "a", huge, 0) == Admitted()
    assert admission.admit(0, "tenant", "b", huge, huge).whose is OWN
    assert admission.settle(1, "a", huge - 1, 0) == Settled("tenant", 1, 0)
    assert admission.idle(KV) == huge


def test_an_empty_pool_admits_nothing():
    admission = pool(capacity=Capacity(0, 0, 0), tenant=SPOT)
    assert admission.admit(0, "tenant", "a", 1, 0) == Refused(THROUGHPUT, POOL, 0, 0, 1, None, never=True)
    assert [admission.fill(dimension) for dimension in Dimension] == [1_000_000] * 3
