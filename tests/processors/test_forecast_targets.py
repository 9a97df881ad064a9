"""The forecaster's targets (spec: forecast) on a production trace that is not part of the project, and on what is made of it."""

import numpy as np
import pytest
from forecast_world import forecasts
from production_trace import tokens_of_the_trace

HALF = 1008
TREES_WAPE, TREES_PINBALL = 0.1278, 0.0481
"""Gradient-boosted trees refitted every day, on the second half: the error by the specification, the pinball loss at 0.9 of those
of tests/benchmarks/bench_forecast.py."""


@pytest.fixture(scope="module")
def trace():
    return tokens_of_the_trace()


def held(tokens):
    """Last value: what each tenant used in the last period that was observed."""
    last, found = np.zeros(tokens.shape[1]), np.empty_like(tokens)
    for row, values in enumerate(tokens):
        found[row] = last
        last = np.where(np.isnan(values), last, values)
    return found


class Figures:
    def __init__(self, tokens, period_s, start):
        found = forecasts(tokens, period_s)
        seen = ~np.isnan(tokens[start:])
        used, last = tokens[start:][seen], held(tokens)[start:][seen]
        mean, p90 = found[0, start:][seen], found[2, start:][seen]
        total, above = used.sum(), used - p90
        self.wape = np.abs(used - mean).sum() / total
        self.last_value = np.abs(used - last).sum() / total
        self.pinball = np.maximum(0.9 * above, -0.1 * above).sum() / total
        self.coverage = used[above <= 0].sum() / total


def test_second_half(trace):
    figures = Figures(trace, 600, HALF)
    assert figures.last_value == pytest.approx(0.1354, abs=0.0001)
    assert figures.wape <= min(0.9 * figures.last_value, TREES_WAPE)
    assert figures.pinball <= TREES_PINBALL
    assert figures.coverage >= 0.85


SETS = {
    "first half": lambda trace: (trace[:HALF], 600),
    "half an hour": lambda trace: (trace[:HALF].reshape(-1, 3, trace.shape[1]).sum(axis=1), 1800),
    "an hour": lambda trace: (trace[:HALF].reshape(-1, 6, trace.shape[1]).sum(axis=1), 3600),
    "backwards": lambda trace: (trace[HALF - 1 :: -1], 600),
    "the ten largest": lambda trace: (trace[:HALF, np.argsort(-trace[:HALF].sum(axis=0))[:10]], 600),
    "the others": lambda trace: (trace[:HALF, np.argsort(-trace[:HALF].sum(axis=0))[10:]], 600),
    "three days": lambda trace: (trace[:432], 600),
}


@pytest.mark.parametrize("name", SETS)
def test_other_sets_of_the_same_kind(trace, name):
    tokens, period_s = SETS[name](trace)
    figures = Figures(tokens, period_s, len(tokens) // 2)
    assert figures.wape <= 0.9 * figures.last_value
