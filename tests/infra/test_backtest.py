"""Backtests: the recorded policy gives the recorded facts; other ones are measured as an independent computation measures them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from journal_world import World, of_kind, pool, profile, usage
from simulation import POOLS, Simulation

from infra.backtest.figures import figures
from infra.backtest.folding import Outcome, checked, fold_all, fold_variants
from infra.backtest.journal import KeptJournal, pools_in
from infra.backtest.latencies import Kept, attained
from infra.backtest.measures import jain
from infra.backtest.plot import picture
from infra.backtest.stretch import stretch_of
from infra.backtest.variants import RECORDED, Variant, variants
from processors.allocation import POLICIES
from processors.engine import facts_of
from processors.histogram import bucket_of
from processors.state import PartitionState
from schemas.facts import AllocationsClosed, PeriodClosed
from schemas.journal import AdmissionSums, LatencySums
from schemas.planning import RebalanceCommand
from streams.codecs import decode, encode
from streams.errors import BadInput
from streams.meter_reports import ReportReader

NOBODY = lambda *_: None  # noqa: E731  the progress that nobody watches


def kept(world: World) -> KeptJournal:
    return KeptJournal(tuple((offset, encode(record)) for offset, record in world.journal))


def folded(world: World, variant: Variant, name: str = "llm") -> Outcome:
    return fold_variants(kept(world), [variant], name, NOBODY)[0]


def variant(text: str) -> Variant:
    return variants([], [text])[1]


def latencies(tick: int, of: dict[str, dict[int, int]], partition: int = 0) -> LatencySums:
    """`of`: tenant -> milliseconds -> requests."""
    tenants = sorted(of)
    entries = [(at, bucket_of(ms), many) for at, tenant in enumerate(tenants) for ms, many in sorted(of[tenant].items())]
    owner, bucket, count = (list(column) for column in zip(*entries, strict=True))
    return LatencySums(
        pool="llm",
        meter_topic="latency",
        meter_partition=partition,
        tick=tick,
        chunk=0,
        tenant=tenants,
        owner=owner,
        bucket=bucket,
        count=count,
    )


def a_world(periods: int = 4, **terms: object) -> World:
    """Of 100 tokens a period: a asks for 70 and values them, b for 60, c has a budget. Periods are two ticks.

    The planner has found that c needs less than its base, and d more.
    """
    world = World()
    world.take(pool(capacity=100, base_price=1, reserve_price=2, **terms))
    world.take(profile("1", "a", base=20, elasticity="3", sla_ms=100), profile("2", "b", base=10, elasticity="1.5"))
    world.take(profile("3", "c", base=10, elasticity="2", budget=(60, 6)))
    world.take(profile("4", "d", base=5, elasticity="0", sla_ms=100))  # who never asks for more than its base
    for number in range(2, 2 * periods + 4):
        took = latencies(number, {"a": {50: 3, 200: 1}, "b": {900: 5}, "d": {50: 1}})
        world.take(usage(number, {"a": 35, "b": 30, "c": 20, "d": 2}), took)
        if number == 4:
            needs = {"tenant": ["c", "d"], "need": [2, 40]}
            world.take(RebalanceCommand(id="r", pool="llm", as_of=world.state.now_ms, look_back_s=3600, **needs))
        world.run(number, number)
    return world


@pytest.mark.parametrize("seed", range(2))
def test_the_recorded_policy_gives_the_recorded_facts_exactly(seed: int) -> None:
    world = World()
    for record in Simulation(seed, steps=400).records():
        world.take(record)
    for read in (decode, ReportReader().read):
        state, facts = PartitionState(), []
        for offset, data in kept(world).records:
            facts += facts_of(state, Variant().changed(read(data), "llm"), offset)
        assert [encode(fact) for fact in facts] == [encode(fact) for fact in world.facts]
    for name in pools_in(kept(world)):
        outcome = folded(world, Variant(), name)
        closed = [fact for fact in of_kind(world.facts, PeriodClosed) if fact.pool == name]
        assert [(row.period, row.price, row.used, row.allocated) for row in outcome.rows] == [
            (fact.period, fact.price, fact.used, fact.allocated) for fact in closed
        ]
        assert name in POOLS


def test_settings_that_are_the_recorded_ones_change_nothing_and_others_do() -> None:
    world = a_world()
    recorded = folded(world, Variant())
    same = folded(world, variant("policy=seed,reserve_price=2,capacity=100,cached_weight=1,forecaster=last_value"))
    other = folded(world, variant("policy=max_min"))
    assert recorded.digest == same.digest != other.digest
    found = figures([recorded, same, other], "llm")["variants"]
    assert [each["same_as_recorded"] for each in found] == [True, True, False]


SAID: list[tuple[str, dict[str, object]]] = [
    ("sla.enabled=true,sla.window=1,sla.breaches=1,sla.min_requests=1", {"sla": {"window": 1, "breaches": 1, "min_requests": 1}}),
    ("rebalance.enabled=true,rebalance.step=0.5", {"rebalance": {"step": "0.5"}}),
    ("rebalance=null,rebalance.smallest=3", {"rebalance": {"smallest": 3}}),
    ("forecaster=mixture,debt_gain=2,sla=null", {"forecaster": "mixture", "debt_gain": 2, "sla": None}),
]


@pytest.mark.parametrize(("text", "terms"), SAID, ids=[text for text, _ in SAID])
def test_a_variant_folds_as_a_journal_whose_pool_says_so(text: str, terms: dict[str, object]) -> None:
    """And taken back it folds as recorded; what is a part of a setting leaves its other parts as they were."""
    plain, said = a_world(), a_world(**terms)
    tried, recorded = folded(plain, variant(text)), folded(plain, Variant())
    assert tried.digest == folded(said, Variant()).digest != recorded.digest
    back = {"forecaster": "last_value", "debt_gain": 10} if "forecaster" in terms else {f"{next(iter(terms))}.enabled": False}
    off = folded(said, Variant("off", {**back, "sla.enabled": False}))
    assert off.digest == recorded.digest
    # A proposal that a switched off loop refuses is the planner's: no operator's command fell.
    assert off.refusals == tried.refusals == 0
    assert ("proposals" in " ".join(figures([recorded, tried], "llm")["cannot_know"])) == ("rebalance" in text)


def test_measures_are_those_of_the_recorded_rows_added_up_by_hand() -> None:
    world = a_world()
    found = figures([folded(world, Variant())], "llm")["variants"][0]
    closed = of_kind(world.facts, AllocationsClosed)
    rows = [
        dict(zip(("tenant", "used", "allocated", "charge", "elasticity"), row, strict=True))
        for fact in closed
        for row in zip(fact.tenant, fact.used, fact.allocated, fact.charge, fact.elasticity, strict=True)
    ]
    got, asked = defaultdict(int), defaultdict(int)
    for row in rows:
        got[row["tenant"]] += min(row["used"], row["allocated"])
        asked[row["tenant"]] += row["used"]
    shares = [Fraction(got[tenant], asked[tenant]) for tenant in got]
    assert found["periods"] == len(closed) == 4
    assert found["revenue"] == sum(row["charge"] for row in rows) > 0
    assert found["demand"] == sum(asked.values())
    assert found["unmet"] == sum(asked.values()) - sum(got.values()) > 0
    assert found["utilisation"] == sum(got.values()) / 400
    assert found["jain"] == pytest.approx(float(sum(shares) ** 2 / (len(shares) * sum(share**2 for share in shares))))
    assert found["welfare"] == pytest.approx(
        sum(min(row["used"], row["allocated"]) * row["elasticity"] / 1e6 for row in rows),
    )
    assert found["welfare"] <= found["optimum"]
    capped = [row["charge"] for row in rows if row["tenant"] == "c"]
    # Windows of 6 s are three periods: periods 1 and 2 are in one, 3 and 4 in the next.
    windows = {fact.period_start // 6000 for fact in closed}
    assert found["budget_use"] == sum(capped) / (60 * len(windows))


def test_a_bigger_capacity_leaves_less_demand_unmet() -> None:
    world = a_world()
    found = figures([folded(world, each) for each in variants([], ["capacity=100", "capacity=400"])], "llm")["variants"]
    assert found[0]["unmet"] == found[1]["unmet"] > found[2]["unmet"]
    assert found[2]["capacity"] == 4 * found[0]["capacity"]


def test_what_gateways_refused_is_demand_and_counts_once() -> None:
    world = a_world(periods=1)
    zero = {name: [0] for name in ("admitted", "refused", "refused_kv_blocks", "peak_kv_blocks", "peak_concurrency")}
    identity = {"pool": "llm", "meter_topic": "usage", "meter_partition": 0, "tick": 6, "chunk": 0}
    report = AdmissionSums(**identity, tenant=["b"], refused_tokens=[40], **zero)
    other = a_world(periods=1)
    other.run(6, 8)
    before = folded(other, Variant())
    world.take(report, report)
    world.run(6, 6)
    world.take(report)  # a meter that crashed before its mark was known says it again
    world.run(7, 8)
    after = folded(world, Variant())
    assert (before.refused_tokens, after.refused_tokens) == (0, 40)
    assert after.demand["b"] - before.demand["b"] == 40
    assert after.served["b"] == before.served["b"]


def test_sla_attainment_is_what_histograms_tell_and_an_interval_where_a_variant_serves_otherwise() -> None:
    world = a_world()
    found = figures([folded(world, each) for each in variants(["seed", "max_min"], [])], "llm")["variants"]
    recorded, same, other = (each["sla"] for each in found)
    assert recorded == {"low": 0.8, "high": 0.8, "known": 1.0, "requests": 40}  # b has no SLA: its five count nowhere
    assert same == recorded
    assert other == {"low": 0.2, "high": 1.0, "known": 0.2, "requests": 40}  # d is served as it was, a never


def test_a_period_that_a_variant_covers_otherwise_is_unknown() -> None:
    recorded = {(1, "a"): Kept(10, 6, 7, 8), (2, "a"): Kept(10, 2, 2, 2)}
    assert attained(recorded, {(1, "a"): Kept(10, 6, 7, 8), (2, "a"): Kept(11, 2, 2, 2)}) == (0.6, 0.9, 0.8, 10)
    assert attained({}, {}) is None


def test_no_policy_beats_the_optimum_whatever_the_journal() -> None:
    for seed in range(2):
        world = World()
        for record in Simulation(seed, steps=200).records():
            world.take(record)
        for name in pools_in(kept(world)):
            for outcome in fold_variants(kept(world), variants(POLICIES, []), name, NOBODY):
                assert sum(row.welfare for row in outcome.rows) <= sum(row.optimum for row in outcome.rows) * (1 + 1e-6)


def test_variants_that_are_folded_together_come_to_what_each_comes_to_alone() -> None:
    """They share what was decoded and the optimum, and nothing else."""
    world = a_world()
    tried = variants(POLICIES, ["reserve_price=4", "capacity=60"])
    together = fold_variants(kept(world), tried, "llm", NOBODY)
    assert together == [folded(world, each) for each in tried]
    assert len({outcome.digest for outcome in together}) > len(POLICIES)


@pytest.mark.parametrize(
    ("start", "end", "periods"),
    [
        (None, None, [1, 2, 3, 4]),
        ("2", "3", [2, 3]),
        ("3", None, [3, 4]),
        (None, "1", [1]),
        # Periods are two seconds long; one counts up to a moment if it starts before it.
        ("1970-01-01T00:00:04Z", "1970-01-01T00:00:08Z", [2, 3]),
        ("1970-01-01T00:00:03Z", "1970-01-01T00:00:07.001Z", [2, 3]),
    ],
)
def test_a_stretch_is_measured_as_it_is_in_the_whole(start: str | None, end: str | None, periods: list[int]) -> None:
    world = a_world()
    whole = fold_variants(kept(world), variants(["max_min"], []), "llm", NOBODY)
    part = fold_variants(kept(world), variants(["max_min"], []), "llm", NOBODY, stretch_of(start, end))
    for every, some in zip(whole, part, strict=True):
        assert [row.period for row in some.rows] == periods
        # All but the optimum, which spends budgets over other periods.
        assert [replace(row, optimum=0) for row in some.rows] == [
            replace(row, optimum=0) for row in every.rows if row.period in periods
        ]
        assert {cell for cell in every.latencies if cell[0] in periods} == set(some.latencies)
        assert sum(some.demand.values()) == sum(row.demand for row in some.rows)


@pytest.mark.parametrize(
    ("start", "end", "told"),
    [
        ("soon", None, "--from soon: a period's number, or a moment"),
        (None, "2026-01-31", "--to 2026-01-31: a period's number, or a moment"),
        ("5", "4", "--to 4: lies before --from 5"),
        ("2026-01-02T00:00:00Z", "2026-01-01T00:00:00Z", "lies before"),
    ],
)
def test_a_stretch_that_is_none_is_told(start: str | None, end: str | None, told: str) -> None:
    with pytest.raises(BadInput, match=told):
        stretch_of(start, end)


def test_a_stretch_without_periods_is_told() -> None:
    later = stretch_of("9", None)
    with pytest.raises(BadInput, match="no period of pool 'llm' has closed in the journal from period 9"):
        checked(fold_variants(kept(a_world()), variants(["seed"], []), "llm", NOBODY, later), "llm", later)


def test_jains_index() -> None:
    assert jain(np.array([5, 50, 0]), np.array([10, 100, 0])) == 1
    assert jain(np.array([10, 0, 0, 0]), np.array([10, 10, 10, 10])) == 0.25
    assert jain(np.array([0]), np.array([0])) == jain(np.array([0]), np.array([4])) == 1


def test_variants_in_processes_of_their_own_come_to_the_same(tmp_path: Path) -> None:
    world, told = a_world(), []
    tried = variants(["seed", "uniform_price"], ["reserve_price=4"])
    outcomes = fold_all(kept(world), tried, "llm", lambda *step: told.append(step), processes=2)
    assert [outcome.variant.name for outcome in outcomes] == [RECORDED, "seed reserve_price=4", "uniform_price reserve_price=4"]
    assert figures(outcomes, "llm") == figures([folded(world, each) for each in tried], "llm")
    assert {place for place, _, _ in told} <= {0, 1, 2}
    picture(figures(outcomes, "llm"), tmp_path / "p.png")
    assert (tmp_path / "p.png").read_bytes()[:4] == b"\x89PNG"


def test_settings_that_a_version_of_the_pool_cannot_have_are_refused() -> None:
    world = a_world()
    with pytest.raises(BadInput, match=r"missing, but replicas is 2"):
        folded(world, variants([], ["replicas=2"])[1])
    with pytest.raises(BadInput, match=r"would be refused: capacity: .* can cost"):
        checked([folded(world, each) for each in variants([], ["capacity=9007199254740992,reserve_price=9007199254740992"])], "llm")
    empty = World()
    empty.take(pool())
    with pytest.raises(BadInput, match="no period of pool 'llm' has closed"):
        checked([folded(empty, each) for each in variants(["seed"], [])], "llm")
