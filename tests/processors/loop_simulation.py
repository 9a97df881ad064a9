"""The seeded simulation with loops that move bases: latencies above and below SLAs, settings and contracts that change."""

from journal_world import latency, needed
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
        return {"sla": chosen.choice([sla, sla, sla, None]), "rebalance": Rebalancing(enabled=chosen.random() < 0.6)}

    def entitlement(self):
        chosen = self.random
        return {"tier": chosen.choice(["guaranteed", "elastic", "spot"]), "base_floor": chosen.choice([None, None, 0])}

    def on_pool(self):
        """Now and then a proposal, of one chunk or two, instead of a version of a pool; now and then one that is old."""
        chosen = self.random
        if chosen.random() < 0.7:
            yield from super().on_pool()
            return
        name, chunks = chosen.choice([*POOLS, "ghost"]), chosen.choice([1, 1, 2])
        as_of = max(self.now * self.tick_ms - chosen.choice([0, 0, 0, 90_000_000]), 0)
        for chunk in range(chunks):
            needs = {tenant: chosen.choice([0, 5, 400, 10**6]) for tenant in chosen.sample(TENANTS, 6)}
            if chosen.random() < 0.9:
                yield needed(self.command_id(), needs, pool=name, as_of=as_of, chunk=chunk, chunks=chunks)

    def on_profile(self):
        """Bases that fit a pool beside each other; of some, half is contracted."""
        chosen = self.random
        for record in super().on_profile():
            base = chosen.choice([20, 100, 300])
            said = {"base": base, "sla_ms": chosen.choice([None, None, 250])}
            yield record.model_copy(update=said | ({} if record.base_floor is None else {"base_floor": base // 2}))
