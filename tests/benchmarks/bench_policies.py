"""The policies beside each other on journals of real traces: welfare against its optimum, fairness, revenue, utilisation.

Run alone: `python tests/benchmarks/bench_policies.py [--json FILE] [--forecaster NAME]`; it needs ../shared/data. Traces have no
profiles, so they are drawn with a seed: bases of 20 to 60 % of a tenant's mean demand in the first half, elasticities of 0.5 to 3
in a random order. Capacity is a part of mean demand; with budgets two tenants of five have one, in windows of ten periods, of 0.8,
1.2 or 2 times what their mean demand costs. `proportional` was chosen on first halves with other seeds; this judges the second.

Demand is what was used: nobody's usage was held back. Loops that move bases are off, so that all policies have the same ones.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import pyarrow.parquet as pq

from infra.backtest.figures import figures
from infra.backtest.folding import fold_variants
from infra.backtest.journal import KeptJournal
from infra.backtest.variants import variants
from infra.workloads import SERVEGEN_WINDOW_S, trace
from schemas.journal import ClockTick, MeterMark, UsageSums
from schemas.loops import Rebalancing, SlaLoop
from schemas.model import Event
from schemas.published import Budget, Forecaster, Policy, PoolCommand, ProfileCommand
from streams.codecs import encode

DATA = Path(__file__).parents[3] / "shared" / "data"
AZURE, SERVEGEN = DATA / "azure-llm-2023-conv.csv", DATA / "servegen-m-small.parquet"
TRACES = {
    "ServeGen, 10 min": (SERVEGEN, 0, SERVEGEN_WINDOW_S),
    "Azure, 10 tenants, 1 min": (AZURE, 10, 60),
    "Azure, 40 tenants, 1 min": (AZURE, 40, 60),
    "Azure, 40 tenants, 10 s": (AZURE, 40, 10),
}
"""Name -> file, tenants over which its requests are spread, length of a period in seconds."""
SCARCITY = (0.5, 0.7, 0.85, 1.0, 1.2)
"""Capacity, of mean demand."""
SEEDS = (11,)
LONGEST = 432
"""Periods that are judged of a trace, at most: three days of ServeGen."""
RESERVE, BASE_PRICE, WINDOW = 1_000, 1_000, 10
POLICIES = tuple(Policy)
RIVALS = tuple(policy for policy in Policy if policy is not Policy.PROPORTIONAL)


@dataclass(frozen=True, slots=True)
class Case:
    """One journal, with capacity at a part of its mean demand."""

    trace: str
    budgets: bool
    scarcity: float
    seed: int
    forecaster: str


@dataclass(frozen=True, slots=True)
class Result:
    """What a policy came to in a case; shares of 1, credits."""

    case: Case
    policy: str
    welfare: float
    jain: float
    revenue: float
    utilisation: float


def run(scarcity: Sequence[float] = (0.7, 1.0), seeds: Sequence[int] = SEEDS) -> list[dict[str, object]]:
    """Rows of {name, value, unit, baseline, baseline_value, ratio, goal, met}: means over all cases, against the best rival."""
    if not (AZURE.is_file() and SERVEGEN.is_file()):
        return []
    results = measure(scarcity, seeds, Forecaster.MIXTURE)
    means = {policy: [each for each in results if each.policy == policy] for policy in POLICIES}
    rows: list[dict[str, object]] = []
    for name in ("welfare", "jain"):
        of = {policy: fmean(getattr(each, name) for each in found) for policy, found in means.items()}
        best = max(RIVALS, key=of.__getitem__)
        ours = of[Policy.PROPORTIONAL]
        rows.append(
            {
                "name": f"policy proportional on real traces: {'welfare of the optimum' if name == 'welfare' else 'Jain index'}",
                "value": ours,
                "unit": "",
                "baseline": best.value,
                "baseline_value": of[best],
                "ratio": ours / of[best],
                "goal": of[best],
                "met": ours >= of[best],
            }
        )
    return rows


def measure(scarcity: Sequence[float], seeds: Sequence[int], forecaster: str) -> list[Result]:
    """All cases under all policies, side by side in processes."""
    cases = [Case(*each, forecaster) for each in itertools.product(TRACES, (False, True), scarcity, seeds)]
    with ProcessPoolExecutor(os.cpu_count()) as processes:
        found: list[Result] = []
        for done, results in enumerate(processes.map(_results, cases), start=1):
            found += results
            sys.stderr.write(f"\r{done} of {len(cases)} cases")
        sys.stderr.write("\n")
    return found


def _results(case: Case) -> list[Result]:
    demand, period_s = _demand(case.trace)
    half = len(demand) // 2
    records = _records(case, demand[:half], demand[half : half + LONGEST], period_s)
    journal = KeptJournal(tuple((offset, encode(record)) for offset, record in enumerate(records)))
    tried = variants(POLICIES, [])
    found = figures(fold_variants(journal, tried, "llm", lambda *_: None), "llm")
    assert not any(each["refused_commands"] for each in found["variants"])
    return [
        Result(case, each["settings"]["policy"], each["welfare_share"], each["jain"], each["revenue"] / 1e9, each["utilisation"])
        for each in found["variants"][1:]
    ]


def _demand(name: str) -> tuple[list[dict[str, int]], int]:
    """Tokens by tenant of each period; the gaps of ServeGen's telemetry, in which nobody has any, are left out."""
    path, tenants, period_s = TRACES[name]
    found: dict[int, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    if path is SERVEGEN:
        columns = pq.read_table(path, columns=["w", "client", "tokens"]).to_pydict()
        for window, client, tokens in zip(*columns.values(), strict=True):
            if tokens is not None and tokens > 0:
                found[window][f"client-{client:02d}"] += int(tokens)
    else:
        for request in trace(path, speed=1.0, seconds=10**9, tenants=tenants, rate=1e9).walk():
            found[request.at_ms // 1000 // period_s][request.tenant] += request.tokens
    return [dict(found[period]) for period in sorted(found)], period_s


def _records(case: Case, before: list[dict[str, int]], judged: list[dict[str, int]], period_s: int) -> Iterator[Event]:
    """One tick is one period."""
    chosen = random.Random(f"{case.trace} {case.seed}")
    names = sorted({name for period in judged for name in period})
    known = {name: fmean(period.get(name, 0) for period in before) for name in names}
    mean = fmean(sum(period.values()) for period in judged)
    elasticities = [0.5 + 0.25 * (place % 11) for place in range(len(names))]
    chosen.shuffle(elasticities)
    yield PoolCommand(
        id="pool",
        pool="llm",
        capacity=int(mean * case.scarcity),
        period_s=period_s,
        policy=Policy.SEED,
        base_price=BASE_PRICE,
        reserve_price=RESERVE,
        forecaster=Forecaster(case.forecaster),
        sla=SlaLoop(enabled=False),
        rebalance=Rebalancing(enabled=False),
    )
    for name, elasticity in zip(names, elasticities, strict=True):
        share, capped, amount = chosen.uniform(0.2, 0.6), chosen.random() < 0.4, chosen.choice((0.8, 1.2, 2.0))
        budget = Budget(amount=int(known[name] * RESERVE * WINDOW * amount), window_s=WINDOW * period_s)
        yield ProfileCommand(
            id=name,
            pool="llm",
            tenant=name,
            base=int(share * known[name] * min(1.0, case.scarcity / 0.6)),
            elasticity=f"{elasticity}",
            budget=budget if case.budgets and capped else None,
        )
    for number, period in enumerate(judged):
        tenants = sorted(period)
        nothing = [0] * len(tenants)
        if tenants:
            yield UsageSums(
                pool="llm",
                meter_topic="usage",
                meter_partition=0,
                tick=number,
                chunk=0,
                tenant=tenants,
                requests=[1] * len(tenants),
                input_tokens=[period[name] for name in tenants],
                cached_input_tokens=nothing,
                output_tokens=nothing,
            )
        yield ClockTick(tick=number, tick_ms=period_s * 1000, meter_partitions=1, grace_ticks=3)
        for topic in ("latency", "usage"):
            yield MeterMark(meter_topic=topic, meter_partition=0, tick=number)


def table(results: Sequence[Result]) -> str:
    """Markdown: of each policy welfare, of the optimum; Jain's index; revenue, credits; utilisation. Means over seeds."""
    lines = [
        "| trace | capacity | " + " | ".join(POLICIES) + " |",
        "|---|---|" + "---|" * len(POLICIES),
    ]
    for name, budgets in itertools.product(TRACES, (False, True)):
        for scarcity in (*SCARCITY, None):
            cells = []
            for policy in POLICIES:
                of = [
                    each
                    for each in results
                    if (each.case.trace, each.case.budgets, each.policy) == (name, budgets, policy)
                    and scarcity in (None, each.case.scarcity)
                ]
                means = [fmean(getattr(each, field) for each in of) for field in ("welfare", "jain", "revenue", "utilisation")]
                cells.append("{:.3f} {:.3f} {:,.4g} {:.0%}".format(*means))
            title = f"{name}{', budgets' if budgets else ''}"
            lines.append(f"| {title} | {'mean' if scarcity is None else format(scarcity, '.0%')} | {' | '.join(cells)} |")
    return "\n".join(lines)


def verdicts(results: Sequence[Result]) -> list[str]:
    """Against each rival: in how many cases `proportional` is better in one and no worse in the other, and the reverse."""
    by_case: dict[Case, dict[str, Result]] = defaultdict(dict)
    for each in results:
        by_case[each.case][each.policy] = each
    lines = []
    for rival in RIVALS:
        better = worse = 0
        for found in by_case.values():
            ours, theirs = found[Policy.PROPORTIONAL], found[rival]
            better += ours.welfare >= theirs.welfare and ours.jain >= theirs.jain
            worse += ours.welfare < theirs.welfare and ours.jain < theirs.jain
        lines.append(f"against {rival}: no worse in both in {better} of {len(by_case)} cases, worse in both in {worse}")
    for policy in POLICIES:
        of = [each for each in results if each.policy == policy]
        means = [fmean(getattr(each, field) for each in of) for field in ("welfare", "jain", "utilisation")]
        lines.append(f"{policy}: welfare {means[0]:.4f}, Jain {means[1]:.4f}, utilisation {means[2]:.4f} in the mean")
    return lines


def main() -> None:
    """Print the table; write all results to a file if one is named."""
    asked = argparse.ArgumentParser(description="Policies beside each other on real traces.")
    asked.add_argument("--json", type=Path)
    asked.add_argument("--forecaster", default=Forecaster.MIXTURE.value, choices=[each.value for each in Forecaster])
    arguments = asked.parse_args()
    results = measure(SCARCITY, SEEDS, arguments.forecaster)
    if arguments.json:
        rows = [
            {name: getattr(each, name) for name in ("policy", "welfare", "jain", "revenue", "utilisation")}
            | {name: getattr(each.case, name) for name in Case.__slots__}
            for each in results
        ]
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(table(results) + "\n\n" + "\n".join(verdicts(results)) + "\n")


if __name__ == "__main__":
    main()
