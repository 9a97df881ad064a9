"""Why a tenant got what it got: steps that are true of the rows, rows that are proved, and a wrong number that is not."""

from dataclasses import replace

import pool_world
import pytest
from audited_periods import table
from hypothesis import given, settings
from hypothesis import strategies as st
from journal_world import World
from pool_world import PERIOD, PoolWorld, token_pool
from simulation import Simulation

from processors.explain import COMPARED, TRADED, FairShare, PeriodInputs, SealedBid, ServedShare, Turn, UnknownTenantError, explain
from schemas.facts import AllocationsClosed, PeriodClosed, PeriodOpened, ProfileSet
from schemas.published import Tier

COLUMNS = ("tenant", "elasticity", "weight", "demand", "budget_left", "used", *COMPARED, *TRADED)


def closed_periods(facts):
    """What the tables would hold of each closed period."""
    opened, rows, bidders = {}, [], {}
    for fact in facts:
        if isinstance(fact, ProfileSet):
            bidders.setdefault(fact.pool, {}).setdefault(fact.tenant, fact.from_period)
        elif isinstance(fact, PeriodOpened):
            opened[fact.pool] = fact
        elif isinstance(fact, AllocationsClosed):
            rows += table(fact)
        elif isinstance(fact, PeriodClosed):
            begun = opened[fact.pool]
            columns = {name: [row[name] for row in rows] for name in COLUMNS}
            took_part = frozenset(who for who, since in bidders.get(fact.pool, {}).items() if since <= fact.period)
            terms = {name: getattr(begun, name) for name in ("policy", "capacity", "base_price", "reserve_price")}
            whole = {name: getattr(fact, name) for name in ("price", "unallocated")}
            yield PeriodInputs(fact.pool, fact.period, **terms, **whole, rows=columns, bidders=took_part)
            rows = []


@pytest.mark.parametrize("policy", ["seed", "uniform_price", "max_min", "proportional"])
def test_periods_of_a_token_pool_are_proved_with_bases_by_tier_and_weights_by_debt(policy):
    here = PoolWorld(
        pool_world.tenant("d", "d", tier="dedicated", base=3000),
        pool_world.tenant("g", "g", tier="guaranteed", base=4000),
        pool_world.tenant("e", "e", base=1000),
        pool_world.tenant("f", "f"),
        pool_world.tenant("s", "s", tier="spot", base=1000, weight=3),
        policy=policy,
        debt_weights=True,
    )
    # Of elastic tenants one has what the other is refused: the period that opens is shared by weights that debt has changed.
    here.seconds(PERIOD, {"d": 100, "e": 600, "f": 100, "s": 50}, {"f": (1, 400, 0, 0, 0)})
    here.take(token_pool("p2", replicas=6, policy=policy, debt_weights=True))
    here.seconds(2 * PERIOD)
    tiers = {"d": Tier.DEDICATED, "g": Tier.GUARANTEED, "e": Tier.ELASTIC, "f": Tier.ELASTIC, "s": Tier.SPOT}
    for inputs in closed_periods(here.facts):
        told = {name: explain(replace(inputs, tiers=tiers), name) for name in tiers}
        assert all(each.proved and not each.other_rows_differing for each in told.values())
    assert {name: (each.base, each.shortfall) for name, each in told.items()} == {
        "d": (3000, 0),
        "g": (3000, 1000),
        "e": (0, 1000),
        "f": (0, 0),
        "s": (0, 1000),
    }
    assert not explain(inputs, "g").proved


def period(policy, tenants, capacity, base_price=1, reserve_price=2):
    """A period of tenants (base, elasticity, demand, budget_left, weight) whose rows are right, as the engine would record them."""
    inputs = PeriodInputs(
        pool="llm",
        period=7,
        policy=policy,
        capacity=capacity,
        base_price=base_price,
        reserve_price=reserve_price,
        price=0,
        unallocated=0,
        rows={
            "tenant": list(tenants),
            "base": [each[0] for each in tenants.values()],
            "elasticity": [int(each[1] * 1_000_000) for each in tenants.values()],
            "demand": [each[2] for each in tenants.values()],
            "budget_left": [each[3] for each in tenants.values()],
            "weight": [int(each[4] * 1_000_000) for each in tenants.values()],
            "used": [each[2] for each in tenants.values()],
            **{name: [0] * len(tenants) for name in (*COMPARED, *TRADED) if name != "base"},
        },
        bidders=frozenset(tenants),
    )
    return mended(inputs)


def mended(inputs):
    """With what follows by the rule put in."""
    rows = {name: list(values) for name, values in inputs.rows.items()}
    whole = {}
    for at, tenant in enumerate(rows["tenant"]):
        for name, _, right in explain(inputs, tenant).differences:
            if name in rows:
                rows[name][at] = right
            else:
                whole[name] = right
    return replace(inputs, rows=rows, **whole)


def test_seed_tells_turn_and_rest():
    # base given, elasticity, demand, budget left, weight; supply 1000 - 300 = 700.
    tenants = {
        "a": (100, 2.0, 150, None, 1),  # bid 300, rank 1
        "b": (100, 1.0, 150, None, 1),  # bid 150, rank 3
        "c": (100, 4.0, 60, 300, 1),  # bid 240, rank 2; room (300 - 100) // 2 = 100
    }
    inputs = period("seed", tenants, 1000)
    told = {name: explain(inputs, name) for name in tenants}
    assert all(each.proved for each in told.values())
    a, b, c = (told[name].rule for name in "abc")
    assert (a.bid, a.rank, a.before, a.taken_before, a.left, a.taken, a.limited_by) == (300, 1, (), 0, 700, 300, "bid")
    assert (c.bid, c.rank, c.room, c.left, c.taken, c.limited_by) == (240, 2, 100, 400, 100, "budget")
    assert (b.taken_before, b.left, b.taken, b.limited_by) == (400, 300, 150, "bid")
    assert [(one.tenant, one.rank, one.bid, one.taken) for one in b.before] == [("a", 1, 300, 300), ("c", 2, 240, 100)]
    # The rest, 150, by elasticity 2 : 1 between a and b; c's budget buys nothing more.
    assert [(rule.rest, rule.sharers, rule.sharers_elasticity, rule.share) for rule in (a, b, c)] == [
        (150, 2, 3_000_000, 100),
        (150, 2, 3_000_000, 50),
        (150, 2, 3_000_000, 0),
    ]
    assert (a.filled, c.filled) == (False, True)
    assert (told["a"].supply, told["a"].promised, told["a"].allocated) == (700, 300, 500)
    assert (told["a"].charge_for_base, told["a"].charge_for_surplus, told["a"].charge) == (100, 800, 900)


def test_seed_tells_who_found_nothing_left():
    tenants = {name: (0, 1.0, bid, None, 1) for name, bid in {"a": 50, "b": 40, "c": 30, "d": 20, "e": 10}.items()}
    rule = explain(period("seed", tenants, 100), "e").rule
    assert (rule.left, rule.taken, rule.limited_by, rule.rest) == (0, 0, "supply", 0)
    assert [one.tenant for one in rule.before] == ["b", "c", "d"]
    assert [one.taken for one in rule.before] == [40, 10, 0]


def test_uniform_price_tells_the_price_and_which_side_of_it():
    # Reserve price 2, limits 10, 6 and 2; quantities 50, 80, 40 of a supply of 100.
    tenants = {"a": (0, 5.0, 50, None, 1), "b": (0, 3.0, 80, None, 1), "c": (0, 1.0, 40, None, 1)}
    inputs = period("uniform_price", tenants, 100)
    told = {name: explain(inputs, name) for name in tenants}
    a, b, c = (told[name].rule for name in "abc")
    assert [rule.standing for rule in (a, b, c)] == ["above", "at", "below"]
    assert (a.price, a.quantity, a.limit, a.affordable) == (6, 50, 10, None)
    assert (b.buyers_above, b.bought_above, b.buyers_at, b.wanted_at, b.left_at) == (1, 50, 1, 80, 50)
    assert b.cheaper == 130  # at 5 both a and b buy all
    assert [each.surplus for each in told.values()] == [50, 50, 0]
    assert all(each.proved and each.price == 6 for each in told.values())


def test_uniform_price_at_the_reserve_price_has_no_cheaper_one():
    rule = explain(period("uniform_price", {"a": (0, 5.0, 50, 30, 1)}, 100), "a").rule
    assert (rule.price, rule.cheaper, rule.affordable, rule.set_by) == (2, None, 15, ())


def test_max_min_tells_needs_and_the_level():
    tenants = {"a": (10, 1, 30, None, 1), "b": (0, 1, 500, None, 2), "c": (0, 1, 500, None, 1), "d": (0, 1, 90, 20, 1)}
    inputs = period("max_min", tenants, 250)
    told = {name: explain(inputs, name) for name in tenants}
    assert {name: each.surplus for name, each in told.items()} == {"a": 20, "b": 140, "c": 70, "d": 10}
    a, b, d = (told[name].rule for name in "abd")
    assert (a.need, a.room, a.satisfied) == (20, None, True)
    assert (b.satisfied, b.needing, b.satisfied_in_all, b.shared, b.weight_of_unmet) == (False, 4, 2, 210, 3_000_000)
    assert (d.need, d.room, d.satisfied) == (90, 10, True)


def test_a_cut_guarantee_is_told():
    told = explain(period("seed", {"a": (300, 1, 1, None, 1), "b": (100, 1, 1, None, 1)}, 200), "a")
    assert (told.declared_base, told.base, told.shortfall, told.promised, told.supply) == (300, 150, 150, 400, 0)


def test_a_tenant_without_a_profile_took_no_part():
    inputs = period("seed", {"a": (0, 1, 10, None, 1), "z": (0, 0, 0, None, 0)}, 200)
    rows = {name: [values[0], 0 if name != "tenant" else "z"] for name, values in inputs.rows.items()}
    rows["budget_left"][1] = rows["rank"][1] = None
    told = explain(mended(replace(inputs, rows=rows, bidders=frozenset({"a"}))), "z")
    assert (told.took_part, told.rule, told.allocated, told.charge, told.proved) == (False, None, 0, 0, True)


def test_an_unknown_tenant_is_an_error():
    with pytest.raises(UnknownTenantError):
        explain(period("seed", {"a": (0, 1, 10, None, 1)}, 200), "b")


@pytest.mark.parametrize("column", COMPARED)
def test_a_wrong_number_is_not_proved(column):
    inputs = period("seed", {"a": (5, 2, 10, None, 1), "b": (5, 1, 10, None, 1)}, 200)
    rows = {name: list(values) for name, values in inputs.rows.items()}
    rows[column][0] += 1
    told = explain(replace(inputs, rows=rows), "a")
    assert not told.proved
    # base and shortfall are what was declared: a wrong one of them makes others follow.
    assert column in {"base", "shortfall"} or [name for name, *_ in told.differences] == [column]
    assert explain(replace(inputs, rows=rows), "b").other_rows_differing == 1


@pytest.mark.parametrize("column", ["price", "unallocated"])
def test_a_wrong_whole_is_not_proved(column):
    inputs = period("seed", {"a": (5, 2, 10, 15, 1)}, 200)
    wrong = replace(inputs, **{column: getattr(inputs, column) + 1})
    assert explain(wrong, "a").differences == ((column, getattr(inputs, column) + 1, getattr(inputs, column)),)


def test_proportional_tells_the_share_and_what_held_it():
    tenants = {"a": (10, 3, 80, None, 1), "b": (20, 1, 80, None, 1), "c": (60, 1, 60, None, 1)}
    inputs = period("proportional", tenants, 160)
    told = {name: explain(inputs, name) for name in tenants}
    # Shares of 3/4 and 1/2, a level of 1, are 60 and 40 tokens; 60.7 and 40.99 are floored to them at the smallest level that is.
    assert {name: (each.rule.level, each.rule.share, each.rule.limited_by) for name, each in told.items()} == {
        "a": (951_220, 759_259, "share"),
        "b": (951_220, 512_499, "share"),
        "c": (951_220, 512_499, "base"),
    }
    assert {name: each.surplus for name, each in told.items()} == {"a": 50, "b": 20, "c": 0}
    roomy = explain(period("proportional", {"a": (10, 3, 80, None, 1)}, 160), "a")
    assert (roomy.rule.level, roomy.rule.limited_by, roomy.surplus) == (0, "headroom", 90)


def steps_are_true(told):
    """What is said must add up to what was got."""
    if told.rule is None:
        assert told.allocated == 0
        return
    match told.rule:
        case Turn() as turn:
            assert turn.taken + turn.share == told.surplus
            assert turn.left - turn.taken - turn.rest >= 0
            assert turn.taken <= turn.left
            assert turn.taken <= turn.bid
            assert turn.room is None or told.surplus <= turn.room
            assert len(turn.before) == min(3, turn.rank - 1)
        case SealedBid() as bid:
            assert bid.cheaper is None or bid.cheaper > told.supply
            assert bid.bought_above + bid.left_at == told.supply
            assert (told.surplus == 0) or bid.standing != "below"
            if bid.standing == "above":
                assert told.surplus == min(bid.quantity, bid.quantity if bid.affordable is None else bid.affordable)
        case FairShare() as share:
            need = share.need if share.room is None else min(share.need, share.room)
            assert told.surplus == need if share.satisfied else told.surplus < need
        case ServedShare() as served:
            served_in_all = told.demand * served.share // 1_000_000
            assert served.level or served.share == 1_000_000
            assert (served.limited_by == "base") == (told.surplus == 0)
            if served.limited_by == "share":
                # One level less would be too much: what is left of that goes out token by token.
                assert told.surplus >= max(0, served_in_all - told.declared_base)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_every_row_of_a_simulated_world_is_proved_and_its_steps_are_true(seed):
    world = World()
    world.take(*Simulation(seed, steps=200).records())
    for inputs in closed_periods(world.facts):
        for tenant in inputs.rows["tenant"]:
            told = explain(inputs, tenant)
            assert told.differences == ()
            assert told.other_rows_differing == 0
            steps_are_true(told)
