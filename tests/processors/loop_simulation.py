"""The seeded simulation with loops that move bases: latencies above and below SLAs, settings and contracts that change."""

from journal_world import latency
from simulation import POOLS, TENANTS, Simulation

from schemas.loops import Rebalancing, SlaLoop


class LoopSimulation(Simulation):
    """As `Simulation`, with latencies; loops react fast, as periods are few."""

    def sums(self, meter):
        topic, partition = meter
        if topic != "latency":
            return super().sums(meter)
        chosen = self.random
        return [
            latency(self.now, self.histograms(), pool=name, partition=partition, chunk=chunk)
            for name in sorted(chosen.sample([*POOLS, "ghost"], chosen.randint(1, 4)))
            for chunk in range(chosen.choice([1, 1, 2]))
        ]

    def histograms(self):
        chosen = self.random
        times = chosen.choice([(40, 90), (400, 900), (10, 2**53)])
        return {tenant: {ms: chosen.randint(1, 99) for ms in times} for tenant in chosen.sample(TENANTS, chosen.randint(1, 9))}

    def replicas(self):
        chosen = self.random
        fast = {"min_requests": 1, "patience": 1, "hold": chosen.choice([1, 2]), "rest": chosen.choice([1, 5]), "longest": 8}
        window = chosen.choice([1, 2, 5])
        sla = SlaLoop(enabled=chosen.random() < 0.9, window=window, breaches=chosen.randint(1, window), **fast)
        return {"sla": chosen.choice([sla, sla, sla, None]), "rebalance": Rebalancing(enabled=chosen.random() < 0.8)}

    def entitlement(self):
        chosen = self.random
        return {"tier": chosen.choice(["guaranteed", "elastic", "spot"]), "base_floor": chosen.choice([None, None, 0])}

    def on_profile(self):
        """Half of what is contracted at all is half of the base."""
        for record in super().on_profile():
            half = record.base_floor is not None and self.random.random() < 0.5
            yield record.model_copy(update={"base_floor": record.base // 2}) if half else record
