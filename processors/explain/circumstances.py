"""What surrounds a tenant's auction in one period: what was declared, forecast, owed, boosted, traded and told."""

from dataclasses import dataclass

from schemas.loops import BaseChange, BaseReason
from schemas.published import BidOn, Forecaster, Tier


@dataclass(frozen=True, slots=True)
class Profile:
    """The tenant's profile in force. Tokens, millionths, nanocredits; None: no SLA, no budget."""

    version: int
    from_period: int
    base: int
    elasticity: int
    weight: int
    sla_ms: int | None
    budget_amount: int | None
    budget_window_s: int | None
    tier: Tier
    bid_on: BidOn
    """Which of the forecasts is bid on: the mean, or a quantile where the forecaster gives any."""


@dataclass(frozen=True, slots=True)
class Expert:
    """One of the forecasters that a forecast was mixed from: its own forecast in tokens, and its share of the mean, 0 to 1."""

    name: str
    tokens: float
    weight: float


@dataclass(frozen=True, slots=True)
class Forecast:
    """The demand that was expected of the tenant; quantiles are None where the forecaster gives only a mean.

    Attributes:
        observed: periods that had been learned of the tenant. Of none, experts know nothing, and the forecast is what the pool's
            mean tenant uses. None: the forecaster has no experts, or who tells this does not know.
        experts: the heaviest first; None: not known to who tells this (only the journal gives them). Empty: the forecaster
            has none, or they knew nothing yet.
    """

    forecaster: Forecaster
    mean: int
    p50: int | None
    p90: int | None
    p99: int | None
    observed: int | None
    experts: tuple[Expert, ...] | None


@dataclass(frozen=True, slots=True)
class Debt:
    """What the tenant was owed when the period opened, in thousandths of a token; below 0: what it owed. Token pools have it.

    Attributes:
        declared_weight: of its profile, in millionths.
        weight: that the period was shared by; another one where the policy lets debt change weights.
    """

    debt: int
    declared_weight: int
    weight: int


@dataclass(frozen=True, slots=True)
class BaseMove:
    """A change of the tenant's base that came into force with the period; tokens.

    Attributes:
        kind: boost, loan, verdict (nothing changed, but the SLA loop says why) or rebalance.
        reason: why, as facts say it.
        other: who gave it or got it; empty: nobody.
    """

    kind: BaseChange
    reason: BaseReason
    before: int
    after: int
    other: str


@dataclass(frozen=True, slots=True)
class Bases:
    """What the tenant's base is made of, where loops have moved it: declared + boost - lent.

    Attributes:
        declared: by the operator, and as rebalancing has moved it since.
        moves: those that came into force with this period.
    """

    declared: int
    boost: int
    lent: int
    moves: tuple[BaseMove, ...]


@dataclass(frozen=True, slots=True)
class Trade:
    """A trade of the tenant in the period's tokens. Prices in nanocredits per token, the fee in nanocredits."""

    time_ms: int
    side: str
    """buy or sell."""
    other: str
    """The other side; empty: the operator."""
    price: int
    tokens: int
    fee: int
    forward: bool
    """Before the period opened."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """Tokens of the period, and money (nanocredits), that went to and from the tenant without the market."""

    other: str
    got_tokens: int
    gave_tokens: int
    got_money: int
    gave_money: int
    forward: bool
    """Before the period opened."""


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit that gateways were told of the tenant, over the period.

    Attributes:
        name: "tokens" (of the period), or throughput (per second), kv (blocks) and concurrency (requests): what is kept for it.
        opened: as the period began; lowest and highest: then and later.
        changes: how often another value was decided; a gateway may have seen fewer.
        last: as the period closed.
    """

    name: str
    opened: int
    lowest: int
    highest: int
    changes: int
    last: int


@dataclass(frozen=True, slots=True)
class Circumstances:
    """All of it. `bases` is None where no loop has moved the tenant's base."""

    pool_version: int
    profile: Profile | None
    forecast: Forecast | None
    debt: Debt | None
    bases: Bases | None
    trades: tuple[Trade, ...]
    transfers: tuple[Transfer, ...]
    limits: tuple[Limit, ...]
