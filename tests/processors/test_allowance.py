"""What a tenant is told of its own limits, and requests that ask for less than their tenant's tier."""

from __future__ import annotations

import pytest

from processors.admission import Admission, Admitted, Allowance, Refused
from processors.entitlement import Capacity, Quota, TenantLimits
from schemas.published import Tier

CAPACITY = Capacity(1_000, 1_000, 10)


def pool(**tenants: TenantLimits) -> Admission:
    admission = Admission(CAPACITY, kv_block_tokens=10, burst_ms=1_000)
    assert admission.set_limits(0, tenants, CAPACITY) is None
    return admission


def limits(tier: Tier, *quotas: tuple[int, int | None, int]) -> TenantLimits:
    throughput, kv, slots = (Quota(*quota) for quota in quotas)
    return TenantLimits(tier, (throughput, kv, slots))


BOUND = limits(Tier.ELASTIC, (100, 50, 0), (100, None, 0), (2, 0, 0))
FREE = limits(Tier.SPOT, (0, None, 0), (0, None, 0), (0, None, 0))
RIGHT = limits(Tier.GUARANTEED, (400, None, 400), (500, None, 0), (10, None, 0))
STOPPABLE = limits(Tier.PREEMPTIBLE, (0, None, 0), (0, None, 0), (0, None, 0))


def test_what_is_left_falls_with_use_and_comes_back_with_time() -> None:
    admission = pool(ann=BOUND)
    assert admission.allowance("ann") == Allowance(150, 150, 0, 2, 2)
    assert isinstance(admission.admit(0, "ann", "r", 60, 60), Admitted)
    assert admission.allowance("ann") == Allowance(150, 30, 1_000, 2, 1)
    admission.settle(500, "r", 60, 60)
    assert admission.allowance("ann") == Allowance(150, 100, 500, 2, 2)


def test_what_a_lease_grows_by_begins_spent_and_moving_it_away_and_back_makes_no_burst() -> None:
    """Of the right and of what may be borrowed; another gateway may have spent it."""
    double = limits(Tier.ELASTIC, (200, 100, 0), (100, None, 0), (4, 0, 0))
    admission = Admission(CAPACITY, kv_block_tokens=10, burst_ms=1_000, knots=((0, 1_000_000),), leased=True)
    course = [
        (0, BOUND, Allowance(150, 0, 1_000, 2, 2)),
        (500, BOUND, Allowance(150, 75, 500, 2, 2)),
        (500, double, Allowance(300, 75, 750, 4, 4)),
        (600, double, Allowance(300, 105, 650, 4, 4)),
        (600, BOUND, Allowance(150, 0, 1_000, 2, 2)),
        (1_600, BOUND, Allowance(150, 150, 0, 2, 2)),
        (1_600, double, Allowance(300, 150, 500, 4, 4)),
    ]
    for now_ms, given, expected in course:
        assert admission.set_limits(now_ms, {"ann": given}, CAPACITY) is None
        assert admission.allowance("ann") == expected
    whole = pool(ann=BOUND)
    assert whole.set_limits(0, {"ann": double}, CAPACITY) is None
    assert whole.allowance("ann") == Allowance(300, 300, 0, 4, 4), "what is nobody else's begins full"


def test_without_limits_of_its_own_what_the_pool_has_open_is_told() -> None:
    admission = pool(ben=FREE, ann=RIGHT)
    assert admission.allowance("ben") == Allowance(1_000, 1_000, 0, 10, 10)
    assert admission.allowance("ann") == Allowance(1_400, 1_000, 400, 10, 10), "a share that is new fills with time"
    assert isinstance(admission.admit(0, "ben", "r", 300, 150), Admitted)
    assert admission.allowance("ben") == Allowance(1_000, 550, 750, 10, 9), "600 tokens a second are kept for nobody"
    assert isinstance(admission.admit(100, "ann", "s", 500, 150), Admitted)
    assert admission.allowance("ann") == Allowance(1_400, 0, 1_400, 10, 8)
    admission.settle(2_000, "r", 300, 150)
    assert admission.allowance("ben") == Allowance(1_000, 1_000, 0, 10, 9)
    assert admission.allowance("nobody") is None


@pytest.mark.parametrize(("lowered", "admitted"), [(None, True), (Tier.SPOT, False), (Tier.PREEMPTIBLE, False)])
def test_who_asks_for_less_claims_no_right(lowered: Tier | None, *, admitted: bool) -> None:
    admission = pool(ann=RIGHT, ben=STOPPABLE)
    for number in range(10):
        assert isinstance(admission.admit(0, "ben", f"b{number}", 1, 1), Admitted)
    answer = admission.admit(0, "ann", "a", 5, 5, lowered=lowered)
    assert isinstance(answer, Admitted) == admitted
    if isinstance(answer, Admitted):
        assert answer.stop == ("b9",)
    else:
        assert isinstance(answer, Refused)


def test_a_request_that_is_content_with_preemptible_is_stopped_for_a_right() -> None:
    admission = pool(ann=RIGHT, ben=FREE)
    for number in range(10):
        lowered = Tier.PREEMPTIBLE if number == 4 else None
        assert isinstance(admission.admit(0, "ben", f"b{number}", 1, 1, lowered=lowered), Admitted)
    assert admission.admit(0, "ann", "a", 5, 5) == Admitted(("b4",))
    for number in range(10):
        admission.settle(1, f"b{number}", 1, 1)
    admission.settle(1, "a", 5, 5)
    assert admission.in_flight == 0
