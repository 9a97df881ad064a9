"""The view that scores forecasts, in a real ClickHouse with every row landed twice, against scores computed from the facts."""

import random
import uuid
from collections import defaultdict
from datetime import date, timedelta

import pytest
from databases import drop
from journal_world import World, mark, of_kind, pool, profile, tick, usage
from landed_world import land

from infra.worse_forecasts import worse_forecasts
from schemas.facts import AllocationsClosed, Forecasts, PeriodClosed
from streams.clickhouse import connect
from streams.settings import Settings

PERIOD_S = 4 * 3600
DAYS = 4
LEVELS = {"p50": 0.5, "p90": 0.9, "p99": 0.99}


@pytest.fixture(scope="module")
def world():
    """Six periods a day; one meter is late once; one pool forecasts by the last value, and one changes to it."""
    chosen = random.Random(3)
    here = World()
    here.take(tick(PERIOD_S - 1))
    for name, forecaster in (("mixed", "mixture"), ("plain", "last_value")):
        here.take(pool(name, pool=name, capacity=10**9, period_s=PERIOD_S, forecaster=forecaster))
        here.take(*(profile(f"{name}-{each}", each, pool=name) for each in ("a", "b", "idle")))
    here.take(tick(PERIOD_S), mark(PERIOD_S), mark(PERIOD_S, "latency"))
    for number in range(1, 6 * DAYS):
        start, end = number * PERIOD_S, (number + 1) * PERIOD_S
        if number == 15:
            here.take(pool("later", pool="mixed", capacity=10**9, period_s=PERIOD_S, forecaster="last_value"))
        for name in ("mixed", "plain"):
            used = {tenant: chosen.randint(0, 1000) for tenant in ("a", "b") if chosen.random() < 0.8}
            here.take(usage(start + 1, used, pool=name))
        late = number == 8
        here.take(tick(end), mark(end, "latency"), *(() if late else (mark(end),)))
        here.take(tick(end + 5))
    return here


@pytest.fixture(scope="module")
def client(clickhouse, tmp_path_factory, world):
    database = f"quality_{uuid.uuid4().hex[:8]}"
    settings = Settings(home=tmp_path_factory.mktemp("home"), clickhouse=clickhouse, clickhouse_database=database)
    client = connect(settings)
    client.command(f"CREATE DATABASE {database}")
    client.database, client.settings = database, settings
    land(settings, [world], copies=2)
    yield client
    drop(client, database)
    client.close()


def scores(world):
    """(pool, tenant, day, forecaster) -> what the view shall say of it."""
    told, used = {}, {}
    for fact in of_kind(world.facts, Forecasts):
        for at, tenant in enumerate(fact.tenant):
            row = (fact.mean[at], fact.p50[at], fact.p90[at], fact.p99[at])
            told[fact.pool, tenant, fact.period] = (fact.forecaster, *row)
    for fact in of_kind(world.facts, AllocationsClosed):
        used |= {(fact.pool, tenant, fact.period): tokens for tenant, tokens in zip(fact.tenant, fact.used, strict=True)}
    late = {(fact.pool, fact.period) for fact in of_kind(world.facts, PeriodClosed) if "usage/0" in fact.late_meters}
    assert len(late) == 2
    groups = defaultdict(list)
    for (name, tenant, period), tokens in used.items():
        if period % 6 and (name, tenant, period - 1) in used and (name, period) not in late:
            forecaster, *row = told[name, tenant, period]
            groups[name, tenant, period // 6, str(forecaster)].append((tokens, used[name, tenant, period - 1], *row))
    return {key: score(rows) for key, rows in groups.items()}


def score(rows):
    demand = sum(row[0] for row in rows)
    found = {"periods": len(rows), "demand": demand}
    found["error"] = sum(abs(tokens - mean) for tokens, _, mean, *_ in rows)
    found["last_value_error"] = sum(abs(tokens - last) for tokens, last, *_ in rows)
    found["wape"] = found["error"] / demand if demand else None
    found["last_value_wape"] = found["last_value_error"] / demand if demand else None
    for at, (name, level) in enumerate(LEVELS.items(), 3):
        losses = [max(level * (row[0] - row[at]), (1 - level) * (row[at] - row[0])) for row in rows if row[at] is not None]
        found[f"pinball_{name}"] = sum(losses) if losses else None
    covered = [row[0] for row in rows if row[4] is not None and row[0] <= row[4]]
    found["covered_p90"] = sum(covered) if covered else None
    known = rows[0][4] is not None
    found["coverage_p90"] = sum(covered) / demand if known and demand else None
    return found


def test_the_view_scores_what_the_facts_say(client, world):
    expected = scores(world)
    names = [*next(iter(expected.values()))]
    query = f"SELECT pool, tenant, toRelativeDayNum(day), forecaster, {', '.join(names)} FROM forecast_quality"
    found = {tuple(row[:4]): dict(zip(names, row[4:], strict=True)) for row in client.query(query).result_rows}
    assert found.keys() == expected.keys()
    for key, row in expected.items():
        assert found[key] == pytest.approx(row), key
    assert {key[3] for key in found if key[0] == "mixed"} == {"mixture", "last_value"}
    plain = [row for key, row in found.items() if key[0] == "plain"]
    assert all(row["wape"] == row["last_value_wape"] and row["pinball_p90"] is None for row in plain)
    assert any(row["coverage_p90"] not in (None, 0, 1) for row in found.values())


def test_a_day_alone_is_scored_the_same(client):
    query = "SELECT * FROM forecast_quality WHERE {} ORDER BY pool, tenant, day, forecaster"
    whole = client.query(query.format("1")).result_rows
    some = client.query(query.format("day = '1970-01-03' AND pool = 'mixed' AND tenant = 'a'")).result_rows
    assert some == [row for row in whole if (row[0], row[1], str(row[2])) == ("mixed", "a", "1970-01-03")] != []


def test_forecasts_worse_than_the_last_value_are_named(client, world):
    expected = scores(world)
    named = 0
    for day in range(DAYS):
        found = worse_forecasts(client.settings, timeout_s=60, day=date(1970, 1, 1) + timedelta(days=day))
        told = {(row["pool"], row["tenant"], row["forecaster"]): (row["wape"], row["last_value_wape"]) for row in found}
        groups = defaultdict(list)
        for (name, tenant, of_day, forecaster), row in expected.items():
            if of_day == day:
                groups[name, tenant, forecaster].append(row)
                groups[name, None, forecaster].append(row)
        sums = {
            key: [sum(row[name] for row in rows) for name in ("error", "last_value_error", "demand")]
            for key, rows in groups.items()
        }
        worse = {key: (error / demand, last / demand) for key, (error, last, demand) in sums.items() if error > last and demand}
        assert told.keys() == worse.keys()
        assert all(told[key] == pytest.approx(errors) for key, errors in worse.items())
        named += len(told)
    assert named > 2


def test_nothing_is_named_where_nothing_answers(client):
    away = client.settings.model_copy(update={"clickhouse": "http://127.0.0.1:9"})
    assert worse_forecasts(away, timeout_s=1) == []
    assert worse_forecasts(client.settings, timeout_s=60) == []
