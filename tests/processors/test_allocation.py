"""The policies against hand-computed cases, against the plain oracle on thousands of random pools, and their invariants."""

import json
import random

import allocation_oracle as oracle
import pytest
from allocation_cases import pool, random_pool, tenant, through_the_door
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.allocation import (
    POLICIES,
    charge_ceiling,
)
from processors.allocation.door import answer_line
from processors.allocation.exact import INT64_MAX


def split(case):
    """price, {id: surplus}, unallocated."""
    reply = through_the_door(case)
    return reply["price"], {name: got["surplus"] for name, got in reply["allocations"].items()}, reply["unallocated"]


# Each is computed by hand; the working stands beside it.
BY_HAND = {
    # Bids 20, 20, 5 are served; 25 are left, by 1:2:1 6.25, 12.5, 6.25: 6, 13, 6.
    "seed: bids, then the rest by elasticity": (
        pool("seed", 100, tenant("a", 10, 1, 20), tenant("b", 10, 2, 10), tenant("c", 10, 1, 5)),
        (1, {"a": 26, "b": 33, "c": 11}, 0),
    ),
    # Bids are equal and only 7 are there: the smaller id takes 5, the other the 2 that are left.
    "seed: equal bids, the smaller id first": (
        pool("seed", 7, tenant("b", 0, 1, 5), tenant("a", 0, 1, 5)),
        (1, {"a": 5, "b": 2}, 0),
    ),
    # UTF-8: Z (5a) < a (61) < é (c3) < € (e2) < 😀 (f0). A locale would sort otherwise.
    "seed: ids in byte order": (
        pool("seed", 3, *(tenant(name, 0, 1, 1) for name in ("😀", "é", "€", "a", "Z"))),
        (1, {"Z": 1, "a": 1, "é": 1, "€": 0, "😀": 0}, 0),
    ),
    # Bids are 0. Round 1: 10, 10, 10: a is filled to 2. Round 2 shares 28: 14, 14: b is filled to 11. Round 3: c has 17.
    "seed: rooms reached in rounds": (
        pool("seed", 30, tenant("a", 0, 1, 0, 2), tenant("b", 0, 1, 0, 11), tenant("c", 0, 1)),
        (1, {"a": 2, "b": 11, "c": 17}, 0),
    ),
    # a's weight is all there is until its room of 3 is reached; then Σw = 0 and the others count as 1 each: 7 as 4 and 3.
    "seed: only zero elasticities remain": (
        pool("seed", 10, tenant("a", 0, 1, 0, 3), tenant("b"), tenant("c")),
        (1, {"a": 3, "b": 4, "c": 3}, 0),
    ),
    # 600 wanted, the budget buys 400 after the base, nobody else is there: 500 stay.
    "seed: the specification's example": (
        pool("seed", 1000, tenant("a", 100, 2, 300, 500)),
        (1, {"a": 400}, 500),
    ),
    # A price of 0 asks nothing of a budget: room is unlimited.
    "seed: free surplus": (
        pool("seed", 9, tenant("a", 0, 1, 5, 0), tenant("b", 0, 2, 2, -8), reserve_price=0),
        (0, {"a": 5, "b": 4}, 0),
    ),
    # The base costs 50 and is given; (10 − 50)⁺ buys nothing more.
    "seed: a budget below the base": (
        pool("seed", 30, tenant("a", 10, 1, 50, 10), base_price=5),
        (1, {"a": 0}, 20),
    ),
    # F(1) = F(2) = 12 > 10, F(3) = 6: b is marginal and takes the 4 left; c's limit of 1 is below the price.
    "uniform_price: marginal bid cut": (
        pool("uniform_price", 10, tenant("a", 0, 5, 6), tenant("b", 0, 3, 6), tenant("c", 0, 1, 6)),
        (3, {"a": 6, "b": 4, "c": 0}, 0),
    ),
    # F(2) = 12 > 7, F(3) = 0. 7 by 6:6 is 3.5 each: the smaller id has the odd one.
    "uniform_price: two marginal bids share": (
        pool("uniform_price", 7, tenant("b", 0, 3, 6), tenant("a", 0, 3, 6)),
        (3, {"a": 4, "b": 3}, 0),
    ),
    # 20 // 3 = 6 > 5, 20 // 4 = 5.
    "uniform_price: money decides": (
        pool("uniform_price", 5, tenant("a", 0, 10, 10, 20)),
        (4, {"a": 5}, 0),
    ),
    # Nothing is scarce: the price is the reserve price, and whose limit is exactly that takes part.
    "uniform_price: no scarcity": (
        pool("uniform_price", 50, tenant("a", 2, 1, 10), tenant("b", 0, 0.5, 10), reserve_price=4),
        (4, {"a": 8, "b": 0}, 40),
    ),
    # All limits are 0 and the price is at least 1.
    "uniform_price: a reserve of 0 sells nothing": (
        pool("uniform_price", 5, tenant("a", 0, 9, 10), reserve_price=0),
        (1, {"a": 0}, 5),
    ),
    # Round 1: 2.5, 2.5, 5: the odd unit goes to a, which reaches 2. Round 2: 8 by 1:2 is 2.67, 5.33: the odd unit goes to b.
    "max_min: needs reached in rounds": (
        pool("max_min", 10, tenant("a", demand=2), tenant("b", demand=20), tenant("c", demand=20, weight=2)),
        (1, {"a": 2, "b": 3, "c": 5}, 0),
    ),
    # b's budget buys 3 of the 10 it needs.
    "max_min: room limits need": (
        pool("max_min", 30, tenant("a", 0, 0, 9), tenant("b", 2, 0, 12, 14), base_price=1, reserve_price=4),
        (4, {"a": 9, "b": 3}, 16),
    ),
    # At a level of 1 shares are 3/4 and 1/2: 60 and 40 of 80, of which bases are 10 and 20.
    "proportional: the elastic are served more of their demand": (
        pool("proportional", 100, tenant("a", 10, 3, 80), tenant("b", 20, 1, 80)),
        (1, {"a": 50, "b": 20}, 0),
    ),
    # Both halves of a demand cost alike: 10 tokens are 5 and 5, and of 11 the odd one goes to the smaller id.
    "proportional: the odd token": (
        pool("proportional", 11, tenant("b", 0, 2, 10), tenant("a", 0, 2, 10)),
        (1, {"a": 6, "b": 5}, 0),
    ),
    # All 40 fit, 40 are left: a quarter of its demand more for each (5, and 5 though its budget buys only 2 of them).
    "proportional: headroom beyond demand, within budgets": (
        pool("proportional", 80, tenant("a", 0, 1, 20), tenant("b", 0, 1, 20, 22)),
        (1, {"a": 25, "b": 22}, 33),
    ),
    # Its base is more than its share: it keeps it, and the other has what is left.
    "proportional: a base above the share": (
        pool("proportional", 100, tenant("a", 60, 1, 60), tenant("b", 0, 1, 90)),
        (1, {"a": 0, "b": 40}, 0),
    ),
    # Who is worth nothing is served last, and then in full: 10 of 30 are left for it.
    "proportional: no elasticity": (
        pool("proportional", 30, tenant("a", 0, 0, 20), tenant("b", 0, 1, 20)),
        (1, {"a": 10, "b": 20}, 0),
    ),
    "max_min: all weights 0": (
        pool("max_min", 5, tenant("a", demand=9, weight=0), tenant("b", demand=9, weight=0)),
        (1, {"a": 3, "b": 2}, 0),
    ),
}


@pytest.mark.parametrize(("case", "expected"), BY_HAND.values(), ids=BY_HAND.keys())
def test_hand_computed(case, expected):
    assert split(case) == expected


@pytest.mark.parametrize("policy", POLICIES)
def test_short_capacity_divides_the_bases_and_reports_the_debt(policy):
    # 10 by 5:5:5 is 3.33 each; the odd unit goes to the smallest id.
    case = pool(policy, 10, *(tenant(name, 5, 1, 9, 0) for name in "cab"), base_price=2, reserve_price=7)
    reply = through_the_door(case)
    assert {name: tuple(got.values()) for name, got in reply["allocations"].items()} == {
        "a": (4, 0, 8),
        "b": (3, 0, 6),
        "c": (3, 0, 6),
    }
    assert reply["shortfall"] == {"a": 1, "b": 2, "c": 2}
    assert (reply["unallocated"], reply["price"]) == (0, 7)


@pytest.mark.parametrize("policy", POLICIES)
def test_no_capacity_and_no_tenants(policy):
    assert split(pool(policy, 0, tenant("a", 0, 1, 5))) == (1, {"a": 0}, 0)
    assert split(pool(policy, 8)) == (1, {}, 8)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("policy", POLICIES)
def test_random_pools_against_the_oracle(policy, seed):
    rnd = random.Random(f"{policy} {seed}")
    for _ in range(200 if policy == "proportional" else 700):  # its loop looks for a level, at ten times the cost
        case = random_pool(rnd, policy)
        assert through_the_door(case) == oracle.solve(case), json.dumps(case)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("abundance", [0, 0.3, 0.9, 3])
def test_large_pools_against_the_oracle(policy, abundance):
    """Thousands of rows: many rounds, long ties, and the sorts and partitions that small columns do not reach."""
    rnd = random.Random(f"{policy} {abundance}")
    tenants = [
        tenant(
            f"{row:04}",
            base=rnd.randint(0, 4),
            elasticity=rnd.choice((0, 0.5, 1, 1.25, 3)),
            demand=int(rnd.lognormvariate(2, 1)),
            budget=rnd.choice((None, rnd.randint(0, 60), rnd.randint(0, 600))),
            weight=rnd.choice((1, 2, 5, rnd.randint(1, 10**9))),
        )
        for row in range(4_000)
    ]
    capacity = sum(row["base"] for row in tenants) + int(abundance * sum(row["demand"] for row in tenants))
    case = pool(policy, capacity, *tenants, base_price=2, reserve_price=3)
    assert through_the_door(case) == oracle.solve(case)


small = st.integers(0, 12)
anything = st.one_of(small, st.integers(0, INT64_MAX), st.sampled_from((2**31, 2**53, INT64_MAX)))


@st.composite
def pools(draw):
    quantity = draw(st.sampled_from((small, anything)))
    rows = draw(st.lists(st.tuples(quantity, quantity, quantity, st.none() | quantity, quantity), max_size=9))
    tenants = [
        {"id": chr(ord("a") + row), "base": b, "elasticity": e, "demand": d, "budget_left": m, "weight": w}
        for row, (b, e, d, m, w) in enumerate(rows)
    ]
    capacity, base_price, reserve_price = draw(st.tuples(quantity, quantity, quantity))
    return pool(draw(st.sampled_from(sorted(POLICIES))), capacity, *tenants, base_price=base_price, reserve_price=reserve_price)


@given(pools(), st.randoms(use_true_random=False))
@settings(max_examples=500, deadline=None)
def test_invariants(case, rnd):
    reply = through_the_door(case)
    given_to = reply["allocations"]
    assert sum(got["base"] + got["surplus"] for got in given_to.values()) + reply["unallocated"] == case["capacity"]
    promised = sum(row["base"] for row in case["tenants"])
    for row in case["tenants"]:
        got = given_to[row["id"]]
        assert got["base"] + reply["shortfall"].get(row["id"], 0) == row["base"]
        assert got["charge"] == got["base"] * case["base_price"] + got["surplus"] * reply["price"]
        if row["budget_left"] is not None:
            left = max(row["budget_left"] - row["base"] * case["base_price"], 0)
            assert got["surplus"] * reply["price"] <= left
        if case["policy"] != "seed":
            headroom = row["demand"] // 4 if case["policy"] == "proportional" else 0
            assert got["surplus"] <= max(row["demand"] + headroom - row["base"], 0)
    assert bool(reply["shortfall"]) == (promised > case["capacity"])
    shuffled = rnd.sample(case["tenants"], len(case["tenants"]))
    assert answer_line(json.dumps({**case, "tenants": shuffled}).encode()) == json.dumps(reply)


@given(pools())
@settings(max_examples=300, deadline=None)
def test_max_min_gives_nobody_more_at_the_cost_of_a_less_satisfied(case):
    case = {**case, "policy": "max_min", "reserve_price": 0}
    given_to = {name: got["surplus"] for name, got in through_the_door(case)["allocations"].items()}
    rows = [row for row in case["tenants"] if row["weight"]]
    unsatisfied = [row for row in rows if given_to[row["id"]] < row["demand"] - row["base"]]
    for row in unsatisfied:
        for other in rows:
            # Whole tokens: whoever leaves took at most one more than its exact share from those who stay.
            slack = len(rows) + 1
            assert (given_to[other["id"]] - slack) * row["weight"] <= (given_to[row["id"]] + slack) * other["weight"]


@given(pools())
@settings(max_examples=100, deadline=None)
def test_proportional_serves_the_more_elastic_no_smaller_a_share(case):
    """Of two without bases and budgets; a token is what rounding may cost."""
    tenants = [{**row, "base": 0, "budget_left": None} for row in case["tenants"]]
    case = {**case, "policy": "proportional", "tenants": tenants}
    given_to = {name: got["surplus"] for name, got in through_the_door(case)["allocations"].items()}
    rows = [row for row in tenants if row["demand"]]
    for row in rows:
        for other in rows:
            if row["elasticity"] >= other["elasticity"] and row["demand"] == other["demand"]:
                assert given_to[row["id"]] >= given_to[other["id"]] - 1


@given(pools())
@settings(max_examples=300, deadline=None)
def test_nobody_is_charged_above_the_ceiling(case):
    reply = through_the_door(case)
    elasticity = max((row["elasticity"] for row in case["tenants"]), default=0)
    ceiling = charge_ceiling(case["capacity"], case["base_price"], case["reserve_price"], elasticity)
    assert sum(got["charge"] for got in reply["allocations"].values()) <= ceiling


def test_a_price_beyond_int64_is_exact_in_json():
    # Limit price 2^62 · 2^62 // 10^6; one token for two that want it, at any price: it goes to the smaller id.
    rich = {"base": 0, "elasticity": 2**62, "demand": 1, "budget_left": None}
    case = pool("uniform_price", 1, {"id": "b", **rich}, {"id": "a", **rich}, reserve_price=2**62)
    price = 2**124 // 10**6
    assert through_the_door(case) == {
        "price": price,
        "allocations": {"a": {"base": 0, "surplus": 1, "charge": price}, "b": {"base": 0, "surplus": 0, "charge": 0}},
        "unallocated": 0,
        "shortfall": {},
    }
