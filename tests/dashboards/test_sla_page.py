"""The page of SLAs: what it computes of rows that can be told by heart (seeded.py)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from browser import ask
from seeded import BOOSTED, PERIODS, RELEASED

from dashboards.pages import sla
from streams.settings import Settings

FIRST = PERIODS - 30
"""Of the periods that are shown."""


@pytest.fixture(scope="module")
def drawn(seeded: Settings) -> dict[str, Any]:
    """All panels: of the whole pool, and of one tenant."""
    return {who: ask(seeded, "sla_latency.figure", pool="p", path="/sla", tenant=who) for who in ("", "t00", "t02")}


def lines(drawn: dict[str, Any], panel: str, who: str = "") -> dict[str, list[Any]]:
    return {trace["name"]: trace["y"] for trace in drawn[who][panel]["figure"]["data"]}


def test_latency_stands_in_percent_of_the_sla(drawn: dict[str, Any]) -> None:
    for who in ("", "t00"):
        found = lines(drawn, "sla_latency", who)
        assert list(found) == ["SLA", "t00"], "who had no request has no latency"
        assert found["SLA"] == [100] * 30
        assert found["t00"] == [125] * (BOOSTED + 1 - FIRST) + [75] * (PERIODS - BOOSTED - 1)
    assert not drawn["t02"]["sla_latency"]["figure"]["data"]


def test_who_paid_stands_below_who_got(drawn: dict[str, Any]) -> None:
    found = lines(drawn, "sla_boosts")
    assert found["t00"] == [10] * (RELEASED - BOOSTED) + [6] * (PERIODS - RELEASED)
    assert found["t02"] == [-tokens for tokens in found["t00"]]
    assert drawn[""]["sla_boosts"]["figure"]["layout"]["barmode"] == "relative"
    assert list(lines(drawn, "sla_boosts", "t00")) == ["t00"]


def test_bases_are_those_of_tenants_that_moved(drawn: dict[str, Any]) -> None:
    assert set(lines(drawn, "sla_bases")) == {"t00", "t02"}
    assert lines(drawn, "sla_bases", "t00") == {"t00": [10] * 30}


def test_each_decision_counts_once_under_its_reason(drawn: dict[str, Any]) -> None:
    found = lines(drawn, "sla_reasons")
    assert found == {"sla_exceeded": [1], "sla_holds": [1], "sla_not_token_bound": [1]}
    assert list(found) == [reason for reason in sla.REASONS if reason in found]


def test_changes_name_both_sides_the_newest_first(drawn: dict[str, Any]) -> None:
    told = json.dumps(drawn[""]["sla_changes"]["children"])
    assert told.index("sla_holds") < told.index("sla_exceeded")
    for text in ('"+10"', '"-10"', '"t02"', '"loan"'):
        assert text in told
    assert "loan" not in json.dumps(drawn["t00"]["sla_changes"]["children"])


def test_the_pool_as_a_whole(drawn: dict[str, Any]) -> None:
    told = json.dumps(drawn[""]["sla_pool"]["children"])
    attained = (PERIODS - BOOSTED - 1) / 30
    for text in (f'"{100 * attained:.0f} %"', "the quantile 0.99", "of 2 with an SLA", '"6"', "of 1 tenants", "2 moves in these"):
        assert text in told, text


def test_tenants_as_a_table(drawn: dict[str, Any]) -> None:
    told = json.dumps(drawn[""]["sla_tenants"]["children"], ensure_ascii=False)
    assert told.index('"t00"') < told.index('"t01"') < told.index('"t02"')
    assert "75 % of sla_ms" in told
    assert f'"{BOOSTED + 1 - FIRST}"' in told, "periods in which it was exceeded"


def test_a_pool_without_slas_says_so(seeded: Settings) -> None:
    answer = ask(seeded, "sla_latency.figure", pool="q", path="/sla")
    for name in ("sla_latency", "sla_tenants"):
        assert sla.NO_SLA in json.dumps(answer[name])
