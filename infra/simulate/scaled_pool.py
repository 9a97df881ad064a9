"""A scaled token pool under the engine itself: a journal of what meters and whoever runs the replicas report, tick by tick."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from infra.simulate.machine import KV_BLOCKS, SEQUENCES
from processors.engine import facts_of
from processors.state import PartitionState
from schemas.journal import AdmissionSums, ClockTick, MeterMark, UsageSums
from schemas.loops import Rebalancing, SlaLoop
from schemas.model import Event
from schemas.published import PoolCommand, ProfileCommand, Tier
from schemas.scaling import ReplicasCommand, Scaling
from schemas.scaling_facts import ScalingDecided

POOL = "pool"
PERIOD_S = 60
TOPICS = ("admissions", "latency", "usage")


class Reported(NamedTuple):
    """What meters report of a tenant and a tick: tokens used, tokens refused, requests that ran, requests that lacked a place."""

    used: int
    refused: int
    running: int
    lacking: int


class ScaledPool:
    """Ticks from 0 on.

    Args:
        tokens_per_s: of a replica.
        tenants: names.
        bases: of guaranteed tenants, tokens per second; the others are elastic.
        replicas: there are at first.
        tick_s: length of a tick.
        most: replicas.
    """

    def __init__(
        self, tokens_per_s: int, tenants: Iterable[str], bases: Mapping[str, int], replicas: int, *, tick_s: int, most: int
    ) -> None:
        self._state = PartitionState()
        self._tick_s = tick_s
        self._tick = 0
        self._offset = 0
        self._replicas = self._wanted = replicas
        self._take(self._clock())
        self._take(
            PoolCommand(
                id="pool",
                pool=POOL,
                capacity=most * tokens_per_s * PERIOD_S,
                period_s=PERIOD_S,
                replicas=replicas,
                replica_tokens_per_s=tokens_per_s,
                replica_kv_blocks=KV_BLOCKS,
                replica_concurrency=SEQUENCES,
                sla=SlaLoop(enabled=False),
                rebalance=Rebalancing(enabled=False),
                scaling=Scaling(enabled=True, max_replicas=most),
            ),
            *(
                ProfileCommand(
                    id=name,
                    pool=POOL,
                    tenant=name,
                    base=bases.get(name, 0) * PERIOD_S,
                    elasticity="0",
                    tier=Tier.GUARANTEED if name in bases else Tier.ELASTIC,
                )
                for name in tenants
            ),
        )

    def tick(self, replicas: int, reports: Mapping[str, Reported]) -> int:
        """What is reported of a tick, then the next one; the replicas that are asked for."""
        self._tick += 1
        if replicas != self._replicas:
            self._replicas = replicas
            self._take(ReplicasCommand(id=f"r{self._tick}", pool=POOL, replicas=replicas))
        self._take(*self._sums(reports))
        self._take(*(MeterMark(meter_topic=topic, meter_partition=0, tick=self._tick) for topic in TOPICS), self._clock())
        return self._wanted

    def _sums(self, reports: Mapping[str, Reported]) -> tuple[UsageSums, AdmissionSums]:
        names = sorted(reports)
        rows = [reports[name] for name in names]
        meter = {"pool": POOL, "meter_partition": 0, "tick": self._tick, "chunk": 0, "tenant": names}
        nothing = [0] * len(names)
        used, lacking = [row.used for row in rows], [row.lacking for row in rows]
        return (
            UsageSums(
                **meter,
                meter_topic="usage",
                requests=nothing,
                input_tokens=nothing,
                cached_input_tokens=nothing,
                output_tokens=used,
            ),
            AdmissionSums(
                **meter,
                meter_topic="admissions",
                admitted=nothing,
                refused=lacking,
                refused_tokens=[row.refused for row in rows],
                refused_kv_blocks=nothing,
                peak_kv_blocks=nothing,
                peak_concurrency=[row.running for row in rows],
            ),
        )

    def _clock(self) -> ClockTick:
        return ClockTick(tick=self._tick, tick_ms=self._tick_s * 1000, meter_partitions=1, grace_ticks=3)

    def _take(self, *records: Event) -> None:
        for record in records:
            for fact in facts_of(self._state, record, self._offset):
                if isinstance(fact, ScalingDecided):
                    self._wanted = fact.wanted
            self._offset += 1
