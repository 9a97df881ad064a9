"""A token pool under the test's hands: a period of 10 ticks of 1 s, one meter of each kind."""

from journal_world import World, mark, of_kind, pool, profile, rows, tick, usage

from schemas.entitlements import BurstKnot, ConcurrencyQuota, KvQuota, RateQuota
from schemas.journal import AdmissionSums
from schemas.sharing_facts import Limits

REPLICA = {"replica_tokens_per_s": 100, "replica_kv_blocks": 50, "replica_concurrency": 4}
PERIOD = 10
NO_SURPLUS = "uniform_price"
"""Where nobody bids: allocations are bases."""


def token_pool(id="p1", *, replicas=10, capacity=10_000, **terms):  # noqa: A002  the field's name
    """1,000 tokens per second, 500 blocks, 40 requests."""
    return pool(id, capacity=capacity, period_s=PERIOD, replicas=replicas, **{"policy": NO_SURPLUS, **REPLICA, **terms})


def knots(*pairs):
    return [BurstKnot(fill=fill, scale=scale) for fill, scale in pairs]


def tenant(id, name, *, tier="elastic", base=0, throughput=None, kv=None, concurrency=None, **rest):  # noqa: A002  as above
    """Quotas as (nominal, borrowing, lending); of throughput (borrowing, lending)."""
    return profile(
        id,
        name,
        base=base,
        tier=tier,
        throughput=throughput and RateQuota(borrowing_limit=throughput[0], lending_limit=throughput[1]),
        kv=kv and _quota(KvQuota, kv),
        concurrency=concurrency and _quota(ConcurrencyQuota, concurrency),
        **rest,
    )


def _quota(kind, quota):
    return kind(nominal_quota=quota[0], borrowing_limit=quota[1], lending_limit=quota[2])


def admissions(number, told, *, chunk=0, partition=0, pool="llm"):
    """`told`: tenant -> (refused requests, refused tokens, refused blocks, peak blocks, peak requests)."""
    tenants = sorted(told)
    return AdmissionSums(
        pool=pool,
        meter_topic="admissions",
        meter_partition=partition,
        tick=number,
        chunk=chunk,
        tenant=tenants,
        admitted=[1] * len(tenants),
        refused=[told[each][0] for each in tenants],
        refused_tokens=[told[each][1] for each in tenants],
        refused_kv_blocks=[told[each][2] for each in tenants],
        peak_kv_blocks=[told[each][3] for each in tenants],
        peak_concurrency=[told[each][4] for each in tenants],
    )


class PoolWorld(World):
    """A pool with profiles, in the period that begins at tick 110 (its first limits are told)."""

    def __init__(self, *profiles, **terms):
        super().__init__()
        self.tick(105)
        self.take(token_pool(**terms), *profiles)
        self.now = 109
        self.opening = self.second(marked=True)

    def second(self, used=None, refused=None, marked=True):
        """What meters report of the second that ends with the next tick, then that tick; the facts.

        `used`: tenant -> tokens; `refused` as of `admissions`.
        """
        self.now += 1
        records = [usage(self.now, used)] if used else []
        records += [admissions(self.now, refused)] if refused else []
        if marked:
            records += [mark(self.now, topic) for topic in ("latency", "usage", "admissions")]
        return [*self.take(*records), *self.tick(self.now)]

    def seconds(self, many, used=None, refused=None):
        return [fact for _ in range(many) for fact in self.second(used, refused)]

    def told(self, *columns):
        """tenant -> the newest value of each column of Limits."""
        return rows(self.facts, Limits, *columns)

    def kept(self, dimension="throughput"):
        return self.told(f"{dimension}_kept")


__all__ = ["PERIOD", "PoolWorld", "admissions", "knots", "mark", "of_kind", "rows", "tenant", "tick", "token_pool", "usage"]
