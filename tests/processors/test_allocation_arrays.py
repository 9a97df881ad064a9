"""Allocation of arrays: as the door's of JSON, what explains it, and inputs that cannot be."""

import json
import random

import numpy as np
import pytest
from allocation_cases import random_pool

from processors.allocation import POLICIES, AuctionInput, ChargeOverflowError, InputError, SurplusShares, allocate
from processors.allocation.arrays import answer_arrays
from processors.allocation.door import answer, parse_case
from processors.allocation.exact import INT64_MAX


@pytest.mark.parametrize("policy", POLICIES)
def test_arrays_and_json_agree(policy):
    rnd = random.Random(policy)
    for _ in range(200):
        case = random_pool(rnd, policy)
        for row, each in enumerate(case["tenants"]):
            each["id"] = f"{row:03}"
            if (each["budget_left"] or 0) < 0:
                each["budget_left"] = 0
        reply = answer(parse_case(json.dumps(case).encode()))
        charges = [got["charge"] for got in reply["allocations"].values()]
        if max(charges, default=0) > INT64_MAX:
            with pytest.raises(ChargeOverflowError):
                answer_arrays(as_arrays(case))
        elif reply["price"] > INT64_MAX:
            with pytest.raises(InputError, match="price"):
                answer_arrays(as_arrays(case))
        else:
            arrays = answer_arrays(as_arrays(case))
            assert (arrays["price"], arrays["unallocated"]) == (reply["price"], reply["unallocated"])
            for name in ("base", "surplus", "charge"):
                assert arrays[name].tolist() == [got[name] for got in reply["allocations"].values()]
            owed = [reply["shortfall"].get(name, 0) for name in reply["allocations"]]
            assert arrays["shortfall"].tolist() == owed


def as_arrays(case):
    columns = {
        name: np.array([-1 if row[name] is None else row[name] for row in case["tenants"]], np.int64)
        for name in ("base", "elasticity", "demand", "budget_left", "weight")
    }
    scalars = {name: np.array(case[name]) for name in ("policy", "capacity", "base_price", "reserve_price")}
    return {**columns, **scalars}


def column(*values):
    return np.array(values, np.int64)


def simple_input(**changes):
    fields = {
        "capacity": 10,
        "base_price": 1,
        "reserve_price": 1,
        "base": column(1, 2),
        "elasticity": column(1_000_000, 2_000_000),
        "demand": column(5, 3),
        "budget_left": column(4, 0),
        "capped": np.array([True, False]),
        "weight": column(1, 1),
    }
    return AuctionInput(**{**fields, **changes})


def test_columns_that_explain_the_auction():
    # Bids 5 and 6; rooms (4 − 1) // 1 and none. b takes 6 of 7, a the 1 left.
    why = allocate("seed", simple_input()).why
    assert (why.bid.tolist(), why.room.tolist()) == ([5, 6], [3, INT64_MAX])
    assert (why.rank.tolist(), why.taken.tolist(), why.surplus.tolist()) == ([2, 1], [1, 6], [1, 6])


def test_columns_that_explain_the_uniform_price():
    why = allocate("uniform_price", simple_input(reserve_price=3)).why
    assert (why.bid.tolist(), why.limit.tolist(), why.price) == ([4, 1], [3, 6], 3)
    assert (why.room.tolist(), why.surplus.tolist()) == ([1, INT64_MAX], [1, 1])


def test_columns_that_explain_the_level():
    # A level of 1/2: 666,666 and 800,000 millionths of 6 and 3 tokens are 3 and 2, of which bases are 1 and 2.
    why = allocate("proportional", simple_input(capacity=5, demand=column(6, 3), budget_left=column(40, 0))).why
    assert (why.bid.tolist(), why.surplus.tolist(), why.level) == ([5, 1], [2, 0], 500_000)


def test_inputs_are_left_as_they_were():
    inp = simple_input(capacity=1_000)
    before = {name: np.copy(value) for name, value in vars(inp).items()}
    for policy in POLICIES:
        allocate(policy, inp)
    assert all(np.array_equal(before[name], value) for name, value in vars(inp).items())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"capacity": -1}, "capacity: must be from 0"),
        ({"reserve_price": 2**63}, "reserve_price: must be from 0"),
        ({"demand": column(5, -3)}, r"demand\[1\]: must not be negative, got -3"),
        ({"weight": column(1)}, "weight: must have one value per tenant"),
        ({"base": np.array([1.0, 2.0])}, "base: must be int64, got float64"),
        ({"capped": column(1, 1)}, "capped: must be bool, got int64"),
    ],
)
def test_inputs_out_of_range_name_the_field(changes, message):
    with pytest.raises(InputError, match=message):
        simple_input(**changes)


def test_an_unknown_policy_is_named():
    with pytest.raises(InputError, match="policy: unknown policy 'lottery', known are seed, uniform_price, max_min, proportional"):
        allocate("lottery", simple_input())


def test_a_policy_that_gives_away_too_much_crashes(monkeypatch):
    def generous(inp, supply):
        return SurplusShares(1, inp.demand + supply, inp.demand, inp.demand)

    monkeypatch.setattr("processors.allocation.POLICIES", {"generous": generous})
    with pytest.raises(RuntimeError, match="generous divided a surplus of 7"):
        allocate("generous", simple_input())


@pytest.mark.parametrize(
    ("base_price", "fits"),
    [(INT64_MAX // 7, True), (INT64_MAX // 7 + 1, False)],
)
def test_a_charge_beyond_int64_is_refused_and_exact_where_it_may_be_larger(base_price, fits):
    # 2^63−1 is a multiple of 7: the second charge is exactly that, or 7 more.
    inp = simple_input(capacity=8, base=column(1, 7), base_price=base_price, reserve_price=0)
    outcome = allocate("max_min", inp)
    assert outcome.charge_of(1) == 7 * base_price
    if fits:
        assert outcome.charge.tolist() == [base_price, 7 * base_price]
    else:
        with pytest.raises(ChargeOverflowError, match=r"charge\[1\]: 9223372036854775814 nanocredits"):
            _ = outcome.charge
