"""Keeps a backtest's figures in ClickHouse, for the dashboard and for analysts (tables `backtests` and `backtest_periods`)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

from clickhouse_connect.driver.client import Client

from infra.backtest.figures import Figures
from infra.backtest.folding import Outcome
from schemas.backtests import BACKTESTS, Backtest, BacktestPeriods
from schemas.model import Event
from schemas.units import MILLION
from schemas.upkeep import Upkeep
from streams.landing import Landable
from streams.standing import LandingTables
from streams.tables import create_tables

LARGEST = 2**63 - 1
"""What a sum is kept as that leaves int64."""


class Place(NamedTuple):
    """Topic and partition of a journal, and the ClickHouse database that keeps what was computed from it."""

    topic: str
    partition: int
    database: str
    upkeep: Upkeep
    """As for `create_tables`: another one than the system's would undo its settings."""


def record(client: Client, place: Place, figures: Figures, outcomes: Sequence[Outcome], now_ms: int) -> str:
    """Insert all variants' figures, and then those of each period, each as one block; the id under which they stand.

    A crash between the two leaves a backtest without its periods; recording it again makes it whole, as it has the same id.

    Args:
        client: of ClickHouse, where tables that are missing are made.
        place: where the journal is, and where its figures shall be.
        figures: of the outcomes.
        outcomes: the recorded one first.
        now_ms: milliseconds since 1970.

    Raises:
        ClickHouseError: it does not answer, or refuses us.
    """
    create_tables(client, place.database, place.upkeep)
    identity = backtest_id(place, figures["pool"], outcomes)
    tables = LandingTables(place.database, place.topic, [model.TABLE.name for model in BACKTESTS if model.TABLE])
    rows: dict[str, list[Landable]] = {}
    for number, (variant, outcome) in enumerate(zip(figures["variants"], outcomes, strict=True)):
        known: dict[str, Any] = {"pool": figures["pool"], "id": identity, "variant": variant["name"], "place": number}
        for event in (_backtest(known, variant, outcome), _periods(known, outcome)):
            if event.TABLE:
                values = tuple(event.__dict__[name] for name in type(event).model_fields)
                rows.setdefault(event.TABLE.name, []).append(Landable(place.partition, outcome.last_offset, values))
    for name, items in rows.items():
        tables.inserting(name, items, now_ms)(client)
    return identity


def backtest_id(place: Place, pool: str, outcomes: Sequence[Outcome]) -> str:
    """The same for the same variants, folded over the same periods and records of the same journal; 64 bits of BLAKE2b, hex."""
    rows = outcomes[0].rows
    said = [place.topic, place.partition, pool, outcomes[0].last_offset, rows[0].period, rows[-1].period]
    text = json.dumps([*said, *(outcome.variant.name for outcome in outcomes)])
    return blake2b(text.encode(), digest_size=8).hexdigest()


def _backtest(known: dict[str, Any], variant: Figures, outcome: Outcome) -> Event:
    first, last = outcome.rows[0], outcome.rows[-1]
    sla = variant["sla"] or {"low": None, "high": None}
    counts = ("same_as_recorded", "periods", "refused_commands")
    return Backtest(
        **known,
        policy=outcome.policy,
        settings=json.dumps(variant["settings"], ensure_ascii=False),
        from_period=first.period,
        to_period=last.period,
        from_time=first.start_ms,
        to_time=last.start_ms,
        **{name: variant[name] for name in counts},
        **{name: _whole(variant[name]) for name in SUMS},
        **{name: _part(variant[name]) for name in ("utilisation", "jain")},
        sla_low=_part(sla["low"]),
        sla_high=_part(sla["high"]),
    )


SUMS = ("capacity", "revenue", "allocated", "demand", "served", "unmet", "welfare", "optimum", "budget", "budget_charged")


def _periods(known: dict[str, Any], outcome: Outcome) -> Event:
    rows = outcome.rows
    whole = ("period", "capacity", "price", "revenue", "allocated", "demand", "served", "welfare", "optimum")
    return BacktestPeriods(
        **known,
        period_start=[row.start_ms for row in rows],
        jain=[_part(row.jain) for row in rows],
        **{name: [_whole(getattr(row, name)) for row in rows] for name in whole},
    )


def _whole(value: float) -> int:
    return min(round(value), LARGEST)


def _part(value: float | None) -> str | None:
    """A share as a decimal of six places; a sum of floats may be above 1 in its last digit."""
    return None if value is None else f"{min(round(value * MILLION), MILLION) / MILLION:.6f}"
