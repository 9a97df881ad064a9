"""The nearest change of each input: it changes the outcome and one step less does not, by the oracle; "none" holds on a grid."""

import pytest
from explained_pools import POLICIES, cases, changed, outcome, recorded
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.allocation.exact import INT64_MAX
from processors.explain import PriceSetter, explain, run_again, what_if
from processors.explain.counterfactuals import UNREAD
from processors.explain.nearest import FEW, NEAR, nearest

INPUTS = ["base", "elasticity", "demand", "weight", "budget_left", "capacity", "reserve_price", "base_price"]
GRID = 20


@settings(max_examples=60)
@given(cases())
def test_explained_numbers_are_the_oracles(case):
    inputs = recorded(case)
    for tenant in inputs.bidders:
        told = explain(inputs, tenant)
        assert told.differences == ()
        assert told.other_rows_differing == 0
        assert (told.base + told.surplus, told.charge) == outcome(case, tenant)
        assert told.promised == sum(each["base"] for each in case["tenants"])


@settings(max_examples=20)
@given(cases(), st.integers(0, 5))
def test_a_change_changes_the_outcome_and_one_step_less_does_not(case, which):
    tenant = case["tenants"][which % len(case["tenants"])]["id"]
    told = what_if(run_again(recorded(case)), tenant)
    before = outcome(case, tenant)
    assert (told.got.tokens, told.got.charge) == before
    assert [each.input for each in told.inputs[: len(INPUTS)]] == INPUTS
    for each in told.inputs:
        for direction, toward in ((each.lower, 1), (each.higher, -1)):
            if direction is None:
                continue

            def got(value, each=each):
                return outcome(changed(case, each.input, each.of, value), tenant)

            holds(direction.outcome, toward, got, before)
            holds(direction.tokens, toward, lambda value, got=got: got(value)[:1], before[:1])
            # As capacity falls, Hamilton shares of bases can give a unit and take it back (the Alabama paradox): what is said is
            # that nothing was found.
            if direction.outcome is None and each.input != "capacity":
                on_a_grid(each.recorded, direction.end, got, before)


def holds(change, toward, got, before):
    """What a claim says of a value, and of the one next to it towards the recorded value."""
    if change is None:
        return
    assert (change.got.tokens, change.got.charge)[: len(before)] == got(change.value)
    assert got(change.value) != before
    if change.value + toward <= INT64_MAX:
        assert got(change.value + toward) == before


def on_a_grid(recorded, end, got, before):
    start = 100_000 if recorded is None else recorded
    for part in range(1, GRID + 1):
        assert got(start + (end - start) * part // GRID) == before


@given(cases(), st.integers(0, 5), st.integers(0, 10**6))
def test_what_a_policy_does_not_read_changes_nothing(case, which, value):
    tenant = case["tenants"][which % len(case["tenants"])]["id"]
    for name in UNREAD[case["policy"]]:
        for of in (each["id"] for each in case["tenants"]):
            assert outcome(changed(case, name, of, value), tenant) == outcome(case, tenant)


@pytest.mark.parametrize("policy", POLICIES)
def test_what_a_policy_does_not_read_is_said_to_be_unread(policy):
    told = found(case_of(policy, 60, a=(0, 1_000_000, 60, None, 1), b=(0, 1_000_000, 40, None, 1)), "b")[1]
    unread = {each.input: each for each in told.inputs if not each.read}
    assert set(unread) == UNREAD[policy]
    assert all(each.lower is None and each.higher is None for each in unread.values())


def tenants(**rows):
    """name -> (base, elasticity in millionths, demand, budget_left, weight)."""
    names = ("base", "elasticity", "demand", "budget_left", "weight")
    return [{"id": name, **dict(zip(names, row, strict=True))} for name, row in rows.items()]


def case_of(policy, capacity, base_price=1, reserve_price=2, **rows):
    terms = {"policy": policy, "capacity": capacity, "base_price": base_price, "reserve_price": reserve_price}
    return terms | {"tenants": tenants(**rows)}


def found(case, tenant):
    """(input, of) -> counterfactual."""
    told = what_if(run_again(recorded(case)), tenant)
    return {(each.input, each.of): each for each in told.inputs}, told


def test_seed_who_comes_too_late_needs_the_bid_of_the_one_before():
    # a bids 60, b 40 of a supply of 60: b finds nothing. With a bid of 61 (b's demand 61, elasticity 1) it is first.
    case = case_of("seed", 60, a=(0, 1_000_000, 60, None, 1), b=(0, 1_000_000, 40, None, 1))
    by, told = found(case, "b")
    assert (told.got.tokens, told.rival.tenant, told.rival.why) == (0, "a", "right_before")
    demand = by["demand", "b"]
    assert demand.lower.outcome is None
    assert (demand.higher.outcome.value, demand.higher.outcome.got.tokens) == (61, 60)
    assert by["capacity", None].higher.outcome.value == 61
    assert by["demand", "a"].lower.outcome.value == 59
    assert not by["weight", "b"].read
    assert by["budget_left", "b"].recorded is None
    assert by["budget_left", "b"].higher is None
    assert by["budget_left", "b"].lower.outcome is None
    assert by["base", "b"].higher.outcome.value == 1


def test_a_cap_that_would_have_bound_is_the_largest_one():
    case = case_of("seed", 500, a=(0, 1_000_000, 60, None, 1))
    by, told = found(case, "a")
    assert (told.got.tokens, told.got.charge) == (500, 1000)
    cap = by["budget_left", "a"].lower.outcome
    assert (cap.value, cap.got.tokens, cap.sure) == (999, 499, False)


def test_a_price_that_changes_the_charge_alone_is_told_beside_the_one_that_changes_tokens():
    # 50 tokens at 2 cost 100 of a budget of 120: at 3 the budget buys 40.
    case = case_of("max_min", 500, a=(0, 1_000_000, 50, 120, 1))
    price = found(case, "a")[0]["reserve_price", None]
    assert (price.higher.outcome.value, price.higher.outcome.got.tokens) == (3, 40)
    assert price.higher.outcome == price.higher.tokens
    case = case_of("max_min", 500, a=(0, 1_000_000, 50, 160, 1))
    price = found(case, "a")[0]["reserve_price", None]
    assert (price.higher.outcome.value, price.higher.outcome.got.tokens, price.higher.outcome.got.charge) == (3, 50, 150)
    assert (price.higher.tokens.value, price.higher.tokens.got.tokens) == (4, 40)
    assert price.lower.tokens is None


def test_uniform_price_names_who_set_it_and_what_would_have_beaten_them():
    # Limits 10, 6, 2; supply 100: at 5 a and b want 130, at 6 only a is firm. c needs a limit above 6 to have anything.
    case = case_of(
        "uniform_price", 100, a=(0, 5_000_000, 50, None, 1), b=(0, 3_000_000, 80, None, 1), c=(0, 1_000_000, 40, None, 1)
    )
    rule = explain(recorded(case), "c").rule
    assert (rule.price, rule.set_by, rule.setters) == (6, (PriceSetter("b", 6, 80, "limit"),), 1)
    by, told = found(case, "c")
    assert (told.rival.tenant, told.rival.why) == ("b", "price_setter")
    assert by["elasticity", "c"].higher.outcome.value == 3_000_000
    assert by["demand", "b"].lower.outcome.value == 49, "then a and b fit at the reserve price, and leave 1"
    assert by["elasticity", "b"].lower.outcome is not None


def test_a_budget_sets_the_price_where_it_buys_fewer_tokens():
    # One bidder, 20 nanocredits, 5 tokens: at 3 it would buy 6, at 4 it buys 5.
    rule = explain(recorded(case_of("uniform_price", 5, a=(0, 10_000_000, 10, 20, 1))), "a").rule
    assert (rule.price, rule.set_by) == (4, (PriceSetter("a", 20, 1, "budget"),))


@pytest.mark.parametrize("policy", POLICIES)
def test_who_takes_no_part_has_no_input(policy):
    inputs = recorded(case_of(policy, 100, a=(0, 1_000_000, 10, None, 1), z=(0, 0, 0, None, 0)))
    assert what_if(run_again(type(inputs)(**{**fields(inputs), "bidders": frozenset({"a"})})), "z") is None


def fields(inputs):
    return {name: getattr(inputs, name) for name in inputs.__slots__}


def test_alone_without_a_rival():
    told = found(case_of("max_min", 100, a=(0, 1_000_000, 10, None, 1)), "a")[1]
    assert told.rival is None
    assert len(told.inputs) == len(INPUTS)


@settings(max_examples=100)
@given(st.integers(0, 10**9), st.integers(0, 10**9))
def test_where_the_outcome_moves_one_way_the_nearest_is_found(threshold, room):
    asked = []
    got = nearest(lambda distance: asked.append(distance) or distance >= threshold, room)
    assert got.distance == (max(threshold, 1) if max(threshold, 1) <= room else None)
    assert len(asked) == len(set(asked)) <= 60
    assert all(1 <= each <= room for each in asked)


@settings(max_examples=100)
@given(st.sets(st.integers(1, 300)), st.integers(0, 300))
def test_what_is_found_is_a_change_whose_nearer_neighbour_is_none(changes, room):
    got = nearest(changes.__contains__, room)
    if room <= FEW:
        assert got.distance == min((each for each in changes if each <= room), default=None)
    if got.distance is None:
        assert not changes & set(range(1, min(NEAR, room) + 1))
        assert got.tried <= room
        return
    assert got.distance in changes
    assert got.distance - 1 not in changes
    assert got.sure == (got.tried == got.distance - 1)
    if got.sure:
        assert got.distance == min(changes)
