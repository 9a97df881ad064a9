"""The page of gateways on a real ClickHouse: leases and scalings as the engine decided them, events as gateways publish them."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from browser import ask
from pool_world import PoolWorld, of_kind
from shared_rows import BASES, FIRST_TOKEN_MS, GATEWAYS, POOL, SECONDS, SLA_MS, ZERO

from dashboards import formats
from dashboards.app import EVERYBODY
from dashboards.pages.gateway import LATENCIES, NOT_MEASURED, OUTCOMES, PAGE
from schemas.lease_facts import CapacityLeased, LeaseExpired, LeasesGranted
from schemas.scaling_facts import ScalingDecided
from streams.settings import Settings


@pytest.fixture(scope="module")
def drawn(shared_store: Settings) -> dict[str, Any]:
    """All panels: of the whole pool, and of some tenants."""
    return {
        who: ask(shared_store, "leased.figure", pool=POOL, path="/gateway", tenant=who) for who in (EVERYBODY, "gua", "eve", "fay")
    }


def lines(drawn: dict[str, Any], panel: str, who: str = EVERYBODY) -> dict[str, list[Any]]:
    return {trace["name"]: trace["y"] for trace in drawn[who][panel]["figure"]["data"]}


def test_requests_stand_by_what_became_of_them(drawn: dict[str, Any]) -> None:
    found = {name: sum(y) for name, y in lines(drawn, "gateway_requests").items()}
    reports = SECONDS // 4
    assert found == {
        "admitted": 2 * SECONDS + 5 * reports,
        "429: own limit": reports,
        "503: pool": 3 * SECONDS,
        "503: no limits": 2 * reports,
    }
    assert list(found) == list(OUTCOMES)
    assert {name: sum(y) for name, y in lines(drawn, "gateway_requests", "eve").items()} == {
        "admitted": 5 * reports,
        "429: own limit": reports,
        "503: no limits": 2 * reports,
    }
    assert sum(map(sum, lines(drawn, "gateway_refused").values())) == 4 * reports + 3 * SECONDS


def test_latency_of_a_tenant_stands_beside_its_sla(drawn: dict[str, Any]) -> None:
    found = lines(drawn, "gateway_latency", "gua")
    assert list(found) == list(LATENCIES)
    assert set(found["SLA"]) == {SLA_MS}
    assert set(found["first token P99"]) == {FIRST_TOKEN_MS}
    assert max(found["P99"]) == 400
    assert max(found["P50"]) <= 120
    assert "SLA" not in lines(drawn, "gateway_latency", "eve"), "it has none"


def test_of_a_pool_each_tenant_has_a_line_and_only_answers_count(drawn: dict[str, Any]) -> None:
    found = lines(drawn, "gateway_latency")
    assert list(found) == ["eve", "gua"]
    assert set(found["eve"]) == {50}


def test_leases_are_drawn_as_they_were_granted_until_they_end(drawn: dict[str, Any], shared_world: PoolWorld) -> None:
    found = lines(drawn, "leased")
    newest = {fact.gateway: fact.throughput for fact in of_kind(shared_world.facts, CapacityLeased)}
    assert list(found) == list(GATEWAYS)
    assert found["east"][-1] == newest["east"]
    assert newest["west"] > 0 == found["west"][-1], "it has left"
    (granted,) = [
        fact.throughput_nominal[fact.tenant.index("gua")]
        for fact in of_kind(shared_world.facts, LeasesGranted)
        if fact.gateway == "east" and "gua" in fact.tenant
    ][-1:]
    assert lines(drawn, "leased", "gua")["east"][-1] == granted


def test_tokens_stand_by_who_counted_them_each_once(drawn: dict[str, Any]) -> None:
    found = {name: sum(y) for name, y in lines(drawn, "basis").items()}
    assert list(found) == ["reported", "counted", "reserved", "(not said)"]
    assert sum(found.values()) == SECONDS * (290 + 500), "of who made requests"
    assert found["counted"] == pytest.approx(sum(found.values()) / len(BASES), rel=0.1)


def test_replicas_are_those_of_the_newest_decision(drawn: dict[str, Any], shared_world: PoolWorld) -> None:
    newest = of_kind(shared_world.facts, ScalingDecided)[-1]
    needed = max(newest.needed_throughput, newest.needed_kv, newest.needed_concurrency)
    last = {name: y[-1] for name, y in lines(drawn, "scaling").items()}
    assert last == {
        "provisioned": newest.replicas,
        "asked for": newest.wanted,
        "needed": needed,
        "promised": newest.promised_replicas,
    }


def test_tenants_as_a_table(drawn: dict[str, Any]) -> None:
    told = json.dumps(drawn[EVERYBODY]["gateway_tenants"]["children"], ensure_ascii=False)
    assert told.index('"gua"') < told.index('"eve"'), "most answered first"
    for text in (f'"{3 * SECONDS}"', f'"{SECONDS}"', '"83.3 %"', "200 % of sla_ms"):
        assert text in told, text
    assert told.count("of sla_ms") == 1, "without an SLA there is nothing to be a part of"


def test_gateways_as_a_table(drawn: dict[str, Any], shared_world: PoolWorld) -> None:
    told = json.dumps(drawn[EVERYBODY]["gateways"]["children"], ensure_ascii=False)
    at = ZERO + timedelta(milliseconds=next(f.at for f in of_kind(shared_world.facts, LeaseExpired)))
    for text in ('"holds"', '"left"', f'"{formats.clock_time(at)}"'):
        assert text in told, text


def test_the_pool_as_a_whole(drawn: dict[str, Any]) -> None:
    told = json.dumps(drawn[EVERYBODY]["gateway_pool"]["children"], ensure_ascii=False)
    admitted, own, full = 2 * SECONDS + 5 * (SECONDS // 4), SECONDS // 4, 3 * SECONDS
    unknown = 2 * own
    refused = formats.percent((own + full + unknown) / (admitted + own + full + unknown))
    for text in (
        f"{admitted} requests",
        f'"{refused}"',
        f"{own} by own limit · {full} by the pool · {unknown} without limits",
        "asked for",
    ):
        assert text in told, text


def test_who_asked_nothing_is_told_so(drawn: dict[str, Any]) -> None:
    assert NOT_MEASURED in json.dumps(drawn["fay"]["gateway_latency"])
    assert not drawn["fay"]["gateway_requests"]["figure"]["data"]
    told = json.dumps(drawn["fay"]["gateway_pool"]["children"])
    assert '"0 requests"' in told
    assert "asked for" in told, "replicas that there are do not go by who asks"


def test_a_tenant_is_data_and_never_sql(shared_store: Settings) -> None:
    answer = ask(shared_store, "leased.figure", pool=POOL, path="/gateway", tenant="' OR 1 = 1 --")
    for panel in PAGE.panels:
        if panel.is_figure and panel.name not in {"scaling", "leased"}:
            assert not answer[panel.name]["figure"]["data"], panel.name
