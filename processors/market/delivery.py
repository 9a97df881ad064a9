"""Delivery: when a period opens, what was bought and sold of it forward is given and paid; when it closes, its market ends.

Every trade of a period is delivered in the same proportion: all of it, unless a seller was given less than it sold, as capacity
fell below the bases. Then sellers give r of what they sold (`proportion`), rounded so that together they give r of all. What is
not delivered of a trade is not paid either: with d the tokens delivered and s those sold, buyers get 1 - d/s of what they paid
back, and it is taken, by Hamilton shares, from what sellers (and the operator, by its fees) would have earned. So money is
conserved, and what buyers pay is for what they got, to within a token each.
"""

from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from processors.accounts import POOL, escrow_account, tenant_of
from processors.allocation.hamilton import hamilton
from processors.ledger import INT64_MAX, PostingRow
from processors.market.instruments import instrument_of
from processors.market.orders import place
from processors.market.outcome import account_of, posting_facts
from processors.market.state import OPERATOR_TENANT, Instrument, book_id
from processors.market.ticking import operate
from processors.market.tokens import allocated
from processors.market.transfers import end_offer
from processors.orderbook import Close, New
from processors.stamping import Stamp
from processors.state import OpenPeriod, PartitionState, PoolState
from processors.terms import MarketTerms
from schemas.fact import CHUNK_ROWS, Fact
from schemas.ledgering import MONEY, Code, Entry
from schemas.market_facts import Deliveries
from schemas.trading import CancelReason, Side


class Delivered(NamedTuple):
    """One tenant's row of Deliveries, in the order of its columns."""

    tenant: str
    bought: int
    sold: int
    received: int
    given: int
    shortfall: int
    earned: int
    refunded: int


class Means(NamedTuple):
    """What a period that opens has for delivery.

    Attributes:
        tokens: what each tenant was allocated, base and surplus.
        capacity: of the pool.
        bases: the sum of what tenants were promised.
    """

    tokens: Mapping[str, int]
    capacity: int
    bases: int


def proportion(instrument: Instrument, means: Means | None) -> tuple[int, int]:
    """R as a fraction (numerator, denominator), at most 1; 0 where there are no means, as the period never opens.

    It is the least of given / sold over net sellers; but at least capacity / bases, in which all bases were cut. Sellers can give
    that, rounded down, as nobody sells more than its base forward and what it bought; and a tenant with a base of one token, which
    was cut to none, then does not undo everybody's trades.
    """
    if means is None:
        return 0, 1
    least = (1, 1)
    for tenant, position in instrument.positions.items():
        has = means.tokens.get(tenant, 0)
        if tenant != OPERATOR_TENANT and has < -position.net and has * least[1] < least[0] * -position.net:
            least = (has, -position.net)
    covered = (min(means.capacity, means.bases), means.bases) if means.bases else (1, 1)
    return max(least, covered, key=lambda share: Fraction(*share))


def deliver(instrument: Instrument, means: Means | None) -> list[Delivered]:
    """What everybody gets, tenants in byte order. Money and tokens that leave one row come to another."""
    names = sorted(instrument.positions)
    positions = [instrument.positions[name] for name in names]
    sells = [max(-position.net, 0) for position in positions]
    wants = [max(position.net, 0) for position in positions]
    part, whole = proportion(instrument, means)
    tokens = {} if means is None else means.tokens
    gives = _given(sells, [tokens.get(name, 0) for name in names], part, whole)
    if any(sells):
        part, whole = sum(gives), sum(sells)
    gets = _shares(sum(gives), wants)
    refunds = [position.paid * (whole - part) // whole for position in positions]
    earned = [position.earned for position in positions]
    returned = _shares(sum(refunds), earned)
    return [
        Delivered(name, position.bought, position.sold, got, gave, want - got, earn - back, refund)
        for name, position, got, gave, want, earn, back, refund in zip(
            names, positions, gets, gives, wants, earned, returned, refunds, strict=True
        )
    ]


def _given(sells: list[int], limits: list[int], part: int, whole: int) -> list[int]:
    """Part/whole of each, rounded down but for one more of the largest remainders: the sum is right as far as limits allow."""
    gives = [min(sold * part // whole, limit) for sold, limit in zip(sells, limits, strict=True)]
    short = sum(sells) * part // whole - sum(gives)
    remainders = [
        (-(sold * part % whole), row) for row, sold in enumerate(sells) if gives[row] < limits[row] and sold * part % whole
    ]
    for _, row in sorted(remainders)[:short]:
        gives[row] += 1
    return gives


def deliver_forward(state: PartitionState, pool: PoolState, period: int, means: Means, stamp: Stamp) -> Iterator[Fact]:
    """The period opens: its forward trades are delivered, and those of periods that never opened are undone."""
    for skipped in sorted(each for each in pool.market.instruments if each < period):
        yield from _deliver(pool, pool.market.instruments[skipped], None, stamp)
        yield from close_market(state, pool, skipped, stamp)
    instrument = pool.market.instruments.get(period)
    if instrument is not None:
        yield from _deliver(pool, instrument, means, stamp)


def _deliver(pool: PoolState, instrument: Instrument, means: Means | None, stamp: Stamp) -> Iterator[Fact]:
    rows = deliver(instrument, means)
    escrow = escrow_account(instrument.period)
    paid_out = [
        PostingRow(Entry.POST, code, MONEY, "", escrow, account_of(row.tenant), amount)
        for row in rows
        for code, amount in ((Code.DELIVERY, row.earned), (Code.REFUND, row.refunded))
        if amount
    ]
    for start in range(0, len(rows), CHUNK_ROWS):
        columns = zip(*rows[start : start + CHUNK_ROWS], strict=True)
        chunk = dict(zip(Delivered._fields, map(list, columns), strict=True))
        yield stamp.fact(Deliveries, pool.name, period=instrument.period, **chunk)
    yield from posting_facts(stamp, pool.name, pool.present, paid_out)


def return_undelivered(pool: PoolState, period: int, stamp: Stamp) -> Iterator[Fact]:
    """Tokens on the ledger that nobody has after all go back: they were not delivered, or issued to a base that is lower now."""
    if period not in pool.market.instruments:
        return
    rows = []
    for owner, balance in _owners(pool, period):
        tenant = tenant_of(owner)
        excess = 0 if tenant is None else balance - max(allocated(pool, tenant), 0)
        if excess > 0:
            rows.append(PostingRow(Entry.POST, Code.RETURN, period, "", owner, POOL, excess))
    yield from posting_facts(stamp, pool.name, period, rows)


def offer_unsold(state: PartitionState, pool: PoolState, opened: OpenPeriod, stamp: Stamp) -> Iterator[Fact]:
    """The operator offers what the auction left, where the pool says so: at the reserve price, or the next one on the grid."""
    if not opened.terms.market.offer_unsold:
        return
    grid = instrument_of(state, pool, opened.period).terms
    price = -(-max(opened.terms.reserve_price, grid.price_min or 1) // grid.price_tick) * grid.price_tick
    if grid.price_max is not None and price > grid.price_max:
        return
    owner = account_of(OPERATOR_TENANT)
    for number, qty in enumerate(_portions(opened.unallocated, price, grid)):
        issued = [PostingRow(Entry.POST, Code.GRANT, opened.period, "", POOL, owner, qty)]
        yield from posting_facts(stamp, pool.name, opened.period, issued)
        order = New(book_id(OPERATOR_TENANT, f"unsold/{number}"), owner, Side.SELL, price, qty)
        yield from place(state, pool, opened.period, order, stamp)


def _portions(tokens: int, price: int, terms: MarketTerms) -> Iterator[int]:
    """Quantities of orders that together offer the tokens, as far as the instrument takes such orders."""
    cap = INT64_MAX // price
    if terms.max_order_tokens is not None:
        cap = min(cap, terms.max_order_tokens)
    for _ in range(terms.max_open_orders):
        qty = min(tokens, cap) // terms.lot * terms.lot
        if not qty:
            return
        yield qty
        tokens -= qty


def close_market(state: PartitionState, pool: PoolState, period: int, stamp: Stamp) -> Iterator[Fact]:
    """The period closes: its orders and offers end, and its tokens go back to their issuer, used or not."""
    for offer in pool.market.offers_of(period):
        yield from end_offer(pool, offer, CancelReason.PERIOD_CLOSED, stamp)
    instrument = pool.market.instruments.get(period)
    if instrument is None:
        return
    yield from operate(state, pool, instrument, Close(), stamp)
    # Only now, with all of its holds free. Recording the close dropped the instrument; its accounts are still there.
    rows = [PostingRow(Entry.POST, Code.RETURN, period, "", owner, POOL, has) for owner, has in _owners(pool, period)]
    yield from posting_facts(stamp, pool.name, period, rows)


def _owners(pool: PoolState, period: int) -> list[tuple[str, int]]:
    """(account, tokens) of those who have tokens of the period on the ledger, by name. 20 ms with 200,000 accounts of any kind."""
    standings = pool.market.ledger.standings
    found = ((owner, standing.balance) for (asset, owner), standing in standings.items() if asset == period and owner != POOL)
    return sorted(found)


def _shares(total: int, weights: list[int]) -> list[int]:
    if not total:
        return [0] * len(weights)
    shares: list[int] = hamilton(total, np.array(weights, np.int64)).tolist()
    return shares
