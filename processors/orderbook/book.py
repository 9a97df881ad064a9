"""The state of one book: its open orders by id, by account, by expiry, and on each side by price and then time.

Memory, as tests/benchmarks/bench_orderbook.py measures it with a million orders: 0.4 KB for one that rests (the object 144 bytes,
its entries in the dictionaries, its id and numbers), 0.07 KB more if it is alone at its price; for one that has ended its id stays.
"""

from dataclasses import dataclass

from processors.orderbook.ladder import Ladder
from processors.orderbook.levels import BookSide, Order
from schemas.trading import Phase, Side

INT64_MAX = 2**63 - 1
_BUY = Side.BUY  # to look an enumeration's member up costs as much as a call


class BrokenBookError(Exception):
    """An event or a withdrawal that does not fit the book. Going on would trade from a fault."""


@dataclass(frozen=True, slots=True)
class Config:
    """What a book takes.

    Attributes:
        tick: prices are its multiples.
        lot: quantities are its multiples.
        max_qty: no order is for more.
        pmin: the lowest price; at 0 or below it lets such prices in.
        pmax: the highest price.
    """

    tick: int = 1
    lot: int = 1
    max_qty: int = INT64_MAX
    pmin: int = 1
    pmax: int = INT64_MAX


class Book:
    """One book.

    Attributes:
        config: what it takes.
        phase: continuous trading or auction.
        ref: the reference price of auctions; None as long as there is none.
        now: its time; None before the first clock.
        closed: whether it refuses everything.
        sequence: numbers given so far to arrivals and places.
        orders: open orders by id, in the order of arrival.
        ended: ids of orders that ended, which are never free again, in the order in which they ended.
        bids: resting buy orders.
        asks: resting sell orders.
        accounts: each account's open orders by id, in the order of arrival.
        expiring: open GTD orders by the time at which they expire, then by id.
        expiries: the times in `expiring`.
    """

    __slots__ = (
        "accounts",
        "asks",
        "bids",
        "closed",
        "config",
        "ended",
        "expiries",
        "expiring",
        "now",
        "orders",
        "phase",
        "ref",
        "sequence",
    )

    def __init__(self, config: Config | None = None, phase: Phase = Phase.CONTINUOUS, ref: int | None = None) -> None:
        self.config = config or Config()
        self.phase = phase
        self.ref = ref
        self.now: int | None = None
        self.closed = False
        self.sequence = 0
        self.orders: dict[str, Order] = {}
        self.ended: dict[str, None] = {}
        self.bids = BookSide(-1)
        self.asks = BookSide(1)
        self.accounts: dict[str, dict[str, Order]] = {}
        self.expiring: dict[int, dict[str, Order]] = {}
        self.expiries = Ladder()

    @property
    def best_bid(self) -> int | None:
        """The highest price that a resting order pays."""
        return self.bids.best

    @property
    def best_ask(self) -> int | None:
        """The lowest price that a resting order takes."""
        return self.asks.best

    def depth(self, side: Side, levels: int) -> list[tuple[int, int]]:
        """(price, open tokens) of the best levels of one side."""
        return [(level.price, level.open) for level, _ in zip(self.side(side).levels(), range(levels), strict=False)]

    def open_orders(self, acct: str) -> list[Order]:
        """An account's open orders in the order of arrival."""
        return list(self.accounts.get(acct, {}).values())

    def side(self, side: Side) -> BookSide:
        """Where orders of a side rest."""
        return self.bids if side == _BUY else self.asks

    def opposite(self, side: Side) -> BookSide:
        """What orders of a side trade with."""
        return self.asks if side == _BUY else self.bids

    def add(self, order: Order) -> None:
        """An accepted order, which has no place yet."""
        self.orders[order.id] = order
        of_account = self.accounts.get(order.acct)
        if of_account is None:
            of_account = self.accounts[order.acct] = {}
        of_account[order.id] = order
        if order.expire is not None:
            if order.expire not in self.expiring:
                self.expiring[order.expire] = {}
                self.expiries.add(order.expire)
            self.expiring[order.expire][order.id] = order

    def rest(self, order: Order) -> None:
        """The order takes its place behind the others of its price."""
        self.side(order.side).add(order)

    def lift(self, order: Order) -> None:
        """The order leaves its place, if it has one; it stays open."""
        if order.level is not None:
            self.side(order.side).remove(order, order.level)

    def shrink(self, order: Order, by: int) -> None:
        """The order has less open; one with nothing open has ended."""
        if by > order.open:
            raise BrokenBookError(f"order {order.id!r} has {order.open} open, not {by}")
        order.open -= by
        if order.level is not None:
            order.level.open -= by
        if not order.open:
            self._end(order)

    def _end(self, order: Order) -> None:
        self.lift(order)
        del self.orders[order.id]
        self.ended[order.id] = None
        of_account = self.accounts[order.acct]
        del of_account[order.id]
        if not of_account:
            del self.accounts[order.acct]
        if order.expire is not None:
            at_that_time = self.expiring[order.expire]
            del at_that_time[order.id]
            if not at_that_time:
                del self.expiring[order.expire]
                self.expiries.remove(order.expire)
