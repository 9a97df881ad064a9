"""How a pool's two loops react: SLA monitoring (ATP-6, processors/sla.py) and rebalancing (ATP-7, processors/rebalance.py).

What is not said is as by default, and both are on unless `enabled` says false. The rules that settings have to keep among each
other are those of the loops (`check` in both); a pool that breaks one is refused by the engine.
"""

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from schemas.model import Event
from schemas.units import Part6, Store, Unit

MAX_PERIODS = 1_000_000
"""Most periods that a setting counts: two years of minutes."""

_COLUMN = Store("Int64", "T64, ZSTD(1)")

Periods = Annotated[int, Field(ge=0, le=MAX_PERIODS, strict=True), Unit("periods"), _COLUMN]
Trials = Annotated[int, Field(ge=0, le=1_000, strict=True), Unit("trials"), _COLUMN]
RequestCount = Annotated[int, Field(ge=0, le=10**9, strict=True), Unit("requests"), _COLUMN]
Observations = Annotated[int, Field(ge=0, le=MAX_PERIODS, strict=True), Unit("observations"), _COLUMN]
SmallestStep = Annotated[int, Field(ge=0, le=2**53, strict=True), Unit("tokens"), _COLUMN]
Hours = Annotated[int, Field(ge=1, le=366 * 24, strict=True), Unit("hours"), _COLUMN]


class SlaLoop(Event):
    """Tenants whose latency keeps exceeding their SLA get tokens of others' bases until it holds."""

    KIND: ClassVar[str] = "sla_loop"

    enabled: bool = True
    quantile: Part6 = 990_000
    """Of latency, which is held against the SLA."""
    window: Periods = 5
    """Periods looked back at, up to 62."""
    breaches: Periods = 3
    """How many of them must exceed the SLA."""
    min_requests: RequestCount = 20
    """Fewer in a period say nothing."""
    margin: Part6 = 100_000
    """How far below the SLA latency must be to count as calm."""
    gain: Part6 = 100_000
    """By how much latency must change to count as changed."""
    busy: Part6 = 500_000
    """Who wanted at least this share of its tokens may lack them."""
    step: Part6 = 100_000
    """Share of its base that a tenant gets at a time."""
    bound: Part6 = 500_000
    """Share of its base that it gets in all."""
    decay: Part6 = 250_000
    """Share of it that is released at a time."""
    patience: Trials = 3
    """Vain trials before the loop gives up."""
    hold: Periods = 10
    """Calm periods before a release, at first."""
    rest: Periods = 60
    """Periods without a step after giving up, at first."""
    longest: Periods = 1_440
    """Neither of the two grows beyond this."""


class Rebalancing(Event):
    """Bases move towards long-term use, a step at a time."""

    KIND: ClassVar[str] = "rebalancing"

    enabled: bool = True
    quantile: Part6 = 950_000
    """Of demand over the look-back: what a tenant needs."""
    step: Part6 = 100_000
    """Share of its base that a tenant gives or takes at a time."""
    smallest: SmallestStep = 1
    """Tokens that may move at a time, however small the base is."""
    band: Part6 = 50_000
    """Share of its base by which a tenant may miss its need without being moved."""
    fewest: Observations = 24
    """Hours without which a need is not known."""
    look_back_h: Hours = 168
    """Over which demand is looked at."""


class BaseReason(StrEnum):
    """Why a base moved, or why it did not."""

    EXCEEDED = "sla_exceeded"
    """The tenant's latency keeps exceeding its SLA: it is given a step."""
    HOLDS = "sla_holds"
    """The SLA has held for long enough: a part goes back."""
    NOT_TOKEN_BOUND = "sla_not_token_bound"  # noqa: S105  no secret: tokens of work
    """More tokens did not help, or the tenant does not use what it has: what was given in vain goes back."""
    OUT_OF_REACH = "sla_out_of_reach"
    """The boost is at its bound and the SLA is still exceeded. The boost stays; nothing more is given."""
    NO_PAYER = "sla_no_payer"
    """Nobody of lower priority has anything left above its floor."""
    WITHDRAWN = "sla_withdrawn"
    """The tenant has no SLA any more, or a smaller base: what exceeds its bound goes back."""
    FLOOR_RAISED = "floor_raised"
    """A payer needs back what it lent, to keep what it was promised."""
    LONG_TERM_USE = "long_term_use"
    """Rebalancing: the base moves towards what its tenant needs in the long run."""


class BaseChange(StrEnum):
    """What of a tenant's base changed."""

    BOOST = "boost"
    """What it has beyond its base, as its SLA is exceeded."""
    LOAN = "loan"
    """What of its base others have as a boost."""
    VERDICT = "verdict"
    """Nothing: the SLA loop says why."""
    REBALANCE = "rebalance"
    """The base itself."""


BaseReasonName = Annotated[BaseReason, Unit("why"), Store("LowCardinality(String)")]
BaseChangeName = Annotated[BaseChange, Unit("what changed"), Store("LowCardinality(String)")]
