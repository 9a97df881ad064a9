"""The auditor agrees with the ledger on random markets, and finds every fault that is put into what they published."""

import random
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ledger_world import ANN, BEN, CAT, Market, bare, line, placed, post

from processors.audit_lines import Checkpoint, Fault, OrderLine, PostingLine
from processors.auditor import audit
from processors.ledger import Ledger, PostingRow, Status, dump, judge, record
from schemas.ledgering import MONEY, Code

STEPS = 150


@cache
def market_of(seed, *, declared=True):
    """A market with a checkpoint here and there and one at the end; its lines with the numbers of their journal records."""
    market = Market(seed)
    for number in range(STEPS):
        market.step()
        if number % 40 == 39:
            market.checkpoint(declared=declared)
    market.number += 1
    market.checkpoint(declared=declared)
    return market


@pytest.mark.parametrize("seed", range(20))
def test_it_agrees_with_the_ledger_on_random_markets(seed):
    market = market_of(seed)
    for lines in (bare(market.lines), placed(market.lines)):
        report = audit(lines)
        assert report.clean, "\n".join(map(str, report.findings))
        assert (report.postings, report.order_events, report.checkpoints) == tuple(
            sum(isinstance(each, kind) for each in lines) for kind in (PostingLine, OrderLine, Checkpoint)
        )


def test_the_markets_are_rich():
    lines = [each for seed in range(20) for each in bare(market_of(seed).lines)]
    for kind in ("accepted", "rested", "filled", "reduced", "replaced", "cancelled"):
        assert sum(isinstance(each, OrderLine) and each.event == kind for each in lines) > 50, kind
    for code in ("deposit", "withdrawal", "order", "trade", "fee", "transfer", "grant", "return"):
        assert sum(isinstance(each, PostingLine) and each.code == code for each in lines) > 50, code


# What the ledger refuses, the auditor finds

FOUND_AS = {
    Status.INSUFFICIENT_FUNDS: Fault.BELOW_ZERO,
    Status.ACCOUNTS_EQUAL: Fault.MISPLACED,
    Status.AMOUNT_NOT_POSITIVE: Fault.MALFORMED,
    Status.EXCEEDS_INT64: Fault.MALFORMED,
    Status.MALFORMED: Fault.MALFORMED,
    Status.HOLD_UNKNOWN: Fault.HOLD_UNKNOWN,
    Status.HOLD_EXCEEDED: Fault.HOLD_EXCEEDED,
    Status.HOLD_EXISTS_ELSEWHERE: Fault.HOLD_ELSEWHERE,
    Status.EXISTS: Fault.ID_REPEATED,
}


@st.composite
def tenants_rows(draw):
    entry = draw(st.sampled_from(("post", "post", "hold", "capture", "void")))
    owners = st.sampled_from((ANN, BEN, CAT, "operator", ""))
    credit = draw(owners) if entry in {"post", "capture"} else draw(st.sampled_from(("", "", "", BEN)))
    key = draw(st.sampled_from(("k1", "k2", "k3", ""))) if entry != "post" else draw(st.sampled_from(("", "", "k1", "p1")))
    amount = draw(st.one_of(st.integers(1, 9), st.integers(-1, 60), st.just(2**63)))
    return PostingRow(entry, "trade", draw(st.sampled_from((MONEY, 4, -2))), key, draw(owners), credit, amount)


@settings(max_examples=100, deadline=None)
@given(st.lists(tenants_rows(), min_size=1, max_size=16))
def test_a_row_has_a_finding_if_and_only_if_the_ledger_refuses_it(rows):
    ledger, told = Ledger(), []
    for row in [
        *(post("bank", owner, 50, code=Code.DEPOSIT) for owner in (ANN, BEN)),
        *(post("pool", owner, 30, asset=4, code=Code.GRANT) for owner in (ANN, BEN)),
        *rows,
    ]:
        status = judge(ledger, [row])
        counts = audit([*told, line(row)]).counts
        if status is Status.OK:
            record(ledger, [row])
            told.append(line(row))
            assert not counts, (row, counts)
        else:
            assert counts[FOUND_AS[status]], (row, status, counts)
    # Nothing that was recorded belongs to an order: every hold that is left is found.
    state = dump(ledger)
    assert audit([*told, Checkpoint(None, state.accounts, state.holds)]).counts == (
        {Fault.HOLD_WITHOUT_ORDER: len(state.holds)} if state.holds else {}
    )


# Faults that are put in


def postings_in(lines, *entries):
    """Places of postings (of these entries)."""
    return [at for at, each in enumerate(lines) if isinstance(each, PostingLine) and (not entries or each.entry in entries)]


def drop(lines, at, rng):
    return [*lines[:at], *lines[at + 1 :]]


def double(lines, at, rng):
    return [*lines[: at + 1], lines[at], *lines[at + 1 :]]


def land_again_later(lines, at, rng):
    later = rng.randrange(at + 1, len(lines))
    return [*lines[:later], lines[at], *lines[later:]]


def change_amount(lines, at, rng):
    amount = rng.choice((lines[at].amount + 1, lines[at].amount - 1, lines[at].amount * 2, -lines[at].amount))
    return [*lines[:at], lines[at]._replace(amount=amount), *lines[at + 1 :]]


def swap_sides(lines, at, rng):
    return [*lines[:at], lines[at]._replace(debit=lines[at].credit, credit=lines[at].debit), *lines[at + 1 :]]


def pay_another(lines, at, rng):
    swapped = lines[at]._replace(credit=rng.choice([each for each in (ANN, BEN, CAT) if each != lines[at].credit]))
    return [*lines[:at], swapped, *lines[at + 1 :]]


def debit_another(lines, at, rng):
    swapped = lines[at]._replace(debit=rng.choice([each for each in (ANN, BEN, CAT) if each != lines[at].debit]))
    return [*lines[:at], swapped, *lines[at + 1 :]]


def change_asset(lines, at, rng):
    swapped = lines[at]._replace(asset=rng.choice([each for each in (MONEY, 1, 2, 3, 4) if each != lines[at].asset]))
    return [*lines[:at], swapped, *lines[at + 1 :]]


def move(lines, at, rng):
    """To behind a line about others: what a second producer's interleaving would do."""
    later = rng.randrange(at + 1, len(lines))
    return [*lines[:at], *lines[at + 1 : later + 1], lines[at], *lines[later + 1 :]]


def blank_credit(lines, at, rng):
    return [*lines[:at], lines[at]._replace(credit=""), *lines[at + 1 :]]


MOVING = ("post", "capture")
ANY = ("post", "hold", "capture", "void")


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("fault", "entries"),
    [
        (drop, MOVING),
        (drop, ("hold", "void")),
        (double, ("post",)),
        (double, ("capture",)),
        (double, ("hold", "void")),
        (land_again_later, ANY),
        (change_amount, MOVING),
        (change_amount, ("hold", "void")),
        (swap_sides, MOVING),
        (swap_sides, ("hold", "void")),
        (pay_another, MOVING),
        (debit_another, ANY),
        (change_asset, ANY),
        (blank_credit, MOVING),
    ],
)
def test_a_fault_in_the_postings_is_found_where_balances_are_declared(fault, entries, seed):
    rng = random.Random(seed)
    lines = bare(market_of(seed).lines)
    for at in rng.sample(places := postings_in(lines, *entries), min(8, len(places))):
        report = audit(fault(lines, at, rng))
        assert not report.clean, f"{fault.__name__} of line {at}: {lines[at]}"
        first = report.findings[0]
        assert first.line >= at + 1, "found before it happened"
        assert str(first).startswith(f"{first.fault}: ")


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("fault", "entries"),
    [
        (drop, ("hold", "capture", "void")),
        (double, ("hold", "capture", "void")),
        (change_amount, ("hold", "capture", "void")),
        (debit_another, ("hold", "capture", "void")),
        (blank_credit, MOVING),
    ],
)
def test_a_fault_in_holds_is_found_by_open_orders_alone(fault, entries, seed):
    """Nobody declares anything here: the order events are the other side."""
    rng = random.Random(seed)
    lines = bare(market_of(seed, declared=False).lines)
    for at in rng.sample(places := postings_in(lines, *entries), min(8, len(places))):
        assert not audit(fault(lines, at, rng)).clean, f"{fault.__name__} of line {at}: {lines[at]}"


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("fault", [double, land_again_later, move])
def test_a_fault_in_the_order_of_lines_is_found_by_their_places(fault, seed):
    rng = random.Random(seed)
    lines = placed(market_of(seed, declared=False).lines)
    for at in rng.sample(range(len(lines) - 1), 20):
        report = audit(fault(lines, at, rng))
        assert report.counts.keys() & {Fault.OUT_OF_ORDER, Fault.REPEATED}, f"{fault.__name__} of line {at}: {lines[at]}"


def test_a_line_that_landed_twice_is_said_and_counts_once():
    lines = placed(market_of(1).lines)
    for at in range(len(lines)):
        report = audit(double(lines, at, None))
        assert report.counts == {Fault.REPEATED: 1}
        assert report.findings[0].at == lines[at].at


@pytest.mark.parametrize("seed", range(5))
def test_a_line_that_did_not_land_is_missed_by_its_place(seed):
    lines = placed(market_of(seed, declared=False).lines)
    followed = [at for at in range(len(lines) - 1) if lines[at].at[:2] == lines[at + 1].at[:2]]
    for at in random.Random(seed).sample(followed, 20):
        counts = audit(drop(lines, at, None)).counts
        assert counts[Fault.LINE_MISSING] == 1, lines[at]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("event", "change"),
    [
        ("accepted", {"qty": 1}),
        ("accepted", {"owner": "tenant/zoe"}),
        ("accepted", {"price": 7}),
        ("accepted", {"period": 9}),
        ("filled", {"qty": 1}),
        ("filled", {"open": 1}),
        ("filled", {"hold": "order 0"}),
        ("cancelled", {"open": 1}),
        ("reduced", {"qty": -1}),
        ("replaced", {"price": 1}),
        ("accepted", None),
        ("filled", None),
        ("reduced", None),
        ("replaced", None),
        ("cancelled", None),
    ],
)
def test_a_fault_in_the_order_events_is_found(event, change, seed):
    """Another value by so much more (or this name), or the event is left out. Nobody declares anything."""
    lines = market_of(seed, declared=False).lines
    events = [at for at, (_, each) in enumerate(lines) if isinstance(each, OrderLine) and each.event == event]
    for at in events[:6]:
        number, told = lines[at]
        if change is None:
            faulty = drop(lines, at, None)
        else:
            ((name, value),) = change.items()
            other = value if isinstance(value, str) else getattr(told, name) + value
            faulty = [*lines[:at], (number, told._replace(**{name: other})), *lines[at + 1 :]]
        if binds_the_same(lines, at, faulty):
            continue
        assert not audit(placed(faulty)).clean, (number, told)


def binds_the_same(lines, at, faulty):
    """Whether the fault changes nothing that an order binds: the price of a sell, or of a buy by less than its fee's unit."""
    told = lines[at][1]
    if told.event == "replaced" and len(faulty) < len(lines):
        before = [each for _, each in lines[:at] if isinstance(each, OrderLine) and each.hold == told.hold]
        known = [each for each in before if each.event in {"accepted", "replaced"}][-1]
        return before[-1].open == told.open and (told.side == "sell" or known.price == told.price)
    return told.side == "sell" and len(faulty) == len(lines) and faulty[at][1].price != told.price
