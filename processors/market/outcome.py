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
    """An order while its events are gone through."""

    tenant: str
    order_id: str
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
                    self._shrink(event.id, OrderEventKind.CANCELLED, event.qty, event.reason)
                case Reduced():
                    self._shrink(event.id, OrderEventKind.REDUCED, event.by, "")
                case Replaced():
                    self._replace(event)
                case Rested():
                    order = self._of(event.id)
                    self._note(event.id, OrderEventKind.RESTED, order.price, order.open)
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

    def _hold_id(self, in_book: str) -> str:
        return order_hold(self.instrument.period, in_book)

    def _of(self, in_book: str) -> _Standing:
        found = self._standings.get(in_book)
        if found is None:
            found = self._standings[in_book] = self._standing(self.instrument.book.orders[in_book])
        return found

    def _standing(self, order: Order) -> _Standing:
        hold = self.ledger.holds.get(self._hold_id(order.id))
        tif = TimeInForce.GTC if order.expire is None else TimeInForce.GTD  # no others rest
        return _Standing(
            *parted(order.id),
            order.side,
            OrderType.LIMIT,
            tif,
            order.stp,
            order.post_only,
            order.expire,
            order.price,
            order.open,
            order.filled,
            0 if hold is None else hold[1],
        )

    def _accept(self, event: Accepted, events: Sequence[BookEvent]) -> None:
        tenant, order_id = parted(event.id)
        order = _Standing(
            tenant,
            order_id,
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
        self._note(event.id, OrderEventKind.ACCEPTED, event.price, event.qty)
        if event.type is OrderType.MARKET and event.side is Side.BUY:
            # It never rests: what it trades now is all that it can cost.
            fills = [each for each in events if isinstance(each, Filled) and each.taker == event.id]
            self._hold(event.id, order, sum(cost(each.price, each.qty, self.instrument.terms.taker_fee_bp) for each in fills))
        else:
            self._hold(event.id, order, self._need(order))

    def _trade(self, first: str, second: str, event: Filled | Crossed, taker: str) -> None:
        """A trade of two orders; a Filled's first one is the maker, a Crossed's the buyer."""
        one, two = self._of(first), self._of(second)
        buy_id, sell_id = (first, second) if one.side is Side.BUY else (second, first)
        buy, sell = self._of(buy_id), self._of(sell_id)
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
            notional * (taker_fee if taker == Side.BUY else maker_fee) // BASIS,
            notional * (taker_fee if taker == Side.SELL else maker_fee) // BASIS,
        )
        self.trades.append(row)
        for order in (buy, sell):
            order.open -= event.qty
            order.filled += event.qty
        self._pay(buy_id, buy, row)
        self._deliver(sell_id, sell, row)
        self.orders.append([self._row(order, OrderEventKind.FILLED, event.price, event.qty, reason="") for order in (one, two)])

    def _pay(self, buy_id: str, buy: _Standing, row: TradeRow) -> None:
        """The buyer's hold pays the seller and the fees, or the escrow till delivery; what else it reserved is free."""
        buyer, seller = account_of(row.buyer), account_of(row.seller)
        fees = row.buyer_fee + row.seller_fee
        earned = row.notional - row.seller_fee
        hold_id = self._hold_id(buy_id)
        if self.present:
            self._capture(buy, PostingRow(Entry.CAPTURE, Code.TRADE, MONEY, hold_id, buyer, seller, earned))
            self._capture(buy, PostingRow(Entry.CAPTURE, Code.FEE, MONEY, hold_id, buyer, OPERATOR, fees))
        else:
            escrow = escrow_account(self.instrument.period)
            self._capture(buy, PostingRow(Entry.CAPTURE, Code.TRADE, MONEY, hold_id, buyer, escrow, earned + fees))
        if buy.order_type is not OrderType.MARKET:
            self._hold(buy_id, buy, self._need(buy))

    def _deliver(self, sell_id: str, sell: _Standing, row: TradeRow) -> None:
        """The seller's hold gives its tokens; those of a later period become the buyer's claim."""
        seller, buyer = account_of(row.seller), account_of(row.buyer)
        self._capture(
            sell, PostingRow(Entry.CAPTURE, Code.TRADE, self.instrument.period, self._hold_id(sell_id), seller, buyer, row.qty)
        )

    def _capture(self, order: _Standing, row: PostingRow) -> None:
        if not row.amount:
            return
        order.held -= row.amount
        if row.debit == row.credit:  # orders of one account that self-trade prevention let meet: nothing changes hands
            row = row._replace(entry=Entry.VOID, credit="")
        self.postings.append(row)

    def _shrink(self, in_book: str, event: OrderEventKind, qty: int, reason: str) -> None:
        order = self._of(in_book)
        order.open -= qty
        self._note(in_book, event, order.price, qty, reason=reason)
        if order.order_type is not OrderType.MARKET or order.side is Side.SELL:
            self._hold(in_book, order, self._need(order))

    def _replace(self, event: Replaced) -> None:
        order = self._of(event.id)
        order.price, order.open = event.price, event.qty - order.filled
        self._note(event.id, OrderEventKind.REPLACED, event.price, event.qty, kept_priority=event.kept_priority)
        self._hold(event.id, order, self._need(order))

    def _need(self, order: _Standing) -> int:
        return order.open if order.side is Side.SELL else reserve(self.instrument.terms, order.price, order.open)

    def _hold(self, in_book: str, order: _Standing, need: int) -> None:
        """The order's hold becomes what its open part needs."""
        change, order.held = need - order.held, need
        if not change:
            return
        owner = account_of(order.tenant)
        asset = self.instrument.period if order.side is Side.SELL else MONEY
        if change > 0 and order.side is Side.SELL:
            self.postings += grants(self.ledger, asset, owner, change)
        entry = Entry.HOLD if change > 0 else Entry.VOID
        self.postings.append(PostingRow(entry, Code.ORDER, asset, self._hold_id(in_book), owner, "", abs(change)))

    def _note(
        self, in_book: str, event: OrderEventKind, price: int, qty: int, *, reason: str = "", kept_priority: bool = False
    ) -> None:
        row = self._row(self._of(in_book), event, price, qty, reason=reason, kept_priority=kept_priority)
        self.orders.append([row])

    def _row(
        self, order: _Standing, event: OrderEventKind, price: int, qty: int, *, reason: str, kept_priority: bool = False
    ) -> OrderRow:
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
            kept_priority,
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
    return [PostingRow(Entry.POST, Code.GRANT, period, "", POOL, owner, missing)] if missing > 0 else []


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
