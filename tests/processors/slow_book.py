"""A small, slow, obviously right order book: one list, linear scans, every price on the grid tried. An oracle, for tests only.

It shares nothing with processors/orderbook but the form of the door's operations (and `withdraw`, which the door has not).
"""

from types import SimpleNamespace

INT64_MAX = 2**63 - 1


class SlowBook:
    def __init__(self, *, tick=1, lot=1, max_qty=INT64_MAX, pmin=1, pmax=INT64_MAX, ref=None, phase="continuous"):
        self.tick, self.lot, self.max_qty, self.pmin, self.pmax = tick, lot, max_qty, pmin, pmax
        self.ref, self.phase, self.now, self.closed = ref, phase, None, False
        self.live = []  # in the order of arrival
        self.used = set()
        self.places = 0
        self.trades, self.rejects, self.cancels = [], [], []

    # The book as a reader sees it

    def queue(self, side):
        """Resting orders of a side in priority order."""
        orders = [order for order in self.live if order.side == side]
        return sorted(orders, key=lambda order: (-order.price if side == "buy" else order.price, order.place))

    def answer(self):
        rows = {side: [[order.id, order.price, order.open] for order in self.queue(side)] for side in ("buy", "sell")}
        return {
            "trades": self.trades,
            "book": {"bids": rows["buy"], "asks": rows["sell"]},
            "rejects": self.rejects,
            "cancels": self.cancels,
        }

    # Operations

    def do(self, op):
        op = dict(op)
        getattr(self, "do_" + op.pop("op"))(**op)

    def do_new(self, *, id, acct, side, qty, price=None, type="limit", tif=None, post_only=False, stp="none", expire=None):  # noqa: A002  the door's names
        tif = tif or ("GTC" if type == "limit" else "IOC")
        refusals = [
            ("closed", self.closed),
            ("duplicate_id", id in self.used),
            ("invalid_qty", not self.is_qty(qty)),
            ("invalid_price", type == "limit" and not self.is_price(price)),
            ("invalid_tif", tif not in ("GTC", "IOC", "FOK", "GTD")),
            ("invalid_tif", type == "market" and tif not in ("IOC", "FOK")),
            ("invalid_tif", post_only and (type == "market" or tif in ("IOC", "FOK"))),
            ("invalid_tif", tif == "GTD" and expire is None),
            ("already_expired", tif == "GTD" and expire is not None and self.now is not None and expire <= self.now),
            ("not_in_auction", self.phase == "auction" and (type == "market" or tif in ("IOC", "FOK") or post_only)),
        ]
        for reason, refused in refusals:
            if refused:
                self.rejects.append([id, reason])
                return
        order = SimpleNamespace(
            id=id, acct=acct, side=side, price=price if type == "limit" else None, open=qty, filled=0, post_only=post_only, stp=stp
        )
        order.expire = expire if tif == "GTD" else None
        if self.phase == "continuous":
            if post_only and self.reachable(order):
                self.rejects.append([id, "post_only_would_cross"])
                return
            if tif == "FOK" and not self.would_fill(order):
                self.rejects.append([id, "fok_not_fillable"])
                return
        self.used.add(id)
        if self.phase == "continuous":
            self.trade(order)
        if order.open and tif in ("IOC", "FOK"):
            self.cancels.append([id, order.open, "unfilled"])
        elif order.open:
            self.live.append(order)
            self.to_the_back(order)

    def do_cancel(self, id, acct):  # noqa: A002  the door's names
        if order := self.owned(id, acct):
            self.remove(order, "user")

    def do_reduce(self, id, acct, by):  # noqa: A002  the door's names
        if not (order := self.owned(id, acct)):
            return
        if not self.is_whole(by):
            self.rejects.append([id, "invalid_qty"])
        elif by >= order.open:
            self.remove(order, "user")
        else:
            order.open -= by

    def do_replace(self, id, acct, price, qty):  # noqa: A002  the door's names
        if not (order := self.owned(id, acct)):
            return
        moved = SimpleNamespace(**{**vars(order), "price": price, "open": qty - order.filled if self.is_qty(qty) else 0})
        if not self.is_qty(qty):
            self.rejects.append([id, "invalid_qty"])
        elif not self.is_price(price):
            self.rejects.append([id, "invalid_price"])
        elif moved.open <= 0:
            self.remove(order, "user")
        elif price == order.price and moved.open <= order.open:
            order.open = moved.open
        elif self.phase == "continuous" and order.post_only and self.reachable(moved):
            self.rejects.append([id, "post_only_would_cross"])
        else:
            order.price, order.open = price, moved.open
            self.to_the_back(order)
            if self.phase == "continuous":
                self.trade(order)

    def do_withdraw(self, id, qty, reason):  # noqa: A002  the engine's names
        [order] = [order for order in self.live if order.id == id]
        order.open -= qty
        self.cancels.append([id, qty, reason])
        self.sweep_out_empty()

    def do_clock(self, t):
        if self.closed or (self.now is not None and t < self.now):
            return
        self.now = t
        due = [order for order in self.live if order.expire is not None and order.expire <= t]
        for order in sorted(due, key=lambda order: (order.expire, order.place)):
            self.remove(order, "expired")

    def do_to_auction(self):
        if not self.closed:
            self.phase = "auction"

    def do_uncross(self):
        if self.closed or self.phase != "auction":
            return
        self.phase = "continuous"
        price = self.auction_price()
        if price is None:
            return
        self.ref = price
        while True:
            buys = [order for order in self.queue("buy") if order.price >= price]
            sells = [order for order in self.queue("sell") if order.price <= price]
            if not buys or not sells:
                return
            qty = min(buys[0].open, sells[0].open)
            self.trades.append({"buy": buys[0].id, "sell": sells[0].id, "price": price, "qty": qty})
            self.fill(buys[0], qty)
            self.fill(sells[0], qty)
            self.sweep_out_empty()

    def do_close(self):
        for order in list(self.live):
            self.remove(order, "period_closed")
        self.closed = True

    # Rules

    def is_whole(self, qty):
        return type(qty) is int and qty > 0 and qty % self.lot == 0

    def is_qty(self, qty):
        return self.is_whole(qty) and qty <= self.max_qty

    def is_price(self, price):
        return type(price) is int and price % self.tick == 0 and self.pmin <= price <= self.pmax

    def owned(self, id, acct):  # noqa: A002  the door's names
        found = [order for order in self.live if order.id == id]
        if self.closed:
            self.rejects.append([id, "closed"])
        elif not found:
            self.rejects.append([id, "unknown_order"])
        elif found[0].acct != acct:
            self.rejects.append([id, "not_owner"])
        else:
            return found[0]
        return None

    def reachable(self, order):
        """Orders of the other side that are within the order's limit, in priority order."""
        if order.side == "buy":
            return [other for other in self.queue("sell") if order.price is None or other.price <= order.price]
        return [other for other in self.queue("buy") if order.price is None or other.price >= order.price]

    def would_fill(self, order):
        """Whether all of it would trade: looked up by trading on a copy of the world."""
        world = SlowBook()
        world.live = [SimpleNamespace(**vars(other)) for other in self.live]
        copy = SimpleNamespace(**vars(order))
        world.trade(copy)
        return copy.filled == order.open

    def trade(self, order):
        while order.open and (others := [other for other in self.reachable(order) if other is not order]):
            maker = others[0]
            if maker.acct == order.acct and order.stp != "none":
                self.prevent(maker, order)
            else:
                qty = min(order.open, maker.open)
                self.trades.append({"maker": maker.id, "taker": order.id, "price": maker.price, "qty": qty})
                self.fill(maker, qty)
                self.fill(order, qty)
            self.sweep_out_empty()

    def prevent(self, maker, taker):
        smaller = min(maker.open, taker.open)
        off = {
            "cancel_taker": [(taker, taker.open)],
            "cancel_maker": [(maker, maker.open)],
            "cancel_both": [(maker, maker.open), (taker, taker.open)],
            "decrement": [(maker, smaller), (taker, smaller)],
        }
        for order, qty in off[taker.stp]:
            order.open -= qty
            self.cancels.append([order.id, qty, "self_trade"])

    def auction_price(self):
        prices = [order.price for order in self.live]
        if not prices:
            return None
        found = []
        for price in range(min(prices), max(prices) + 1, self.tick):
            demand = sum(order.open for order in self.live if order.side == "buy" and order.price >= price)
            supply = sum(order.open for order in self.live if order.side == "sell" and order.price <= price)
            found.append((price, min(demand, supply), demand - supply))
        most = max(volume for _, volume, _ in found)
        if not most:
            return None
        found = [row for row in found if row[1] == most]
        least = min(abs(surplus) for _, _, surplus in found)
        found = [row for row in found if abs(row[2]) == least]
        tied = [price for price, _, _ in found]
        if all(surplus > 0 for _, _, surplus in found):
            return max(tied)
        if all(surplus < 0 for _, _, surplus in found):
            return min(tied)
        wanted = self.ref if self.ref is not None else (min(tied) + max(tied)) // 2
        on_grid = [price for price in tied if price <= wanted]
        return max(on_grid) if on_grid else min(tied)

    # Bookkeeping

    def to_the_back(self, order):
        self.places += 1
        order.place = self.places

    def fill(self, order, qty):
        order.open -= qty
        order.filled += qty

    def remove(self, order, reason):
        self.cancels.append([order.id, order.open, reason])
        self.live = [other for other in self.live if other is not order]

    def sweep_out_empty(self):
        self.live = [order for order in self.live if order.open]
