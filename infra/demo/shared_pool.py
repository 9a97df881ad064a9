"""The demo's token pool: four replicas, a tenant or two of each tier, and a play in five acts that shows what tiers promise."""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass

from infra.workloads import Request
from schemas.entitlements import ConcurrencyQuota, KvQuota, RateQuota
from schemas.loops import SlaLoop
from schemas.published import PoolCommand, ProfileCommand, Tier

REPLICAS = 4
REPLICA_TOKENS_PER_S, REPLICA_KV_BLOCKS, REPLICA_CONCURRENCY = 2_500, 480, 12
"""What a replica serves, holds and runs at once: of CHAT about what `bourse backend` does with 12 at once (its model of a GPU, at
the GPU's own speed). Enough requests to watch, few enough for a machine that runs all of this besides. At full throughput both
spaces are about full, too."""
BURST_MS = 4_000
"""How much of a rate may be spent at once: each tenant's requests fit into it, and an overload of seconds is one."""
BASE_PRICE, RESERVE_PRICE = 1_000, 1_500
"""Nanocredits per token, as in the demo's other pool."""
HALF_LIFE_S = 20
"""Of debts: they fade while somebody watches."""
LEAST_INPUT, MOST_INPUT, MOST_OUTPUT, LEAST_RESERVED = 8, 1_500, 600, 64


@dataclass(frozen=True, slots=True)
class Act:
    """A part of the play; all are equally long.

    Attributes:
        title: what happens, for people.
        loads: tokens per second that each of TENANTS asks for on average, in their order.
        replicas: how many run.
    """

    title: str
    loads: tuple[int, ...]
    replicas: int = REPLICAS


@dataclass(frozen=True, slots=True)
class Sizes:
    """Log-normal input and output tokens of a request: the logarithms' means, and their deviation."""

    input: float
    output: float
    deviation: float = 0.6

    def mean(self) -> float:
        """Tokens of a request on average, before what is too large is cut."""
        return sum(math.exp(mean + self.deviation**2 / 2) for mean in (self.input, self.output))


SHORT, CHAT, BATCH = Sizes(5.2, 4.2), Sizes(5.6, 4.7), Sizes(6.2, 5.7)


@dataclass(frozen=True, slots=True)
class Entitled:
    """A tenant of the pool.

    Attributes:
        name: its id.
        tier: what it is promised.
        rate: its base, tokens per second.
        weight: by which it shares.
        sizes: of its requests.
        throughput: how far it may borrow, and what it lends.
        kv: blocks; None: as many as go with its base.
        concurrency: requests at once, likewise.
        sla_ms: the longest that a request may take.
        streams: whether it wants its answers token by token.
    """

    name: str
    tier: Tier
    rate: int = 0
    weight: str = "1"
    sizes: Sizes = CHAT
    throughput: RateQuota | None = None
    kv: KvQuota | None = None
    concurrency: ConcurrencyQuota | None = None
    sla_ms: int | None = None
    streams: bool = True


# What lumen lends to spot comes back only when spot's requests end, so it keeps what it usually needs.
TENANTS = (
    Entitled("kestrel", Tier.DEDICATED, 2_000, throughput=RateQuota(borrowing_limit=0), sla_ms=7_500),
    Entitled(
        "lumen",
        Tier.GUARANTEED,
        4_000,
        sizes=SHORT,
        throughput=RateQuota(borrowing_limit=1_000, lending_limit=1_500),
        kv=KvQuota(nominal_quota=768, lending_limit=192),
        concurrency=ConcurrencyQuota(nominal_quota=24, lending_limit=3),
        sla_ms=5_000,
    ),
    Entitled("meridian", Tier.ELASTIC, 1_000, weight="2"),
    Entitled("nimbus", Tier.ELASTIC, 1_000),
    Entitled("orchard", Tier.SPOT, streams=False),
    Entitled("pelican", Tier.PREEMPTIBLE, sizes=BATCH),
)

ACTS = (
    Act("before the burst: everybody has what it asks for", (1_200, 2_800, 1_000, 0, 500, 1_500)),
    Act("a burst of spot: it gets what is idle, and is refused the rest", (1_200, 2_800, 1_000, 0, 12_000, 4_000)),
    Act("lumen and elastic tenants want more: preemptible requests are stopped", (1_200, 3_800, 6_000, 4_000, 4_000, 4_000)),
    Act("two of four replicas are taken away: dedicated first, then guaranteed", (1_200, 3_800, 4_000, 4_000, 2_000, 2_000), 2),
    Act("the replicas are back: who was owed comes first, and debts fade", (1_200, 3_800, 4_000, 4_000, 2_000, 2_000)),
)
CALM, BURST = 0, 1
"""Acts in which kestrel, lumen and meridian ask the very same requests, once without and once with others' burst."""


def pool_command(pool: str, run: str, period_s: int, *, replicas: int = REPLICAS, version: int = 0) -> PoolCommand:
    """The pool, or a later version of it with other replicas. A period allocates what four of them serve in it.

    Its SLAs are there to be looked at: that they hold is the gateway's doing, so the loop that would move bases is off.
    """
    return PoolCommand(
        id=f"{run}-{pool}-{version}",
        pool=pool,
        capacity=REPLICAS * REPLICA_TOKENS_PER_S * period_s,
        period_s=period_s,
        base_price=BASE_PRICE,
        reserve_price=RESERVE_PRICE,
        replicas=replicas,
        replica_tokens_per_s=REPLICA_TOKENS_PER_S,
        replica_kv_blocks=REPLICA_KV_BLOCKS,
        replica_concurrency=REPLICA_CONCURRENCY,
        debt_half_life_s=HALF_LIFE_S,
        sla=SlaLoop(enabled=False),
    )


def profile_commands(pool: str, run: str, period_s: int) -> tuple[ProfileCommand, ...]:
    """Everybody's profile."""
    return tuple(
        ProfileCommand(
            id=f"{run}-{tenant.name}",
            pool=pool,
            tenant=tenant.name,
            base=tenant.rate * period_s,
            elasticity="1",
            tier=tenant.tier,
            weight=tenant.weight,
            throughput=tenant.throughput,
            kv=tenant.kv,
            concurrency=tenant.concurrency,
            sla_ms=tenant.sla_ms,
        )
        for tenant in TENANTS
    )


def act_at(at_ms: int, seconds: float) -> int:
    """Which act is on at a time of the play."""
    return min(len(ACTS) - 1, int(at_ms * len(ACTS) / (seconds * 1000)))


def span_ms(act: int, seconds: float) -> tuple[int, int]:
    """When an act begins and ends, in the time of the play."""
    first, behind = (int(1000 * seconds * number / len(ACTS)) for number in (act, act + 1))
    return first, behind


def requests(seed: int, seconds: float) -> Iterator[Request]:
    """What is asked, in order of time: Poisson arrivals, the same for the same seed.

    In acts in which a tenant asks for as much it asks the same again, request for request: what differs then is what others do.
    """
    tenants = (_requests(seed, seconds, place, tenant) for place, tenant in enumerate(TENANTS))
    return heapq.merge(*tenants, key=lambda request: request.at_ms)


def _requests(seed: int, seconds: float, place: int, tenant: Entitled) -> Iterator[Request]:
    for number, act in enumerate(ACTS):
        load = act.loads[place]
        rng = random.Random(f"{seed}/{tenant.name}/{load}")  # noqa: S311  a workload, no secret
        yield from _arrivals(rng, tenant, load, span_ms(number, seconds))


def reserved_output(request: Request) -> int:
    """The most output that the client asks for: it does not know how much it will be, and takes the next power of two."""
    return max(LEAST_RESERVED, 1 << (request.output_tokens - 1).bit_length())


def _arrivals(rng: random.Random, tenant: Entitled, load: int, span: tuple[int, int]) -> Iterator[Request]:
    at, behind = (float(edge) for edge in span)
    while load and (at := at + 1000 * rng.expovariate(load / tenant.sizes.mean())) < behind:
        asked, answered = (
            min(most, least + int(rng.lognormvariate(mean, tenant.sizes.deviation)))
            for mean, least, most in ((tenant.sizes.input, LEAST_INPUT, MOST_INPUT), (tenant.sizes.output, 1, MOST_OUTPUT))
        )
        yield Request(int(at), tenant.name, asked, 0, answered)
