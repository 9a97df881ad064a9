"""What the auditor says of each fault, with its numbers, and of what cannot be read."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ledger_world import ANN, BEN, FEE_BP, capture, hold, line, placed, post, void, with_fee

from processors.audit_lines import KEPT_FINDINGS, Checkpoint, Fault, OfferLine, OrderLine, PostingLine
from processors.auditor import Auditor, audit
from processors.ledger import PostingRow
from schemas.ledgering import MONEY, Code


def faults(*lines):
    """What an audit of lines finds, postings given as rows."""
    told = [PostingLine(*each) if isinstance(each, PostingRow) else each for each in lines]
    return dict(audit(told).counts)


DEPOSIT = post("bank", ANN, 1000, code=Code.DEPOSIT)
GRANT = post("pool", BEN, 40, asset=5, code=Code.GRANT)
BUY = OrderLine("accepted", "b", ANN, 5, "buy", 7, 20, 20, FEE_BP)
SELL = OrderLine("accepted", "s", BEN, 5, "sell", 7, 20, 20)


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ([DEPOSIT, post(ANN, BEN, 1001)], "below_zero: tenant/ann, money, found -1 (line 2)"),
        ([post(ANN, "bank", 5, code=Code.WITHDRAWAL), DEPOSIT], "below_zero: tenant/ann, money, found -5 (line 1)"),
        ([DEPOSIT, hold("h", ANN, 600), post(ANN, BEN, 500)], "below_zero: tenant/ann, money, found -100 (line 3)"),
        ([GRANT, hold("h", BEN, 41, asset=5)], "below_zero: tenant/ben, tokens of 5, found -1 (line 2)"),
        ([DEPOSIT, capture("h", ANN, BEN, 5)], "hold_unknown: h, money, found 5 (line 2)"),
        ([DEPOSIT, void("h", ANN, 5)], "hold_unknown: h, money, found 5 (line 2)"),
        (
            [DEPOSIT, hold("h", ANN, 600), capture("h", ANN, BEN, 600), capture("h", ANN, BEN, 60)],
            "hold_unknown: h, money, found 60 (line 4)",
        ),
        (
            [DEPOSIT, hold("h", ANN, 600), capture("h", ANN, BEN, 400), capture("h", ANN, BEN, 400)],
            "hold_exceeded: h, money, expected 200, found 400 (line 4)",
        ),
        ([DEPOSIT, hold("h", ANN, 600), void("h", BEN, 5)], "hold_elsewhere: h, money, found 5 (line 3)"),
        ([DEPOSIT, hold("h", ANN, 60), Checkpoint()], "hold_without_order: h, money, found 60 (line 3)"),
        ([BUY, Checkpoint()], "order_without_hold: b, money, expected 140 (line 2)"),
        ([SELL, Checkpoint()], "order_without_hold: s, tokens of 5, expected 20 (line 2)"),
        ([DEPOSIT, BUY, hold("b", ANN, 150), Checkpoint()], "hold_differs: b, money, expected 140, found 150 (line 4)"),
        (
            [DEPOSIT, OfferLine("o", ANN, MONEY, 10), hold("o", ANN, 9), Checkpoint()],
            "hold_differs: o, money, expected 10, found 9 (line 4)",
        ),
        ([SELL._replace(event="filled")], "order_unknown: s, tokens of 5, found 20 (line 1)"),
        ([SELL, SELL._replace(event="filled", qty=5)], "order_differs: s, tokens of 5, expected 15, found 20 (line 2)"),
        ([SELL, SELL._replace(event="rested", qty=0, period=6)], "order_misnamed: s, tokens of 6, expected 5, found 6 (line 2)"),
        ([DEPOSIT._replace(hold="p"), DEPOSIT._replace(hold="p")], "id_repeated: p (line 2)"),
        ([DEPOSIT._replace(credit="")], "malformed: credit, money, found 1,000 (line 1)"),
        ([DEPOSIT._replace(code="gift")], "misplaced: gift from 'bank' to 'tenant/ann', money, found 1,000 (line 1)"),
        ([DEPOSIT._replace(asset=5)], "misplaced: deposit from 'bank' to 'tenant/ann', tokens of 5, found 1,000 (line 1)"),
        ([DEPOSIT._replace(credit="tenant/")], "misplaced: deposit from 'bank' to 'tenant/', money, found 1,000 (line 1)"),
        ([GRANT._replace(asset=MONEY)], "misplaced: grant from 'pool' to 'tenant/ben', money, found 40 (line 1)"),
        (
            [DEPOSIT, post(ANN, ANN, 1, code=Code.TRANSFER)],
            "misplaced: transfer from 'tenant/ann' to 'tenant/ann', money, found 1 (line 2)",
        ),
        (
            [DEPOSIT, Checkpoint(balances=[(MONEY, ANN, 999), (MONEY, "bank", -1000)])],
            "balance_differs: tenant/ann, money, expected 1,000, found 999 (line 2)",
        ),
        (
            [DEPOSIT, Checkpoint(balances=[(MONEY, "bank", -1000), (4, ANN, 0)])],
            "balance_differs: tenant/ann, money, expected 1,000, found 0 (line 2)",
        ),
        (
            [Checkpoint(balances=[(4, BEN, 6)])],
            "balance_differs: tenant/ben, tokens of 4, expected 0, found 6 (line 1)",
        ),
        ([GRANT, Checkpoint(closed=4), Checkpoint(closed=5)], "left_behind: pool, tokens of 5, found -40 (line 3)"),
        (
            [DEPOSIT, post(ANN, "escrow/5", 8), Checkpoint(closed=4), Checkpoint(closed=6)],
            "left_behind: escrow/5, money, found 8 (line 4)",
        ),
        ([Checkpoint(holds=[("h", MONEY, ANN, 6)])], "declared_hold_differs: h, expected 0, found 6 (line 1)"),
        (
            [line(DEPOSIT, (7, 0, 0)), line(DEPOSIT, (7, 0, 2))],
            "line_missing: row, expected 1, found 2 (offset 7, fact 0, row 2)",
        ),
        ([line(DEPOSIT, (7, 1, 0)), line(DEPOSIT, (7, 0, 0))], "out_of_order: row, expected 0, found 0 (offset 7, fact 0, row 0)"),
    ],
)
def test_the_first_finding_says_what_is_wrong(lines, found):
    told = [PostingLine(*each) if isinstance(each, PostingRow) else each for each in lines]
    report = audit(told)
    assert str(report.findings[0]) == found
    assert not report.clean


def test_a_posting_with_one_side_unbalances_its_asset_at_every_checkpoint():
    report = audit([line(DEPOSIT), line(GRANT._replace(debit="")), Checkpoint(), Checkpoint()])
    assert report.counts == {Fault.MALFORMED: 1, Fault.UNBALANCED: 2, Fault.MISPLACED: 1, Fault.TOKENS_NOT_CONSERVED: 2}
    assert "unbalanced: asset, tokens of 5, expected 0, found 40 (line 3)" in map(str, report.findings)


def test_tokens_come_from_grants_alone_and_go_back():
    spent = post(BEN, "pool", 10, asset=5, code=Code.RETURN)
    assert faults(GRANT, spent, Checkpoint()) == {}
    assert faults(GRANT, post(BEN, "pool", 40, asset=5, code=Code.RETURN), Checkpoint(balances=[])) == {}
    for stray in (GRANT._replace(code="trade"), spent._replace(code="trade")):
        assert faults(GRANT, stray, Checkpoint()) == {Fault.MISPLACED: 1, Fault.TOKENS_NOT_CONSERVED: 1}


def test_a_closed_period_leaves_nothing_behind():
    back = post(BEN, "pool", 40, asset=5, code=Code.RETURN)
    escrow = [DEPOSIT, post(ANN, "escrow/5", 8), post("escrow/5", BEN, 8, code=Code.DELIVERY)]
    assert faults(GRANT, *escrow, back, Checkpoint(closed=5), Checkpoint(closed=9)) == {}
    assert faults(GRANT, *escrow[:2], Checkpoint(closed=5), Checkpoint(closed=9)) == {Fault.LEFT_BEHIND: 6}
    assert faults(DEPOSIT, post(ANN, "escrow/x", 8), Checkpoint(closed=5)) == {}


def test_more_than_was_held_uses_the_hold_up():
    rows = [DEPOSIT, hold("h", ANN, 600), capture("h", ANN, BEN, 400), capture("h", ANN, BEN, 400)]
    assert faults(*rows, Checkpoint(None, [(MONEY, "bank", -1000), (MONEY, ANN, 200), (MONEY, BEN, 800)], [])) == {
        Fault.HOLD_EXCEEDED: 1
    }


def test_a_buy_binds_what_its_open_tokens_can_cost():
    notional = 7 * 20
    assert with_fee(notional) == notional
    dear = BUY._replace(price=70_000)
    assert with_fee(70_000 * 20) == 70_000 * 20 + 5180
    for bound, clean in ((1_405_180, True), (1_405_179, False), (1_400_000, False)):
        rows = [post("bank", ANN, 10**9, code=Code.DEPOSIT), hold("b", ANN, bound)]
        assert (faults(*rows, dear, Checkpoint()) == {}) == clean


def test_holds_are_judged_where_a_record_ends():
    """Facts of one record are said one after the other: between them an order has no hold yet, or a hold no order any more."""
    record = [DEPOSIT, BUY, hold("b", ANN, 140)]
    cancelled = [BUY._replace(event="cancelled", open=0), void("b", ANN, 140)]

    def told(*records):
        numbered = [(number, each) for number, lines in enumerate(records) for each in lines]
        return placed([(number, line(each) if isinstance(each, PostingRow) else each) for number, each in numbered])

    assert audit(told(record, cancelled)).clean
    report = audit(told([DEPOSIT], [BUY], [hold("b", ANN, 140)], cancelled))
    assert [str(each) for each in report.findings] == ["order_without_hold: b, money, expected 140 (offset 1, fact 0, row 0)"]
    assert audit(told(record, cancelled[:1], cancelled[1:])).counts == {Fault.HOLD_WITHOUT_ORDER: 1}
    assert audit(told(record, cancelled[:1], [DEPOSIT], [DEPOSIT])).counts == {Fault.HOLD_WITHOUT_ORDER: 1}, "said once"
    assert faults(*record, *cancelled[:1], DEPOSIT) == {}, "without places only a checkpoint tells that a record has ended"
    assert faults(*record, *cancelled[:1], Checkpoint(), Checkpoint()) == {Fault.HOLD_WITHOUT_ORDER: 2}


def test_what_a_rejected_order_says_does_not_matter():
    assert faults(OrderLine("rejected", "b", ANN, -3, "none", -7, 2**70, -1), Checkpoint()) == {}


# Bad data

NONSENSE = st.one_of(
    st.none(),
    st.text(max_size=3),
    st.integers(-3, 3),
    st.sampled_from((2**63, -(2**70), 1.5, float("nan"), True, b"x", (), [1], ("a", 1), "\ud800", "post", "hold", ANN, "bank")),
)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_nothing_that_a_line_says_makes_it_raise(data):
    auditor = Auditor()
    lines = [
        line(DEPOSIT, (1, 0, 0)),
        line(hold("b", ANN, 140)),
        BUY,
        OfferLine("o", BEN, 5, 6),
        Checkpoint(3, [(MONEY, ANN, 1000)], [("b", MONEY, ANN, 140)]),
    ]
    for _ in range(8):
        each = data.draw(st.sampled_from(lines))
        changes = data.draw(st.dictionaries(st.sampled_from(each._fields), NONSENSE, max_size=3))
        for name in ("balances", "holds"):
            if name in changes:
                changes[name] = data.draw(st.lists(st.one_of(NONSENSE, st.tuples(NONSENSE, NONSENSE, NONSENSE)), max_size=3))
        auditor.take(each._replace(**changes))
    assert "\n".join(map(str, auditor.report.findings)).count("\n") == max(0, sum(auditor.report.counts.values()) - 1)


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (line(DEPOSIT._replace(amount=0)), "amount: 0"),
        (line(DEPOSIT._replace(amount=2**63)), "amount: 9223372036854775808"),
        (line(DEPOSIT._replace(amount=None)), "amount: None"),
        (line(DEPOSIT._replace(amount=True)), "amount: True"),
        (line(DEPOSIT._replace(entry="posted")), "entry: 'posted'"),
        (line(DEPOSIT._replace(asset=-2)), "asset: -2"),
        (line(DEPOSIT._replace(debit=None)), "debit: None"),
        (line(hold("", ANN, 5)), "hold: ''"),
        (line(hold("h", "", 5)), "debit"),
        (line(void("h", ANN, 5)._replace(credit=BEN)), "credit: 'tenant/ben'"),
        (line(DEPOSIT, (1, 2)), "at: (1, 2)"),
        (line(DEPOSIT, "here"), "at: 'here'"),
        (BUY._replace(event="done"), "event: 'done'"),
        (BUY._replace(side=""), "side: ''"),
        (BUY._replace(open=-1), "open: -1"),
        (OfferLine("o", None, 5, 6), "owner: None"),
        (Checkpoint(closed="5"), "closed: '5'"),
        (Checkpoint(balances=[(MONEY, ANN)]), f"balances: (-1, '{ANN}')"),
        (Checkpoint(balances=[(MONEY, ANN, 0), "x" * 200]), "balances: '" + "x" * 99),
        (Checkpoint(holds=[(MONEY, ANN, "h", 0)]), f"holds: (-1, '{ANN}', 'h', 0)"),
    ],
)
def test_what_can_not_be_read_is_said(bad, said):
    malformed = [each for each in audit([bad]).findings if each.fault is Fault.MALFORMED]
    assert [each.subject for each in malformed] == [said]


def test_many_findings_are_counted_and_the_first_are_listed():
    report = audit([Checkpoint(balances=[(number, ANN, 1) for number in range(2 * KEPT_FINDINGS)])])
    assert report.counts == {Fault.BALANCE_DIFFERS: 2 * KEPT_FINDINGS}
    assert len(report.findings) == KEPT_FINDINGS


def test_what_is_over_is_forgotten():
    """Memory follows what is open, not what there was."""
    auditor = Auditor()
    for number in range(200):
        key, period = f"order {number}", number
        for each in (
            post("pool", BEN, 9, asset=period, code=Code.GRANT),
            OrderLine("accepted", key, BEN, period, "sell", 1, 9, 9),
            hold(key, BEN, 9, asset=period),
            OrderLine("cancelled", key, BEN, period, "sell", 1, 9, 0),
            void(key, BEN, 9, asset=period),
            post(BEN, "pool", 9, asset=period, code=Code.RETURN),
            Checkpoint(period, [], []),
        ):
            auditor.take(PostingLine(*each) if isinstance(each, PostingRow) else each)
    assert auditor.report.clean
    kept = ("_balances", "_held", "_holds", "_orders", "_bound", "_differing", "_newly_differing", "_assets", "_passing")
    assert [len(getattr(auditor, name)) for name in kept] == [0] * len(kept)
