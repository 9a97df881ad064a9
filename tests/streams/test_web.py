"""The engine's web view shows of the open period what its close will record."""

import json

import pytest
from journal_world import World, of_kind, pool, profile, usage
from loop_world import boosted

from processors.loops.bases import LENT
from schemas.facts import AllocationsClosed
from schemas.loop_facts import SlaMeasured
from streams.web import tenant_rows


def shown(world):
    """tenant -> its row."""
    found = world.pool()
    return {row["tenant"]: row for row in tenant_rows(found, found.tenants.order())}


def recorded(facts, kind):
    """tenant -> the columns that differ among tenants, of the last fact of a kind."""
    fact = of_kind(facts, kind)[-1]
    columns = {name: values for name, values in vars(fact).items() if isinstance(values, list)}
    rows = (dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))
    return {row["tenant"]: row for row in rows}


@pytest.fixture
def world():
    """Its loop has moved 40 tokens, and some of the open period are used."""
    world = boosted()
    end = (world.pool().open.period + 1) * 2
    world.take(usage(end, {"vip": 430, "low": 7, "guest": 3}))
    return world


def test_rows_are_those_that_the_close_records(world):
    before = shown(world)
    closed = recorded(world.run(world.state.tick + 1, world.state.tick + 2), AllocationsClosed)
    assert {tenant: {name: before[tenant][name] for name in row} for tenant, row in closed.items()} == closed
    assert closed["vip"]["used"] == 430


def test_boosts_and_loans_are_shown_as_they_were_measured(world):
    measured = recorded(world.facts, SlaMeasured)
    rows = shown(world)
    assert [(rows[tenant]["boost"], rows[tenant]["paid"]) for tenant in ("vip", "mid", "low")] == [(40, 0), (0, 0), (0, 40)]
    assert {tenant: {name: rows[tenant][name] for name in LENT} for tenant in measured} == {
        tenant: {name: row[name] for name in LENT} for tenant, row in measured.items()
    }
    assert (rows["vip"]["base"], rows["low"]["base"]) == (440, 160), "which the bases have in them"


def test_who_has_no_profile_and_a_pool_without_loops_are_shown_too(world):
    assert shown(world)["guest"] | {"used": 3, "sla_ms": None, "budget": None, "version": 0, "boost": 0} == shown(world)["guest"]
    json.dumps(list(shown(world).values()))  # nothing of numpy's
    plain = World()
    plain.tick(8)
    plain.take(pool(), profile("1", "a", base=5, sla_ms=9))
    plain.run(9, 10)
    row = shown(plain)["a"]
    assert (row["base"], row["boost"], row["paid"], row["sla_ms"], row["version"]) == (5, 0, 0, 9, 1)
