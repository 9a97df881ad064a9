"""What is inserted: exact through crashes at any step, in any batches, whatever an engine publishes again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest
from aiokafka.structs import ConsumerRecord
from hypothesis import given
from hypothesis import strategies as st

from schemas.backtests import Backtest
from schemas.bot_facts import BotSet
from schemas.bots import Strategy
from schemas.clickhouse import tables
from schemas.dead_letters import DeadLetter, Problem
from schemas.facts import AllocationsClosed, CommandRefused, MeterMarked, PoolSet, Reason
from schemas.journal import ClockTick, MeterMark
from schemas.model import Landing
from schemas.published import Policy, UsageEvent
from streams.codecs import MAGIC, encode
from streams.door import Door
from streams.landables import read_dead_letters, read_facts, read_inputs, read_journal
from streams.landing import (
    NO_FACT,
    Beyond,
    BrokenRecordError,
    Collected,
    Landable,
    Standing,
    after,
    columns_of,
    plan,
    values_getter,
)
from streams.partitioning import home_partition
from streams.ticks import TICK_HEADER

NOW = 1_800_000_000_000
DDL = {ddl.name: ddl for ddl in tables("test")}


@dataclass
class Store:
    """ClickHouse as the sink sees it: inserts are whole or not there; what is read is what was inserted."""

    landing: Landing
    rows: dict[str, list[Landable]] = field(default_factory=dict)
    through: int = -1
    fact: tuple[int, int] = NO_FACT

    def standing(self) -> Standing:
        standing = Standing(self.through, self.fact, 0)
        for table, rows in self.rows.items():
            beyond = [row for row in rows if row.offset > self.through]
            facts = [row.fact for row in beyond]
            known = Beyond(fact=max(facts, default=NO_FACT)) if self.landing is Landing.FACT else None
            standing.beyond[table] = known or Beyond(frozenset(row.offset for row in beyond))
        return standing


def land(store: Store, log: list[tuple[str, Landable]], sizes: list[int], crashes: list[int]) -> None:
    """Lands a log in batches of `sizes`; at each step one of `crashes` is counted down, and at 0 the sink starts again."""
    crashes = list(crashes)

    def crashed() -> bool:
        if crashes:
            crashes[0] -= 1
            if crashes[0] < 0:
                crashes.pop(0)
                return True
        return False

    standing, turn = store.standing(), 0
    while standing.through + 1 < len(log):
        size = sizes[turn % len(sizes)]
        turn += 1
        collected = Collected()
        start = standing.through + 1
        for table, item in log[start : start + size]:
            collected.add(table, item, 1)
        collected.reach(0, min(start + size, len(log)) - 1)
        ended = attempt(store, collected, standing, crashed)
        # A sink that starts again knows only what the store knows.
        standing = store.standing() if ended else after(collected, 0, {0: standing})[0]


def attempt(store: Store, collected: Collected, standing: Standing, crashed: Callable[[], bool]) -> bool:
    for table, items in collected.tables.items():
        if crashed():
            return True
        store.rows.setdefault(table, []).extend(plan(items, table, store.landing, {0: standing}))
    if crashed():
        return True
    done = after(collected, 0, {0: standing})[0]
    store.through, store.fact = done.through, done.fact
    return crashed()


TABLES = st.sampled_from(["a", "b", "c"])


@given(
    log=st.lists(TABLES, min_size=1, max_size=40),
    sizes=st.lists(st.integers(1, 12), min_size=1, max_size=6),
    crashes=st.lists(st.integers(0, 12), max_size=12),
)
def test_records_land_once_through_crashes(log: list[str], sizes: list[int], crashes: list[int]) -> None:
    store = Store(Landing.OFFSET)
    records = [(table, Landable(0, offset, ())) for offset, table in enumerate(log)]
    land(store, records, sizes, crashes)
    landed = sorted((item.offset, table) for table, items in store.rows.items() for item in items)
    assert landed == list(enumerate(log))


@given(
    kinds=st.lists(TABLES, min_size=1, max_size=25),
    engines=st.lists(st.tuples(st.integers(0, 25), st.integers(1, 25)), max_size=6),
    sizes=st.lists(st.integers(1, 12), min_size=1, max_size=6),
    crashes=st.lists(st.integers(0, 12), max_size=12),
)
def test_facts_land_once_whatever_an_engine_publishes_again(
    kinds: list[str], engines: list[tuple[int, int]], sizes: list[int], crashes: list[int]
) -> None:
    facts = [((number // 3, number % 3), table) for number, table in enumerate(kinds)]
    published: list[tuple[tuple[int, int], str]] = []
    reached = 0
    for back, count in [*engines, (0, len(facts))]:  # each engine begins somewhere at or below what is published
        start = max(0, reached - back)
        published += facts[start : start + count]
        reached = max(reached, min(len(facts), start + count))
    log = [(table, Landable(0, offset, (), fact)) for offset, (fact, table) in enumerate(published)]
    store = Store(Landing.FACT)
    land(store, log, sizes, crashes)
    assert sorted((item.fact, table) for table, items in store.rows.items() for item in items) == facts


def test_a_table_that_is_ahead_does_not_hold_another_one_back() -> None:
    """A crash between two tables, then smaller batches: `landed` may not take the id of the table that is ahead."""
    items = [Landable(0, offset, (), (offset, 0)) for offset in range(4)]
    ahead = Standing(beyond={"a": Beyond(fact=(3, 0))})
    collected = Collected()
    collected.add("a", items[0], 1)
    collected.add("b", items[1], 1)
    collected.reach(0, 1)
    standings = after(collected, 0, {0: ahead})
    assert standings[0].fact == (1, 0)
    assert plan([items[2]], "a", Landing.FACT, standings) == []
    assert plan([items[3]], "b", Landing.FACT, standings) == [items[3]]


def test_partitions_stand_for_themselves() -> None:
    standings = {0: Standing(through=5), 1: Standing(through=-1, beyond={"a": Beyond(frozenset({1}))})}
    items = [Landable(partition, offset, ()) for offset in (1, 6) for partition in (0, 1)]
    assert plan(items, "a", Landing.EVENT_ID, standings) == [items[2], items[3]]


def closed(tenants: int, **changes: Any) -> AllocationsClosed:
    numbers = list(range(tenants))
    columns = [
        [
            "base",
            "elasticity",
            "weight",
            "demand",
            "bid",
            "surplus",
            "bought",
            "sold",
            "allocated",
            "charge",
            "shortfall",
            "used",
            "requests",
        ],
        ["budget_left", "rank"],
    ]
    fields: dict[str, Any] = dict.fromkeys(columns[0], numbers) | dict.fromkeys(columns[1], [None] * tenants)
    fields |= {
        "pool": "p",
        "journal_offset": 7,
        "fact_index": 2,
        "period": 3,
        "period_start": NOW,
        "policy": Policy.SEED,
        "price": 11,
    }
    return AllocationsClosed.model_construct(**fields | {"tenant": [f"t{n}" for n in numbers]} | changes)


REST_OF_BOT = {"journal_offset": 3, "fact_index": 0, "strategy": Strategy.SCHEDULE, "tenant": "t", "time": NOW, "present": None}


def as_rows(table: str, items: list[Landable]) -> list[dict[str, Any]]:
    ddl = DDL[table]
    columns = columns_of(ddl, items, "topic", NOW)
    names = [column.name for column in ddl.columns]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def test_columns_become_rows() -> None:
    values = values_getter(DDL["allocations"])
    rows = as_rows("allocations", [Landable(1, 10, values(vars(closed(2)))), Landable(0, 4, values(vars(closed(1, pool="q"))))])
    told = [(r["pool"], r["tenant"], r["used"], r["budget_left"], r["partition"], r["offset"], r["record_row"]) for r in rows]
    assert told == [("p", "t0", 0, None, 1, 10, 0), ("p", "t1", 1, None, 1, 10, 1), ("q", "t0", 0, None, 0, 4, 0)]
    assert {(r["topic"], r["landed_at"], r["price"]) for r in rows} == {("topic", NOW, 11)}


def test_decimals_are_stored_in_units() -> None:
    fact = PoolSet(
        pool="p", journal_offset=1, fact_index=0, id="c", version=1, from_period=2, capacity=10, period_s=60, tick_ms=1000,
        policy="seed", base_price=1, reserve_price=2, cached_weight="0.5",
        **({"forecaster": "last_value"} if "forecaster" in PoolSet.model_fields else {}),
    )  # fmt: skip
    (row,) = as_rows("pools", [Landable(0, 0, values_getter(DDL["pools"])(vars(fact)))])
    assert row["cached_weight"] == Decimal("0.500000")
    values = dict.fromkeys(Backtest.model_fields, 0) | {"utilisation": 750_000, "sla_low": None}
    (row,) = as_rows("backtests", [Landable(0, 0, values_getter(DDL["backtests"])(values))])
    assert (row["utilisation"], row["sla_low"]) == (Decimal("0.75"), None), "where there may be none, too"


def test_lists_land_whole_in_a_fact_of_one_row() -> None:
    told = {name: info.get_default(call_default_factory=True) for name, info in BotSet.model_fields.items()}
    conditions: dict[str, Any] = {f"condition_{part}": [] for part in ("on", "op", "value", "upper")}
    fact = BotSet.model_construct(**told | conditions | {"pool": "p", "name": "b", "at": [60, 120], "margin": 200_000})
    collected = Collected()
    read_facts("f")(collected, 0, [record(encode(fact.model_copy(update=REST_OF_BOT)))])
    (row,) = as_rows("bots", collected.of("bots"))
    assert (row["at"], row["condition_on"], row["margin"]) == ([60, 120], [], Decimal("0.200000"))


def test_columns_of_different_lengths_stop_the_sink() -> None:
    broken = values_getter(DDL["allocations"])(vars(closed(3, used=[1])))
    with pytest.raises(BrokenRecordError, match=r"0@5.*\[1, 3\]"):
        columns_of(DDL["allocations"], [Landable(0, 5, broken)], "topic", NOW)


# --- readers -------------------------------------------------------------------------------------------------------------

PARTITIONS = 4
DOOR = Door(max_event_bytes=1 << 20, max_ahead_ms=3_600_000, max_age_ms=86_400_000)
TENANT = "acme"
HOME = home_partition(TENANT.encode(), PARTITIONS)


def record(value: bytes | None, key: bytes | None = None, headers: tuple[tuple[str, bytes], ...] = ()) -> ConsumerRecord:
    return ConsumerRecord("t", HOME, 5, NOW, 1, key, value, None, 0, 0, headers)


def usage(**changes: Any) -> bytes:
    fields = {"id": "1", "source": "s", "time": NOW, "tenant": TENANT, "pool": "p", "input_tokens": 3, "output_tokens": 4}
    return (
        UsageEvent.model_construct(**fields | {"cached_input_tokens": 0, "model": "", "request_id": "", "basis": ""} | changes)
        .model_dump_json()
        .encode()
    )


FORWARDED = (("bourse-forwarded", b"t/0/9"),)


@pytest.mark.parametrize(
    ("partition", "value", "headers", "lands"),
    [
        (HOME, usage(), (), True),
        (HOME + 1, usage(), (), False),  # its home gets a copy
        (HOME + 1, usage(), FORWARDED, True),  # the number of partitions has changed: it is not sent on
        (HOME, usage(), FORWARDED, True),
        (HOME, encode(ClockTick(tick=1, tick_ms=1000, meter_partitions=4, grace_ticks=5)), (TICK_HEADER,), False),
        (HOME, usage(input_tokens=-1), (), False),  # a dead letter
        (HOME, b"{", (), False),
        (HOME, None, (), False),
    ],
)
def test_inputs_land_at_home_if_the_door_takes_them(
    partition: int, value: bytes | None, headers: tuple[tuple[str, bytes], ...], lands: bool
) -> None:
    collected = Collected()
    read_inputs(DOOR, "usage", PARTITIONS)(collected, partition, [record(value, headers=headers)])
    assert collected.rows == len(collected.of("usage_events")) == int(lands)


def test_facts_without_a_table_are_passed_over() -> None:
    mark = MeterMarked(pool="", journal_offset=8, fact_index=0, meter_topic="usage", meter_partition=0, tick=3)
    refused = CommandRefused(
        pool="p", journal_offset=9, fact_index=1, command="pool", command_id="c", tenant="", reason=Reason.PERIOD_FIXED, detail="d"
    )
    collected = Collected()
    read_facts("f")(collected, 0, [record(encode(mark)), record(encode(refused)), record(encode(closed(3)))])
    assert {table: len(items) for table, items in collected.tables.items()} == {"refusals": 1, "allocations": 1}
    assert (collected.rows, collected.facts) == (4, {0: (9, 1)})


def test_journal_records_land_as_json() -> None:
    collected = Collected()
    mark = MeterMark(meter_topic="usage", meter_partition=0, tick=3)
    read_journal("j")(collected, 2, [record(encode(mark))])
    ((partition, offset, values, _),) = collected.of("journal")
    assert (partition, offset) == (2, 5)
    assert values == ("", "meter_mark", '{"meter_topic":"usage","meter_partition":0,"tick":3}', NOW)


def test_dead_letters_keep_every_byte() -> None:
    letter = DeadLetter(
        source_topic="t", source_partition=0, source_offset=1, source_time=NOW, reason=Problem.MALFORMED, detail="d",
        key=b"\xff", payload=bytes(range(256)),
    )  # fmt: skip
    collected = Collected()
    read_dead_letters("d")(collected, 0, [record(encode(letter))])
    (row,) = as_rows("dead_letters", collected.of("dead_letters"))
    assert (row["key"], row["payload"], row["null_payload"]) == (b"\xff", bytes(range(256)), False)


TRUNCATED = encode(DeadLetter.model_construct(
    source_topic="t", source_partition=0, source_offset=1, source_time=NOW, reason=Problem.INVALID, detail="", key=b"", payload=b"",
    null_payload=False,
))[:-1]  # fmt: skip


@pytest.mark.parametrize("read", [read_facts, read_journal, read_dead_letters])
@pytest.mark.parametrize("value", [None, b"{}", MAGIC + b"12345678" + b"x", TRUNCATED])
def test_an_unreadable_record_of_ours_stops_the_sink(read: Any, value: bytes | None) -> None:
    with pytest.raises(BrokenRecordError, match=r"topic/3@5.*newer release"):
        read("topic")(Collected(), 3, [record(value)])


def test_a_record_of_another_kind_stops_the_sink() -> None:
    letter = DeadLetter(
        source_topic="t",
        source_partition=0,
        source_offset=1,
        source_time=NOW,
        reason=Problem.INVALID,
        detail="",
        key=b"",
        payload=b"",
    )
    with pytest.raises(BrokenRecordError, match="dead_letter is no fact"):
        read_facts("topic")(Collected(), 0, [record(encode(letter))])
