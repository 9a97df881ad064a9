"""Warm starts: priors fill what a tenant's profiles don't know, overrule nothing, and make its first day better."""

import copy

import numpy as np
import pytest
from forecast_world import demand
from hypothesis import given, settings
from hypothesis import strategies as st
from production_trace import tokens_of_the_trace

from processors.forecast import Calendar, State, learn, predict
from processors.forecast.settings import UNKNOWN
from processors.forecast.warm import HOURS_OF_WEEK, prime, unknown_hours

A_DAY, HALF = 144, 1008
PERIODS = (60, 600, 3600, 7200, 25_200, 86_400, 1_000_000)
"""Seconds, among them lengths of which a day is no whole number."""


def learned(tokens, period_s, first=0):
    state = State(Calendar(period_s))
    state.add(tokens.shape[1])
    for row, values in enumerate(tokens):
        learn(state, first + row, np.nan_to_num(values), ~np.isnan(values))
    return state


def priors(tenants, seed=1, known=0.7):
    rng = np.random.default_rng(seed)
    return np.where(rng.random((HOURS_OF_WEEK, tenants)) < known, np.floor(rng.random((HOURS_OF_WEEK, tenants)) * 1e6), UNKNOWN)


def primed(state, hours, slots=None):
    after = copy.deepcopy(state)
    prime(after, np.arange(state.size) if slots is None else np.array(slots), hours)
    return after


@settings(max_examples=40)
@given(period_s=st.sampled_from(PERIODS), periods=st.integers(0, 20), seed=st.integers(0, 99), known=st.sampled_from((0, 0.3, 1)))
def test_what_was_observed_is_never_overruled(period_s, periods, seed, known):
    before = learned(demand("arriving", tenants=4, periods=periods, period_s=period_s, seed=seed), period_s)
    after = primed(before, priors(4, seed, known))
    for name, values in before.tenants.items():
        if name in {"day", "week"}:
            kept = values >= 0
            assert np.array_equal(values[kept], after.tenants[name][kept])
        elif name != "primed":
            assert np.array_equal(values, after.tenants[name]), name
    seen = before.tenants["seen"][:4] > 0
    told, untold = predict(after, periods), predict(before, periods)
    # Who has been seen, but never at this hour, is now told of it by the seasonal experts alone.
    assert np.isfinite(told.mean).all()
    assert (np.diff(told.quantiles, axis=0) >= 0).all()
    if not known:
        assert np.array_equal(told.mean, untold.mean)
        assert seen.any() or not periods


@pytest.mark.parametrize("period_s", PERIODS)
def test_who_was_never_seen_is_expected_to_use_its_prior_of_the_hour(period_s):
    hours = priors(3, known=1.0)
    state = primed(learned(np.empty((0, 3)), period_s), hours)
    for period in range(0, 40 * 86_400 // period_s, max(1, 5000 // period_s)):
        bucket, buckets = state.calendar.week.bucket(period), state.calendar.week.buckets
        within = [hour for hour in range(HOURS_OF_WEEK) if hour * buckets // HOURS_OF_WEEK == bucket]
        assert predict(state, period).mean == pytest.approx(np.mean(hours[within], axis=0), rel=1e-6)
    assert not unknown_hours(state, np.arange(3)).any()


def test_an_hour_of_which_only_other_days_are_known_takes_their_mean():
    hours = np.full((HOURS_OF_WEEK, 1), UNKNOWN)
    hours[5], hours[24 + 5] = 100, 300
    state = primed(learned(np.empty((0, 1)), 600), hours)
    at_five = 5 * 6
    assert [predict(state, day * A_DAY + at_five + 3).mean[0] for day in range(4)] == [100, 300, 200, 200]
    assert predict(state, at_five - 1).mean[0] == 0  # nothing is known of this hour


def test_a_prior_is_taken_once_and_by_its_tenants_alone():
    hours = priors(2)
    before = learned(demand("daily", tenants=5, periods=50), 600)
    once = primed(before, hours, [3, 1])
    again = primed(once, priors(2, seed=2), [3, 1])
    for name in ("day", "week"):
        known = once.tenants[name][:, [3, 1]] >= 0
        assert np.array_equal(once.tenants[name][:, [3, 1]][known], again.tenants[name][:, [3, 1]][known])
        assert np.array_equal(once.tenants[name][:, [0, 2, 4]], before.tenants[name][:, [0, 2, 4]])
    apart = primed(primed(before, hours[:, :1], [3]), hours[:, 1:], [1])
    for name, values in once.tenants.items():
        assert np.array_equal(values, apart.tenants[name]), name
    assert list(unknown_hours(before, np.array([3]))[:, 0]) == [hour > 7 for hour in range(HOURS_OF_WEEK)]


def test_a_prior_fades_as_its_hour_is_observed():
    hours = np.full((HOURS_OF_WEEK, 1), 1000.0)
    state = primed(learned(np.empty((0, 1)), 3600), hours)
    for period in range(3 * HOURS_OF_WEEK):
        learn(state, period, np.array([200.0]), np.array([True]))
    assert state.tenants["week"][:, 0] == pytest.approx(np.full(HOURS_OF_WEEK, 300.0))
    assert predict(state, 3 * HOURS_OF_WEEK).mean[0] == pytest.approx(200, abs=10)


@pytest.fixture(scope="module")
def trace():
    return tokens_of_the_trace()


def own_hours(tokens):
    """Whole tokens of each hour of the week so far; UNKNOWN where nothing was recorded."""
    found = np.full((HOURS_OF_WEEK, tokens.shape[1]), UNKNOWN)
    for hour in range(HOURS_OF_WEEK):
        rows = tokens[np.arange(len(tokens)) // 6 % HOURS_OF_WEEK == hour]
        known = ~np.isnan(rows).all(axis=0)
        found[hour, known] = np.floor(np.nanmean(rows[:, known], axis=0))
    return found


def typical_hours(tokens):
    """Of each tenant, its own level in place of a base, times what all use of theirs at the hour."""
    own, level = own_hours(tokens), np.nanmean(tokens, axis=0)
    share = [row[row >= 0].sum() / level[row >= 0].sum() if (row >= 0).any() else UNKNOWN for row in own]
    return np.where(np.array(share)[:, None] >= 0, np.floor(np.array(share)[:, None] * level), UNKNOWN)


def test_a_tenant_that_comes_in_is_forecast_better_in_its_first_day(trace):
    """Each tenant comes in again three times, on some days of the second half, to a forecaster that has learned all for some days:
    without a prior, with its own hours, and with typical ones."""
    tenants = trace.shape[1]
    kinds = {"cold": 1, "own": 2, "typical": 3}
    missed = np.zeros((A_DAY, 4, tenants))
    state, learned_through = State(Calendar(600)), HALF - 3 * A_DAY
    state.add(tenants)
    for start in range(HALF, len(trace), 3 * A_DAY):
        for row in range(learned_through, start):
            learn(state, row, np.nan_to_num(trace[row]), ~np.isnan(trace[row]))
        learned_through = start
        came = copy.deepcopy(state)
        came.add(3 * tenants)
        prime(came, np.arange(2 * tenants, 3 * tenants), own_hours(trace[:start]))
        prime(came, np.arange(3 * tenants, 4 * tenants), typical_hours(trace[:start]))
        for period in range(A_DAY):
            used = np.tile(trace[start + period], 4)
            missed[period] += np.nan_to_num(np.abs(used - predict(came, start + period).mean)).reshape(4, tenants)
            learn(came, start + period, np.nan_to_num(used), ~np.isnan(used))
    error = {name: missed[:, block].sum() for name, block in kinds.items()}
    first = {name: missed[0, block].sum() for name, block in kinds.items()}
    assert error["own"] < 0.97 * error["cold"]
    assert error["typical"] < 0.99 * error["cold"]
    assert max(first["own"], first["typical"]) < 0.7 * first["cold"]
