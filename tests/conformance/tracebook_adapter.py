"""Our order book behind the protocol of tracebook-conformance: run by its harness, JSON lines on standard input and output.

What its contract says otherwise than ours is translated here, and only here:
- Prices and quantities are decimals: prices become ticks, rounded to the nearest as the contract says (our book refuses what is off
  its grid), quantities whole units of its smallest decimal place.
- An id may come again when its order has ended: each life of an id is an id of our book.
- A replacement always goes to the back and names what is to be open: where ours would keep its place, it is cancel and new.
- To reduce by more than is open is refused; ours cancels.
- A FOK that cannot fill is applied and does nothing; ours refuses it. An owner of -1 is nobody, who never trades with itself.
"""

import sys
from decimal import Decimal

from tracebook.conformance import (
    BookSnapshot,
    BookState,
    ConformanceConfig,
    ConformanceError,
    EngineMetadata,
    Observation,
    Outcome,
    RestingOrder,
    TradeFill,
    serve_stdio,
)
from tracebook.conformance.model import canonical_decimal
from tracebook.core.order import NO_OWNER, OrderType, SelfTradePolicy
from tracebook.events import MarketEvent

from processors.orderbook import Accepted, Book, Cancel, Filled, New, Reduce, Rejected, Replace, apply, decide
from schemas.trading import OrderType as Kind
from schemas.trading import Reject, SelfTrade, Side, TimeInForce

MODES = {
    SelfTradePolicy.NONE: SelfTrade.NONE,
    SelfTradePolicy.CANCEL_RESTING: SelfTrade.CANCEL_MAKER,
    SelfTradePolicy.CANCEL_INCOMING: SelfTrade.CANCEL_TAKER,
}
KINDS = {
    OrderType.LIMIT: (Kind.LIMIT, TimeInForce.GTC),
    OrderType.MARKET: (Kind.MARKET, TimeInForce.IOC),
    OrderType.IOC: (Kind.LIMIT, TimeInForce.IOC),
    OrderType.FOK: (Kind.LIMIT, TimeInForce.FOK),
}


class RefusedError(Exception):
    """A rejection in the words of the contract."""


class Symbol:
    """One symbol's book, and which of its orders each of the contract's ids means now."""

    def __init__(self, config):
        self.book = Book()
        self.stp = MODES[config.self_trade_policy]
        self.tick, self.unit = config.tick_size, Decimal(1).scaleb(-config.quantity_decimal_places)
        self.lives = {}  # the contract's id -> how often it was accepted
        self.owners = {}  # our id -> owner

    # Their words in ours

    def ours(self, order_id):
        return f"{order_id}/{self.lives.get(order_id, 0)}"

    def active(self, order_id):
        order = self.book.orders.get(self.ours(order_id))
        if order is None:
            raise RefusedError("ORDER_NOT_ACTIVE")
        return order

    def ticks(self, price):
        return round(price / self.tick)

    def units(self, quantity):
        units = Decimal(str(quantity)) / self.unit
        return int(units) if units == int(units) else 0

    def price(self, ticks):
        return canonical_decimal(Decimal(ticks) * Decimal(canonical_decimal(self.tick)))

    def quantity(self, units):
        return canonical_decimal(units * self.unit)

    # Their operations

    def new(self, event):
        if self.ours(event.order_id) in self.book.orders:
            raise RefusedError("DUPLICATE_ORDER_ID")
        kind, tif = KINDS[event.order_type]
        order = New("", str(event.owner), Side[event.side.name], self.ticks(event.price), self.units(event.quantity), kind, tif)
        return self.submit(event.order_id, event.owner, order)

    def submit(self, order_id, owner, order):
        name = f"{order_id}/{self.lives.get(order_id, 0) + 1}"
        acct = f"nobody {name}" if owner == NO_OWNER else order.acct
        events = self.do(order._replace(id=name, acct=acct, stp=self.stp))
        if any(isinstance(happened, Accepted) for happened in events):
            self.lives[order_id] = self.lives.get(order_id, 0) + 1
            self.owners[name] = owner
        return events

    def cancel(self, event):
        order = self.active(event.order_id)
        return self.do(Cancel(order.id, order.acct))

    def reduce(self, event):
        order, by = self.active(event.order_id), self.units(event.quantity)
        if by > order.open:
            raise RefusedError("INVALID_ORDER")
        return self.do(Reduce(order.id, order.acct, by))

    def replace(self, event):
        order = self.active(event.order_id)
        ticks = order.price if event.price is None else self.ticks(event.price)
        units = order.open if event.quantity is None else self.units(event.quantity)
        if ticks <= 0 or units <= 0:
            raise RefusedError("INVALID_REPLACEMENT")
        if ticks != order.price or units > order.open:
            return self.do(Replace(order.id, order.acct, ticks, order.filled + units))
        self.do(Cancel(order.id, order.acct))
        return self.submit(event.order_id, self.owners[order.id], New("", order.acct, order.side, ticks, units))

    def clear(self, _event):
        return [happened for order in list(self.book.orders.values()) for happened in self.do(Cancel(order.id, order.acct))]

    def do(self, op):
        events = decide(self.book, op)
        for event in events:
            if isinstance(event, Rejected) and event.reason != Reject.FOK_NOT_FILLABLE:
                raise RefusedError("INVALID_REPLACEMENT" if isinstance(op, Replace) else "INVALID_ORDER")
            apply(self.book, event)
        return events

    # What happened, in their words

    def trade(self, symbol, event, taker_buys):
        maker, taker = (int(name.split("/")[0]) for name in (event.maker, event.taker))
        buyer, seller = (taker, maker) if taker_buys else (maker, taker)
        return TradeFill(symbol, buyer, seller, self.price(event.price), self.quantity(event.qty))

    def resting(self, side):
        return tuple(
            RestingOrder(int(order.id.split("/")[0]), self.price(order.price), self.quantity(order.open), self.owners[order.id])
            for order in side.orders()
        )


class Adapter:
    """One run of the harness: a book for each symbol that it names."""

    metadata = EngineMetadata("tokenbourse", "0.1.0", "Python")

    def __init__(self, config):
        if config.matching_algorithm != "fifo":
            raise ConformanceError("this book is price-time only")
        self.config = config
        self.symbols = {}

    def apply(self, event: MarketEvent, index: int) -> Observation:
        trades, outcome = (), Outcome("applied")
        try:
            trades = self._trades(self._symbol(event), event)
        except RefusedError as refused:
            outcome = Outcome("rejected", str(refused))
        state = self.snapshot()
        return Observation(index, outcome, trades, state.digest(), state.order_count)

    def _symbol(self, event):
        if event.symbol not in self.symbols:
            if event.op in ("cancel", "reduce", "replace"):
                raise RefusedError("ORDER_NOT_ACTIVE")
            self.symbols[event.symbol] = Symbol(self.config)
        return self.symbols[event.symbol]

    def _trades(self, symbol, event):
        side = event.side.name if event.op == "new" else None
        if event.op == "replace":
            side = symbol.active(event.order_id).side.name
        happened = getattr(symbol, event.op)(event)
        return tuple(symbol.trade(event.symbol, fill, side == "BUY") for fill in happened if isinstance(fill, Filled))

    def snapshot(self) -> BookState:
        return BookState(
            tuple(
                BookSnapshot(name, symbol.resting(symbol.book.bids), symbol.resting(symbol.book.asks))
                for name, symbol in sorted(self.symbols.items())
            )
        )

    def close(self) -> None:
        pass


def adapter(config: ConformanceConfig) -> Adapter:
    return Adapter(config)


if __name__ == "__main__":
    sys.exit(serve_stdio(adapter))
