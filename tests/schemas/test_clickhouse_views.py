"""The market's views in a real ClickHouse, against what the engine and the facts say, with every row landed twice."""

from __future__ import annotations

import uuid
from collections import defaultdict

import pytest
from busy_market import TENANTS, busy
from databases import drop
from journal_world import of_kind
from landed_world import land

from processors.market.state import parted
from schemas.clickhouse_setup import every_view
from schemas.facts import AllocationsClosed, PeriodClosed, Postings
from schemas.market_facts import BookPhase, Deliveries, OrderEvents, Settlements, Trades, TransferEvents
from schemas.shape import shapes
from streams.clickhouse import connect
from streams.settings import Settings

MINUTE = 60_000


@pytest.fixture(scope="module")
def world():
    world = busy(7, periods=5)
    assert sum(sum(fact.shortfall) for fact in of_kind(world.facts, Deliveries)), "nothing was short"
    return world


@pytest.fixture(scope="module")
def client(clickhouse, tmp_path_factory, world):
    database = f"views_{uuid.uuid4().hex[:8]}"
    settings = Settings(home=tmp_path_factory.mktemp("home"), clickhouse=clickhouse, clickhouse_database=database)
    client = connect(settings)
    client.command(f"CREATE DATABASE {database}")
    client.database = database
    land(settings, [world], copies=2)
    yield client
    drop(client, database)
    client.close()


def rows(client, query, **parameters):
    return [tuple(row) for row in client.query(query, parameters=parameters).result_rows]


def test_every_row_is_there_twice_and_is_seen_once(client, world):
    trades = sum(len(fact.number) for fact in of_kind(world.facts, Trades))
    assert trades > 20
    assert rows(client, "SELECT count() FROM trades") == [(trades,)]
    assert rows(client, "SELECT count() FROM trades_landed")[0][0] in {trades, 2 * trades}  # merged already, or not yet


@pytest.mark.parametrize(
    "model", [Postings, OrderEvents, BookPhase, Trades, Settlements, Deliveries, TransferEvents], ids=lambda model: model.KIND
)
def test_every_fact_of_the_market_landed_with_all_its_rows_in_their_order(client, world, model):
    per_row = [shape.name for shape in shapes(model) if shape.per_row] or [None]
    column = per_row[-1] or "period"
    expected = [
        (fact.journal_offset, fact.fact_index, row, value)
        for fact in of_kind(world.facts, model)
        for row, value in enumerate(getattr(fact, column) if per_row[0] else [fact.period])
    ]
    order = "journal_offset, fact_index, record_row"
    assert rows(client, f"SELECT {order}, {column} FROM {model.TABLE.name} ORDER BY {order}") == expected
    assert expected


def test_open_orders_are_those_of_the_books(client, world):
    expected = sorted(
        (period, *parted(order.id), str(order.side), order.price, order.open, order.filled)
        for period, instrument in world.market.instruments.items()
        for order in instrument.book.orders.values()
    )
    assert len(expected) > 10
    found = rows(client, "SELECT period, tenant, order_id, side, price, open, filled, qty FROM open_orders WHERE pool = 'llm'")
    assert sorted(row[:-1] for row in found) == expected
    assert all(qty >= left + filled for *_, left, filled, qty in found)


def test_balances_are_those_of_the_ledger(client, world):
    ledger = world.market.ledger
    expected = {account: (standing.balance, standing.held) for account, standing in ledger.standings.items()}
    found = rows(client, "SELECT asset, account, balance, held, available, debits, credits FROM balances WHERE pool = 'llm'")
    assert {(asset, account): (balance, held) for asset, account, balance, held, *_ in found if balance or held} == expected
    assert all(available == balance - held and balance == paid_in - paid for *_, balance, held, available, paid, paid_in in found)
    totals = defaultdict(int)
    for asset, _, balance, *_ in found:
        totals[asset] += balance
    assert not any(totals.values())


def test_positions_are_what_was_traded_and_transferred(client, world):
    expected = defaultdict(lambda: defaultdict(int))
    for fact in of_kind(world.facts, Settlements):
        earned = "earned" if fact.kind == "delivered" else "to_earn"
        for buyer, seller, tokens, paid, gets, fees in zip(
            fact.buyer, fact.seller, fact.tokens, fact.paid, fact.earned, fact.fees, strict=True
        ):
            add(expected[fact.period, buyer], bought=tokens, paid=paid)
            add(expected[fact.period, seller], sold=tokens, **{earned: gets})
            if fees:
                add(expected[fact.period, ""], **{earned: fees})
    for fact in of_kind(world.facts, TransferEvents):
        if fact.event[0] in {"done", "accepted"}:
            moved = fact.tokens[0] - fact.for_tokens[0]
            add(expected[fact.period, fact.tenant[0]], transferred=-moved)
            add(expected[fact.period, fact.to[0]], transferred=moved)
    for fact in of_kind(world.facts, Deliveries):
        for tenant, earned, refunded, shortfall in zip(fact.tenant, fact.earned, fact.refunded, fact.shortfall, strict=True):
            position = expected[fact.period, tenant]
            position["to_earn"] = 0
            add(position, earned=earned, refunded=refunded, shortfall=shortfall)
    names = ("bought", "sold", "transferred", "paid", "earned", "refunded", "shortfall")
    for position in expected.values():
        position["earned"] += position.pop("to_earn", 0)
    found = rows(client, f"SELECT period, tenant, {', '.join(names)}, net FROM positions WHERE pool = 'llm'")
    told = {(period, tenant): tuple(values) for period, tenant, *values, _ in found if any(values)}
    assert told == {key: values for key, each in expected.items() if any(values := tuple(each[name] for name in names))}
    assert all(net == bought - sold + transferred for *_, bought, sold, transferred, _, _, _, _, net in found)


def add(position, **amounts):
    for name, amount in amounts.items():
        position[name] += amount


def test_positions_hold_what_the_engine_holds(client, world):
    ledger = world.market.ledger
    periods = sorted(world.market.instruments)
    held = {(period, name): ledger.held(period, f"tenant/{name}") for period in periods for name in TENANTS}
    found = rows(client, "SELECT period, tenant, held_tokens, open_sell FROM positions WHERE pool = 'llm' AND tenant != ''")
    assert {(period, tenant): tokens for period, tenant, tokens, _ in found if tokens} == {
        key: tokens for key, tokens in held.items() if tokens
    }
    assert any(tokens > offered for *_, tokens, offered in found), "no exchange is offered"


def test_candles_are_those_of_the_trades(client, world):
    expected = {}
    for fact in of_kind(world.facts, Trades):
        for price, qty in zip(fact.price, fact.qty, strict=True):
            candle = expected.setdefault((fact.period, fact.time // MINUTE * MINUTE), [price, price, price, price, 0, 0, 0])
            candle[1:4] = max(candle[1], price), min(candle[2], price), price
            candle[4:] = candle[4] + qty, candle[5] + price * qty, candle[6] + 1
    found = rows(
        client,
        "SELECT period, toUnixTimestamp(minute) * 1000, open, high, low, close, volume, value, trades "
        "FROM candles WHERE pool = 'llm'",
    )
    assert {(period, minute): values for period, minute, *values in found} == expected
    assert any(high > low for _, _, _, high, low, *_ in found)


def closed(world):
    """(period, tenant) → the outcome's row, as a dict, of every closed period."""
    rows = {}
    for fact in of_kind(world.facts, AllocationsClosed):
        for at, tenant in enumerate(fact.tenant):
            values = {name: value[at] for name, value in fact if isinstance(value, list)}
            rows[fact.period, tenant] = values | {"price": fact.price, "start": fact.period_start}
    return rows


def test_who_was_short_and_who_could_have_sold_to_them(client, world):
    outcomes = closed(world)
    lacks = {key: max(row["demand"] - row["allocated"], 0) for key, row in outcomes.items()}
    found = rows(client, "SELECT period, tenant, short, shortfall, why FROM who_was_short WHERE pool = 'llm'")
    assert {(period, tenant): tuple(values) for period, tenant, *values, _ in found} == {
        key: (lacks[key], row["shortfall"]) for key, row in outcomes.items() if lacks[key] or row["shortfall"]
    }
    for period, tenant, *_, why in found:
        row = outcomes[period, tenant]
        assert why == (
            "capacity_fell"
            if row["shortfall"]
            else "sold"
            if row["base"] + row["surplus"] >= row["demand"]
            else "outbid"
            if row["surplus"] < row["bid"]
            else "bid_less"
        )
    expected = {}
    for (period, tenant), row in outcomes.items():
        others = sum(lack for (when, who), lack in lacks.items() if when == period and who != tenant)
        if (idle := row["allocated"] - row["used"]) > 0 and others:
            expected[period, tenant] = (idle, others, min(idle, others), min(idle, others) * row["price"])
    found = rows(client, "SELECT period, tenant, idle, others_short, sellable, worth FROM who_could_have_sold WHERE pool = 'llm'")
    assert {row[:2]: row[2:] for row in found} == expected  # none in this world; tests/dashboards/test_questions.py has some


def test_costs_are_what_left_the_tenants_accounts(client, world):
    """Of closed periods: what was posted for allocations and trades, with fees and refunds, from the ledger itself."""
    outcomes = closed(world)
    periods = {period for period, _ in outcomes}
    spent = defaultdict(int)
    for fact in of_kind(world.facts, Settlements):
        for kind, buyer, seller, paid, earned in zip(
            [fact.kind] * len(fact.buyer), fact.buyer, fact.seller, fact.paid, fact.earned, strict=True
        ):
            if fact.period in periods:
                spent[buyer] += paid
                spent[seller] -= earned if kind == "delivered" else 0
    for fact in of_kind(world.facts, Deliveries):
        for tenant, earned, refunded in zip(fact.tenant, fact.earned, fact.refunded, strict=True):
            if fact.period in periods:
                spent[tenant] -= earned + refunded
    for (_, tenant), row in outcomes.items():
        spent[tenant] += row["charge"]
    found = dict(rows(client, "SELECT tenant, sum(cost) FROM costs WHERE pool = 'llm' GROUP BY tenant"))
    assert found == {tenant: amount for tenant, amount in spent.items() if tenant}
    starts = {period: row["start"] for (period, _), row in outcomes.items()}
    assert dict(rows(client, "SELECT DISTINCT period, toUnixTimestamp64Milli(period_start) FROM costs")) == starts


def test_utilisation_by_hour_is_that_of_the_periods(client, world):
    expected = {}
    for fact in of_kind(world.facts, PeriodClosed):
        sums = expected.setdefault(fact.period_start // 3_600_000 * 3600, [0, 0, 0, 0])
        for at, amount in enumerate((1, fact.capacity, fact.allocated, fact.used)):
            sums[at] += amount
    found = rows(
        client, "SELECT toUnixTimestamp(hour), periods, capacity, allocated, used, utilisation, fullest FROM utilisation_by_hour"
    )
    assert {hour: sums for hour, *sums, _, _ in found} == expected
    assert all(share == used / capacity <= fullest <= 1 for _, _, capacity, _, used, share, fullest in found)


def test_every_column_says_what_it_is_and_has_the_stated_type(client):
    for view in every_view(client.database):
        stated = [(column.name, column.clickhouse_type, column.comment) for column in view.columns]
        described = rows(
            client,
            "SELECT name, type, comment FROM system.columns WHERE database = currentDatabase() AND table = {t:String} "
            "ORDER BY position",
            t=view.name,
        )
        assert described == stated
        assert all(comment for *_, comment in described)
        assert client.query(f"SELECT * FROM {view.name} LIMIT 1").column_names == tuple(column.name for column in view.columns)
        client.command(view.sql)  # making it again changes nothing


@pytest.mark.parametrize("view", ["open_orders", "positions", "candles"])
def test_one_instrument_reads_only_its_range(client, view):
    """Every read of a table is narrowed by the primary key to the pool and the period."""
    plan = "\n".join(
        line for (line,) in rows(client, f"EXPLAIN indexes = 1 SELECT * FROM {view} WHERE pool = 'llm' AND period = 7")
    )
    reads = plan.split("ReadFromMergeTree")[1:]
    assert reads
    for read in reads:
        condition = read.partition("PrimaryKey")[2].partition("Condition:")[2].partition("\n")[0]
        assert "period in [7, 7]" in condition, read
        assert "pool in ['llm', 'llm']" in condition, read


@pytest.mark.parametrize("table", ["ledger", "orders", "transfers"])
def test_a_stretch_of_the_journal_is_found_by_an_index(client, table):
    query = f"SELECT count() FROM {table} WHERE pool = 'llm' AND journal_offset > 5 AND journal_offset <= 9"
    plan = "\n".join(line for (line,) in rows(client, f"EXPLAIN indexes = 1 {query} SETTINGS use_skip_indexes_if_final = 1"))
    by_key, by_index = "journal_offset" in plan.partition("PrimaryKey")[2].partition("Condition:")[0], "Name: journal" in plan
    assert by_key or by_index, plan
