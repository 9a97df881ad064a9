"""The seeded simulation with token pools: replicas come and go, tenants of all tiers, gateways that report what they admitted."""

from pool_world import admissions, knots
from simulation import POOLS, TENANTS, Simulation

from schemas.entitlements import ConcurrencyQuota, KvQuota, RateQuota
from schemas.published import Tier


class TokenPoolSimulation(Simulation):
    """As `Simulation`; most versions of a pool are token pools."""

    meter_topics = ("admissions", "latency", "usage")

    def sums(self, meter):
        topic, partition = meter
        if topic != "admissions":
            return super().sums(meter)
        chosen = self.random
        return [
            admissions(self.now, self.refusals(), pool=name, partition=partition, chunk=chunk)
            for name in sorted(chosen.sample([*POOLS, "ghost"], chosen.randint(0, 3)))
            for chunk in range(chosen.choice([1, 1, 2]))
        ]

    def refusals(self):
        chosen = self.random
        size = chosen.choice([0, 9, 400, 10**6, 2**53])
        return {tenant: [chosen.randint(0, size) for _ in range(5)] for tenant in chosen.sample(TENANTS, chosen.randint(1, 5))}

    def replicas(self):
        chosen = self.random
        if chosen.random() < 0.1:
            return {}
        return {
            "replicas": chosen.choice([0, 1, 2, 5, 10, 100_000]),
            "replica_tokens_per_s": chosen.choice([1, 100, 1000, 10**7, 10**7]),
            "replica_kv_blocks": chosen.choice([1, 50, 4096, 10**9]),
            "replica_concurrency": chosen.choice([1, 7, 64, 10**6]),
            "debt_half_life_s": chosen.choice([1, 60, 600, 86_400]),
            "debt_gain": chosen.choice(["0", "0.5", "10"]),
            "debt_bound_s": chosen.choice([1, 120, 600]),
            "debt_weights": chosen.random() < 0.3,
            "burst": chosen.choice([[], knots(("0.5", "0.9"), ("0.9", "0.1"))]),
        }

    def on_profile(self):
        """Bases that replicas can do, too: what is promised can be lent."""
        for record in super().on_profile():
            yield record.model_copy(update={"base": self.random.choice([record.base, 5, 300, 300, 2_000])})

    def entitlement(self):
        tier = self.random.choice(list(Tier))
        lends = tier is not Tier.DEDICATED
        return {
            "tier": tier,
            "throughput": self.quota(RateQuota, lends=lends),
            "kv": self.quota(KvQuota, lends=lends),
            "concurrency": self.quota(ConcurrencyQuota, lends=lends),
        }

    def quota(self, kind, *, lends):
        chosen = self.random
        if chosen.random() < 0.6:
            return None
        borrowing = chosen.choice([None, 0, 5, 1000, 10**14])
        if kind is RateQuota:
            return kind(borrowing_limit=borrowing, lending_limit=chosen.choice([None, 0, 1, 20]) if lends else None)
        given = chosen.choice([None, 1, 9, 300, 10**6])
        lending = chosen.choice([None, 0, given // 2, given]) if lends and given else None
        return kind(nominal_quota=given, borrowing_limit=borrowing, lending_limit=lending)
