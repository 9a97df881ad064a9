"""Resting orders of one side: by price, best first, and within a price by time.

A change of one order is O(1), but for a price that is new on its side or empty now: O(log prices).
"""

from collections.abc import Iterator

from processors.orderbook.events import Accepted
from processors.orderbook.ladder import Ladder


class Order:
    """An open order.

    Attributes:
        open: what it may still trade; its total is `filled + open`, so that what was reduced counts no more.
        arrival: its number in the order in which the book accepted orders.
        place: the like number of when it took the place that it has: its arrival, or when it last lost its priority.
        level: where it rests; None between its arrival and its rest.
        ahead: the order before it in its level.
        behind: the order after it in its level.
    """

    __slots__ = (
        "acct",
        "ahead",
        "arrival",
        "behind",
        "expire",
        "filled",
        "id",
        "level",
        "open",
        "place",
        "post_only",
        "price",
        "side",
        "stp",
    )

    def __init__(self, accepted: Accepted, arrival: int) -> None:
        self.id = accepted.id
        self.acct = accepted.acct
        self.side = accepted.side
        self.price = accepted.price
        self.open = accepted.qty
        self.filled = 0
        self.post_only = accepted.post_only
        self.stp = accepted.stp
        self.expire = accepted.expire
        self.arrival = arrival
        self.place = arrival
        self.level: Level | None = None
        self.ahead: Order | None = None
        self.behind: Order | None = None


class Level:
    """The orders of one price, oldest first: a chain through the orders themselves, so that any of them leaves at once."""

    __slots__ = ("head", "open", "price", "tail")

    def __init__(self, price: int) -> None:
        self.price = price
        self.open = 0
        self.head: Order | None = None
        self.tail: Order | None = None

    def append(self, order: Order) -> None:
        """The order stands behind the others."""
        order.level, order.ahead = self, self.tail
        if self.tail is None:
            self.head = order
        else:
            self.tail.behind = order
        self.tail = order
        self.open += order.open

    def remove(self, order: Order) -> None:
        """The order leaves, wherever it stands."""
        if order.ahead is None:
            self.head = order.behind
        else:
            order.ahead.behind = order.behind
        if order.behind is None:
            self.tail = order.ahead
        else:
            order.behind.ahead = order.ahead
        order.level = order.ahead = order.behind = None
        self.open -= order.open


class BookSide:
    """The levels of one side, best first.

    `sign` is 1 for asks and −1 for bids: `sign * price` ascends from the best price to the worst on both.
    """

    __slots__ = ("_levels", "_ranks", "_sign")

    def __init__(self, sign: int) -> None:
        self._sign = sign
        self._levels: dict[int, Level] = {}  # by price
        self._ranks = Ladder()  # sign * price of each level

    @property
    def best(self) -> int | None:
        """The price that is traded first."""
        rank = self._ranks.first
        return None if rank is None else self._sign * rank

    def crosses(self, limit: int | None) -> bool:
        """Whether an order of the other side with this limit (None: any price) would trade here."""
        rank = self._ranks.first
        return rank is not None and (limit is None or rank <= self._sign * limit)

    def levels(self, limit: int | None = None) -> Iterator[Level]:
        """Levels from the best on, as far as an order of the other side with this limit (None: any price) reaches."""
        for rank in self._ranks:
            if limit is not None and rank > self._sign * limit:
                return
            yield self._levels[self._sign * rank]

    def orders(self, limit: int | None = None) -> Iterator[Order]:
        """Orders in price-time priority, as far as an order of the other side with this limit (None: any price) reaches."""
        for level in self.levels(limit):
            order = level.head
            while order is not None:
                yield order
                order = order.behind

    def open_at(self, price: int) -> int:
        """Tokens that rest at one price."""
        level = self._levels.get(price)
        return 0 if level is None else level.open

    def add(self, order: Order) -> None:
        """The order stands last at its price."""
        level = self._levels.get(order.price)
        if level is None:
            level = self._levels[order.price] = Level(order.price)
            self._ranks.add(self._sign * order.price)
        level.append(order)

    def remove(self, order: Order, level: Level) -> None:
        """The order leaves its level, and the level the side if it was the last."""
        level.remove(order)
        if level.head is None:
            del self._levels[level.price]
            self._ranks.remove(self._sign * level.price)
