"""What a lander is tried with: logs of simple records, the landing of all of them, and crashes at a step."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from clickhouse_connect.driver.client import Client

from schemas.clickhouse import tables
from streams.clickhouse import ClickHouse
from streams.lander import Lander
from streams.landing import Collected, Landable, Standings
from streams.settings import Settings
from streams.standing import LandingTables

NOW = 1_800_000_000_000
DDL = {ddl.name: ddl for ddl in tables("any")}


class Record(NamedTuple):
    """Stands for a record of two tables: what the reader below makes of it."""

    offset: int
    table: str
    fact: tuple[int, int] = (-1, -1)
    value: bytes = b"12345678"


class FakeBatch(NamedTuple):
    """What `Lander.take` needs of a transport.Batch."""

    partition: int
    records: Sequence[Record]
    generation: int = 1

    @property
    def last(self) -> int:
        return self.records[-1].offset


def read(collected: Collected, partition: int, records: Sequence[Record]) -> None:
    for record in records:
        if record.table == "refusals":
            values: tuple[Any, ...] = ("p", *record.fact, "pool", f"c{record.fact}", "", "period_fixed", "d")
        elif record.table == "unrouted_usage":
            # Two rows of one record.
            columns = [[1, 2]] * 4
            values = ("p", *record.fact, "usage", 0, 1, 0, ["t1", "t2"], *columns)
        else:
            values = (NOW, "s", f"id{partition}-{record.offset % 50}", "t", "p", record.offset, 0, 0, "", "", "")
        collected.add(record.table, Landable(partition, record.offset, values, record.fact), 1)


def ask(client: Client, settings: Settings, sql: str) -> Any:
    return client.query(sql.replace("DB", settings.clickhouse_database)).result_rows


class Crash(BaseException):
    """A crash: not an Exception, so that nothing tries again."""


class CrashingTables(LandingTables):
    """Crashes, or fails as ClickHouse would, at a step that the test chooses."""

    fault: Callable[[str], None] = staticmethod(lambda _step: None)

    def inserting(self, table: str, items: Sequence[Landable], landed_at: int) -> Callable[[Client], None]:
        insert = super().inserting(table, items, landed_at)

        def run(client: Client) -> None:
            self.fault("before insert")
            insert(client)
            self.fault("after insert")

        return run

    def insert_landed(self, client: Client, standings: Standings) -> None:
        self.fault("before landed")
        super().insert_landed(client, standings)
        self.fault("after landed")


def lander(made: LandingTables, store: ClickHouse, **changes: Any) -> Lander:
    return Lander(made, read, store, **{"batch_rows": 10, "batch_s": 0.0, "landed": lambda *_: None} | changes)  # type: ignore[arg-type]  # reads Records


async def land(
    made: LandingTables, store: ClickHouse, logs: dict[int, list[Record]], fetch: Callable[[], int], **changes: Any
) -> None:
    """Lands all of the logs, one fetch of each partition in turn; raises what the lander fails with."""
    ends = {partition: len(log) for partition, log in logs.items()}
    done: dict[int, int] = {}
    finished = asyncio.Event()

    def landed(partition: int, next_offset: int) -> None:
        done[partition] = next_offset
        if all(done[each] == ends[each] for each in ends):
            finished.set()

    role = lander(made, store, landed=landed, **changes)
    positions = done = dict(await role.start(logs))
    landing = asyncio.ensure_future(role.land())
    feeding = asyncio.ensure_future(feed(role, logs, dict(positions), fetch))
    waits = {landing, asyncio.ensure_future(finished.wait())}
    if all(done[each] == ends[each] for each in ends):
        finished.set()
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    await role.stop()
    feeding.cancel()
    if not landing.done():
        landing.cancel()
    for each in waits:
        each.cancel()
    await asyncio.wait({landing, feeding})
    if not landing.cancelled():
        landing.result()


async def feed(role: Lander, logs: dict[int, list[Record]], at: dict[int, int], fetch: Callable[[], int]) -> None:
    while any(at[partition] < len(log) for partition, log in logs.items()):
        for partition, log in logs.items():
            records = log[at[partition] : at[partition] + fetch()]
            if records:
                await role.take(FakeBatch(partition, records))  # type: ignore[arg-type]  # has what it needs
                at[partition] += len(records)


def events(count: int) -> list[Record]:
    return [Record(offset, "usage_events") for offset in range(count)]


def facts(rng: random.Random, count: int) -> list[Record]:
    """What engines publish that begin again now and then."""
    decided = [((n // 3, n % 3), rng.choice(("refusals", "unrouted_usage"))) for n in range(count)]
    log: list[Record] = []
    position = 0
    while position < count:
        end = min(count, position + rng.randint(1, 40))
        log += [Record(len(log) + n, table, fact) for n, (fact, table) in enumerate(decided[position:end])]
        position = max(0, end - rng.randint(0, 30)) if end < count else end
    return log
