"""What an operator declares of a pool, as one version of it holds."""

from dataclasses import dataclass, fields

from schemas.published import Forecaster, Policy


@dataclass(frozen=True, slots=True)
class MarketTerms:
    """How a pool's tokens are traded: nanocredits per token, tokens, basis points, seconds."""

    forward_periods: int = 60
    price_tick: int = 1
    lot: int = 1
    max_order_tokens: int | None = None
    price_min: int | None = None
    price_max: int | None = None
    max_open_orders: int = 1_000
    maker_fee_bp: int = 0
    taker_fee_bp: int = 0
    allow_unsigned: bool = False
    offer_unsold: bool = False
    opening_auction_s: int = 0


MARKET_TERMS: tuple[str, ...] = tuple(each.name for each in fields(MarketTerms))


@dataclass(frozen=True, slots=True)
class Terms:
    """One version of a pool: capacity in tokens per period, prices in nanocredits per token, cached_weight in millionths."""

    version: int
    from_period: int
    capacity: int
    policy: Policy
    base_price: int
    reserve_price: int
    cached_weight: int
    forecaster: Forecaster
    market: MarketTerms = MarketTerms()
