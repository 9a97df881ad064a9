"""What came of the planner's commands (schemas/planning.py)."""

from enum import StrEnum
from typing import Annotated, ClassVar

from schemas.fact import Fact, fact_table
from schemas.model import Table
from schemas.planning import PriorSourceName
from schemas.units import EventId, Number, PerRow, Store, TenantId, Time, Tokens, Unit


class PriorOutcome(StrEnum):
    """What came of a tenant's prior."""

    TAKEN = "taken"
    NOTHING_NEW = "nothing_new"
    """The tenant's own profile knows all hours of which it speaks."""
    UNKNOWN_TENANT = "unknown_tenant"
    """The tenant has no profile in the pool."""


PriorOutcomeName = Annotated[PriorOutcome, Unit("what came of it"), Store("LowCardinality(String)")]


class PriorsSet(Fact):
    """What came of a command `priors`, tenant by tenant."""

    KIND: ClassVar[str] = "priors_set"
    TABLE: ClassVar[Table | None] = fact_table(
        "priors", "what came of one tenant's prior: its hours of the week as history knew them", "pool", "tenant", "as_of"
    )

    id: EventId
    as_of: Time
    """End of the history that it was made from."""
    tenant: Annotated[list[TenantId], PerRow()]
    source: Annotated[list[PriorSourceName], PerRow()]
    outcome: Annotated[list[PriorOutcomeName], PerRow()]
    hours: Annotated[list[Annotated[Number, Unit("hours")]], PerRow()]
    """Of the week, that its profile has taken from it."""


class ProfilesPrimed(Fact):
    """The hours that tenants' profiles take from priors (processors/forecast/warm.py); the command's PriorsSet is before it."""

    KIND: ClassVar[str] = "profiles_primed"

    tenant: Annotated[list[TenantId], PerRow()]
    hour_of_week: list[Tokens | None]
    """Tokens per period: 168 for each tenant in turn, from hour 0 on; null where nothing is taken."""


PLANNING_FACTS: tuple[type[Fact], ...] = (PriorsSet, ProfilesPrimed)
