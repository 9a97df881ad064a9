"""Demands to forecast, made of a seed, and a forecaster that is fed from them. Rows are periods, columns tenants, NaN a gap."""

import numpy as np

from processors.forecast import Calendar, State, learn, predict

KINDS = ("daily", "switching", "scheduled", "fading", "growing", "arriving", "bursts", "gaps", "zero", "walk")


def demand(kind, tenants=12, periods=300, period_s=600, seed=1):
    """One of KINDS; whole tokens."""
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    a_day = max(1, 86_400 // period_s)
    time, level, phase = np.arange(periods)[:, None], np.exp(rng.normal(11, 1.5, tenants)), rng.random(tenants)
    tokens = level * (1 + 0.6 * np.sin(2 * np.pi * (time / a_day + phase))) * np.exp(rng.normal(0, 0.1, (periods, tenants)))
    match kind:
        case "switching":
            tokens *= (rng.random((periods, tenants)) < 0.05).cumsum(axis=0) % 2
        case "scheduled":
            tokens *= (time + (phase * a_day).astype(int)) % a_day < a_day // 4
        case "fading":
            tokens *= np.maximum(1 - time / (0.7 * periods), 0) ** 2
        case "growing":
            tokens *= (0.05 + time / periods) ** 2
        case "arriving":
            tokens[time < (phase * periods).astype(int) * (phase > 0.3)] = np.nan
        case "bursts":
            tokens *= (rng.random((periods, tenants)) < 0.02) * rng.pareto(1.5, (periods, tenants))
        case "gaps":
            tokens[rng.random((periods, tenants)) < 0.1] = np.nan
            tokens[rng.random(periods) < 0.1] = np.nan
        case "zero":
            tokens[:] = 0.0
        case "walk":
            tokens = level * np.exp(rng.normal(0, 0.1, (periods, tenants)).cumsum(axis=0))
    return np.floor(tokens)


def forecasts(tokens, period_s=600, first=0):
    """Of every period, shape (4, periods, tenants): mean, then the quantiles."""
    state = State(Calendar(period_s))
    state.add(tokens.shape[1])
    found = np.empty((4, *tokens.shape))
    for row, values in enumerate(tokens):
        forecast = predict(state, first + row)
        found[0, row], found[1:, row] = forecast.mean, forecast.quantiles
        learn(state, first + row, np.nan_to_num(values), ~np.isnan(values))
    return found
