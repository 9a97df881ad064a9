"""The engine's rules about what a period is opened with: budgets, charges, forecasts, policies."""

import pytest
from journal_world import World, of_kind, opened, pool, profile, rows, usage

from schemas.facts import (
    AllocationsOpened,
    Forecasts,
    PeriodOpened,
    Postings,
)

# Budgets and the ledger

# Period 5 begins at 10 s, 6 at 12 s, …; base 10 at price 3 and surplus at price 7; the one bidder wants all.


def spender(*budgets):
    """(budget_left, surplus, charge) of tenant a for each budget in turn, one period each; "same": leave it as it is."""
    here = World()
    here.tick(8)
    here.take(pool(capacity=1000, base_price=3, reserve_price=7, policy="max_min"))
    seen = []
    for at, budget in enumerate(budgets):
        if budget != "same":
            here.take(profile(f"a{at}", "a", base=10, budget=budget))
        if at == 0:
            here.take(usage(9, {"a": 1000}))
        facts = here.run(9 + 2 * at, 10 + 2 * at)
        seen.append(rows(facts, AllocationsOpened, "budget_left", "surplus", "charge")["a"])
        here.take(usage(11 + 2 * at, {"a": 1000}))
    return seen


def test_without_a_budget_nothing_limits():
    assert spender(None, "same") == [(None, 0, 30), (None, 990, 30 + 990 * 7)]


def test_surplus_is_bought_only_from_what_the_window_has_left():
    # 100 s windows: all of it in one. 30 for each base; 5 tokens of surplus for 35 in the second period.
    assert spender((100, 100), "same", "same", "same") == [(100, 0, 30), (70, 5, 65), (5, 0, 30), (0, 0, 30)]


def test_a_window_begins_anew_at_its_multiple():
    # Windows of 4 s begin at 12 s and 16 s: periods 6 and 7, 8 and 9.
    assert spender((65, 4), "same", "same", "same", "same") == [(65, 0, 30), (65, 5, 65), (0, 0, 30), (65, 5, 65), (0, 0, 30)]


def test_a_changed_amount_counts_against_what_was_spent_and_a_changed_window_begins_anew():
    assert spender((100, 100), (37, 100), (200, 100)) == [(100, 0, 30), (7, 0, 30), (140, 15, 135)]
    assert spender((65, 100), (65, 200), (65, 200)) == [(65, 0, 30), (65, 5, 65), (0, 0, 30)]
    assert spender((65, 100), None, (65, 100)) == [(65, 0, 30), (None, 990, 6960), (65, 5, 65)]


def test_charges_are_posted_from_tenant_to_operator():
    here = opened(base_price=3)
    (posted,) = of_kind(here.facts, Postings)
    assert (posted.debit_account, posted.amount) == (["billed/a", "billed/b"], [300, 600])
    assert (posted.entry, posted.code, posted.asset) == (["post"] * 2, ["allocation"] * 2, [-1] * 2)
    assert posted.credit_account == ["operator"] * 2
    free = opened()
    assert not of_kind(free.facts, Postings)


# Demand and policies


def demands(forecaster, uses):
    here = World()
    here.tick(8)
    here.take(pool(capacity=10**9, forecaster=forecaster), profile("a1", "a"))
    seen = []
    here.run(9, 10)
    for at, used in enumerate(uses):
        here.take(usage(11 + 2 * at, {"a": used}))
        facts = here.run(11 + 2 * at, 12 + 2 * at)
        seen.append(rows(facts, AllocationsOpened, "demand")["a"])
        assert rows(facts, Forecasts, "mean", "p50", "p90", "p99") == {"a": (seen[-1], None, None, None)}
    return seen


def test_last_value_predicts_what_was_used():
    assert demands("last_value", [100, 0, 7]) == [100, 0, 7]


def test_exponential_moves_a_quarter_of_the_way():
    # 25, 18.75, 14.0625 + 25, 29.296875 + 25, rounded to the nearest token.
    assert demands("exponential", [100, 0, 100, 100]) == [25, 19, 39, 54]


@pytest.mark.parametrize("steady", [1, 2, 100, 12_345_678])
def test_exponential_arrives_at_a_steady_use(steady):
    assert demands("exponential", [steady] * 90)[-1] == steady


def test_a_pools_forecaster_may_change():
    here = opened(forecaster="exponential")
    here.take(usage(11, {"a": 100}), pool("p2", forecaster="last_value"))
    assert rows(here.run(11, 12), AllocationsOpened, "demand") == {"a": 100, "b": 0}


def test_policies_can_be_switched_between_periods():
    here = World()
    here.tick(8)
    here.take(pool(capacity=100, reserve_price=2), profile("a1", "a", elasticity=3), profile("b1", "b", elasticity=1))
    here.run(9, 10)
    seen = {}
    for at, policy in enumerate(["seed", "uniform_price", "max_min", "seed"]):
        here.take(pool(f"s{at}", capacity=100, reserve_price=2, policy=policy))
        here.take(usage(11 + 2 * at, {"a": 30, "b": 90}))
        facts = here.run(11 + 2 * at, 12 + 2 * at)
        (begun,) = of_kind(facts, PeriodOpened)
        assert begun.policy == policy
        seen[at] = (begun.price, rows(facts, AllocationsOpened, "bid", "rank", "surplus"))
    # seed: bids 90 and 90, a first. uniform: a's limit is 6, b's is the reserve price: b takes what is left of 100.
    # max_min: needs 30 and 90 with equal weights: 30 and 70.
    auction = (2, {"a": (90, 1, 90), "b": (90, 2, 10)})
    assert seen == {
        0: auction,
        1: (2, {"a": (30, None, 30), "b": (90, None, 70)}),
        2: (2, {"a": (30, None, 30), "b": (90, None, 70)}),
        3: auction,
    }
