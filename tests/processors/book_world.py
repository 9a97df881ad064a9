"""What the tests of the order book share: operations at random, a book in full, what must always hold."""

from itertools import islice, pairwise

from hypothesis import strategies as st

from processors.orderbook import (
    Accepted,
    Book,
    Cancel,
    Cancelled,
    Clock,
    Close,
    Config,
    Crossed,
    Filled,
    New,
    Reduce,
    Reduced,
    Replace,
    Replaced,
    ToAuction,
    Uncross,
    Withdraw,
    apply,
    decide,
    dump,
)
from processors.orderbook.door import Case, answer
from schemas.trading import Phase, Side

OPERATIONS = {
    "new": New,
    "cancel": Cancel,
    "reduce": Reduce,
    "replace": Replace,
    "clock": Clock,
    "to_auction": ToAuction,
    "uncross": Uncross,
    "close": Close,
    "withdraw": Withdraw,
}
MODES = ("none", "cancel_taker", "cancel_maker", "cancel_both", "decrement")
ACCOUNTS = ("A", "B", "C")


def operation(op):
    """A door's operation as the book's. The words of enumerations stay plain strings, as they come out of a decoded event."""
    fields = {name: value for name, value in op.items() if name != "op"}
    return New(**{"price": None, **fields}) if op["op"] == "new" else OPERATIONS[op["op"]](**fields)


def through_the_door(ops, config=None):
    return answer(Case.model_validate({"config": config or {}, "ops": ops}, strict=False))


def do(book, op):
    """One operation, decided and recorded."""
    events = decide(book, op)
    for event in events:
        apply(book, event)
    return events


# Operations at random

PLAUSIBLE = {"tick": 2, "lot": 2, "max_qty": 40, "pmin": 90, "pmax": 110}
BOOKS = st.sampled_from(
    [
        {},
        {"ref": 100},
        {"phase": "auction"},
        {"phase": "auction", "ref": 103},
        PLAUSIBLE,
        {**PLAUSIBLE, "phase": "auction", "ref": 99},
        {"pmin": -5, "tick": 5},
    ]
)
IDS = st.integers(0, 11).map("o{}".format)
PRICES = st.one_of(st.sampled_from([98, 99, 100, 101, 102]), st.integers(88, 112), st.sampled_from([0, -5, 10, 100.0, True]))
QUANTITIES = st.one_of(st.integers(1, 8).map(lambda lots: 2 * lots), st.integers(-1, 50), st.sampled_from([4.0, True, 2**63]))
TIMES = st.integers(0, 12)
NEWS = st.fixed_dictionaries(
    {
        "op": st.just("new"),
        "id": IDS,
        "acct": st.sampled_from(ACCOUNTS),
        "side": st.sampled_from(["buy", "sell"]),
        "price": PRICES,
        "qty": QUANTITIES,
    },
    optional={
        "type": st.sampled_from(["limit", "limit", "limit", "market"]),
        "tif": st.sampled_from(["GTC", "GTC", "IOC", "FOK", "GTD", "GTD", "DAY"]),
        "post_only": st.booleans(),
        "stp": st.sampled_from(MODES),
        "expire": TIMES,
    },
)
PLAIN_NEWS = st.fixed_dictionaries(
    {
        "op": st.just("new"),
        "id": st.uuids(version=4).map(str),
        "acct": st.sampled_from(ACCOUNTS),
        "side": st.sampled_from(["buy", "sell"]),
        "price": st.sampled_from([96, 98, 100, 102, 104]),
        "qty": st.sampled_from([2, 4, 6, 10, 20]),
    },
    optional={"stp": st.sampled_from(MODES), "tif": st.sampled_from(["GTC", "IOC", "FOK"])},
)
CHANGES = st.one_of(
    st.fixed_dictionaries({"op": st.just("cancel"), "id": IDS, "acct": st.sampled_from(ACCOUNTS)}),
    st.fixed_dictionaries({"op": st.just("reduce"), "id": IDS, "acct": st.sampled_from(ACCOUNTS), "by": QUANTITIES}),
    st.fixed_dictionaries(
        {"op": st.just("replace"), "id": IDS, "acct": st.sampled_from(ACCOUNTS), "price": PRICES, "qty": QUANTITIES}
    ),
)
TURNS = st.one_of(
    st.fixed_dictionaries({"op": st.just("clock"), "t": TIMES}),
    st.fixed_dictionaries({"op": st.sampled_from(["to_auction", "uncross"])}),
)
CLOSE = st.just({"op": "close"})
OPS = st.lists(st.one_of(NEWS, NEWS, PLAIN_NEWS, PLAIN_NEWS, CHANGES, CHANGES, TURNS), min_size=1, max_size=40)


class Crowd:
    """Operations without end from a seed, most of them such that something happens: what is live is known to it."""

    def __init__(self, rng, spread=6, closes=False):
        self.rng, self.spread, self.closes = rng, spread, closes
        self.count = 0
        self.clock = 0

    def next(self, book):
        rng = self.rng
        kind = rng.choices(
            ["new", "cancel", "reduce", "replace", "clock", "to_auction", "uncross", "withdraw", "close"],
            [60, 12, 6, 12, 4, 0.6, 2.4, 3, 0.01 if self.closes else 0],
        )[0]
        if kind in ("to_auction", "uncross", "close"):
            return {"op": kind}
        if kind == "clock":
            self.clock += rng.randrange(4)
            return {"op": "clock", "t": self.clock - (rng.random() < 0.1)}
        if kind == "new" or not book.orders:
            return self.order(book)
        order = self.some(book)
        if kind == "withdraw":
            return {"op": "withdraw", "id": order.id, "qty": rng.randint(1, order.open), "reason": "tokens_used"}
        owner = order.acct if rng.random() < 0.95 else rng.choice(ACCOUNTS)
        op = {"op": kind, "id": order.id, "acct": owner}
        if kind == "reduce":
            op["by"] = rng.randint(0, order.open + 2)
        if kind == "replace":
            op["price"] = order.price + rng.choice((0, 0, 0, -1, 1, -3, 3))
            op["qty"] = max(0, order.filled + order.open + rng.choice((0, -1, -3, 2, 9, -order.open)))
        return op

    def order(self, book):
        rng = self.rng
        self.count += 1
        fresh = rng.random() < 0.98 or not book.orders
        op = {
            "op": "new",
            "id": f"n{self.count}" if fresh else self.some(book).id,
            "acct": rng.choice(ACCOUNTS),
            "side": rng.choice(("buy", "sell")),
            "qty": rng.randint(1, 20),
            "stp": rng.choice(MODES),
        }
        behind = rng.randint(0, self.spread) if rng.random() < 0.75 else -rng.randint(0, 3)
        op["price"] = 100 - behind if op["side"] == "buy" else 101 + behind
        style = rng.random()
        if style < 0.08:
            op |= {"type": "market", "tif": rng.choice((None, "IOC", "FOK"))}
        elif style < 0.3:
            op["tif"] = rng.choice(("IOC", "FOK"))
        elif style < 0.5:
            op |= {"tif": "GTD", "expire": self.clock + rng.randint(0, 30)}
        elif style < 0.55:
            op["post_only"] = True
        return op

    def some(self, book):
        """One of the open orders: an old one, most often."""
        return list(islice(book.orders.values(), self.rng.randint(1, 30)))[-1]


# A book in full, and what must always hold


def picture(book):
    """All that a book holds, with every index of it: two books with one picture cannot be told apart."""
    return {
        "state": dump(book),
        "levels": {
            side: [(level.price, level.open, [order.id for order in chain(level)]) for level in book.side(side).levels()]
            for side in Side
        },
        "accounts": {acct: list(orders) for acct, orders in sorted(book.accounts.items())},
        "expiring": {expire: sorted(book.expiring[expire]) for expire in book.expiries},
        "best": (book.best_bid, book.best_ask),
    }


def chain(level):
    orders, order = [], level.head
    while order is not None:
        orders.append(order)
        order = order.behind
    return orders


def check(book):
    """Every index says the same, and the book does not cross while it trades continuously."""
    resting = []
    for side in Side:
        prices = []
        for level in book.side(side).levels():
            orders = chain(level)
            assert orders
            assert level.open == sum(order.open for order in orders)
            assert all(order.level is level and order.price == level.price and order.side == side for order in orders)
            assert all(one.place < other.place and other.ahead is one for one, other in pairwise(orders))
            assert (level.head, level.tail) == (orders[0], orders[-1])
            assert orders[0].ahead is None
            assert book.side(side).open_at(level.price) == level.open
            prices.append(level.price)
            resting += orders
        assert prices == sorted(prices, reverse=side == Side.BUY)
    assert {order.id for order in resting} == set(book.orders)
    assert len(resting) == len(book.orders)
    assert all(order.open > 0 and order.filled >= 0 for order in resting)
    assert all(one.arrival < other.arrival for one, other in pairwise(book.orders.values()))
    assert [order for orders in book.accounts.values() for order in orders.values()].__len__() == len(resting)
    assert all(order.acct == acct for acct, orders in book.accounts.items() for order in orders.values())
    assert {id(order) for at in book.expiring.values() for order in at.values()} == {
        id(order) for order in resting if order.expire is not None
    }
    assert list(book.expiries) == sorted(book.expiring)
    assert not book.ended.keys() & book.orders.keys()
    if book.phase == Phase.CONTINUOUS and book.best_bid is not None and book.best_ask is not None:
        assert book.best_bid < book.best_ask


class Tally:
    """Where every accepted token went, counted from events alone: filled, or still in the order's total."""

    def __init__(self):
        self.total, self.filled, self.side = {}, {}, {}
        self.bought = self.sold = 0

    def count(self, events):
        """Counts events and gives the ids that they touched."""
        touched = set()
        for event in events:
            if isinstance(event, Accepted):
                assert event.id not in self.total, "an id was accepted twice"
                self.total[event.id], self.filled[event.id], self.side[event.id] = event.qty, 0, event.side
            elif isinstance(event, Replaced):
                self.total[event.id] = event.qty
            elif isinstance(event, Reduced):
                self.total[event.id] -= event.by
            elif isinstance(event, Cancelled):
                self.total[event.id] -= event.qty
            elif isinstance(event, Filled | Crossed):
                for order in event[:2]:
                    self.filled[order] += event.qty
                    if self.side[order] == "buy":
                        self.bought += event.qty
                    else:
                        self.sold += event.qty
                touched.add(event[1])
            if hasattr(event, "id") or isinstance(event, Filled | Crossed):
                touched.add(event[0])
        return touched

    def check(self, book, touched):
        assert self.bought == self.sold
        for order_id in touched & self.total.keys():
            order = book.orders.get(order_id)
            assert self.total[order_id] == self.filled[order_id] + (order.open if order else 0), order_id
            assert order is None or order.filled == self.filled[order_id]


def book_of(config):
    config = dict(config)
    phase, ref = Phase(config.pop("phase", "continuous")), config.pop("ref", None)
    return Book(Config(**config), phase, ref)
