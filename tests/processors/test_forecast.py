"""Forecasts: what must hold whatever the demand, an oracle that computes them a second time, and bytes that never change."""

import hashlib
from fractions import Fraction

import numpy as np
import pytest
from forecast_oracle import Oracle
from forecast_world import KINDS, demand, forecasts
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from processors.forecast import EXPERTS, Calendar, History, State, experts, learn, predict, walk
from processors.forecast.experts import Moment
from processors.forecast.state import FIRST_WEIGHTS
from schemas.units import MAX_TOKENS

PERIODS_S = (1, 60, 600, 3600, 7000, 86_400, 200_000)
ANY_TOKENS = st.one_of(
    st.just(0.0),
    st.just(float("nan")),
    st.integers(0, 1000).map(float),
    st.integers(0, MAX_TOKENS).map(float),
    st.floats(0, 1e-300),
)
ANY_DEMAND = arrays.arrays(np.float64, st.tuples(st.integers(1, 40), st.integers(1, 5)), elements=ANY_TOKENS)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("period_s", "periods"), [(60, 40), (600, 200), (3600, 200), (7000, 40), (86_400, 20)])
def test_an_oracle_forecasts_the_same(kind, period_s, periods):
    tokens = demand(kind, 5, periods, period_s)
    oracle, first = Oracle(period_s), 123_456
    wanted = np.empty((4, *tokens.shape))
    for row, values in enumerate(tokens):
        told = oracle.period(first + row, {name: None if np.isnan(value) else float(value) for name, value in enumerate(values)})
        wanted[:, row] = np.array([told[name] for name in range(tokens.shape[1])]).T
    np.testing.assert_allclose(forecasts(tokens, period_s, first), wanted, rtol=1e-9, atol=1e-6)


@given(ANY_DEMAND, st.sampled_from(PERIODS_S), st.integers(0, 10**9))
def test_forecasts_are_finite_not_negative_and_ordered(tokens, period_s, first):
    found = forecasts(tokens, period_s, first)
    assert np.isfinite(found).all()
    assert (found >= 0).all()
    assert (np.diff(found[1:], axis=0) >= 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_forecasts_of_long_demands_are_finite_not_negative_and_ordered(kind):
    found = forecasts(demand(kind, periods=600))
    assert np.isfinite(found).all()
    assert (found >= 0).all()
    assert (np.diff(found[1:], axis=0) >= 0).all()


@given(ANY_DEMAND, ANY_DEMAND, st.data())
def test_the_future_changes_no_earlier_forecast(tokens, other, data):
    now = data.draw(st.integers(0, len(tokens)))
    changed = tokens.copy()
    changed[now:] = np.resize(other, changed[now:].shape)
    np.testing.assert_array_equal(forecasts(changed)[:, : now + 1], forecasts(tokens)[:, : now + 1])


@given(ANY_DEMAND, st.randoms(use_true_random=False))
def test_the_order_of_tenants_changes_nothing(tokens, rng):
    order = rng.sample(range(tokens.shape[1]), tokens.shape[1])
    np.testing.assert_array_equal(forecasts(tokens[:, order]), forecasts(tokens)[:, :, order])


@pytest.mark.parametrize("kind", KINDS)
def test_the_order_of_many_tenants_changes_nothing(kind):
    tokens = demand(kind, 2500, 40, 3600)  # more than are computed at once
    order = np.random.default_rng(1).permutation(tokens.shape[1])
    np.testing.assert_array_equal(forecasts(tokens[:, order], 3600), forecasts(tokens, 3600)[:, :, order])


@pytest.mark.parametrize("kind", KINDS)
def test_a_period_of_which_nothing_is_known_changes_nothing(kind):
    """A week without telemetry: the forecaster is afterwards what it would be had the periods before it been a week later."""
    tokens, week = demand(kind, periods=200), 7 * 144
    state, later = (State(Calendar(600)) for _ in range(2))
    for each in (state, later):
        each.add(tokens.shape[1])
    feed(state, 0, tokens)
    feed(state, 200, np.full((week, tokens.shape[1]), np.nan))
    feed(later, week, tokens)
    np.testing.assert_array_equal(predict(state, 200 + week).quantiles, predict(later, 200 + week).quantiles)


def test_an_unobserved_tenant_stays_as_it_is_while_others_learn():
    tokens = demand("daily", 6, 50)
    state = State(Calendar(600))
    state.add(6)
    feed(state, 0, tokens)
    before = {name: values[..., 2].copy() for name, values in state.tenants.items()}
    tokens[:2, 2] = np.nan
    feed(state, 50, tokens[:2])
    for name, values in before.items():
        if not name.startswith(("day", "week")):  # their bucket closes by the clock of the pool
            np.testing.assert_array_equal(state.tenants[name][..., 2], values, err_msg=name)


@pytest.mark.parametrize("busy", [3, 5])
def test_nobody_s_demand_after_three_were_busy_is_a_gap(busy):
    state = fed(np.full((20, busy), 100.0))
    before = predict(state, 20)
    assert not learn(state, 20, np.zeros(busy), np.ones(busy, np.bool_))
    np.testing.assert_array_equal(predict(state, 21).mean, before.mean)


def test_nobody_s_demand_for_more_than_a_day_is_none():
    state = fed(np.full((20, 5), 100.0))
    assert not any(learn(state, 20 + number, np.zeros(5), np.ones(5, np.bool_)) for number in range(144))
    assert learn(state, 20 + 144, np.zeros(5), np.ones(5, np.bool_))
    assert (predict(state, 20 + 145).mean < 100).all()


def test_two_tenants_may_both_stop():
    state = fed(np.full((20, 2), 100.0))
    assert learn(state, 20, np.zeros(2), np.ones(2, np.bool_))


def test_one_tenant_that_always_uses_the_same_is_forecast_by_it():
    found = forecasts(np.full((300, 1), 1234.0))
    np.testing.assert_allclose(found[:3, 200:], 1234.0, rtol=0.04)
    np.testing.assert_allclose(found[3, 200:], 1234.0, rtol=0.2)


def test_nobody_demands_anything():
    assert not forecasts(np.zeros((300, 3))).any()


def test_a_newcomer_is_forecast_by_the_pool_s_mean():
    tokens = np.tile([100.0, 300.0, 500.0], (10, 1))
    state = fed(tokens)
    state.add(1)
    forecast = predict(state, 10)
    assert forecast.mean[3] == 300.0
    assert 300.0 < forecast.quantiles[1, 3] < forecast.quantiles[2, 3]


def test_the_pool_s_mean_is_exact():
    """Sums of floats would depend on the order of tenants as soon as they pass 2^53."""
    tokens = np.array([[MAX_TOKENS, *range(1, 3000), MAX_TOKENS - 1]], np.float64)
    wanted = float(Fraction(int(tokens.astype(np.int64).sum()), tokens.size))
    for order in (tokens, tokens[:, ::-1], np.sort(tokens)):
        state = fed(order)
        state.add(1)
        assert predict(state, 1).mean[-1] == wanted


def test_quantiles_that_have_crossed_are_ordered():
    state = fed(demand("daily", 3, 50))
    for name in ("busy_multiples", "idle_multiples"):
        state.tenants[name][:] = np.array([[3.0], [2.0], [0.0]])
    found = predict(state, 50).quantiles
    assert (found[0] == found[1]).all()
    assert (found[1] == found[2]).all()


def test_a_newcomer_takes_the_shape_of_the_pool_s_day():
    """The pool doubles at noon. Who came an hour before, at a tenth of the others' level, is expected to double too."""
    tokens = np.where(np.arange(72 + 144)[:, None] % 144 < 72, 1000.0, 2000.0) * np.ones(4)
    state = fed(tokens[: 72 + 144 - 6])
    state.add(1)
    feed(state, 72 + 144 - 6, np.hstack([tokens[-6:], np.full((6, 1), 100.0)]))
    day = EXPERTS.index("day")
    told = experts.forecasts(state.part(slice(0, 5)), Moment(day=72, week=0, pool=2000.0))[day : day + 4]
    assert told[:, 0].tolist() == [2000.0, 2000.0, 2000.0, 1500.0]
    assert told[:, 4].tolist() == [200.0, 200.0, 200.0, 150.0]


def test_a_newcomer_is_forecast_by_the_pool_s_day():
    tokens = np.where(np.arange(300)[:, None] % 144 < 72, 1000.0, 2000.0) * np.ones(4)
    state = fed(tokens)
    state.add(1)
    assert (predict(state, 300).mean[4], predict(state, 2 * 144 + 100).mean[4]) == (1000.0, 2000.0)


def test_a_seasonal_expert_of_a_fading_tenant_is_capped():
    """A ratio of two days' values, one of which is nearly nothing, is a thousand times its demand."""
    tokens = np.full((400, 3), 1000.0)
    tokens[144:, 0] = 1.0
    tokens[100, 0] = 0.001
    assert forecasts(tokens)[:, 245].max() <= 10 * tokens.max()


def test_tenants_may_be_added_at_any_time():
    tokens = demand("daily", 9, 50)
    one, many = State(Calendar(600)), State(Calendar(600))
    one.add(9)
    for _ in range(9):
        many.add(1)
    for each in (one, many):
        feed(each, 0, tokens)
    np.testing.assert_array_equal(predict(one, 50).quantiles, predict(many, 50).quantiles)


def test_first_weights_are_weights():
    assert FIRST_WEIGHTS.sum() == pytest.approx(1)


@pytest.mark.parametrize(("period_s", "most"), [(60, 1900), (600, 1900), (3600, 1400), (86_400, 700)])
def test_what_a_tenant_takes(period_s, most):
    state = State(Calendar(period_s))
    state.add(1000)
    assert sum(values.nbytes for values in state.tenants.values()) == 1000 * state.bytes_per_tenant <= 1000 * most


def test_a_walk_forecasts_what_feeding_does():
    tokens = demand("gaps", 5, 60)
    period, tenant = np.indices(tokens.shape)
    # A tenant's first row may hold a gap: it is there from then on.
    steps = list(walk(History(tenant.ravel(), period.ravel() + 7, tokens.ravel()), 600))
    wanted = forecasts(tokens, first=7)
    for row, step in enumerate(steps):
        assert step.period == row + 7
        np.testing.assert_array_equal([step.forecast.mean, *step.forecast.quantiles], wanted[:, row])


def test_a_missing_row_is_a_gap_and_a_tenant_begins_with_its_first():
    rows = [(0, 0, 5.0), (1, 0, 6.0), (1, 1, 9.0), (2, 1, 9.0), (5, 0, 7.0)]
    history = History(*(np.array(column) for column in ([t for _, t, _ in rows], [p for p, _, _ in rows], [v for *_, v in rows])))
    steps = list(walk(history, 600))
    assert [(step.period, step.tenants.tolist(), step.observed.tolist()) for step in steps] == [
        (0, [0], [True]),
        (1, [0, 1], [True, True]),
        (2, [0, 1], [False, True]),
        (5, [0, 1], [True, False]),
    ]


def test_forecasts_are_the_same_bytes_everywhere():
    """Demand by integer arithmetic, forecasts as bytes: changes only with the rule. Facts hang on it: a replay must repeat them."""
    row, column = np.indices((700, 7))
    tokens = ((row * row * 2654435761 + column * 40503 + row * column * 97) % 1_000_003).astype(np.float64)
    tokens[:, 3] *= np.arange(700) // 30 % 2
    tokens[400:, 4] = 0
    tokens[:200, 5] = np.nan
    tokens[300:306] = np.nan
    assert hashlib.sha256(forecasts(tokens).astype("<f8").tobytes()).hexdigest() == (
        "6441b567161111d836b9fcaaa6a8062cd240e86bc17a5630bf9b24cc40953af5"
    )


def feed(state, first, tokens):
    for row, values in enumerate(tokens):
        learn(state, first + row, np.nan_to_num(values), ~np.isnan(values))


def fed(tokens):
    state = State(Calendar(600))
    state.add(tokens.shape[1])
    feed(state, 0, tokens)
    return state
