"""The figures of a backtest: what each variant came to, as JSON values, and what no backtest can know."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from infra.backtest.folding import Outcome
from infra.backtest.latencies import attained
from infra.backtest.measures import jain

Figures = dict[str, Any]

PARALLEL = ("period", "start_ms", "capacity", "price", "revenue", "allocated", "demand", "served", "jain", "welfare", "optimum")
"""Of each closed period, in the JSON file."""


def figures(outcomes: Sequence[Outcome], pool: str) -> Figures:
    """All variants, the recorded one first.

    Tokens and nanocredits; shares from 0 to 1, null where they are of nothing. `welfare` counts each served token by its tenant's
    elasticity; `optimum` is the best that could have been done with all demand known beforehand.
    """
    recorded = outcomes[0]
    return {
        "pool": pool,
        "from_ms": recorded.rows[0].start_ms,
        "from_period": recorded.rows[0].period,
        "to_period": recorded.rows[-1].period,
        "records": recorded.records,
        "variants": [_variant(recorded, outcome) for outcome in outcomes],
        "cannot_know": unknowns(outcomes),
    }


def _variant(recorded: Outcome, outcome: Outcome) -> Figures:
    rows = outcome.rows
    sums = {name: sum(getattr(row, name) for row in rows) for name in ("capacity", "revenue", "allocated", "demand", "served")}
    welfare, optimum = sum(row.welfare for row in rows), sum(row.optimum for row in rows)
    kept = attained(recorded.latencies, outcome.latencies)
    return {
        "name": outcome.variant.name,
        "settings": dict(outcome.variant.settings),
        "same_as_recorded": outcome.digest == recorded.digest,
        "periods": len(rows),
        **sums,
        "utilisation": _share(sums["served"], sums["capacity"]),
        "unmet": sums["demand"] - sums["served"],
        "unmet_share": _share(sums["demand"] - sums["served"], sums["demand"]),
        "jain": _jain_of_all(outcome),
        "sla": None if kept is None else kept._asdict(),
        "welfare": welfare,
        "optimum": optimum,
        "welfare_share": _share(welfare, optimum),
        "budget": outcome.budget,
        "budget_charged": outcome.charged,
        "budget_use": _share(outcome.charged, outcome.budget),
        "refused_commands": outcome.refusals,
        "by_period": {name: [getattr(row, name) for row in rows] for name in PARALLEL},
    }


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def _jain_of_all(outcome: Outcome) -> float:
    """Of what tenants got of their demand over all periods. In floats: sums of many periods can leave int64."""
    served, demand = ([sums[name] for name in outcome.demand] for sums in (outcome.served, outcome.demand))
    return jain(np.array(served, np.float64), np.array(demand, np.float64))


def unknowns(outcomes: Sequence[Outcome]) -> list[str]:
    """What the figures leave open, in sentences."""
    recorded = outcomes[0]
    said = [
        (
            "Demand is what the journal holds: usage as it was under the limits and prices of then, and what gateways refused "
            f"({recorded.refused_tokens:,} tokens; a request that was tried again counts again). What was never sent, as limits "
            "were low or prices high, stands nowhere; nor what would not have been sent under other ones."
        )
    ]
    kept = [attained(recorded.latencies, outcome.latencies) for outcome in outcomes]
    if kept[0] is None:
        said.append("SLA attainment is unknown: the journal has no latency of a tenant with an sla_ms.")
    else:
        said.append(
            "Latencies are those of then. A variant's SLA attainment is known only where it covers as much of a tenant's demand in "
            "a period as was covered; the rest of the requests may or may not have been in time, hence an interval."
        )
    said.append(
        "Orders, transfers and bots' settings stand as recorded; under other prices their owners would have decided otherwise."
    )
    said.append(
        "The optimum knows all demand beforehand and takes elasticity for the worth of a token: it is an upper bound, not a goal."
    )
    if any(name.startswith("rebalance") for outcome in outcomes for name in outcome.variant.settings):
        said.append("Rebalancing carries out the planner's proposals as the journal holds them: where it was off, none was made.")
    return [*said, *(_more_refused(recorded, outcome) for outcome in outcomes[1:] if outcome.refusals != recorded.refusals)]


def _more_refused(recorded: Outcome, outcome: Outcome) -> str:
    return (
        f"{outcome.variant.name}: {outcome.refusals:,} operators' commands are refused, where {recorded.refusals:,} were: its "
        "tenants' profiles are not the recorded ones."
    )
