"""What the planner finds in history and publishes to `profiles`; it counts once it stands in the journal (DESIGN.md, law 1).

So a replay never asks ClickHouse. Any operator may publish the same. Ids are unique in their pool: a repeated one changes nothing.

Limits of size, below the default of `BOURSE_MAX_EVENT_BYTES` (1,048,576) in both encodings:

    priors     a tenant is at most 131 bytes of name, 12 of source and 168 amounts, each 1 + 8 bytes in Avro and 17 in JSON:
               1.7 KB or 3.0 KB; 300 tenants are 500 KB or 900 KB. 100,000 tenants are 334 commands.
    rebalance  a tenant is at most 131 bytes of name and an amount: 139 bytes or 149; 5,000 tenants are 750 KB. 100,000 are 20.
"""

from enum import StrEnum
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from schemas.market import Moment
from schemas.model import Event
from schemas.units import EventId, Number, PerRow, PoolId, Seconds, Store, TenantId, Tokens, Unit

HOURS_OF_WEEK = 168
"""Hour 0 begins on a Thursday at 00:00 UTC, as 1970 did: the hour of week of a moment is its whole hours since 1970 modulo 168."""

MOST_PRIORS = 300
"""Tenants of one `priors` command."""

MOST_NEEDS = 5_000
"""Tenants of one `rebalance` command."""


class PriorSource(StrEnum):
    """Whose history a tenant's prior was made from."""

    OWN = "own"
    """Its own, in this pool."""
    OTHER_POOLS = "other_pools"
    """Its own, in other pools."""
    TYPICAL = "typical"
    """It has none: what the pool's tenants use of their bases, times its base."""


PriorSourceName = Annotated[PriorSource, Unit("whose history"), Store("LowCardinality(String)")]


def _is_told_once(tenant: list[str]) -> None:
    if len(set(tenant)) < len(tenant):
        again = next(name for place, name in enumerate(tenant) if name in tenant[:place])
        raise ValueError(f"tenant: {again!r} twice")


class PriorsCommand(Event):
    """What tenants use at each hour of the week, for forecasters that know nothing of these hours yet. Identified by `id`."""

    KIND: ClassVar[str] = "priors"

    type: Annotated[Literal["priors"], Unit("priors"), Store("LowCardinality(String)")] = "priors"
    id: EventId
    pool: PoolId
    as_of: Moment
    """End of the history that it was made from."""
    tenant: Annotated[list[TenantId], PerRow(), Field(min_length=1, max_length=MOST_PRIORS)]
    source: Annotated[list[PriorSourceName], PerRow(), Field(max_length=MOST_PRIORS)]
    hour_of_week: Annotated[list[Tokens | None], Field(max_length=MOST_PRIORS * HOURS_OF_WEEK)]
    """Tokens per period: 168 for each tenant in turn, from hour 0 on; null where nothing is known."""

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        _is_told_once(self.tenant)
        for name, wanted in (("source", len(self.tenant)), ("hour_of_week", HOURS_OF_WEEK * len(self.tenant))):
            if len(getattr(self, name)) != wanted:
                raise ValueError(f"{name}: {len(getattr(self, name))} entries, but {wanted} belong to {len(self.tenant)} tenants")
        return self


class RebalanceCommand(Event):
    """What tenants need in the long run: bases move a step towards it (processors/rebalance.py). Identified by `id`.

    A tenant that is not named, its need being unknown, stays as it is. A proposal that is too long for one command comes in
    chunks, one behind the other in the journal: it is whole with the last.
    """

    KIND: ClassVar[str] = "rebalance"

    type: Annotated[Literal["rebalance"], Unit("rebalance"), Store("LowCardinality(String)")] = "rebalance"
    id: EventId
    pool: PoolId
    as_of: Moment
    """End of the look-back."""
    look_back_s: Seconds
    chunk: Number = 0
    """From 0."""
    chunks: Annotated[Number, Field(ge=1)] = 1
    tenant: Annotated[list[TenantId], PerRow(), Field(max_length=MOST_NEEDS)]
    need: Annotated[list[Tokens], PerRow(), Field(max_length=MOST_NEEDS)]
    """Tokens per period."""

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        _is_told_once(self.tenant)
        if len(self.need) != len(self.tenant):
            raise ValueError(f"need: {len(self.need)} entries, but {len(self.tenant)} belong to {len(self.tenant)} tenants")
        if self.chunk >= self.chunks:
            raise ValueError(f"chunk: {self.chunk} of {self.chunks}")
        return self


PlanCommand = PriorsCommand | RebalanceCommand
PLAN_COMMANDS: tuple[type[PlanCommand], ...] = (PriorsCommand, RebalanceCommand)
