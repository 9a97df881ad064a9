"""An auditor that begins in the middle, told what stood, finds what one finds that began at the beginning."""

import random

import pytest
from audit_facts import Reader
from busy_market import busy

from processors.audit_lines import Checkpoint, Fault, OfferLine, Opening, OrderLine, PostingLine
from processors.auditor import Auditor


def lines_of(seed):
    reader = Reader()
    return [line for fact in busy(seed, periods=4, orders=50).facts for line in reader.lines(fact)]


def after(lines):
    """What stands after lines, in the form in which another auditor is told."""
    auditor = Auditor()
    for line in lines:
        auditor.take(line)
    assert auditor.report.clean
    orders = [
        OrderLine(
            "accepted", hold, each.owner, each.period, "buy" if each.buys else "sell", each.price, each.open, each.open, each.fee_bp
        )
        for hold, each in auditor._orders.items()
    ]
    return Opening(
        balances=[(*account, balance) for account, balance in auditor._balances.items()],
        issued=[(asset, sums.granted - sums.given_back) for asset, sums in auditor._assets.items()],
        holds=[(hold, *bound) for hold, bound in auditor._holds.items()],
        orders=orders,
        offers=[
            OfferLine(hold, owner, asset, much) for hold, (asset, owner, much) in auditor._bound.items() if hold.startswith("\n\n")
        ],
    )


def findings(opening, lines):
    auditor = Auditor()
    if opening is not None:
        auditor.begin(opening)
    for line in [*lines, Checkpoint()]:
        auditor.take(line)
    return [(each.fault, each.at, each.subject, each.asset, each.expected, each.found) for each in auditor.report.findings]


def cuts(lines, rng, many):
    """Places between two journal records."""
    between = [at for at in range(1, len(lines)) if lines[at].at[0] > lines[at - 1].at[0]]
    return rng.sample(between, many)


@pytest.mark.parametrize("seed", range(6))
def test_nothing_is_found_from_any_record_on(seed):
    lines = lines_of(seed)
    for cut in cuts(lines, random.Random(seed), 8):
        assert findings(after(lines[:cut]), lines[cut:]) == []


@pytest.mark.parametrize("seed", range(6))
def test_a_fault_behind_the_beginning_is_found_all_the_same(seed):
    lines, rng = lines_of(seed), random.Random(seed)
    for cut in cuts(lines[: len(lines) // 2], rng, 4):
        at = rng.choice([at for at in range(cut, len(lines)) if isinstance(lines[at], PostingLine)])
        faulty = [*lines[:at], lines[at]._replace(amount=lines[at].amount + 1), *lines[at + 1 :]]
        assert findings(after(lines[:cut]), faulty[cut:]) == findings(None, faulty)


def test_an_opening_that_does_not_fit_is_found_at_the_first_checkpoint():
    opening = Opening(
        balances=[(-1, "tenant/a", 10), (-1, "bank", -9), (7, "tenant/a", 5), (7, "pool", -5)],
        issued=[(7, 4)],
        holds=[("h", -1, "tenant/a", 11)],
        orders=[OrderLine("accepted", "o", "tenant/a", 7, "sell", 3, 2, 2)],
        offers=[],
    )
    assert [fault for fault, *_ in findings(opening, [])] == [
        Fault.BELOW_ZERO,
        Fault.HOLD_WITHOUT_ORDER,
        Fault.ORDER_WITHOUT_HOLD,
        Fault.UNBALANCED,
        Fault.TOKENS_NOT_CONSERVED,
    ]
