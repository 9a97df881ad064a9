"""From what a book decided to what is written: order events, trades, settlements and the ledger's rows, each in its order.

Every open order has one hold (`order_hold`), and after every event it holds exactly what its open part can
cost: a sell its open tokens, a buy price x open and the larger of the two fees on it. A trade captures what it costs; what the
buyer reserved beyond (a better price, a lower fee) is voided with it.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from processors.accounts import OPERATOR, POOL, escrow_account, tenant_account
from processors.ledger import Ledger, PostingRow
from processors.market.state import OPERATOR_TENANT, Instrument, order_hold, parted
from processors.orderbook import (
    Accepted,
    BookEvent,
    Cancelled,
    Crossed,
    Filled,
    Order,
    Reduced,
    Replaced,
    Rested,
)
from processors.stamping import Stamp
from processors.terms import MarketTerms
from schemas.fact import CHUNK_ROWS, Fact
from schemas.facts import Postings
from schemas.ledgering import MONEY, Code, Entry
from schemas.market_facts import OrderEventKind, OrderEvents, Settlements, Trades
from schemas.trading import OrderType, SelfTrade, Side, TimeInForce

BASIS = 10_000

# To look an enumeration's member up costs as much as a call, and an order asks for dozens.
_BUY, _SELL, _LIMIT, _MARKET, _GTC, _GTD = Side.BUY, Side.SELL, OrderType.LIMIT, OrderType.MARKET, TimeInForce.GTC, TimeInForce.GTD
_ACCEPTED, _RESTED, _FILLED = OrderEventKind.ACCEPTED, OrderEventKind.RESTED, OrderEventKind.FILLED
_REDUCED, _REPLACED, _CANCELLED = OrderEventKind.REDUCED, OrderEventKind.REPLACED, OrderEventKind.CANCELLED
_POST, _HOLD, _CAPTURE, _VOID = Entry.POST, Entry.HOLD, Entry.CAPTURE, Entry.VOID
_ORDER, _TRADE, _FEE, _GRANT = Code.ORDER, Code.TRADE, Code.FEE, Code.GRANT


class OrderRow(NamedTuple):
    """One row of OrderEvents, in the order of its columns."""

    tenant: str
    order_id: str
    event: OrderEventKind
    side: Side
    order_type: OrderType
    tif: TimeInForce
    stp: SelfTrade
    post_only: bool
    expire: int | None
    price: int
    qty: int
    open: int
    kept_priority: bool
    reason: str
    field: str
    detail: str


class TradeRow(NamedTuple):
    """One row of Trades, in the order of its columns."""

    number: int
    buyer: str
    seller: str
    buy_order: str
    sell_order: str
    taker: str
    price: int
    qty: int
    buyer_fee: int
    seller_fee: int

    @property
    def notional(self) -> int:
        """What the tokens cost without fees."""
        return self.price * self.qty


@dataclass(slots=True)
class _Standing:
    """An order while its events are gone through: whose it is, the id of its hold, and how much that holds."""

    tenant: str
    order_id: str
    account: str
    hold: str
    side: Side
    order_type: OrderType
    tif: TimeInForce
    stp: SelfTrade
    post_only: bool
    expire: int | None
    price: int
    open: int
    filled: int
    held: int


@dataclass(slots=True)
class Outcome:
    """What one operation on an instrument's book comes to. `take` the events, then judge `postings`, then write `facts`."""

    instrument: Instrument
    ledger: Ledger
    present: bool
    """Whether the period is open: its trades are delivered at once, others secured until it opens."""
    orders: list[list[OrderRow]] = field(default_factory=list)
    """Rows that belong together (both sides of a trade) are in one list."""
    trades: list[TradeRow] = field(default_factory=list)
    postings: list[PostingRow] = field(default_factory=list)
    _standings: dict[str, _Standing] = field(default_factory=dict)

    def take(self, events: Sequence[BookEvent]) -> None:
        """Goes through the events of one operation."""
        for event in events:
            match event:
                case Accepted():
                    self._accept(event, events)
                case Filled():
                    self._trade(event.maker, event.taker, event, str(self._of(event.taker).side))
                case Crossed():
                    self._trade(event.buy, event.sell, event, "auction")
                case Cancelled():
                    self._shrink(event.id, _CANCELLED, event.qty, event.reason)
                case Reduced():
                    self._shrink(event.id, _REDUCED, event.by, "")
                case Replaced():
                    self._replace(event)
                case Rested():
                    order = self._of(event.id)
                    self.orders.append([_row(order, _RESTED, order.price, order.open)])
                case _:
                    continue  # clock, phase and close are stated by a fact of their own

    def facts(self, stamp: Stamp, pool: str, open_period: int, now_ms: int) -> Iterator[Fact]:
        """Everything as facts, in chunks of at most CHUNK_ROWS rows."""
        period = self.instrument.period
        for orders in _chunks(self.orders):
            yield stamp.fact(OrderEvents, pool, period=period, **_columns(OrderRow, orders))
        for start in range(0, len(self.trades), CHUNK_ROWS):
            trades = self.trades[start : start + CHUNK_ROWS]
            yield stamp.fact(Trades, pool, period=period, time=now_ms, **_columns(TradeRow, trades))
            yield stamp.fact(
                Settlements,
                pool,
                period=period,
                time=now_ms,
                kind="delivered" if self.present else "secured",
                number=[row.number for row in trades],
                buyer=[row.buyer for row in trades],
                seller=[row.seller for row in trades],
                tokens=[row.qty for row in trades],
                paid=[row.notional + row.buyer_fee for row in trades],
                earned=[row.notional - row.seller_fee for row in trades],
                fees=[row.buyer_fee + row.seller_fee for row in trades],
            )
        yield from posting_facts(stamp, pool, open_period, self.postings)

    def _of(self, in_book: str) -> _Standing:
        found = self._standings.get(in_book)
        if found is None:
            found = self._standings[in_book] = self._standing(self.instrument.book.orders[in_book])
        return found

    def _standing(self, order: Order) -> _Standing:
        """An order that rests."""
        tenant, order_id = parted(order.id)
        hold = order_hold(self.instrument.period, order.id)
        _, held = self.ledger.holds[hold]
        tif = _GTC if order.expire is None else _GTD  # no others rest
        return _Standing(
            tenant,
            order_id,
            order.acct,
            hold,
            order.side,
            _LIMIT,
            tif,
            order.stp,
            order.post_only,
            order.expire,
            order.price,
            order.open,
            order.filled,
            held,
        )

    def _accept(self, event: Accepted, events: Sequence[BookEvent]) -> None:
        tenant, order_id = parted(event.id)
        order = _Standing(
            tenant,
            order_id,
            event.acct,
            order_hold(self.instrument.period, event.id),
            event.side,
            event.type,
            event.tif,
            event.stp,
            event.post_only,
            event.expire,
            event.price,
            event.qty,
            0,
            0,
        )
        self._standings[event.id] = order
        self.orders.append([_row(order, _ACCEPTED, event.price, event.qty)])
        if event.type is _MARKET and event.side is _BUY:
            # It never rests: what it trades now is all that it can cost.
            fills = [each for each in events if isinstance(each, Filled) and each.taker == event.id]
            self._hold(order, sum(cost(each.price, each.qty, self.instrument.terms.taker_fee_bp) for each in fills))
        else:
            self._hold(order, self._need(order))

    def _trade(self, first: str, second: str, event: Filled | Crossed, taker: str) -> None:
        """A trade of two orders; a Filled's first one is the maker, a Crossed's the buyer."""
        one, two = self._of(first), self._of(second)
        buy, sell = (one, two) if one.side is _BUY else (two, one)
        terms = self.instrument.terms
        maker_fee, taker_fee = terms.maker_fee_bp, terms.taker_fee_bp
        notional = event.price * event.qty
        # In an auction nobody takes: both pay what makers pay.
        row = TradeRow(
            len(self.trades),
            buy.tenant,
            sell.tenant,
            buy.order_id,
            sell.order_id,
            taker,
            event.price,
            event.qty,
            notional * (taker_fee if taker == _BUY else maker_fee) // BASIS,
            notional * (taker_fee if taker == _SELL else maker_fee) // BASIS,
        )
        self.trades.append(row)
        for order in (buy, sell):
            order.open -= event.qty
            order.filled += event.qty
        self._pay(buy, sell, row)
        # The seller's hold gives its tokens; those of a later period become the buyer's claim.
        self._capture(sell, _TRADE, self.instrument.period, buy.account, row.qty)
        self.orders.append([_row(order, _FILLED, event.price, event.qty) for order in (one, two)])

    def _pay(self, buy: _Standing, sell: _Standing, row: TradeRow) -> None:
        """The buyer's hold pays the seller and the fees, or the escrow till delivery; what else it reserved is free."""
        if self.present:
            self._capture(buy, _TRADE, MONEY, sell.account, row.notional - row.seller_fee)
            self._capture(buy, _FEE, MONEY, OPERATOR, row.buyer_fee + row.seller_fee)
        else:
            self._capture(buy, _TRADE, MONEY, escrow_account(self.instrument.period), row.notional + row.buyer_fee)
        if buy.order_type is not _MARKET:
            self._hold(buy, self._need(buy))

    def _capture(self, order: _Standing, code: Code, asset: int, to: str, amount: int) -> None:
        if not amount:
            return
        order.held -= amount
        if order.account == to:  # orders of one account that self-trade prevention let meet: nothing changes hands
            self.postings.append(PostingRow(_VOID, code, asset, order.hold, to, "", amount))
        else:
            self.postings.append(PostingRow(_CAPTURE, code, asset, order.hold, order.account, to, amount))

    def _shrink(self, in_book: str, event: OrderEventKind, qty: int, reason: str) -> None:
        order = self._of(in_book)
        order.open -= qty
        self.orders.append([_row(order, event, order.price, qty, reason)])
        if order.order_type is not _MARKET or order.side is _SELL:
            self._hold(order, self._need(order))

    def _replace(self, event: Replaced) -> None:
        order = self._of(event.id)
        order.price, order.open = event.price, event.qty - order.filled
        self.orders.append([_row(order, _REPLACED, event.price, event.qty)._replace(kept_priority=event.kept_priority)])
        self._hold(order, self._need(order))

    def _need(self, order: _Standing) -> int:
        return order.open if order.side is _SELL else reserve(self.instrument.terms, order.price, order.open)

    def _hold(self, order: _Standing, need: int) -> None:
        """The order's hold becomes what its open part needs."""
        change, order.held = need - order.held, need
        if not change:
            return
        asset = self.instrument.period if order.side is _SELL else MONEY
        if change > 0 and order.side is _SELL:
            self.postings += grants(self.ledger, asset, order.account, change)
        entry = _HOLD if change > 0 else _VOID
        self.postings.append(PostingRow(entry, _ORDER, asset, order.hold, order.account, "", abs(change)))


def _row(order: _Standing, event: OrderEventKind, price: int, qty: int, reason: str = "") -> OrderRow:
    return OrderRow(
        order.tenant,
        order.order_id,
        event,
        order.side,
        order.order_type,
        order.tif,
        order.stp,
        order.post_only,
        order.expire,
        price,
        qty,
        order.open,
        False,  # noqa: FBT003  by its place, as by name it would cost twice as much
        reason,
        "",
        "",
    )


def account_of(tenant: str) -> str:
    """Whose account a tenant's trades are settled on."""
    return OPERATOR if tenant == OPERATOR_TENANT else tenant_account(tenant)


def cost(price: int, qty: int, fee_bp: int) -> int:
    """What a buyer pays for a trade, its fee included; nanocredits."""
    return price * qty + price * qty * fee_bp // BASIS


def reserve(terms: MarketTerms, price: int, qty: int) -> int:
    """The most that a buy order of this price can cost, in any number of trades; nanocredits.

    Floors of parts never sum to more than the floor of the whole, so a hold of this covers every way to fill the order.
    """
    return cost(price, qty, max(terms.maker_fee_bp, terms.taker_fee_bp))


def grants(ledger: Ledger, period: int, owner: str, amount: int) -> list[PostingRow]:
    """Issues to an owner the tokens of its own that it needs on the ledger to give away `amount` (see market/tokens.py)."""
    missing = amount - ledger.available(period, owner)
    return [PostingRow(_POST, _GRANT, period, "", POOL, owner, missing)] if missing > 0 else []


def posting_facts(stamp: Stamp, pool: str, open_period: int, rows: Sequence[PostingRow]) -> Iterator[Fact]:
    """Rows of the ledger as facts."""
    for start in range(0, len(rows), CHUNK_ROWS):
        entry, code, asset, hold, debit, credit, amount = map(list, zip(*rows[start : start + CHUNK_ROWS], strict=True))
        yield stamp.fact(
            Postings,
            pool,
            period=open_period,
            entry=entry,
            code=code,
            asset=asset,
            hold=hold,
            debit_account=debit,
            credit_account=credit,
            amount=amount,
        )


def _columns(kind: type[Any], rows: Iterable[tuple[Any, ...]]) -> dict[str, list[Any]]:
    return dict(zip(kind._fields, map(list, zip(*rows, strict=True)), strict=True))


def _chunks(groups: Iterable[list[OrderRow]]) -> Iterator[list[OrderRow]]:
    """The groups' rows, cut between groups only."""
    chunk: list[OrderRow] = []
    for group in groups:
        if len(chunk) + len(group) > CHUNK_ROWS:
            yield chunk
            chunk = []
        chunk += group
    if chunk:
        yield chunk
