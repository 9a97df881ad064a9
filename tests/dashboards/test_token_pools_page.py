"""The page of token pools on a real ClickHouse: a pool's facts as the engine decided them, and events as gateways publish them."""

from __future__ import annotations

import json

import pytest
from browser import ask
from pool_world import PERIOD, of_kind
from shared_rows import POOL, SECONDS, ZERO

from dashboards import formats
from dashboards.app import EVERYBODY
from dashboards.figures import Series, Stack, axis_digits
from dashboards.pages.token_pools import PAGE, QUOTAS, REASONS, TIERS
from dashboards.store import Store
from schemas.sharing_facts import CapacityShared, Debts, Limits


@pytest.fixture(scope="module")
def drawn(shared_store):
    """All panels: of the whole pool, and of each tenant."""
    whole = [EVERYBODY, "ded", "gua", "eve", "spo"]
    return {who: ask(shared_store, "use_kv.figure", pool=POOL, path="/token-pools", tenant=who) for who in whole}


def lines(drawn, who, panel):
    """Name -> (times, values) of a chart."""
    return {trace["name"]: (trace["x"], trace["y"]) for trace in drawn[who][panel]["figure"]["data"]}


@pytest.mark.parametrize("panel", PAGE.panels, ids=lambda panel: panel.name)
@pytest.mark.parametrize("periods", [1, 720])
def test_each_panel_draws_what_its_sql_gives(shared_store, panel, periods):
    rows = Store(shared_store).query(panel.query.sql, **panel.told, pool=POOL, periods=periods, tenant=EVERYBODY)
    assert rows
    panel.kind.draw(rows)


@pytest.mark.parametrize("dimension", ["throughput", "kv", "concurrency"])
def test_a_pool_is_drawn_against_its_capacity(drawn, shared_world, dimension):
    found = lines(drawn, EVERYBODY, f"use_{dimension}")
    shared = of_kind(shared_world.facts, CapacityShared)[-1]
    assert list(found) == [name for name in QUOTAS if name in {"used", "kept", "lent", "promised", "capacity"}]
    for name, column in (("capacity", ""), ("promised", "_promised"), ("kept", "_kept"), ("lent", "_lent")):
        assert found[name][1][-1] == getattr(shared, f"{dimension}{column}"), name


@pytest.mark.parametrize("dimension", ["throughput", "kv", "concurrency"])
@pytest.mark.parametrize("who", ["ded", "gua", "eve", "spo"])
def test_a_tenant_is_drawn_against_its_quotas(drawn, shared_world, who, dimension):
    found = lines(drawn, who, f"use_{dimension}")
    *_, limits = (
        {name: getattr(fact, f"{dimension}_{name}")[fact.tenant.index(who)] for name in ("nominal", "borrowing", "kept")}
        for fact in of_kind(shared_world.facts, Limits)
        if who in fact.tenant
    )
    assert found["nominal quota"][1][-1] == limits["nominal"]
    assert found["kept"][1][-1] == limits["kept"]
    assert ("burst limit" in found) == (limits["borrowing"] is not None)
    if limits["borrowing"] is not None:
        assert found["burst limit"][1][-1] == limits["nominal"] + limits["borrowing"]
    assert ("lent" in found) == (who in {"ded", "gua"}), "who has no right has nothing to lend"
    if "lent" in found:
        assert found["lent"][1][-1] == max(0, limits["nominal"] - limits["kept"])


def test_what_was_lent_is_taken_back(drawn):
    lent = lines(drawn, "gua", "use_throughput")["lent"][1]
    assert max(lent) > 250
    assert lent[-1] < 50
    assert set(lines(drawn, "ded", "use_throughput")["lent"][1]) == {0}


@pytest.mark.parametrize(("who", "rate"), [("ded", 150), ("gua", 290), ("eve", 500), ("spo", 0)])
def test_use_is_a_rate_of_one_pool(drawn, who, rate):
    assert lines(drawn, who, "use_throughput")["used"][1][-5:] == [pytest.approx(rate, rel=0.35)] * 5, "the last point is cut off"


def test_space_in_use_is_the_sum_of_peaks(drawn):
    assert set(lines(drawn, "spo", "use_kv")["used"][1][3:-1]) == {20}
    assert set(lines(drawn, "eve", "use_kv")["used"][1][3:-1]) == {40}, "a report counts wherever its interval reaches"
    assert set(lines(drawn, EVERYBODY, "use_kv")["used"][1][3:-1]) == {60}
    assert set(lines(drawn, "spo", "use_concurrency")["used"][1][3:-1]) == {4}


def test_refusals_stand_with_their_reason(drawn):
    counts = {who: {name: sum(y) for name, (_, y) in lines(drawn, who, "refused").items()} for who in ("spo", "eve", EVERYBODY)}
    assert counts["spo"] == {"pool: KV blocks": 3 * SECONDS}
    assert counts["eve"] == {
        "own limit: tokens": SECONDS // 4,
        "gateway: no limits": SECONDS // 2,
        "stopped for others": SECONDS // 4,
    }, "those of another pool not"
    assert counts[EVERYBODY] == counts["spo"] | counts["eve"]
    assert list(counts[EVERYBODY]) == [name for name in REASONS if name in counts[EVERYBODY]]


def test_debts_are_told_in_seconds(drawn, shared_world):
    found = lines(drawn, EVERYBODY, "debts")
    newest = {
        name: (debt, rate)
        for fact in of_kind(shared_world.facts, Debts)
        for name, debt, rate in zip(fact.tenant, fact.debt, fact.rate, strict=True)
    }
    assert set(found) == set(newest) >= {"fay"}
    for name, (debt, rate) in newest.items():
        assert found[name][1][-1] == pytest.approx(debt / 1000 / max(rate, 1))
    assert max(found["fay"][1]) > 0, "it was refused what was due to it"
    assert list(lines(drawn, "gua", "debts")) in ([], ["gua"])


def test_use_is_stacked_in_the_order_of_tiers(drawn):
    named = [trace["name"] for trace in drawn[EVERYBODY]["tier_use"]["figure"]["data"]]
    assert named == [tier for tier in TIERS if tier in named]
    dedicated = drawn[EVERYBODY]["tier_use"]["figure"]["data"][0]["y"]
    assert dedicated[-1] == pytest.approx(150, rel=1 / PERIOD)


def test_tenants_as_a_table(drawn):
    told = json.dumps(drawn[EVERYBODY]["entitlements"]["children"], ensure_ascii=False)
    places = [told.index(f'"{name}"') for name in ("ded", "gua", "eve", "fay", "spo")]
    assert places == sorted(places), "in the order of tiers"
    assert '"none"' in told, "no burst limit"
    assert f'"{3 * SECONDS}"' in told
    assert "% of capacity" in told


def test_the_pool_as_a_whole(drawn, shared_world):
    told = json.dumps(drawn[EVERYBODY]["token_pool"]["children"], ensure_ascii=False)
    shared = of_kind(shared_world.facts, CapacityShared)[-1]
    refused, promised, kept = map(formats.tokens, (3 * SECONDS + SECONDS // 4, shared.throughput_promised, shared.throughput_kept))
    for text in (f'"{refused}"', f'"{promised}"', "10 replicas", f"{kept} kept for tenants"):
        assert text in told


def test_the_selectors_name_token_pools_and_their_tenants(shared_store):
    assert ask(shared_store, "pool.options", pool=None, path="/token-pools")["pool"] == {"options": [POOL], "value": POOL}
    answer = ask(shared_store, "tenant.options", pool=POOL, path="/token-pools", tenant="gone")["tenant"]
    assert [option["value"] for option in answer["options"]] == [EVERYBODY, "ded", "eve", "fay", "gua", "spo"]
    assert answer["value"] == EVERYBODY
    assert "value" not in ask(shared_store, "tenant.options", pool=POOL, path="/token-pools", tenant="eve")["tenant"]


@pytest.mark.parametrize("given", [{"pool": None}, {"pool": "' OR 1 = 1 --"}, {"pool": "absent"}])
def test_a_pool_that_is_none_says_so(shared_store, given):
    answer = ask(shared_store, "use_kv.figure", path="/token-pools", **given)
    for panel in PAGE.panels:
        told = json.dumps(answer[panel.name], ensure_ascii=False)
        nothing = panel.kind.nothing if hasattr(panel.kind, "nothing") else formats.NONE
        assert nothing in told, panel.name


def test_a_tenant_is_data_and_never_sql(shared_store):
    answer = ask(shared_store, "use_kv.figure", pool=POOL, path="/token-pools", tenant="' OR 1 = 1 --")
    assert not answer["refused"]["figure"]["data"]


def test_lines_have_one_style_wherever_they_are():
    rows = [{"time": ZERO, "shown": name, "value": 1} for name in ("zed", "kept", "used", "amy")]
    traces = Series("s", QUOTAS, "nothing").draw(rows)["data"]
    assert [trace["name"] for trace in traces] == ["used", "kept", "amy", "zed"]
    assert traces[1]["line"]["color"] == QUOTAS["kept"].colour
    assert len({trace["line"]["color"] for trace in traces}) == 4


@pytest.mark.parametrize(
    ("show", "value", "text"),
    [
        (formats.signed, None, "–"),
        (formats.signed, 0.01, "0"),
        (formats.signed, 1.26, "+1.3"),
        (formats.signed, -0.5, "-0.5"),
        (formats.factor, 0.0, "–"),
        (formats.factor, 1.5, "1.50"),
        (formats.limit, None, "none"),
        (formats.limit, 0, "0"),
    ],
)
def test_numbers_of_this_page(show, value, text):
    assert show(value) == text


@pytest.mark.parametrize(("largest", "axis", "one"), [(0.2, ",~r", ",.4~r"), (999.0, ",~r", ",.4~r"), (1_000.0, "~s", ".4s")])
def test_small_numbers_are_written_as_they_are(largest, axis, one):
    """In d3's words, whose s writes 200m of 0.2."""
    rows = [{"period_start": ZERO, "shown": name, "requests": part} for name, part in (("a", largest), ("b", 0.1))]
    figure = Stack("requests", "requests").draw(rows)
    assert figure["layout"]["yaxis"]["tickformat"] == axis
    assert figure["data"][0]["hovertemplate"] == f"%{{y:{one}}} requests"
    assert axis_digits([None, -largest]) == axis
