"""The pages of forecasts and of policies: what they compute, told by heart."""

from __future__ import annotations

import json
from typing import Any

import pytest
from browser import ask
from seeded import FORETOLD, PERIODS, TENANTS, VARIANTS

from dashboards.app import EVERYBODY
from dashboards.pages import forecasts, policies
from dashboards.store import Row, Store
from streams.settings import Settings


def score(settings: Settings, **chosen: object) -> list[Row]:
    """Of pool z, in one point of time if nothing else is said."""
    asked = {"pool": "z", "periods": 30, "tenant": EVERYBODY, "points": 1, "by": "time"}
    return Store(settings).query("forecast_score", **asked | chosen)


def lines(settings: Settings, panel: str, **chosen: Any) -> dict[str, list[Any]]:
    answer = ask(settings, f"{panel}.figure", **{"pool": "p", "path": "/forecasts"} | chosen)
    return {trace["name"]: trace["y"] for trace in answer[panel]["figure"]["data"]}


def test_an_error_is_of_use_and_a_gap_counts_nowhere(seeded: Settings) -> None:
    """Tenant a was foretold 120 in each period. Neither the gap counts, nor the period after it, whose last value it would be."""
    (row,) = score(seeded)
    used = [110, 120, 150]
    assert row["scored"] == 3
    assert row["used"] == sum(used)
    assert row["error"] == pytest.approx(100 * (10 + 0 + 30) / sum(used))
    assert row["last_value_error"] == pytest.approx(100 * (10 + 10 + 30) / sum(used))
    assert row["against_last_value"] == pytest.approx(40 / 50 - 1)
    assert row["within_p50"] == pytest.approx(100 * (110 + 120) / sum(used))
    assert row["within_p90"] == pytest.approx(100 * (110 + 120) / sum(used))
    assert row["within_p99"] == 100
    assert row["tenants"] == 1, "tenant b had no forecast"


def test_tenants_stand_with_the_largest_error_first(seeded: Settings) -> None:
    rows = score(seeded, pool="p", by="tenant")
    assert [row["of"] for row in rows] == TENANTS, "each is off by two tokens in every period"
    assert sum(row["part"] for row in rows) == pytest.approx(1)
    assert {row["scored"] for row in rows} == {30}
    assert rows[0]["error"] == pytest.approx(100 * 2 / 11)
    told = json.dumps(ask(seeded, "forecast_tenants.children", pool="p", path="/forecasts")["forecast_tenants"])
    assert told.index('"t00"') < told.index('"t11"')
    assert '"18.2 %"' in told


def test_points_divide_the_periods_that_are_shown(seeded: Settings) -> None:
    assert [row["scored"] for row in score(seeded, points=6)] == [1, 1, 1]
    assert [row["scored"] for row in score(seeded, points=2)] == [1, 2]
    assert [row["scored"] for row in score(seeded, periods=2)] == [2]
    assert not score(seeded, tenant="b")


def test_a_tenant_has_bands_and_the_pool_only_a_mean(seeded: Settings) -> None:
    pool = lines(seeded, "forecast")
    assert set(pool) == {"used", "forecast: mean"}
    assert pool["used"][-1] is None, "the open period"
    assert pool["used"][-2] == sum(10 * (i + 1) + 1 for i in range(len(TENANTS)))
    assert pool["forecast: mean"] == [sum(10 * i + 9 for i in range(len(TENANTS)))] * 31
    tenant = lines(seeded, "forecast", tenant="t03")
    assert {name: values[-1] for name, values in tenant.items()} == {
        "used": None,
        "forecast: mean": 39,
        "median": 39,
        "up to p90": 48,
        "up to p99": 138,
    }
    assert lines(seeded, "forecast", pool="z")["used"][: len(FORETOLD)] == [3 * used for used in FORETOLD]


def test_errors_and_coverage_share_their_rows_over_time(seeded: Settings) -> None:
    errors = lines(seeded, "forecast_error")
    assert set(errors) == {"forecast", "last value"}
    assert errors["last value"] == [0] * 30
    assert set(lines(seeded, "forecast_coverage")) == {"p50", "p90", "p99"}
    assert set(lines(seeded, "forecast_coverage")["p90"]) == {100}


def test_the_latest_backtest_is_shown_side_by_side(seeded: Settings) -> None:
    answer = ask(seeded, "backtest.figure", pool="p", path="/policies")
    bars = answer["backtest"]["figure"]["data"]
    shown = {(bar["name"], bar["xaxis"]): bar["text"][0] for bar in bars}
    measures = next(panel.kind.measures for panel in policies.PANELS if panel.name == "backtest")
    assert len(bars) == len(VARIANTS) * len(measures)
    assert [shown[name, "x"] for name in VARIANTS] == ["80.0 %", "80.1 %", "80.2 %"]
    assert [shown[name, "x3"] for name in VARIANTS] == ["4.000"] * 3, "of the latest backtest"
    assert [shown[name, "x6"] for name in VARIANTS] == ["–", "90.0 %", "90.0 %"]
    assert {bar["name"]: bar["marker"]["color"] for bar in bars if bar["xaxis"] == "x"}.keys() == set(VARIANTS)
    table = json.dumps(answer["backtest_variants"]["children"])
    assert [table.index(f'"{name}"') for name in VARIANTS] == sorted(table.index(f'"{name}"') for name in VARIANTS)


@pytest.mark.parametrize(("measure", "first"), [("welfare", 80), ("unmet", 10), ("revenue", 1), ("price", 7)])
def test_variants_over_time(seeded: Settings, measure: str, first: float) -> None:
    panel = f"backtest_{measure}"
    traces = ask(seeded, f"{panel}.figure", pool="p", path="/policies")[panel]["figure"]["data"]
    assert [trace["name"] for trace in traces] == list(VARIANTS)
    assert [len(trace["x"]) for trace in traces] == [30] * 3
    assert traces[0]["y"] == [pytest.approx(first)] * 30


def test_without_a_backtest_the_page_tells_the_command(seeded: Settings) -> None:
    answer = ask(seeded, "backtest.figure", pool="q", path="/policies")
    for panel in policies.PANELS:
        assert policies.COMMAND in json.dumps(answer[panel.name]).replace("<br>", " "), panel.name


def test_a_tenant_is_data_and_never_sql(seeded: Settings) -> None:
    answer = ask(seeded, "forecast.figure", pool="p", path="/forecasts", tenant="' OR 1 = 1 --")
    assert forecasts.NOT_FORECAST in json.dumps(answer["forecast"])
    assert len(lines(seeded, "forecast", periods=PERIODS)["used"]) == PERIODS + 1
