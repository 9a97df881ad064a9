"""What a pool's state means to those outside: tenants' limits and the depth of books, and which of them a fact may change.

100,000 tenants: all limits take 2 ms, and 1 µs for each that has orders or offers. A book's depth: 20 µs.
"""

from collections.abc import Mapping

import numpy as np

from processors.accounts import tenant_of
from processors.market.outcome import account_of
from processors.market.state import Instrument
from processors.market.tokens import offering
from processors.stamping import built
from processors.state import PoolState
from processors.tenants import Column
from schemas.fact import Fact
from schemas.facts import PeriodOpened, Postings
from schemas.market_facts import BookPhase, OrderEvents, Trades
from schemas.outputs import Depth, Limit
from schemas.trading import Side

LEVELS = 10
"""Price levels of each side that are published."""


def limits(pool: PoolState) -> Column:
    """What each tenant may use of the open period, by slot: what it has of it, used or not, less what it offers. None is below 0.

    Tenants of a pool without an open period may use nothing.
    """
    tenants = pool.tenants
    if pool.open is None:
        return np.zeros(len(tenants), np.int64)
    owned: Column = tenants["base_given"] + tenants["surplus"] + tenants["bought"] - tenants["sold"]
    period, ledger = pool.open.period, pool.market.ledger
    for tenant in offering(pool, period):
        slot = tenants.slots.get(tenant)
        if slot is not None:  # the operator has none
            owned[slot] -= ledger.held(period, account_of(tenant))
    owned[owned < 0] = 0
    return owned


def limit(pool: PoolState, slot: int) -> int:
    """`limits(pool)[slot]`, by itself."""
    tenants = pool.tenants
    if pool.open is None:
        return 0
    owned = sum(int(tenants[column][slot]) for column in ("base_given", "surplus", "bought")) - int(tenants["sold"][slot])
    return max(owned - pool.market.ledger.held(pool.open.period, account_of(tenants.names[slot])), 0)


def limit_of(pool: PoolState, period: int, slot: int, tokens: int, journal_offset: int, *, shares: Mapping[str, object]) -> Limit:
    """A tenant's limit as it is published; `shares`: its fields of a token pool (processors/sharing/data.py)."""
    own = {"pool": pool.name, "tenant": pool.tenants.names[slot], "period": period, "period_s": pool.period_s}
    return built(Limit, {**own, "tokens": tokens, "journal_offset": journal_offset, **shares})


def depth_of(pool: str, instrument: Instrument, journal_offset: int) -> Depth:
    """An instrument's book as it is published."""
    book = instrument.book
    bids, asks = book.depth(Side.BUY, LEVELS), book.depth(Side.SELL, LEVELS)
    return Depth.model_construct(
        pool=pool,
        period=instrument.period,
        phase=str(book.phase),
        last_price=instrument.last_price,
        volume=instrument.volume,
        bid_price=[price for price, _ in bids],
        bid_qty=[qty for _, qty in bids],
        ask_price=[price for price, _ in asks],
        ask_qty=[qty for _, qty in asks],
        journal_offset=journal_offset,
    )


def instrument_touched(fact: Fact) -> int | None:
    """The period of the instrument whose depth a fact may change; None where it changes none."""
    return fact.period if isinstance(fact, (OrderEvents, Trades, BookPhase)) else None


def all_limits_touched(fact: Fact) -> bool:
    """Whether a fact may change every tenant's limit."""
    return isinstance(fact, PeriodOpened)


def limits_touched(fact: Fact, open_period: int) -> set[str]:
    """Tenants whose limit a fact other than PeriodOpened may change.

    Trades, transfers, orders to sell and their ends: all of them post tokens of the open period on the tenant's account.
    """
    if not isinstance(fact, Postings) or open_period not in fact.asset:
        return set()
    rows = zip(fact.asset, fact.debit_account, fact.credit_account, strict=True)
    owners = {owner for asset, debit, credit in rows if asset == open_period for owner in (debit, credit)}
    return {tenant for tenant in map(tenant_of, owners) if tenant is not None}
