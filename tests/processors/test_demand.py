"""Forecasts in the engine: what it learns and when, whose forecast is bid on, and that nobody sees ahead."""

import numpy as np
import pytest
from journal_world import World, mark, of_kind, pool, profile, refold, rows, state_bytes, tick, usage

from processors import demand
from processors.forecast import EXPERTS, Calendar, State, learn, opinions, predict
from processors.forecast.dumping import SLOTS, dump_forecaster, load_forecaster, moving
from processors.snapshot import dump_pool, load_pool, state_hash
from schemas.facts import AllocationsOpened, Forecasts, PoolSet
from schemas.published import BidOn, Forecaster, PoolCommand
from schemas.units import MAX_TOKENS

COLUMNS = ("mean", "p50", "p90", "p99")
USES = [(100, 10), (300, 0), (50, 20), (1000, 30), (400, 1), (0, 700), (90, 3)]


def mixing(*profiles, **terms):
    """A pool that opens period 5 at tick 10."""
    here = World()
    here.tick(8)
    terms = {"capacity": 10**6, "forecaster": "mixture", **terms}
    here.take(pool(**terms), *(profiles or (profile("a1", "a"), profile("b1", "b"))))
    here.run(9, 10)
    return here


def period(here, used, **late):
    """One period of two ticks in which tenants use that; the facts of its end and the next one's beginning."""
    last = here.state.tick
    here.take(usage(last + 1, used)) if used else None
    facts = here.run(last + 1, last + 1)
    facts += here.tick(last + 2)
    facts += here.marks(last + 2, **late)
    if late:  # until its grace is over
        facts += here.tick(last + 2 + here.grace)
    return facts


def forecasts(facts):
    return rows(facts, Forecasts, *COLUMNS)


def alone(uses, first=5, tenants=2, period_s=2):
    """What the forecaster says by itself after each period, as whole tokens: tenant -> (mean, p50, p90, p99)."""
    state = State(Calendar(period_s))
    state.add(tenants)
    for number, used in enumerate(uses):
        learn(state, first + number, np.array(used), np.ones(tenants, bool))
        told = predict(state, first + number + 1)
        found = np.rint(np.vstack((told.mean, told.quantiles))).astype(int).T.tolist()
        yield dict(zip("abcdefgh", map(tuple, found), strict=False))


def test_a_pool_forecasts_by_the_mixture_unless_it_says_otherwise():
    here = World()
    here.tick(8)
    (made,) = of_kind(here.take(PoolCommand(id="p", pool="llm", capacity=1)), PoolSet)
    assert made.forecaster is Forecaster.MIXTURE


def test_each_period_is_forecast_from_those_before_it():
    here = mixing()
    assert forecasts(here.facts) == {"a": (0, 0, 0, 0), "b": (0, 0, 0, 0)}
    told = [forecasts(period(here, {"a": a, "b": b})) for a, b in USES]
    assert told == list(alone(USES))
    assert len(set(map(str, told))) == len(USES)
    for seen in told:
        assert all(p50 <= p90 <= p99 for _, p50, p90, p99 in seen.values())


def test_what_comes_later_changes_no_forecast():
    one, other = mixing(), mixing()
    for at, (a, b) in enumerate(USES):
        before = forecasts(period(one, {"a": a, "b": b}))
        assert before == forecasts(period(other, {"a": a, "b": b}))
        if at == 4:
            break
    # The period is forecast, and tokens of it, and of the one after it, are reported.
    for here, used in ((one, 10**6), (other, 7)):
        here.take(usage(here.state.tick + 1, {"a": used}), usage(here.state.tick + 3, {"a": used}, chunk=1))
    assert one.state.pools["llm"].tenants["used"][0] != other.state.pools["llm"].tenants["used"][0]
    assert demand.forecast(one.pool(), 11).mean.tolist() == demand.forecast(other.pool(), 11).mean.tolist()


def test_who_comes_later_is_expected_to_use_what_others_do():
    here = mixing()
    for _ in range(5):
        period(here, {"a": 100, "b": 300})
    here.take(profile("c1", "c"))
    facts = period(here, {"a": 100, "b": 300})
    # Its profile was not in force in the period, and it used nothing: it was not there, rather than idle.
    mean, p50, _, p99 = forecasts(facts)["c"]
    assert (mean, p50) == (200, 200)
    assert p99 > mean
    assert rows(facts, AllocationsOpened, "demand")["c"] == 200
    seen = here.pool().mixture.tenants["seen"][:3].tolist()
    assert seen == [6, 6, 0]
    period(here, {"a": 100, "b": 300})
    assert here.pool().mixture.tenants["seen"][:3].tolist() == [7, 7, 1]


def test_who_has_no_profile_is_learned_once_it_uses_something():
    here = mixing()
    period(here, {"a": 5, "stranger": 40})
    period(here, {"a": 5})
    assert here.pool().mixture.tenants["seen"][:3].tolist() == [2, 2, 2]
    assert forecasts(here.facts).keys() == {"a", "b"}


@pytest.mark.parametrize(
    ("late", "seen"),
    [([("usage", 0)], [4, 3]), ([("latency", 0)], [4, 4])],
    ids=["of usage: a gap for who reported nothing", "of latency: none"],
)
def test_a_late_meter_leaves_a_gap(late, seen):
    here = mixing()
    for _ in range(3):
        period(here, {"a": 100, "b": 100})
    facts = period(here, {"a": 100}, but=late)
    assert here.pool().mixture.tenants["seen"][:2].tolist() == seen
    mean = forecasts(facts)["b"][0]
    assert mean > 80 if seen[1] == 3 else mean < 50


def test_a_silence_of_everybody_is_a_gap():
    profiles = [profile(f"{name}1", name) for name in "abc"]
    here = mixing(*profiles)
    for _ in range(3):
        period(here, dict.fromkeys("abc", 100))
    before = forecasts(here.facts)
    assert forecasts(period(here, {})) == before
    assert here.pool().mixture.learned == 7


def test_periods_that_never_opened_are_not_learned():
    here = mixing()
    for _ in range(3):
        period(here, {"a": 100, "b": 100})
    here.take(mark(50), mark(50, "latency"), tick(50))
    assert here.pool().open.period == 25
    assert here.pool().mixture.learned == 9
    assert here.pool().mixture.tenants["seen"][:2].tolist() == [5, 5]


# The pool's terms


def test_a_forecaster_begins_with_the_version_that_names_it_and_is_forgotten_with_the_next_that_does_not():
    here = mixing(forecaster="last_value")
    period(here, {"a": 100})
    assert here.pool().mixture is None
    here.take(pool("p2", forecaster="mixture"))
    told = forecasts(period(here, {"a": 300, "b": 5}))
    # It knows the period in which it was declared.
    assert told == next(iter(alone([(300, 5)], first=6)))
    here.take(pool("p3", forecaster="exponential"))
    assert here.pool().mixture is not None
    facts = period(here, {"a": 300})
    assert here.pool().mixture is None
    assert {row[1:] for row in forecasts(facts).values()} == {(None, None, None)}
    here.take(pool("p4", forecaster="mixture"), pool("p5", forecaster="last_value"), pool("p6", forecaster="mixture"))
    assert forecasts(period(here, {"a": 40}))["a"][0] < 50


def test_a_pool_whose_period_changes_before_the_first_tick_learns_by_the_last():
    here = World()
    here.take(pool("p1", forecaster="mixture", period_s=7), profile("a1", "a"), pool("p2", forecaster="mixture", period_s=2))
    assert here.pool().mixture.calendar.period_s == 2
    assert here.pool().mixture.size == 1


def test_old_forecasters_know_nothing_of_the_mixture():
    here = mixing(forecaster="last_value")
    period(here, {"a": 3})
    header = dump_pool(here.pool()).header
    assert b"mixture" not in header
    assert b"declared_bid_on" not in header


# What is bid on


@pytest.mark.parametrize("choice", list(BidOn))
def test_a_profile_chooses_what_it_bids_on(choice):
    here = mixing(profile("a1", "a", bid_on=choice), profile("b1", "b"))
    for a, b in USES:
        facts = period(here, {"a": a, "b": b})
        told, bids = forecasts(facts), rows(facts, AllocationsOpened, "demand")
        assert bids == {"a": told["a"][COLUMNS.index(choice)], "b": told["b"][0]}
    assert len(set(told["a"])) == 4


def test_a_choice_holds_from_the_next_period_on_and_may_be_taken_back():
    here = mixing()
    for a, b in USES:
        period(here, {"a": a, "b": b})
    here.take(profile("a2", "a", bid_on="p99"))
    facts = period(here, {"a": 50, "b": 5})
    assert rows(facts, AllocationsOpened, "demand")["a"] == forecasts(facts)["a"][3]
    here.take(profile("a3", "a"))
    facts = period(here, {"a": 50, "b": 5})
    assert rows(facts, AllocationsOpened, "demand")["a"] == forecasts(facts)["a"][0]


def test_without_quantiles_the_mean_is_bid_on():
    here = mixing(profile("a1", "a", bid_on="p99"), forecaster="last_value")
    assert rows(period(here, {"a": 77}), AllocationsOpened, "demand") == {"a": 77}


def test_bots_see_of_periods_to_come_what_would_be_bid_on():
    here = mixing(profile("a1", "a", bid_on="p90"), profile("b1", "b"))
    for a, b in USES:
        period(here, {"a": a, "b": b})
        for ahead in (1, 2, 40):
            at = here.pool().open.period + ahead
            told = demand.forecast(here.pool(), at)
            for slot, wanted in ((0, told.quantiles[1][0]), (1, told.mean[1]), (1, told.mean[1])):
                assert demand.bid_of(here.pool(), at, slot) == wanted
    here.take(profile("b2", "b", bid_on="p99"))
    assert demand.bid_of(here.pool(), at, 1) == told.quantiles[2][1]


def test_nobody_is_expected_to_use_more_than_anybody_can():
    here = mixing()
    for number in range(40):
        facts = period(here, {"a": (0, 0, MAX_TOKENS if number % 2 else 0), "b": (MAX_TOKENS, 0, MAX_TOKENS)})
    told = forecasts(facts)
    assert max(max(row) for row in told.values()) == MAX_TOKENS


# State


def grown(tenants, periods, seed=1):
    state = State(Calendar(600))
    state.add(tenants)
    chosen = np.random.default_rng(seed)
    for number in range(periods):
        learn(state, number, chosen.integers(0, 10**6, tenants), chosen.random(tenants) < 0.9)
    return state


def test_a_forecaster_is_the_same_through_bytes_and_back():
    state = grown(2 * SLOTS + 3, 150)
    parts = dump_forecaster(state)
    assert len(parts) == 1 + 3 * 3
    again = load_forecaster(600, state.size, state.learned, state.busy, parts)
    assert dump_forecaster(again) == parts
    for one, other in ((state, again), (again, state)):
        used = np.arange(state.size)
        learn(one, 150, used, used > 5)
        learn(other, 150, used, used > 5)
    assert dump_forecaster(again) == dump_forecaster(state) != parts


def test_a_period_changes_what_moves_and_the_end_of_an_hour_the_rest():
    state = grown(2 * SLOTS, 145)  # 00:10 on the second day, the first bucket of that hour
    before = dump_forecaster(state)
    learn(state, 145, np.ones(state.size, int), np.ones(state.size, bool))
    changed = {number for number, (old, new) in enumerate(zip(before, dump_forecaster(state), strict=True)) if old != new}
    assert changed == {0, 1, 2, 4, 5}  # the pool, and of each group what moves and its days; not its weeks
    assert b"".join(moving(state)) == b"".join(dump_forecaster(state)[number] for number in (0, 1, 4))


@pytest.mark.parametrize("column", ["busy_weights", "day_sum", "week_closed", "primed"])
def test_the_hash_tells_two_forecasters_apart(column):
    here = mixing()
    period(here, {"a": 100, "b": 5})
    before = state_hash(here.pool())
    here.pool().mixture.tenants[column][..., 1] += 1e-9
    assert state_hash(here.pool()) != before


def test_facts_alone_give_what_was_learned_and_a_snapshot_goes_on_from_it():
    here = mixing(profile("a1", "a", bid_on="p90"), profile("b1", "b"), replicas=None)
    for at, (a, b) in enumerate(USES * 3):
        if at == 5:
            here.take(profile("c1", "c", bid_on="p99"))
        period(here, {"a": a, "b": b, "d": at})
        assert state_bytes(refold(here.facts)) == state_bytes(here.state)
        loaded = load_pool(dump_pool(here.pool()))
        assert dump_pool(loaded) == dump_pool(here.pool())
        coming = here.pool().open.period + 1
        assert demand.forecast(loaded, coming).quantiles.tolist() == demand.forecast(here.pool(), coming).quantiles.tolist()


def test_opinions_are_what_the_forecast_is_made_of():
    state = grown(3, 200)
    state.add(1)
    told = predict(state, 200)
    for slot in range(4):
        why = opinions(state, 200, slot)
        assert tuple(why.weights) == tuple(why.forecasts) == EXPERTS
        assert (why.mean, why.quantiles) == (told.mean[slot], tuple(told.quantiles[:, slot].tolist()))
        assert sum(why.weights.values()) == pytest.approx(1)
        mixed = sum(why.weights[name] * tokens for name, tokens in why.forecasts.items())
        assert (why.mean == pytest.approx(mixed)) is (why.observed > 0)
    assert predict(state, 200, [2, 0]).mean.tolist() == told.mean[[2, 0]].tolist()
