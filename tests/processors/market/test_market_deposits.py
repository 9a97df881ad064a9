"""Deposits and withdrawals: what operators book on a tenant's account."""

import pytest
from journal_world import World, of_kind, pool, profile
from market_world import MarketWorld

from processors.state import SEEN_COMMANDS
from schemas.facts import CommandRefused, Postings, Reason
from schemas.market import DepositCommand
from schemas.market_facts import CommandTaken

LARGEST = 2**63 - 1


def deposit(amount, *, id="d1", tenant="a", pool="llm"):  # noqa: A002  the field's name
    return DepositCommand(id=id, pool=pool, tenant=tenant, amount=amount)


def test_a_deposit_and_a_withdrawal():
    here = MarketWorld(money=0)
    taken, posted = here.take(deposit(700))
    assert (taken.KIND, taken.command, taken.command_id, taken.tenant) == ("command_taken", "deposit", "d1", "a")
    assert (posted.entry, posted.code, posted.asset) == (["post"], ["deposit"], [-1])
    assert (posted.debit_account, posted.credit_account, posted.amount) == (["bank"], ["tenant/a"], [700])
    here.take(deposit(-200, id="d2"))
    assert (here.money("a"), here.market.ledger.balance(-1, "bank")) == (500, -500)


def test_a_deposit_before_the_first_period():
    here = World()
    here.tick(8)
    here.take(pool(), profile("a1", "a", base=1))
    (posted,) = of_kind(here.take(deposit(5)), Postings)
    assert posted.period == 0


REFUSED = [
    ("nothing", deposit(0), Reason.INVALID_AMOUNT, "amount: 0"),
    ("nobody's", deposit(5, tenant="z"), Reason.UNKNOWN_TENANT, "tenant: 'z' has no profile in 'llm'"),
    ("of no pool", deposit(5, pool="ghost"), Reason.UNKNOWN_POOL, "pool: 'ghost' is not defined"),
    (
        "more than is there",
        deposit(-1_000_001),
        Reason.INSUFFICIENT_MONEY,
        "amount: -1000001, but 1000000 nanocredits are available",
    ),
    ("more than is free", deposit(-900_001), Reason.INSUFFICIENT_MONEY, "amount: -900001, but 900000 nanocredits are available"),
    (
        "more than all accounts hold together",
        deposit(LARGEST - 1_000_000 * 3 + 1),
        Reason.EXCEEDS_MONEY,
        f"amount: {LARGEST - 2_999_999}, and 3000000 deposited before, exceed {LARGEST}",
    ),
]


@pytest.mark.parametrize(("command", "reason", "detail"), [each[1:] for each in REFUSED], ids=[each[0] for each in REFUSED])
def test_a_deposit_is_refused(command, reason, detail):
    here = MarketWorld()
    if reason is Reason.INSUFFICIENT_MONEY and command.amount > -1_000_000:
        here.buy("a", 10, 10_000)
    (refused,) = here.take(command)
    assert isinstance(refused, CommandRefused)
    assert (refused.reason, refused.detail, refused.command, refused.tenant) == (reason, detail, "deposit", command.tenant)
    assert here.take(command) == [], "told once"


def test_a_deposit_is_made_once_however_many_orders_came_in_between():
    here = MarketWorld()
    assert here.take(deposit(5))
    here.state.commands.clear()
    here.state.taken.clear()
    assert here.take(deposit(5)) == []
    assert here.money("a") == 1_000_005


def test_a_flood_of_orders_makes_no_operators_command_forgotten():
    here = MarketWorld()
    known = list(here.state.commands)
    for number in range(SEEN_COMMANDS - len(here.state.taken)):
        here.state.taken[number.to_bytes(16, "big")] = None
    for price in range(1, 4):
        here.buy("a", 1, price)
    assert len(here.state.taken) == SEEN_COMMANDS
    assert list(here.state.commands) == known


def test_all_money_that_there_may_be_can_be_paid_to_one():
    """Whoever is paid, and at whatever moment: no sum leaves int64."""
    here = MarketWorld(money=0, capacity=300)
    here.take(deposit(LARGEST - 5), deposit(5, id="d2", tenant="b"))
    here.sell("b", 1, LARGEST - 5, period=6)
    here.buy("a", 1, LARGEST - 5, period=6)
    here.sell("b", 1, 5)
    assert here.market.ledger.balance(-1, "escrow/6") == LARGEST - 5
    here.period(5)
    assert here.money("b") == LARGEST
    assert here.transfer("b", "a", money=LARGEST)[1].event == ["done"]
    assert here.money("a") == LARGEST
    assert of_kind(here.take(deposit(-LARGEST, id="d3")), CommandTaken)
    assert of_kind(here.take(deposit(LARGEST, id="d4")), CommandTaken)
