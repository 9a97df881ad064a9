"""The demo's token pool: four replicas, a tenant or two of each tier, and a play in five acts that shows what tiers promise."""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass

from infra.workloads import Request
from schemas.entitlements import RateQuota
from schemas.published import PoolCommand, ProfileCommand, Tier

REPLICAS = 4
REPLICA_TOKENS_PER_S, REPLICA_KV_BLOCKS, REPLICA_CONCURRENCY = 2_500, 480, 12
"""What a replica serves, holds and runs at once: enough requests to watch, few enough for a machine that runs all of this besides.
At full throughput both spaces are about full, too."""
BASE_PRICE, RESERVE_PRICE = 1_000, 1_500
"""Nanocredits per token, as in the demo's other pool."""
HALF_LIFE_S = 20
"""Of debts: they fade while somebody watches."""
MOST_INPUT, MOST_OUTPUT, LEAST_RESERVED = 1_500, 600, 64


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


CHAT, BATCH = Sizes(5.6, 4.7), Sizes(6.2, 5.7)


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
    """

    name: str
    tier: Tier
    rate: int = 0
    weight: str = "1"
    sizes: Sizes = CHAT
    throughput: RateQuota | None = None


TENANTS = (
    Entitled("kestrel", Tier.DEDICATED, 2_000, throughput=RateQuota(borrowing_limit=0)),
    Entitled("lumen", Tier.GUARANTEED, 4_000, throughput=RateQuota(borrowing_limit=1_000)),
    Entitled("meridian", Tier.ELASTIC, 1_000, weight="2"),
    Entitled("nimbus", Tier.ELASTIC, 1_000),
    Entitled("orchard", Tier.SPOT),
    Entitled("pelican", Tier.PREEMPTIBLE, sizes=BATCH),
)

ACTS = (
    Act("lumen is nearly idle: what it is guaranteed is lent", (1_200, 200, 3_000, 0, 4_000, 4_000)),
    Act("lumen is back: spot is throttled, preemptible requests are stopped", (1_200, 3_800, 3_000, 0, 4_000, 4_000)),
    Act("nimbus comes, too: elastic tenants share by weight and debt", (1_200, 3_800, 6_000, 4_000, 2_000, 2_000)),
    Act("two of four replicas are lost: dedicated first, then guaranteed", (1_200, 3_800, 4_000, 4_000, 2_000, 2_000), 2),
    Act("the replicas are back: who was owed comes first, and debts fade", (1_200, 3_800, 4_000, 4_000, 2_000, 2_000)),
)


def pool_command(pool: str, run: str, period_s: int, *, replicas: int = REPLICAS, version: int = 0) -> PoolCommand:
    """The pool, or a later version of it with other replicas. A period allocates what four of them serve in it."""
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
    )


def profile_commands(pool: str, run: str, period_s: int) -> tuple[ProfileCommand, ...]:
    """Everybody's profile. Quotas of blocks and slots are those that go with a base."""
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
        )
        for tenant in TENANTS
    )


def act_at(at_ms: int, seconds: float) -> int:
    """Which act is on at a time of the play."""
    return min(len(ACTS) - 1, int(at_ms * len(ACTS) / (seconds * 1000)))


def requests(seed: int, seconds: float) -> Iterator[Request]:
    """What is asked, in order of time: Poisson arrivals, the same for the same seed."""
    tenants = (
        _arrivals(random.Random(f"{seed}/{tenant.name}"), tenant, [act.loads[place] for act in ACTS], seconds)  # noqa: S311  a workload, no secret
        for place, tenant in enumerate(TENANTS)
    )
    return heapq.merge(*tenants, key=lambda request: request.at_ms)


def reserved_output(request: Request) -> int:
    """The most output that the client asks for: it does not know how much it will be, and takes the next power of two."""
    return max(LEAST_RESERVED, 1 << (request.output_tokens - 1).bit_length())


def _arrivals(rng: random.Random, tenant: Entitled, loads: list[int], seconds: float) -> Iterator[Request]:
    act_s = seconds / len(loads)
    for number, load in enumerate(loads):
        at = number * act_s
        while load and (at := at + rng.expovariate(load / tenant.sizes.mean())) < (number + 1) * act_s:
            asked, answered = (
                min(most, 1 + int(rng.lognormvariate(mean, tenant.sizes.deviation)))
                for mean, most in ((tenant.sizes.input, MOST_INPUT), (tenant.sizes.output, MOST_OUTPUT))
            )
            yield Request(int(at * 1000), tenant.name, asked, 0, answered)
