"""Builders of postings, and a random market: orders, trades, transfers and offers with the postings that they need.

It has no book: any open buy may trade with any open sell. What it shares with the product is the ledger alone, whose answer decides
what happens; what an auditor must be told about it stands in `lines`.
"""

import random
from dataclasses import dataclass

from processors.audit_lines import Checkpoint, OfferLine, OrderLine, PostingLine
from processors.ledger import Ledger, PostingRow, Status, dump, judge, record
from schemas.ledgering import MONEY, Code, Entry

ANN, BEN, CAT = "tenant/ann", "tenant/ben", "tenant/cat"
TENANTS = (ANN, BEN, CAT, "tenant/dan", "tenant/eve", "tenant/fay", "operator")
FEE_BP = 37


def post(debit, credit, amount, *, asset=MONEY, key="", code=Code.TRADE):
    return PostingRow(Entry.POST, code, asset, key, debit, credit, amount)


def hold(key, owner, amount, *, asset=MONEY, code=Code.ORDER):
    return PostingRow(Entry.HOLD, code, asset, key, owner, "", amount)


def capture(key, owner, credit, amount, *, asset=MONEY, code=Code.TRADE):
    return PostingRow(Entry.CAPTURE, code, asset, key, owner, credit, amount)


def void(key, owner, amount, *, asset=MONEY, code=Code.ORDER):
    return PostingRow(Entry.VOID, code, asset, key, owner, "", amount)


def with_fee(notional):
    return notional + notional * FEE_BP // 10_000


@dataclass
class Order:
    key: str
    owner: str
    period: int
    side: str
    price: int
    open: int

    def bound(self):
        """(asset, amount) that it must hold."""
        return (MONEY, with_fee(self.price * self.open)) if self.side == "buy" else (self.period, self.open)

    def line(self, event, qty):
        return OrderLine(event, self.key, self.owner, self.period, self.side, self.price, qty, self.open, FEE_BP)


class Market:
    """Each step is a journal record: an action that the ledger allowed, or one that it refused and that left nothing."""

    def __init__(self, seed, *, lines=True):
        self.rng = random.Random(seed)
        self.ledger = Ledger()
        self.orders = {}
        self.offers = {}
        self.statuses = dict.fromkeys(Status, 0)
        self.lines = [] if lines else None
        self.number = 0
        for owner in TENANTS[:-1]:
            self._do([post("bank", owner, 5_000_000, code=Code.DEPOSIT)])
            self._do([post("pool", owner, 500, asset=period, code=Code.GRANT) for period in (1, 2)])

    ACTIONS = (
        "pay",
        "give",
        "transfer",
        "order",
        "order",
        "trade",
        "trade",
        "reduce",
        "cancel",
        "replace",
        "offer",
        "accept",
        "misuse",
    )

    def step(self):
        """One random action; whether the ledger took it."""
        self.number += 1
        return getattr(self, "_" + self.rng.choice(self.ACTIONS))()

    def checkpoint(self, *, declared=True):
        state = dump(self.ledger)
        self.lines.append((self.number, Checkpoint(balances=state.accounts, holds=state.holds) if declared else Checkpoint()))

    def _do(self, rows, *events):
        """Judges, records, and tells the auditor."""
        status = judge(self.ledger, rows)
        self.statuses[status] += 1
        if status is not Status.OK:
            return False
        record(self.ledger, rows)
        if self.lines is not None:
            self.lines += [(self.number, event) for event in events]
            self.lines += [(self.number, PostingLine(*row)) for row in rows]
        return True

    def _pay(self):
        owner, amount = self.rng.choice(TENANTS[:-1]), self.rng.randint(1, 300_000)
        key = f"deposit {self.rng.randrange(self.number)}"
        if self.rng.random() < 0.5:
            return self._do([post("bank", owner, amount, key=key, code=Code.DEPOSIT)])
        return self._do([post(owner, "bank", amount, key=key, code=Code.WITHDRAWAL)])

    def _give(self):
        owner, period, amount = self.rng.choice(TENANTS), self.rng.randint(1, 3), self.rng.randint(1, 200)
        if self.rng.random() < 0.6:
            return self._do([post("pool", owner, amount, asset=period, code=Code.GRANT)])
        return self._do([post(owner, "pool", amount, asset=period, code=Code.RETURN)])

    def _transfer(self):
        giver, taker = self.rng.sample(TENANTS, 2)
        amount = self.rng.randint(1, 200)
        legs = [post(giver, taker, amount, asset=self.rng.choice((MONEY, 1, 2)), key=f"leg {self.number}", code=Code.TRANSFER)]
        if self.rng.random() < 0.5:
            legs.append(post(taker, giver, 2 * amount, asset=3, code=Code.TRANSFER))
        return self._do(legs)

    def _order(self):
        side = self.rng.choice(("buy", "sell"))
        owner = self.rng.choice(TENANTS)
        qty = self.rng.randint(1, 120)
        order = Order(f"order {self.number}", owner, self.rng.randint(1, 3), side, self.rng.randint(1, 5000), qty)
        asset, amount = order.bound()
        if self._do([hold(order.key, owner, amount, asset=asset)], order.line("accepted", qty), order.line("rested", 0)):
            self.orders[order.key] = order
            return True
        return False

    def _pick(self):
        return self.orders[self.rng.choice(list(self.orders))] if self.orders else None

    def _shrink(self, order, by):
        """Tokens of an order are no longer open: the rows that void what they bound, less what was captured."""
        asset, before = order.bound()
        order.open -= by
        if not order.open:
            del self.orders[order.key]
        return asset, before - order.bound()[1]

    def _trade(self):
        buys = [each for each in self.orders.values() if each.side == "buy"]
        sells = [each for each in self.orders.values() if each.side == "sell"]
        pairs = [
            (buy, sell) for buy in buys[-5:] for sell in sells[-5:] if (buy.period, 1) == (sell.period, buy.owner != sell.owner)
        ]
        if not pairs:
            return False
        buy, sell = self.rng.choice(pairs)
        qty = self.rng.choice((min(buy.open, sell.open), 1))
        notional = qty * self.rng.randint(max(1, buy.price // 2), buy.price)
        fee = with_fee(notional) - notional
        _, freed = self._shrink(buy, qty)
        self._shrink(sell, qty)
        rows = [capture(buy.key, buy.owner, sell.owner, notional)]
        if fee and buy.owner != "operator":
            rows.append(capture(buy.key, buy.owner, "operator", fee, code=Code.FEE))
        else:
            fee = 0
        if freed > notional + fee:
            rows.append(void(buy.key, buy.owner, freed - notional - fee))
        rows.append(capture(sell.key, sell.owner, buy.owner, qty, asset=sell.period))
        assert self._do(rows, buy.line("filled", qty), sell.line("filled", qty)), "what is held suffices for a trade"
        return True

    def _reduce(self):
        return self._end("reduced", whole=False)

    def _cancel(self):
        return self._end("cancelled", whole=True)

    def _end(self, event, *, whole):
        order = self._pick()
        if order is None:
            return False
        by = order.open if whole else self.rng.randint(1, order.open)
        asset, freed = self._shrink(order, by)
        return self._do([void(order.key, order.owner, freed, asset=asset)], order.line(event, by))

    def _replace(self):
        order = self._pick()
        if order is None:
            return False
        asset, before = order.bound()
        changed = Order(order.key, order.owner, order.period, order.side, self.rng.randint(1, 5000), self.rng.randint(1, 120))
        more = changed.bound()[1] - before
        if more > 0:
            rows = [hold(order.key, order.owner, more, asset=asset)]
        else:
            rows = [void(order.key, order.owner, -more, asset=asset)] if more else []
        if self._do(rows, changed.line("replaced", changed.open)):
            self.orders[order.key] = changed
            return True
        return False

    def _offer(self):
        owner, amount = self.rng.choice(TENANTS), self.rng.randint(1, 100)
        key, asset = f"offer {self.number}", self.rng.choice((MONEY, 1, 2))
        if self._do([hold(key, owner, amount, asset=asset, code=Code.TRANSFER)], OfferLine(key, owner, asset, amount)):
            self.offers[key] = (owner, asset, amount)
            return True
        return False

    def _accept(self):
        """Both legs or neither; else the offer is taken back."""
        if not self.offers:
            return False
        key = self.rng.choice(list(self.offers))
        owner, asset, amount = self.offers[key]
        other = self.rng.choice([each for each in TENANTS if each != owner])
        over = OfferLine(key, owner, asset, 0)
        legs = [
            capture(key, owner, other, amount, asset=asset, code=Code.TRANSFER),
            post(other, owner, 5, asset=3, code=Code.TRANSFER),
        ]
        if self._do(legs, over) or self._do([void(key, owner, amount, asset=asset, code=Code.TRANSFER)], over):
            del self.offers[key]
        return True

    def _misuse(self):
        """What no ledger allows."""
        owner, other = self.rng.sample(TENANTS, 2)
        order = self._pick()
        rows = [
            [post(owner, other, 10**9, code=Code.TRANSFER)],
            [post(owner, other, 1, code=Code.TRANSFER), post(owner, other, 10**9, asset=2, code=Code.TRANSFER)],
            [capture("nothing", owner, other, 5)],
            [hold(f"order {self.number}", owner, 10**9)],
            [post(owner, other, 0)],
        ]
        if order is not None:
            asset, bound = order.bound()
            rows.append([void(order.key, order.owner, bound + 1, asset=asset)])
            rows.append([hold(order.key, order.owner, 1, asset=9)])
        assert not self._do(self.rng.choice(rows)), "the ledger took what it must not"
        return False


def placed(lines):
    """The lines as facts carry them: each kind of line of a journal record is a fact, and knows its row in it."""
    told, last, fact, row = [], None, 0, 0
    for number, line in lines:
        if last is not None and last == (number, type(line)):
            row += 1
        else:
            fact, row = (fact + 1 if last is not None and last[0] == number else 0), 0
        last = (number, type(line))
        told.append(line._replace(at=(number, fact, row)))
    return told


def bare(lines):
    """The lines without their places."""
    return [line for _, line in lines]


def line(row, at=None):
    return PostingLine(*row, at)
