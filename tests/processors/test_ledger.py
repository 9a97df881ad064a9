"""The ledger: a table of status codes, a model that adds all rows up again each time, linked rows, dumps, conservation."""

import json
import os
from dataclasses import asdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from ledger_model import ASSETS, OWNERS, Model, posting_rows
from ledger_world import ANN, BEN, CAT, Market, capture, hold, post, void

from processors import ledger as ledger_module
from processors.ledger import (
    INT64_MAX,
    BrokenLedgerError,
    Ledger,
    LedgerDump,
    PostingRow,
    Status,
    dump,
    judge,
    load,
    record,
    record_bills,
)
from schemas.ledgering import MONEY, Code


def started():
    """ann has 100 nanocredits, 30 of them held by `h`, and 10 tokens of period 5; a post `seen` was recorded."""
    ledger = Ledger()
    record(ledger, [post("bank", ANN, 100, key="seen", code=Code.DEPOSIT), post("pool", ANN, 10, asset=5, code=Code.GRANT)])
    record(ledger, [hold("h", ANN, 30)])
    return ledger


@pytest.mark.parametrize(
    ("rows", "status"),
    [
        ([], Status.OK),
        ([post(ANN, BEN, 70)], Status.OK),
        ([post(ANN, BEN, 71)], Status.INSUFFICIENT_FUNDS),
        ([post(BEN, ANN, 1)], Status.INSUFFICIENT_FUNDS),
        ([post(ANN, BEN, 10, asset=5)], Status.OK),
        ([post(ANN, BEN, 11, asset=5)], Status.INSUFFICIENT_FUNDS),
        ([post(ANN, BEN, 1, asset=6)], Status.INSUFFICIENT_FUNDS),
        ([post("operator", ANN, 1)], Status.INSUFFICIENT_FUNDS),
        ([post("escrow/5", ANN, 1)], Status.INSUFFICIENT_FUNDS),
        ([post("bank", BEN, 5), post("pool", BEN, 5, asset=9), post("billed/ann", "operator", 5)], Status.OK),
        ([post("bank", BEN, 5), post(BEN, CAT, 5), post(CAT, "bank", 5)], Status.OK),
        ([post(BEN, CAT, 5), post("bank", BEN, 5)], Status.INSUFFICIENT_FUNDS),
        ([post(ANN, BEN, 0)], Status.AMOUNT_NOT_POSITIVE),
        ([post(ANN, BEN, -1)], Status.AMOUNT_NOT_POSITIVE),
        ([post("bank", BEN, INT64_MAX)], Status.OK),
        ([post("bank", BEN, INT64_MAX + 1)], Status.EXCEEDS_INT64),
        ([post("bank", BEN, INT64_MAX), post(ANN, BEN, 1)], Status.EXCEEDS_INT64),
        ([post("bank", "escrow/5", INT64_MAX), post(ANN, "escrow/5", 1)], Status.EXCEEDS_INT64),
        ([post("billed/ann", "operator", INT64_MAX), post("billed/ben", "operator", INT64_MAX)], Status.OK),
        ([post("billed/ann", "operator", INT64_MAX), post("billed/ann", "operator", INT64_MAX)], Status.OK),
        ([post(ANN, ANN, 5)], Status.ACCOUNTS_EQUAL),
        ([capture("h", ANN, ANN, 5)], Status.ACCOUNTS_EQUAL),
        ([post("bank", BEN, 5, key="seen")], Status.EXISTS),
        ([post("bank", BEN, 5, key="new")], Status.OK),
        ([post("bank", BEN, 5, key="new"), post("bank", CAT, 5, key="new")], Status.EXISTS),
        ([post("bank", BEN, 5, key="h")], Status.OK),
        ([hold("k", ANN, 70)], Status.OK),
        ([hold("k", ANN, 71)], Status.INSUFFICIENT_FUNDS),
        ([hold("k", "bank", 71)], Status.OK),
        ([hold("h", ANN, 70)], Status.OK),
        ([hold("h", ANN, 71)], Status.INSUFFICIENT_FUNDS),
        ([hold("h", BEN, 1)], Status.HOLD_EXISTS_ELSEWHERE),
        ([hold("h", ANN, 1, asset=5)], Status.HOLD_EXISTS_ELSEWHERE),
        ([void("h", ANN, 30), hold("h", ANN, 10, asset=5)], Status.OK),
        ([capture("h", ANN, BEN, 30)], Status.OK),
        ([capture("h", ANN, BEN, 31)], Status.HOLD_EXCEEDED),
        ([capture("h", ANN, BEN, 20), capture("h", ANN, "operator", 10)], Status.OK),
        ([capture("h", ANN, BEN, 20), capture("h", ANN, "operator", 11)], Status.HOLD_EXCEEDED),
        ([capture("h", ANN, BEN, 30), capture("h", ANN, "operator", 1)], Status.HOLD_UNKNOWN),
        ([capture("h", BEN, ANN, 1)], Status.HOLD_EXISTS_ELSEWHERE),
        ([capture("h", ANN, BEN, 1, asset=5)], Status.HOLD_EXISTS_ELSEWHERE),
        ([capture("k", ANN, BEN, 1)], Status.HOLD_UNKNOWN),
        ([capture("seen", ANN, BEN, 1)], Status.HOLD_UNKNOWN),
        ([void("h", ANN, 30)], Status.OK),
        ([void("h", ANN, 31)], Status.HOLD_EXCEEDED),
        ([void("h", ANN, 30), void("h", ANN, 1)], Status.HOLD_UNKNOWN),
        ([void("h", BEN, 1)], Status.HOLD_EXISTS_ELSEWHERE),
        ([void("k", ANN, 1)], Status.HOLD_UNKNOWN),
        ([void("h", ANN, 0)], Status.AMOUNT_NOT_POSITIVE),
        ([void("h", ANN, 30), post(ANN, BEN, 100)], Status.OK),
        ([post(ANN, BEN, 100), void("h", ANN, 30)], Status.INSUFFICIENT_FUNDS),
        ([hold("k", ANN, 70), capture("k", ANN, BEN, 60), void("k", ANN, 10), post(ANN, BEN, 10)], Status.OK),
        ([hold("k", ANN, 70), capture("k", ANN, BEN, 60), void("k", ANN, 10), post(ANN, BEN, 11)], Status.INSUFFICIENT_FUNDS),
        ([post("", BEN, 1)], Status.MALFORMED),
        ([post("bank", "", 1)], Status.MALFORMED),
        ([post("bank", BEN, 1, asset=-2)], Status.MALFORMED),
        ([post("bank", BEN, 1)._replace(entry="take")], Status.MALFORMED),
        ([hold("k", ANN, 1)._replace(entry="take")], Status.MALFORMED),
        ([hold("", ANN, 1)], Status.MALFORMED),
        ([hold("k", "", 1)], Status.MALFORMED),
        ([hold("k", ANN, 1)._replace(credit=BEN)], Status.MALFORMED),
        ([void("h", ANN, 1)._replace(credit=BEN)], Status.MALFORMED),
        ([capture("h", ANN, "", 1)], Status.MALFORMED),
        ([capture("", ANN, BEN, 1)], Status.MALFORMED),
        ([post(ANN, BEN, 1)._replace(entry="post", code="trade")], Status.OK),
        ([tuple(post(ANN, BEN, 1))], Status.OK),
        ([post(ANN, BEN, 1), post(ANN, "", 0), post(ANN, ANN, 1)], Status.MALFORMED),
    ],
)
def test_every_row_has_a_status_and_all_rows_are_recorded_or_none(rows, status):
    ledger = started()
    before = dump(ledger)
    assert judge(ledger, rows) is status
    assert dump(ledger) == before, "judging changed something"
    if status is Status.OK:
        record(ledger, rows)
        load(dump(ledger))  # refuses a ledger that does not balance or is overdrawn
    else:
        with pytest.raises(BrokenLedgerError, match=f": {status}: PostingRow"):
            record(ledger, rows)
        assert dump(ledger) == before, "a refused row left something behind"


def test_the_first_refused_row_is_named():
    with pytest.raises(BrokenLedgerError, match=r"^row 1: insufficient_funds: .*debit='tenant/ben'.*amount=6\)"):
        record(started(), [post(ANN, BEN, 5), post(BEN, CAT, 6), post(ANN, ANN, 1)])


def test_what_is_available_is_the_balance_less_the_holds():
    ledger = started()
    record(ledger, [hold("k", ANN, 5), hold("k", ANN, 6), capture("k", ANN, BEN, 4)])
    assert (ledger.balance(MONEY, ANN), ledger.held(MONEY, ANN), ledger.available(MONEY, ANN)) == (96, 37, 59)
    assert (ledger.balance(MONEY, BEN), ledger.held(MONEY, BEN), ledger.available(MONEY, BEN)) == (4, 0, 4)
    assert ledger.holds == {"h": ((MONEY, ANN), 30), "k": ((MONEY, ANN), 7)}
    assert (ledger.balance(7, ANN), ledger.held(7, ANN), ledger.available(7, ANN)) == (0, 0, 0)
    assert ledger.balance(MONEY, "bank") == ledger.available(MONEY, "bank") == -100


def test_what_is_over_leaves_nothing_behind():
    ledger = started()
    record(ledger, [capture("h", ANN, BEN, 30), post(ANN, "bank", 70), post(BEN, "bank", 30), post(ANN, "pool", 10, asset=5)])
    assert dump(ledger) == LedgerDump(accounts=[], holds=[], seen=dump(started()).seen)


BILLED = st.sampled_from(["billed/ann", "billed/ben", "billed/cat"])


@given(
    st.lists(st.tuples(BILLED, st.integers(1, 9)), min_size=1, max_size=6),
    st.lists(st.tuples(BILLED, st.integers(1, 9)), max_size=3),
)
def test_bills_are_recorded_as_the_same_posts_are(bills, before):
    """Also where accounts come to zero and go on, and where they are new: the order of accounts is part of the state."""
    one, other = started(), started()
    for ledger in (one, other):
        record(ledger, [post("bank", debtor, amount) for debtor, amount in before])
    record(one, [post(debtor, "operator", amount) for debtor, amount in bills])
    record_bills(other, *zip(*bills, strict=True))
    assert dump(one) == dump(other)


@pytest.mark.parametrize("bill", [("billed/ann", 0), ("billed/ann", 2**63), (ANN, 1), ("operator", 1), ("", 1)])
def test_a_wrong_bill_is_refused_and_leaves_nothing_behind(bill):
    ledger = started()
    before = dump(ledger)
    with pytest.raises(BrokenLedgerError, match="bills"):
        record_bills(ledger, *zip(("billed/ben", 1), bill, strict=True))
    assert dump(ledger) == before


def test_the_newest_ids_are_remembered(monkeypatch):
    monkeypatch.setattr(ledger_module, "SEEN_IDS", 3)
    ledger = Ledger()
    for key in "abcd":
        record(ledger, [post("bank", ANN, 1, key=key)])
    assert [ledger.posted(key) for key in "abcd"] == [False, True, True, True]
    again = {key: judge(ledger, [post("bank", ANN, 1, key=key)]) for key in "abcd"}
    assert again == {"a": Status.OK, "b": Status.EXISTS, "c": Status.EXISTS, "d": Status.EXISTS}
    restored = load(dump(ledger))
    record(restored, [post("bank", ANN, 1, key="e")])
    assert judge(restored, [post("bank", ANN, 1, key="b")]) is Status.OK
    assert judge(restored, [post("bank", ANN, 1, key="c")]) is Status.EXISTS


def test_a_million_holds_name_their_owner_once():
    """Memory: rows come with strings of their own, of which one for each account is kept."""
    ledger = started()
    for number in range(20):
        record(ledger, [hold(f"order {number}", "TENANT/ANN".lower(), 1)])
    assert len({id(account[1]) for account, _ in ledger.holds.values()}) == 1


@pytest.mark.parametrize(
    ("accounts", "holds", "message"),
    [
        ([(MONEY, ANN, 5), (MONEY, ANN, 5), (MONEY, "bank", -10)], [], "tenant/ann stands twice in asset -1"),
        ([(MONEY, ANN, 5), (MONEY, "bank", -6)], [], "do not sum to zero, by asset: {-1: -1}"),
        ([(MONEY, ANN, 5), (3, "pool", -5)], [], "do not sum to zero, by asset: {-1: 5, 3: -5}"),
        ([(MONEY, ANN, -5), (MONEY, "bank", 5)], [], "tenant/ann stands at -5 of asset -1 with 0 held"),
        ([(MONEY, ANN, 0)], [], "tenant/ann stands at 0 of asset -1 with 0 held"),
        ([(MONEY, ANN, 5), (MONEY, "bank", -5)], [("h", MONEY, ANN, 6)], "tenant/ann stands at 5 of asset -1 with 6 held"),
        ([(MONEY, ANN, 5), (MONEY, "bank", -5)], [("h", MONEY, ANN, 0)], "hold 'h' of 0 on tenant/ann"),
        ([(MONEY, ANN, 5), (MONEY, "bank", -5)], [("h", MONEY, BEN, 1)], "hold 'h' of 1 on tenant/ben"),
        ([(MONEY, ANN, 5), (MONEY, "bank", -5)], [("h", MONEY, ANN, 1), ("h", MONEY, ANN, 1)], "hold 'h' of 1 on tenant/ann"),
    ],
)
def test_a_broken_snapshot_is_refused(accounts, holds, message):
    with pytest.raises(BrokenLedgerError) as raised:
        load(LedgerDump(accounts, holds, []))
    assert message in str(raised.value)


class LedgerAgainstModel(RuleBasedStateMachine):
    """What the ledger says of random rows is what adding up all recorded rows says."""

    @initialize()
    def start(self):
        self.ledger, self.model = Ledger(), Model()
        self._record([post("bank", owner, 50) for owner in (ANN, BEN)] + [post("pool", ANN, 30, asset=3)])

    def _record(self, rows):
        reasons, grown = self.model.judge(rows)
        status = judge(self.ledger, rows)
        if grown is None:
            assert status in reasons, f"{status} of {rows}, should be one of {reasons}"
            with pytest.raises(BrokenLedgerError):
                record(self.ledger, rows)
        else:
            assert status is Status.OK, rows
            record(self.ledger, rows)
            self.model = grown

    @rule(row=posting_rows())
    def one_row(self, row):
        self._record([row])

    @rule(rows=st.lists(posting_rows(), min_size=2, max_size=4))
    def linked_rows(self, rows):
        self._record(rows)

    @rule(data=st.data(), part=st.sampled_from(("all", "some", "more")), entry=st.sampled_from(("capture", "void")))
    def of_a_hold(self, data, part, entry):
        """Rows that fit a hold: random ones seldom do."""
        if not self.ledger.holds:
            return
        key = data.draw(st.sampled_from(sorted(self.ledger.holds)))
        (asset, owner), left = self.ledger.holds[key]
        amount = {"all": left, "some": (left + 1) // 2, "more": left + 1}[part]
        self._record([PostingRow(entry, Code.TRADE, asset, key, owner, CAT if entry == "capture" else "", amount)])

    @rule()
    def restart(self):
        self.ledger = through_json(self.ledger)

    @invariant()
    def agrees(self):
        if not hasattr(self, "model"):
            return
        for asset in ASSETS:
            for owner in OWNERS:
                assert self.ledger.balance(asset, owner) == self.model.balance(asset, owner)
                assert self.ledger.held(asset, owner) == self.model.held(asset, owner)
        assert {key: left for key, (_, left) in self.ledger.holds.items()} == {
            key: self.model.left(key) for key in self.model.held_keys() if self.model.left(key)
        }


def through_json(ledger):
    """What a restart makes of a ledger: its dump as JSON, read back."""
    return load(LedgerDump(**json.loads(json.dumps(asdict(dump(ledger))))))


TestLedgerAgainstModel = LedgerAgainstModel.TestCase
TestLedgerAgainstModel.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


# Long random runs

OPERATIONS = int(os.environ.get("BOURSE_LEDGER_OPERATIONS", "40000"))
"""`BOURSE_LEDGER_OPERATIONS=1000000` takes about a minute."""


@pytest.mark.timeout(0 if OPERATIONS > 100_000 else 300)
def test_money_and_tokens_are_conserved_after_every_operation():
    market = Market(20261122, lines=False)
    ledger = market.ledger
    for _ in range(OPERATIONS):
        if market.step():
            totals = dict.fromkeys((MONEY, 1, 2, 3), 0)
            for (asset, owner), standing in ledger.standings.items():
                totals[asset] += standing.balance
                assert standing.balance >= standing.held or owner in {"bank", "pool"}
            assert not any(totals.values())
    sums = {}
    for account, left in ledger.holds.values():
        sums[account] = sums.get(account, 0) + left
    assert sums == {account: standing.held for account, standing in ledger.standings.items() if standing.held}
    bound = {order.key: ((order.bound()[0], order.owner), order.bound()[1]) for order in market.orders.values()}
    bound |= {key: ((asset, owner), amount) for key, (owner, asset, amount) in market.offers.items()}
    assert ledger.holds == bound
    assert market.statuses[Status.OK] > OPERATIONS // 2
    refused = (Status.INSUFFICIENT_FUNDS, Status.HOLD_UNKNOWN, Status.HOLD_EXISTS_ELSEWHERE, Status.HOLD_EXCEEDED, Status.EXISTS)
    assert all(market.statuses[status] > 10 for status in refused)


@pytest.mark.parametrize("seed", range(5))
def test_a_restart_at_any_moment_changes_nothing(seed):
    """Also the order in which the dump says things: state hashes of a replay must be the same bytes."""
    steady, restarted = Market(seed, lines=False), Market(seed, lines=False)
    for number in range(1500):
        assert steady.step() == restarted.step()
        if number % 97 == seed:
            restarted.ledger = through_json(restarted.ledger)
    assert dump(restarted.ledger) == dump(steady.ledger)
    assert len(steady.ledger.holds) > 5
