"""A pool of ten slots at a gateway, under the test's hands: its size, limits of tenants, and their admission."""

from processors.admission import Admission, Whose
from processors.entitlement import Capacity, Dimension, Quota, TenantLimits
from schemas.published import Tier

THROUGHPUT, KV, CONCURRENCY = Dimension
OWN, POOL = Whose
POOL_SIZE = Capacity(1_000, 100, 10)  # in bursts of 1 s: 1,000 tokens; 100 blocks of 16 tokens
FREE = (Quota(0, None, 0),) * 3
EVEN = ((0, 1_000_000), (1_000_000, 1_000_000))  # borrowing limits that don't fall


def limits(tier, throughput=(0, None, 0), kv=(0, None, 0), concurrency=(0, None, 0)):
    return TenantLimits(tier, (Quota(*throughput), Quota(*kv), Quota(*concurrency)))


def reserved(tier, share, kept):
    """So many hundredths of the pool are nominal and kept, and nothing can be borrowed."""
    return TenantLimits(tier, tuple(Quota(all_of_it * share // 100, 0, all_of_it * kept // 100) for all_of_it in POOL_SIZE))


def pool(knots=EVEN, capacity=POOL_SIZE, **tenants):
    admission = Admission(capacity, burst_ms=1_000, knots=knots)
    assert admission.set_limits(0, tenants, capacity) is None
    return admission


SPOT, PREEMPTIBLE = limits(Tier.SPOT), limits(Tier.PREEMPTIBLE)
