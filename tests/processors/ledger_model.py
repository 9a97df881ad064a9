"""A model of the ledger that adds up, and rows to try on both."""

from fractions import Fraction

from hypothesis import strategies as st
from ledger_world import ANN, BEN, CAT

from processors.ledger import PostingRow, Status
from schemas.ledgering import MONEY, Code

ASSETS = (MONEY, 3, 4)
OWNERS = (ANN, BEN, CAT, "operator", "escrow/3", "bank", "pool", "billed/ann")
KEYS = ("k1", "k2", "k3", "k4")
MAY_BE_OVERDRAWN = {"bank", "pool", "billed/ann"}


class Model:
    """All rows that were recorded. Everything is summed up from them, each time anew."""

    def __init__(self, rows=()):
        self.rows = list(rows)

    def balance(self, asset, owner):
        moved = [row for row in self.rows if row.entry in {"post", "capture"} and row.asset == asset]
        return sum(Fraction(row.amount) for row in moved if row.credit == owner) - sum(
            Fraction(row.amount) for row in moved if row.debit == owner
        )

    def lives(self, key):
        """The rows of the hold as it lives now: since it was last used up."""
        rows, left = [], Fraction(0)
        for row in self.rows:
            if row.hold == key and row.entry != "post":
                left += row.amount if row.entry == "hold" else -row.amount
                rows = [*rows, row] if left else []
        return rows

    def left(self, key):
        return sum(Fraction(row.amount) * (1 if row.entry == "hold" else -1) for row in self.lives(key))

    def held_keys(self):
        return {row.hold for row in self.rows if row.entry != "post"}

    def held(self, asset, owner):
        return sum(self.left(key) for key in self.held_keys() if self.left(key) and self.lives(key)[0][2:5:2] == (asset, owner))

    def refuses(self, row):
        """Why one more row may not be; the order of reasons is the ledger's to say (the table above), so a set of them."""
        reasons = {
            Status.ACCOUNTS_EQUAL: row.debit == row.credit,
            Status.AMOUNT_NOT_POSITIVE: row.amount < 1,
            Status.EXCEEDS_INT64: row.amount > 2**63 - 1,
            **(self.refuses_post(row) if row.entry == "post" else self.refuses_hold(row)),
        }
        if not any(reasons.values()):
            after = Model([*self.rows, row])
            spent = after.balance(row.asset, row.debit) < after.held(row.asset, row.debit)
            reasons[Status.INSUFFICIENT_FUNDS] = spent and row.debit not in MAY_BE_OVERDRAWN
            too_much = after.balance(row.asset, row.credit) > 2**63 - 1
            reasons[Status.EXCEEDS_INT64] = too_much and row.credit not in {*MAY_BE_OVERDRAWN, "operator"}
        return {status for status, holds in reasons.items() if holds}

    def refuses_post(self, row):
        posts = {each.hold for each in self.rows if each.entry == "post"}
        return {Status.EXISTS: row.hold != "" and row.hold in posts}

    def refuses_hold(self, row):
        life = self.lives(row.hold)
        return {
            Status.HOLD_EXISTS_ELSEWHERE: bool(life) and life[0][2:5:2] != (row.asset, row.debit),
            Status.HOLD_UNKNOWN: row.entry != "hold" and not life,
            Status.HOLD_EXCEEDED: row.entry != "hold" and bool(life) and row.amount > self.left(row.hold),
        }

    def judge(self, rows):
        """Reasons for which the first refused row is, and the model with all rows if none is."""
        grown = Model(self.rows)
        for row in rows:
            reasons = grown.refuses(row)
            if reasons:
                return reasons, None
            grown.rows.append(row)
        return set(), grown


@st.composite
def posting_rows(draw):
    """A row that could be one; most are near the edge of what is allowed."""
    entry = draw(st.sampled_from(("post", "post", "hold", "capture", "void")))
    asset = draw(st.sampled_from(ASSETS))
    debit = draw(st.sampled_from(OWNERS))
    credit = draw(st.sampled_from(OWNERS)) if entry in {"post", "capture"} else ""
    key = draw(st.sampled_from(KEYS)) if entry != "post" else draw(st.sampled_from(("", "", "", "p1", "p2", "k1")))
    amount = draw(st.one_of(st.integers(1, 9), st.integers(-1, 40), st.sampled_from((2**62, 2**63 - 1, 2**63))))
    return PostingRow(entry, draw(st.sampled_from(list(Code))), asset, key, debit, credit, amount)
