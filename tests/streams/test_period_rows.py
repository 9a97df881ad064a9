"""What ClickHouse has of a tenant's period is what the journal gives."""

from __future__ import annotations

import uuid
from dataclasses import replace

import pool_world
import pytest
from busy_market import busy
from databases import drop
from journal_world import World, of_kind
from landed_world import land
from loop_world import boosted
from pool_world import PERIOD, PoolWorld, token_pool

from processors.explain import NotToldError, explained, journal_record
from schemas.facts import PeriodClosed
from streams.clickhouse import connect
from streams.period_rows import PeriodRows
from streams.settings import Settings


def token_world():
    """Pool `tokens`, which lost replicas: the last closed period is short, and who was refused what was due is owed it."""
    here = PoolWorld(
        pool_world.tenant("e", "e", base=5000, elasticity=2),
        pool_world.tenant("g", "g", tier="guaranteed", base=5000, budget=(9_000, 60), sla_ms=300),
        policy="max_min",
        debt_weights=True,
    )
    here.seconds(PERIOD, {"g": 900}, {"e": (1, 400, 0, 0, 0)})
    here.take(token_pool("p2", replicas=6, policy="max_min", debt_weights=True))
    here.seconds(2 * PERIOD, {"g": 300})
    return here


def renamed(world, pool):
    """The world with its pool called otherwise."""
    again = World()
    again.take(*(record.model_copy(update={"pool": pool}) if hasattr(record, "pool") else record for _, record in world.journal))
    return again


@pytest.fixture(scope="module")
def worlds():
    return {"llm": busy(4, periods=3, orders=60), "tokens": renamed(token_world(), "tokens"), "loop": boosted("loop")}


@pytest.fixture(scope="module")
def rows(worlds, clickhouse, tmp_path_factory):
    """Of a database of their own."""
    name = f"rows_{uuid.uuid4().hex[:8]}"
    settings = Settings(home=tmp_path_factory.mktemp("home"), clickhouse=clickhouse, clickhouse_database=name)
    land(settings, list(worlds.values()))
    client = connect(settings)
    yield PeriodRows(client, name)
    drop(client, name)


@pytest.mark.parametrize(
    ("pool", "tenant"), [("llm", "ann"), ("llm", "ben"), ("tokens", "e"), ("tokens", "g"), ("loop", "vip"), ("loop", "low")]
)
def test_every_period_is_as_the_journal_tells_it(worlds, rows, pool, tenant):
    world = worlds[pool]
    periods = [fact.period for fact in of_kind(world.facts, PeriodClosed)][-2:]
    for period in periods:
        folded = journal_record(world.journal, pool, period, tenant)
        read = rows.record(pool, period, tenant)
        assert {name: list(values) for name, values in read.inputs.rows.items()} == folded.inputs.rows
        assert replace(read.inputs, rows={}) == replace(folded.inputs, rows={})
        assert read.around == known_to_rows(folded.around)
        assert explained(read, tenant, searching=False).auction.proved


def known_to_rows(around):
    """Less what only the journal tells."""
    forecast = around.forecast and replace(around.forecast, observed=None, experts=None)
    return replace(around, forecast=forecast, limits=tuple(each for each in around.limits if each.name != "tokens"))


def test_the_last_period_is_the_newest(worlds, rows):
    assert rows.record("llm", None, "e").inputs.period == of_kind(worlds["llm"].facts, PeriodClosed)[-1].period


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (("ghost", None), "pool 'ghost' is not known: known are llm, loop, tokens"),
        (("llm", 4), "period 4 of pool 'llm': in it no period of the pool opened; closed are "),
        (("llm", 99), "period 99 of pool 'llm': it has not closed, or not landed, yet; closed are "),
        (("'; DROP TABLE x; --", 5), "is not known"),
    ],
)
def test_what_is_not_there_is_told(rows, given, says):
    with pytest.raises(NotToldError) as told:
        rows.record(*given, "ann")
    assert says in str(told.value)
